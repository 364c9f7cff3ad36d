//! Several processes that run one model together, each with a part of every matrix: what they add up and tell each other.
//!
//! Every rank must do the same collective operations in the same order. Each waits for the one before it, so that the order
//! of a pass is that in which it was built, whatever of it is evaluated.
//!
//! Where MLX talks through sockets, each is computed at once: when a peer goes away, MLX fails the operation that it is at, and
//! waits without end in those that are queued behind it.

pub mod bond;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mlx_rs::ops::{concatenate, zeros_dtype};
use mlx_rs::{Array, Dtype};

use self::bond::Bond;
use super::mlx;
use super::mlx::group::{Backend, Handle};
use super::norm::cast;
use super::split::Shard;
use crate::error::{Code, Error, Result};

/// Words of the first part of a message, which tells how long the whole is.
const HEAD: usize = 64;
/// Longer messages than this are none of ours.
const LONGEST: usize = 1 << 28;

/// A group that this process belongs to. Lives on the MLX thread.
pub struct Group {
    handle: Handle,
    shard: Shard,
    bond: Arc<Bond>,
    /// The result of the last collective operation of the pass that is being built.
    last: RefCell<Option<Array>>,
}

/// A rank's place in its group, for layers that hold a part of their matrices.
#[derive(Clone)]
pub struct Ranks {
    shard: Shard,
    /// Nothing where the model is whole, or is only planned.
    group: Option<Rc<Group>>,
}

impl Group {
    /// Of a handle of the group that `bond` holds together.
    pub fn new(handle: Handle, bond: &Arc<Bond>) -> Result<Group> {
        let shard = Shard::new(handle.rank(), handle.size())?;
        Ok(Group { handle, shard, bond: Arc::clone(bond), last: RefCell::default() })
    }

    pub fn bond(&self) -> &Arc<Bond> {
        &self.bond
    }

    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The first collective operation after this waits for none: all before it have been set to work.
    pub fn begin(&self) {
        self.last.take();
    }

    /// The sum of all ranks' `x`.
    pub fn sum(&self, x: &Array) -> Result<Array> {
        self.in_turn(x, |x| self.handle.all_sum(x))
    }

    /// All ranks' `x`, one after the other along the first axis.
    pub fn gather(&self, x: &Array) -> Result<Array> {
        self.in_turn(x, |x| self.handle.all_gather(x))
    }

    fn in_turn(&self, x: &Array, operation: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
        match self.handle.backend() {
            // Who is gone is looked for elsewhere, not in each of a pass's operations.
            Backend::Nccl => self.bond.told()?,
            _ => self.bond.check()?,
        }
        let mut last = self.last.borrow_mut();
        let x = last.as_ref().map_or_else(|| Ok(x.clone()), |last| mlx::after(x, last))?;
        let result = operation(&x)?;
        if self.handle.backend() == Backend::Nccl {
            *last = Some(result.clone());
        } else {
            // What other ranks have to compute first counts as well.
            let _waiting = self.bond.wait();
            mlx::eval([&result]).map_err(|error| self.bond.explain(error))?;
        }
        Ok(result)
    }

    /// Rank 0's array, of this shape and type; the others give none.
    pub fn share(&self, own: Option<&Array>, shape: &[i32], dtype: Dtype) -> Result<Array> {
        match own {
            Some(own) => self.sum(&cast(own, dtype)?),
            None => self.sum(&zeros_dtype(shape, dtype)?),
        }
    }

