//! Tensors of a snapshot on the MLX thread.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use mlx_rs::{Array, Dtype};

use super::Snapshot;
use super::mapped::{Around, PagedFile};
use super::part::Part;
use super::shard::{self, Fault};
use crate::error::{Error, Result};
use crate::files;

/// The tensors of a snapshot, by canonical name. Each is read from its file only when it is evaluated, and whoever
/// took it holds it alone: what was taken and dropped costs no memory.
pub struct Weights<'a> {
    snapshot: &'a Snapshot,
    arrays: HashMap<String, Array>,
    taken: HashSet<String>,
    faults: Vec<Fault>,
    /// The shards that parts of tensors are read from.
    files: HashMap<usize, Arc<File>>,
    /// The files once more, where tensors may stay in their pages.
    paged: Vec<PagedFile>,
}

impl<'a> Weights<'a> {
    /// Lazy arrays of every tensor of every shard.
    pub fn open(snapshot: &'a Snapshot) -> Result<Weights<'a>> {
        let opened = snapshot.shards().iter().map(|path| shard::open(path)).collect::<Result<Vec<_>>>()?;
        let (shards, faults): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let mut arrays = HashMap::new();
        for (name, info) in snapshot.tensors() {
            let array = shards[info.shard].get(&info.file_name).cloned();
            let array = array.ok_or_else(|| snapshot.missing(name).with("shard", info.shard))?;
            arrays.insert(name.to_owned(), array);
        }
        let paged = if snapshot.maps { snapshot.shards() } else { &[] };
        let paged = paged.iter().map(|path| PagedFile::open(path)).collect::<Result<_>>()?;
        Ok(Weights { snapshot, arrays, taken: HashSet::new(), faults, files: HashMap::new(), paged })
    }

    /// Hands the tensor over.
    pub fn take(&mut self, name: &str) -> Result<Array> {
        let array = self.arrays.remove(name).ok_or_else(|| match self.taken.contains(name) {
            true => Error::snapshot(format!("tensor {name} is used twice")).with("tensor", name),
            false => self.snapshot.missing(name),
        })?;
        self.taken.insert(name.to_owned());
        Ok(array)
    }

    /// Hands a part of the tensor over, which is read without the rest of it.
    pub fn take_part(&mut self, name: &str, part: Part) -> Result<Array> {
        drop(self.take(name)?);
        let info = self.snapshot.tensor(name).ok_or_else(|| self.snapshot.missing(name))?;
        let path = &self.snapshot.shards()[info.shard];
        let file = match self.files.entry(info.shard) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => place.insert(Arc::new(files::open(path)?.0)),
        };
        let (array, fault) = shard::open_part(file, path, info, part)?;
        self.faults.push(fault);
        Ok(array)
    }

    /// The pages that hold a tensor, as an array `[n]` of its type, and which of the numbers is its first. They are for
    /// what stays as it is stored, and may be looked at as long as the file is as long as it is. `None` where the tensor
    /// has to be read.
    pub fn pages(&self, name: &str, dtype: Dtype, item: usize) -> Result<Option<(Array, usize)>> {
        match self.around(name, item) {
            Some((file, around)) => file.pages(&around, dtype),
            None => Ok(None),
        }
    }

    /// Whether [`pages`](Self::pages) has them, by the header alone.
    pub fn has_pages(&self, name: &str, item: usize) -> bool {
        self.around(name, item).is_some()
    }

    fn around(&self, name: &str, item: usize) -> Option<(&PagedFile, Around)> {
        let info = self.snapshot.tensor(name)?;
        Some((self.paged.get(info.shard)?, Around::of(info.offset, info.bytes, item)?))
    }

    /// An error unless the tensor's shape is `shape` and it is a float. A single number may have any count of dimensions.
    pub fn require_float(&self, name: &str, shape: &[usize]) -> Result<()> {
        let info = self.snapshot.tensor(name).ok_or_else(|| self.snapshot.missing(name))?;
        let is_number = |shape: &[usize]| shape.iter().all(|n| *n == 1);
        let same = info.shape == shape || (is_number(&info.shape) && is_number(shape));
        if info.is_float() && same {
            return Ok(());
        }
        let found = format!("{:?} {:?}", info.dtype, info.shape);
        let message = format!("tensor {name} is {found}, but must be a float {shape:?}");
        Err(self.snapshot.of_tensor(message, name).with("found", found))
    }

    /// Hands the tensor over if it is a float of this shape: see [`require_float`](Self::require_float).
    pub fn take_float(&mut self, name: &str, shape: &[usize]) -> Result<Array> {
        self.require_float(name, shape)?;
        let array = self.take(name)?;
        if array.ndim() == shape.len() {
            return Ok(array);
        }
        Ok(array.reshape(&shape.iter().map(|n| *n as i32).collect::<Vec<_>>())?)
    }

    /// An error if a tensor that has been evaluated could not be read.
    pub fn check(&self) -> Result<()> {
        self.faults.iter().try_for_each(Fault::check)
    }

    /// An error for a tensor that nobody took, unless `ignored` says of its name that it may be there.
    pub fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<()> {
        let mut left: Vec<&String> = self.arrays.keys().filter(|name| !ignored(name)).collect();
        left.sort();
        let Some(first) = left.first() else { return Ok(()) };
        let others =
            if left.len() > 1 { format!(" and {} others are", left.len() - 1) } else { " is".to_owned() };
        let message =
            format!("tensor {first}{others} in the weight files, but the model has no place for it");
        Err(self.snapshot.of_tensor(message, first))
    }
}
