//! Builds layers from a snapshot's tensors, in the storage and dtype that the device wants.
//!
//! Arrays are lazy until [`Loader::read`], which evaluates all that were handed out since the last one. What is a part
//! of something else ([`Loader::part`], [`Loader::matrix`]) is not evaluated by itself: what is made of it goes
//! through [`Loader::keep`].

use std::ops::Range;

use mlx_rs::{Array, Dtype};

use super::activation::Glu;
use super::group::Ranks;
use super::held::{Held, Part, Tally};
use super::linear::{Around, Embedding, Linear};
use super::matrix::{Matrix, Packed};
use super::mlx;
use super::moe::Experts;
use super::norm::{LayerNorm, RmsNorm, cast};
use super::split::{Cut, HeadShare};
use super::{Device, has_cuda, item_size};
use crate::error::{Error, Result};
use crate::snapshot::part::Part as TensorPart;
use crate::snapshot::quantization::Mode;
use crate::snapshot::{Snapshot, Weights};
use crate::system::room;

/// A matrix as the snapshot has it, or a part of it.
pub struct Stored {
    matrix: Matrix,
    /// Bytes of it that stay in the pages of the file.
    mapped: u64,
    /// What a row needs around it, where not all columns are there.
    around: Around,
}

/// Inner values of a feed-forward network are divided at multiples of so many where there are enough of them: kernels like
/// round numbers.
const INNER_UNIT: usize = 128;

/// Takes tensors out of [`Weights`] as layers.
pub struct Loader<'a> {
    weights: Weights<'a>,
    snapshot: &'a Snapshot,
    pub device: Device,
    /// Of the activations.
    pub dtype: Dtype,
    /// Handles of what was handed out and not read yet.
    pending: Vec<Array>,
    tally: Tally,
    border: &'a dyn Fn() -> Result<()>,
    /// Which part of the model this is.
    pub ranks: Ranks,
}

/// Whether there are kernels of our own for what is computed on the device.
fn has_kernels(device: Device) -> bool {
    cfg!(not(target_vendor = "apple")) && device == Device::Cpu
}

/// What is read at once, at least: some milliseconds. A load can be paused and stopped between two such groups, and others'
/// answers go on there.
const GROUP_BYTES: usize = 16 << 20;