    /// Sends a message of rank 0 to all others. It is on its way when this returns.
    pub fn tell(&self, message: &[u8]) -> Result<()> {
        let mut words = vec![message.len() as i32];
        words.extend(message.chunks(4).map(|bytes| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            i32::from_le_bytes(word)
        }));
        words.resize(words.len().max(HEAD), 0);
        let (head, rest) = words.split_at(HEAD);
        let mut parts = vec![self.sum(&row(head))?];
        if !rest.is_empty() {
            parts.push(self.sum(&row(rest))?);
        }
        mlx::async_eval(&parts)
    }

    /// The next message of rank 0, which is waited for.
    pub fn hear(&self) -> Result<Vec<u8>> {
        let mut words = self.heard(HEAD)?;
        let len = usize::try_from(words.remove(0)).ok().filter(|len| *len <= LONGEST);
        let len = len.ok_or_else(|| Error::new(Code::Backend, "the ranks of the group are out of step"))?;
        if len.div_ceil(4) > words.len() {
            words.extend(self.heard(len.div_ceil(4) - words.len())?);
        }
        let mut bytes: Vec<u8> = words.into_iter().flat_map(i32::to_le_bytes).collect();
        bytes.truncate(len);
        Ok(bytes)
    }

    fn heard(&self, count: usize) -> Result<Vec<i32>> {
        let words = self.sum(&row(&vec![0; count]))?;
        self.come(&words)?;
        // As words: what is negative is there as it is.
        Ok(mlx::words(&words.view_dtype(Dtype::Uint32)?)?.into_iter().map(|word| word as i32).collect())
    }

    /// Waits for what other ranks say. Through sockets it is complete or an error, and who said it may be gone by then.
    fn come(&self, array: &Array) -> Result<()> {
        mlx::eval([array])?;
        match self.handle.backend() {
            Backend::Nccl => self.bond.check(),
            _ => Ok(()),
        }
    }

    /// What each rank says, all in as many bytes. Waits for all of them.
    pub fn exchange(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let bytes = Array::from_slice(own, &[own.len() as i32]);
        let all = self.gather(&bytes)?;
        let waiting = self.bond.wait();
        self.come(&all)?;
        drop(waiting);
        let all = all.try_as_slice::<u8>().map_err(|error| Error::new(Code::Backend, error.to_string()))?;
        Ok(all.chunks(own.len().max(1)).map(<[u8]>::to_vec).collect())
    }
}

fn row(words: &[i32]) -> Array {
    Array::from_slice(words, &[words.len() as i32])
}

impl Ranks {
    /// Of a model that one process holds.
    pub const fn alone() -> Ranks {
        Ranks { shard: Shard::WHOLE, group: None }
    }

    /// Of a model that is planned and not run.
    pub fn planned(shard: Shard) -> Ranks {
        Ranks { shard, group: None }
    }

    pub fn of(group: &Rc<Group>) -> Ranks {
        Ranks { shard: group.shard(), group: Some(Rc::clone(group)) }
    }

    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Whether this rank encodes media: the others get what they are encoded to.
    pub fn encodes(&self) -> bool {
        self.shard.rank() == 0
    }

    fn group(&self) -> Result<Option<&Group>> {
        match (&self.group, self.shard.is_whole()) {
            (Some(group), _) => Ok(Some(group)),
            (None, true) => Ok(None),
            (None, false) => Err(Error::new(Code::Backend, "a part of a model cannot run by itself")),
        }
    }

    /// The sum of what the ranks' parts of a matrix make.
    pub fn sum(&self, part: Array) -> Result<Array> {
        self.group()?.map_or_else(|| Ok(part.clone()), |group| group.sum(&part))
    }

    /// The sums of two results of one shape and type, by one operation.
    pub fn sum_both(&self, [a, b]: [Array; 2]) -> Result<[Array; 2]> {
        let Some(group) = self.group()? else { return Ok([a, b]) };
        let rows = a.dim(0);
        let both = group.sum(&concatenate(&[a, b], 0)?)?;
        let width = both.dim(1);
        Ok([mlx::slice(&both, &[0, 0], &[rows, width])?, mlx::slice(&both, &[rows, 0], &[2 * rows, width])?])
    }

    /// `[T, count]` of the ranks' `[T, n]`: the columns of their rows of a table of `count`.
    pub fn columns(&self, part: Array, count: usize) -> Result<Array> {
        let Some(group) = self.group()? else { return Ok(part) };
        let (rows, own) = (part.dim(0), part.dim(1));
        let each = self.shard.rows_each(count) as i32;
        let mut turned = part.t();
        if own < each {
            turned = concatenate(&[turned, zeros_dtype(&[each - own, rows], part.dtype())?], 0)?;
        }
        // All ranks' bytes must lie in the same order.
        let all = group.gather(&turned.contiguous()?)?;
        Ok(mlx::slice(&all, &[0, 0], &[count as i32, rows])?.t())
    }
}
