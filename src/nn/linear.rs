//! Linear layers and embeddings over matrices in any storage.

use std::ops::Range;

use mlx_rs::ops::{concatenate, logical_and, select, zeros_dtype};
use mlx_rs::{Array, Dtype};

use super::group::Ranks;
use super::matrix::Matrix;
use super::norm::cast;
use crate::error::Result;

/// `x · Wᵀ + b`. Several layers with the same input are one product where they are stored alike.
pub struct Linear {
    /// Stacked in order of output.
    pub matrices: Vec<Matrix>,
    pub bias: Option<Array>,
    /// Around each row of `x`.
    pub around: Around,
}

/// Zeros before and behind each row of what is multiplied: a rank that has some columns of a packed matrix has all of their
/// groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    before: usize,
    behind: usize,
}

impl Around {
    /// For `wanted` columns of a matrix of which those in `held` are there.
    pub fn of(wanted: &Range<usize>, held: &Range<usize>) -> Around {
        Around { before: wanted.start - held.start, behind: held.end - wanted.end }
    }

    /// `[.., n]` → `[.., before + n + behind]`.
    pub fn pad(self, x: &Array) -> Result<Array> {
        if self == Around::default() {
            return Ok(x.clone());
        }
        let zeros = |width: usize| {
            let mut shape = x.shape().to_vec();
            if let Some(last) = shape.last_mut() {
                *last = width as i32;
            }
            zeros_dtype(&shape, x.dtype())
        };
        Ok(concatenate(&[zeros(self.before)?, x.clone(), zeros(self.behind)?], -1)?)
    }
}

impl Linear {
    /// `[T, in]` → `[T, out]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let x = &self.around.pad(x)?;
        let product = match &self.matrices[..] {
            [matrix] => matrix.multiply(x)?,
            several => {
                let parts = several.iter().map(|m| m.multiply(x)).collect::<Result<Vec<_>>>()?;
                concatenate(&parts, -1)?
            }
        };
        self.bias.as_ref().map_or(Ok(product.clone()), |bias| Ok(product.add(bias)?))
    }
}

/// A table of vectors, which may also be the output layer (a tied head). A rank of a group has some of its rows.
pub struct Embedding {
    pub table: Matrix,
    /// What the vectors are looked up as.
    pub dtype: Dtype,
    /// Rows of all ranks.
    pub count: usize,
    pub ranks: Ranks,
}

impl Embedding {
    /// `[T]` → `[T, H]`.
    pub fn forward(&self, ids: &Array) -> Result<Array> {
        if self.ranks.shard().is_whole() {
            return self.table.rows(ids, self.dtype);
        }
        let own = self.ranks.shard().rows(self.count);
        let ids = cast(ids, Dtype::Int32)?;
        let at_least = |n: usize| ids.ge(Array::from_int(n as i32));
        let is_own = logical_and(at_least(own.start)?, at_least(own.end)?.logical_not()?)?;
        let within = select(&is_own, ids.subtract(Array::from_int(own.start as i32))?, Array::from_int(0))?;
        let rows = self.table.rows(&within, self.dtype)?;
        self.ranks.sum(select(is_own.expand_dims(-1)?, &rows, Array::from_int(0).as_dtype(self.dtype)?)?)
    }

    /// `[T, H]` → `[T, vocab]`.
    pub fn logits(&self, x: &Array) -> Result<Array> {
        self.ranks.columns(self.table.multiply(x)?, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{host, random};

    #[test]
    fn rows_get_zeros_around_them() {
        let x = random(&[2, 3], 1);
        let padded = Around::of(&(2..5), &(0..6)).pad(&x).unwrap();
        let [a, b, c, d, e, f] = host(&x)[..] else { panic!() };
        assert_eq!(host(&padded), [0.0, 0.0, a, b, c, 0.0, 0.0, 0.0, d, e, f, 0.0]);
        assert_eq!(host(&Around::of(&(2..5), &(2..5)).pad(&x).unwrap()), host(&x));
    }
}