impl<'a> Loader<'a> {
    /// `reference` is a tensor whose dtype is the snapshot's (a norm, which is never quantized). `border` is called before
    /// some tensors are read: it may wait, and an error of it ends the load.
    pub fn new(
        snapshot: &'a Snapshot,
        device: Device,
        reference: &str,
        border: &'a dyn Fn() -> Result<()>,
        ranks: Ranks,
    ) -> Result<Loader<'a>> {
        use safetensors::tensor::Dtype as Stored;
        let stored = snapshot.tensor(reference).ok_or_else(|| snapshot.missing(reference))?.dtype;
        let dtype = match (device, stored) {
            (Device::Gpu, Stored::BF16) => Dtype::Bfloat16,
            (Device::Gpu, Stored::F16) => Dtype::Float16,
            _ => Dtype::Float32,
        };
        Ok(Loader {
            weights: Weights::open(snapshot)?,
            snapshot,
            device,
            dtype,
            pending: Vec::new(),
            tally: Tally::new(item_size(dtype), has_kernels(device)),
            border,
            ranks,
        })
    }

    /// This rank's attention heads.
    pub fn heads(&self, heads: usize, kv_heads: usize) -> Result<HeadShare> {
        self.ranks.shard().heads(heads, kv_heads)
    }

    /// This rank's inner values of a feed-forward network whose matrix `[hidden, inner]` out of them is at `down`.
    pub fn inner(&self, down: &str, inner: usize, hidden: usize) -> Result<Range<usize>> {
        let shard = self.ranks.shard();
        if shard.is_whole() {
            return Ok(0..inner);
        }
        let is_there = self.has(&format!("{down}.scales"));
        let storage =
            is_there.then(|| self.snapshot.quantization.resolve(self.snapshot, down, &[hidden, inner]));
        let group = storage.and_then(|found| found.ok().flatten()).map_or(1, |q| q.group_size as usize);
        let many = inner >= 8 * INNER_UNIT * shard.size() && INNER_UNIT.is_multiple_of(group);
        shard.part("inner values of a feed-forward network", inner, if many { INNER_UNIT } else { group })
    }

    /// What is handed out from here on belongs to this part of the model.
    pub fn enter(&mut self, part: Part) -> Result<()> {
        self.read()?;
        self.tally.enter(part);
        Ok(())
    }

    /// A layer of this part has so many attention heads for rows of `width` values, which become `queries` values.
    pub fn attends(&mut self, heads: usize, width: usize, queries: usize) {
        self.tally.attends(heads, width, queries);
    }

    /// Each row keeps `width` values until it has been through all layers.
    pub fn keeps_of_a_row(&mut self, width: usize) {
        self.tally.keeps(width);
    }

    /// Reads what is no part of how wide a layer is: few rows come there, or it begins when most of the layer's values are gone.
    pub fn aside<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let width = self.tally.width();
        let result = read(self);
        self.tally.set_width(width);
        result
    }

    /// A layer's experts make `width` values of a row.
    pub fn experts_make(&mut self, width: usize) {
        self.tally.experts_make(width);
    }

    /// The matrix `path.weight`, `[out, in]` when unpacked, to make something else of.
    pub fn matrix(&mut self, path: &str, out: usize, input: usize) -> Result<Matrix> {
        Ok(self.stored(path, &[out, input], self.dtype, false, &Cut::default())?.matrix)
    }

    /// The matrices of all experts, `[E, out, in]` when unpacked, for [`experts`](Self::experts): `path.name.weight`, where
    /// `turned` says that a dense one is `[E, in, out]`, or `path.0.name.weight` and so on; of each what is in `cut`.
    pub fn expert_matrix(
        &mut self,
        path: &str,
        name: &str,
        shape: [usize; 3],
        turned: bool,
        cut: &Cut,
    ) -> Result<Stored> {
        let [count, out, input] = shape;
        let whole = format!("{path}.{name}");
        if turned {
            let stored = self.turned(&format!("{whole}.weight"), &[count, input, out], cut)?;
            let array = self.as_multiplied(&stored, self.dtype)?;
            self.tally.source(array.nbytes() as u64);
            let matrix = Matrix::Dense(array.swap_axes(1, 2)?.contiguous()?);
            return Ok(Stored { matrix, mapped: 0, around: Around::default() });
        }
        if self.has(&format!("{whole}.weight")) || !self.has(&format!("{path}.0.{name}.weight")) {
            return self.stored(&whole, &shape, self.dtype, true, cut);
        }
        let dtype = self.dtype;
        let part = |expert| self.stored(&format!("{path}.{expert}.{name}"), &[out, input], dtype, false, cut);
        let parts: Vec<Stored> = (0..count).map(part).collect::<Result<_>>()?;
        let around = parts.first().map(|part| part.around).unwrap_or_default();
        if parts.iter().any(|part| part.around != around) {
            return Err(unlike(path, name));
        }
        let parts: Vec<Matrix> = parts.into_iter().map(|part| part.matrix).collect();
        self.tally.source(parts.iter().flat_map(Matrix::arrays).map(|array| array.nbytes() as u64).sum());
        let stacked = Matrix::stacked(parts)?.map_err(|_| unlike(path, name))?;
        Ok(Stored { matrix: stacked.apart(count)?, mapped: 0, around })
    }

    /// The float tensor `[E, in, out]` of matrices that are cut as `[out, in]`.
    fn turned(&mut self, name: &str, shape: &[usize], cut: &Cut) -> Result<Array> {
        let columns = cut.columns.as_ref().map(std::slice::from_ref);
        self.float_part(name, shape, columns, cut.rows.as_deref())
    }

    /// `gate_up` is one matrix, or two.
    pub fn experts(&mut self, gate_up: Vec<Stored>, down: Stored, glu: Glu) -> Result<Experts> {
        let gate_up = self.stack("experts", gate_up)?;
        let around = down.around;
        Ok(Experts::new(gate_up, self.keep_stored("experts", down), around, glu, self.device))
    }

    /// Dense or packed, for activations of `dtype`, what of it is in `cut`. What `stays` as it is stored may be left in the pages
    /// of its file.
    fn stored(
        &mut self,
        path: &str,
        shape: &[usize],
        dtype: Dtype,
        stays: bool,
        cut: &Cut,
    ) -> Result<Stored> {
        let quantization = self.snapshot.quantization.resolve(self.snapshot, path, shape)?;
        let input = shape.last().copied().unwrap_or(0);
        let held = cut.groups(input, quantization.map_or(1, |q| q.group_size as usize));
        let around = cut.columns.as_ref().zip(held.as_ref()).map(|(wanted, held)| Around::of(wanted, held));
        let around = around.unwrap_or_default();
        let mut mapped = 0;
        // `columns` counts how many numbers of the tensor hold so many columns.
        let mut tensor = |loader: &mut Self,
                          name: &str,
                          dtype: Option<Dtype>,
                          columns: &dyn Fn(usize) -> usize|
         -> Result<Array> {
            let is_weight = name == "weight";
            let name = format!("{path}.{name}");
            let columns = held.as_ref().map(|held| columns(held.start)..columns(held.end));
            let stored =
                loader.cut_out(&name, cut.rows.as_deref(), columns.as_ref().map(std::slice::from_ref))?;
            let multiplied = |dtype| loader.multiplied_as(stored.dtype(), dtype);
            let dtype = if is_weight { dtype.map(multiplied) } else { dtype };
            match dtype.filter(|dtype| stored.dtype() != *dtype) {
                Some(dtype) => loader.as_dtype(&stored, dtype),
                None if stays && cut.is_whole() => loader.in_its_pages(&name, stored, &mut mapped),
                None => Ok(stored),
            }
        };
        let Some(quantization) = quantization else {
            let matrix = Matrix::Dense(tensor(self, "weight", Some(dtype), &|n| n)?);
            return Ok(Stored { matrix, mapped, around });
        };
        self.tally.packed(path, quantization);
        let groups = |n: usize| n / quantization.group_size as usize;
        let weight = tensor(self, "weight", None, &|n| quantization.words(n))?;
        let affine = quantization.mode == Mode::Affine;
        let scales = tensor(self, "scales", affine.then_some(dtype), &groups)?;
        let biases = affine.then(|| tensor(self, "biases", Some(dtype), &groups)).transpose()?;
        let matrix = Matrix::Packed(Packed::new(weight, scales, biases, quantization, self.device)?);
        Ok(Stored { matrix, mapped, around })
    }

    /// A tensor, or some rows and columns of it.
    fn cut_out(
        &mut self,
        name: &str,
        rows: Option<&[Range<usize>]>,
        columns: Option<&[Range<usize>]>,
    ) -> Result<Array> {
        if rows.is_none() && columns.is_none() {
            return self.weights.take(name);
        }
        let info = self.snapshot.tensor(name).ok_or_else(|| self.snapshot.missing(name))?;
        let part = TensorPart::of(info, rows, columns).ok_or_else(|| {
            let message = format!("tensor {name} of shape {:?} has no such part", info.shape);
            self.snapshot.of_tensor(message, name)
        })?;
        self.weights.take_part(name, part)
    }

    /// A float tensor of this shape, or some rows and columns of it.
    fn float_part(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Option<&[Range<usize>]>,
        columns: Option<&[Range<usize>]>,
    ) -> Result<Array> {
        if rows.is_none() && columns.is_none() {
            return self.weights.take_float(name, shape);
        }
        self.weights.require_float(name, shape)?;
        self.cut_out(name, rows, columns)
    }

    /// The tensor where it lies in its file, if the device takes it from there; `mapped` grows by its bytes. It must not be
    /// computed with before it is held for good.
    fn in_its_pages(&self, name: &str, stored: Array, mapped: &mut u64) -> Result<Array> {
        let item = stored.item_size();
        if !takes_pages(self.device) || !self.weights.has_pages(name, item) {
            return Ok(stored);
        }
        let bytes = stored.nbytes() as u64;
        if !self.snapshot.has_data() {
            *mapped += bytes;
            return Ok(stored);
        }
        let Some((pages, first)) = self.weights.pages(name, stored.dtype(), item)? else { return Ok(stored) };
        *mapped += bytes;
        let (first, count) = (first as i32, stored.size() as i32);
        Ok(mlx::slice(&pages, &[first], &[first + count])?.reshape(stored.shape())?)
    }

    /// A dense matrix for activations of `dtype`.
    fn as_multiplied(&mut self, stored: &Array, dtype: Dtype) -> Result<Array> {
        self.as_dtype(stored, self.multiplied_as(stored.dtype(), dtype))
    }

    /// The type that a dense matrix is held in for activations of `dtype`: as it is stored, where it is multiplied so.
    fn multiplied_as(&self, stored: Dtype, dtype: Dtype) -> Dtype {
        let is_half = matches!(stored, Dtype::Bfloat16 | Dtype::Float16);
        if is_half && has_kernels(self.device) { stored } else { dtype }
    }

    /// What is stored as another type is there beside what is made of it for a moment.
    fn as_dtype(&mut self, stored: &Array, dtype: Dtype) -> Result<Array> {
        if stored.dtype() != dtype {
            self.tally.source(stored.nbytes() as u64);
        }
        cast(stored, dtype)
    }

    /// Whether the snapshot has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.snapshot.tensor(name).is_some()
    }

    /// Whether it has one of this shape.
    pub fn has_shape(&self, name: &str, shape: &[usize]) -> bool {
        self.snapshot.tensor(name).is_some_and(|tensor| tensor.shape == shape)
    }

    /// The layers `names` under `parent`, whose outputs of the given sizes follow each other.
    pub fn linear(&mut self, parent: &str, names: &[(&str, usize)], input: usize) -> Result<Linear> {
        let all: Vec<_> = names.iter().map(|(name, out)| (*name, *out, Cut::default())).collect();
        self.rows_of(parent, &all, input)
    }

    /// The same of some rows of each.
    pub fn rows_of(&mut self, parent: &str, names: &[(&str, usize, Cut)], input: usize) -> Result<Linear> {
        let dtype = self.dtype;
        let parts = names.iter().map(|(name, out, cut)| {
            self.stored(&format!("{parent}.{name}"), &[*out, input], dtype, true, cut)
        });
        let parts = parts.collect::<Result<_>>()?;
        names.iter().for_each(|(_, out, cut)| self.tally.makes(cut.count(*out)));
        let joined: Vec<&str> = names.iter().map(|(name, ..)| *name).collect();
        let matrices = self.stack(&format!("{parent}.{}", joined.join("+")), parts)?;
        Ok(Linear { matrices, bias: None, around: Around::default() })
    }

    /// Some columns of a layer: of its inputs these are given, and what it makes is a part of the sum.
    pub fn columns_of(
        &mut self,
        path: &str,
        out: usize,
        input: usize,
        columns: &Range<usize>,
    ) -> Result<Linear> {
        let cut = Cut::columns_among(columns, input);
        let part = self.stored(path, &[out, input], self.dtype, true, &cut)?;
        self.tally.makes(out);
        let around = part.around;
        Ok(Linear { matrices: self.stack(path, vec![part])?, bias: None, around })
    }

    /// One small layer for activations of `dtype`, unpacked: MLX's CUDA kernels refuse some packed products in `f32`.
    pub fn linear_as(&mut self, path: &str, out: usize, input: usize, dtype: Dtype) -> Result<Linear> {
        let stored = self.stored(path, &[out, input], dtype, false, &Cut::default())?.matrix;
        stored.arrays().iter().for_each(|array| self.tally.source(array.nbytes() as u64));
        self.tally.makes(out);
        let matrices = vec![self.keep_matrix(path, stored.unpacked(dtype)?, 0)];
        Ok(Linear { matrices, bias: None, around: Around::default() })
    }

    /// A dense or packed layer with a bias.
    pub fn linear_with_bias(&mut self, path: &str, out: usize, input: usize) -> Result<Linear> {
        let stored = self.stored(path, &[out, input], self.dtype, true, &Cut::default())?;
        let bias = self.float(&format!("{path}.bias"), &[out])?;
        self.tally.makes(out);
        let matrices = vec![self.keep_stored(path, stored)];
        Ok(Linear { matrices, bias: Some(bias), around: Around::default() })
    }

    /// A table of `rows` vectors, of which a rank has a part.
    pub fn embedding(&mut self, path: &str, rows: usize, size: usize) -> Result<Embedding> {
        let cut = self.table_cut(rows)?;
        let table = self.stored(path, &[rows, size], self.dtype, true, &cut)?;
        Ok(self.table(rows, self.dtype, |loader| loader.keep_stored(path, table)))
    }

    /// A table that rows are looked up in, and nothing is multiplied by: a dense one stays as it is stored.
    pub fn lookup_table(&mut self, path: &str, rows: usize, size: usize) -> Result<Embedding> {
        if self.has(&format!("{path}.scales")) {
            return self.embedding(path, rows, size);
        }
        let (name, mut mapped) = (format!("{path}.weight"), 0);
        let cut = self.table_cut(rows)?;
        let mut table = self.float_part(&name, &[rows, size], cut.rows.as_deref(), None)?;
        if cut.is_whole() {
            table = self.in_its_pages(&name, table, &mut mapped)?;
        }
        Ok(self.table(rows, self.dtype, |loader| loader.keep_matrix(path, Matrix::Dense(table), mapped)))
    }

    fn table(&mut self, count: usize, dtype: Dtype, keep: impl FnOnce(&mut Self) -> Matrix) -> Embedding {
        Embedding { table: keep(self), dtype, count, ranks: self.ranks.clone() }
    }

    /// This rank's rows of a table.
    fn table_cut(&self, rows: usize) -> Result<Cut> {
        let shard = self.ranks.shard();
        if shard.is_whole() {
            return Ok(Cut::default());
        }
        match shard.rows(rows) {
            none if none.is_empty() => Err(Error::unsupported(format!(
                "{rows} rows of a table cannot be divided among {} ranks",
                shard.size()
            ))),
            own => Ok(Cut::rows(vec![own])),
        }
    }

    pub fn rms_norm(&mut self, path: &str, n: usize, eps: f32) -> Result<RmsNorm> {
        let weight = self.float(&format!("{path}.weight"), &[n])?;
        Ok(RmsNorm::new(Some(weight), n, eps, self.device))
    }

    /// A norm whose weight the file holds less one.
    pub fn rms_norm_plus_one(&mut self, path: &str, n: usize, eps: f32) -> Result<RmsNorm> {
        let weight = self.plus_one(&format!("{path}.weight"), n)?;
        Ok(RmsNorm::new(Some(self.keep(weight)), n, eps, self.device))
    }

    /// `1 + w`, in the activations' dtype, to make something else of.
    pub fn plus_one(&mut self, name: &str, n: usize) -> Result<Array> {
        let weight = self.part(name, &[n], Dtype::Float32)?;
        cast(&weight.add(Array::from_f32(1.0))?, self.dtype)
    }

    /// Parameters in `f32`, in which the norm is computed.
    pub fn layer_norm(&mut self, path: &str, n: usize, eps: f32) -> Result<LayerNorm> {
        let mut of = |name: &str| self.float_as(&format!("{path}.{name}"), &[n], Dtype::Float32);
        let (weight, bias) = (of("weight")?, of("bias")?);
        Ok(LayerNorm { weight, bias, eps, device: self.device })
    }

    /// A float tensor of this shape, in the activations' dtype.
    pub fn float(&mut self, name: &str, shape: &[usize]) -> Result<Array> {
        self.float_as(name, shape, self.dtype)
    }

    /// A float tensor of this shape, as `dtype`.
    pub fn float_as(&mut self, name: &str, shape: &[usize], dtype: Dtype) -> Result<Array> {
        let array = self.part(name, shape, dtype)?;
        Ok(self.keep_named(name, array))
    }

    /// The same, to make something else of.
    pub fn part(&mut self, name: &str, shape: &[usize], dtype: Dtype) -> Result<Array> {
        let stored = self.weights.take_float(name, shape)?;
        self.as_dtype(&stored, dtype)
    }

    /// The two arrays of a tensor of `shape` along `axis`, each by itself.
    pub fn pair(&mut self, name: &str, shape: &[usize; 3], axis: i32) -> Result<[Array; 2]> {
        let both = self.part(name, shape, self.dtype)?;
        let one = |index: i32| both.take_axis(Array::from_int(index), axis);
        Ok([self.keep(one(0)?), self.keep(one(1)?)])
    }

    /// The weight of a convolution as MLX wants it, `[out, kernel.., in]`; files may also have it as torch does,
    /// `[out, in, kernel..]`, whatever the layout of their names.
    pub fn convolution(&mut self, name: &str, out: usize, kernel: &[usize], input: usize) -> Result<Array> {
        let array = self.convolution_part(name, out, kernel, input)?;
        Ok(self.keep(array))
    }

    /// The same, to make something else of.
    pub fn convolution_part(
        &mut self,
        name: &str,
        out: usize,
        kernel: &[usize],
        input: usize,
    ) -> Result<Array> {
        let ours: Vec<usize> = [&[out], kernel, &[input]].concat();
        let torchs: Vec<usize> = [&[out, input], kernel].concat();
        let stored = self.snapshot.tensor(name).ok_or_else(|| self.snapshot.missing(name))?;
        if stored.shape == torchs && torchs != ours {
            let axes: Vec<i32> = [0].into_iter().chain(2..torchs.len() as i32).chain([1]).collect();
            return Ok(self.part(name, &torchs, self.dtype)?.transpose_axes(&axes)?);
        }
        self.part(name, &ours, self.dtype)
    }

    /// What the model holds of its own, made of parts or of nothing in the snapshot.
    pub fn keep(&mut self, array: Array) -> Array {
        self.keep_named("a part", array)
    }

    fn keep_named(&mut self, name: &str, array: Array) -> Array {
        self.tally.keep(name, array.nbytes() as u64);
        self.pending.push(array.clone());
        array
    }

    fn keep_matrix(&mut self, name: &str, matrix: Matrix, mapped: u64) -> Matrix {
        for array in matrix.arrays() {
            self.tally.keep(name, array.nbytes() as u64);
            self.pending.push(array.clone());
        }
        self.tally.maps(mapped);
        matrix
    }

    fn keep_stored(&mut self, name: &str, stored: Stored) -> Matrix {
        self.keep_matrix(name, stored.matrix, stored.mapped)
    }

    /// One matrix of all `parts` where they are stored alike, else the parts. What stays in a file stays apart.
    fn stack(&mut self, name: &str, parts: Vec<Stored>) -> Result<Vec<Matrix>> {
        if parts.len() > 1 && parts.iter().any(|part| part.mapped > 0) {
            parts.iter().filter_map(|part| part.matrix.block()).for_each(|block| self.tally.unpacks(block));
            return Ok(parts.into_iter().map(|part| self.keep_stored(name, part)).collect());
        }
        // Of several parts none stays in a file here.
        let mapped = parts.iter().map(|part| part.mapped).sum();
        let parts: Vec<Matrix> = parts.into_iter().map(|part| part.matrix).collect();
        let bytes = parts.iter().flat_map(Matrix::arrays).map(|array| array.nbytes() as u64).sum();
        let several = parts.len() > 1;
        let matrices = match Matrix::stacked(parts)? {
            Ok(stacked) => {
                if several {
                    self.tally.source(bytes);
                }
                vec![stacked]
            }
            Err(parts) => parts,
        };
        matrices.iter().filter_map(Matrix::block).for_each(|block| self.tally.unpacks(block));
        Ok(matrices.into_iter().map(|matrix| self.keep_matrix(name, matrix, mapped)).collect())
    }

    /// Reads from the files what was handed out since the last call.
    pub fn read(&mut self) -> Result<()> {
        // The handles end here: what they were made from must not outlive the evaluation.
        let mut pending = std::mem::take(&mut self.pending);
        if self.snapshot.has_data() {
            room::require(self.tally.ahead(), "the next weights")?;
            while !pending.is_empty() {
                (self.border)()?;
                let group: Vec<Array> = pending.drain(..first_group(&pending)).collect();
                mlx::eval(&group)?;
            }
            self.weights.check()?;
        }
        self.tally.read();
        Ok(())
    }

    /// Reads what is left, and gives what was counted of everything that was handed out. An error for tensors that no
    /// layer took and `ignored` does not excuse.
    pub fn finish(mut self, ignored: impl Fn(&str) -> bool) -> Result<Held> {
        self.read()?;
        self.weights.finish(ignored)?;
        Ok(self.tally.finish())
    }
}

fn unlike(path: &str, name: &str) -> Error {
    Error::unsupported(format!("the experts of {path}.*.{name} are not all stored in the same way"))
}

/// Whether MLX takes memory as it is, which it does on Metal; elsewhere it copies, as tests may.
fn takes_pages(device: Device) -> bool {
    (device == Device::Gpu && !has_cuda()) || cfg!(test)
}

/// How many of the arrays come to the bytes of a group.
fn first_group(arrays: &[Array]) -> usize {
    let mut bytes = 0;
    let fill = |array: &Array| {
        bytes += array.nbytes();
        bytes >= GROUP_BYTES
    };
    arrays.iter().position(fill).map_or(arrays.len(), |last| last + 1)
}
