//! Builds layers from a snapshot's tensors, in the storage and dtype that the device wants.

use mlx_rs::transforms::eval;
use mlx_rs::{Array, Dtype};

use super::Device;
use super::linear::{Embedding, Linear};
use super::matrix::{Matrix, Packed};
use super::norm::{LayerNorm, RmsNorm, cast};
use crate::error::Result;
use crate::snapshot::quantization::Mode;
use crate::snapshot::{Snapshot, Weights};

/// Takes tensors out of [`Weights`] as layers.
pub struct Loader<'a> {
    weights: Weights<'a>,
    snapshot: &'a Snapshot,
    pub device: Device,
    /// Of the activations.
    pub dtype: Dtype,
    bytes: usize,
}

impl<'a> Loader<'a> {
    /// `reference` is a tensor whose dtype is the snapshot's (a norm, which is never quantized).
    pub fn new(snapshot: &'a Snapshot, device: Device, reference: &str) -> Result<Loader<'a>> {
        use safetensors::tensor::Dtype as Stored;
        let stored = snapshot.tensor(reference).ok_or_else(|| snapshot.missing(reference))?.dtype;
        let dtype = match (device, stored) {
            (Device::Gpu, Stored::BF16) => Dtype::Bfloat16,
            (Device::Gpu, Stored::F16) => Dtype::Float16,
            _ => Dtype::Float32,
        };
        Ok(Loader { weights: Weights::open(snapshot)?, snapshot, device, dtype, bytes: 0 })
    }

    /// The matrix `path.weight`, `[out, in]` when unpacked.
    pub fn matrix(&mut self, path: &str, out: usize, input: usize) -> Result<Matrix> {
        self.stored(path, &[out, input], self.dtype)
    }

    /// The matrices `path.weight` of all experts, `[E, out, in]` when unpacked.
    pub fn expert_matrix(&mut self, path: &str, shape: [usize; 3]) -> Result<Matrix> {
        self.stored(path, &shape, self.dtype)
    }

    /// The matrices of all experts `[E, out, in]` as a tensor that has no module around it, and is never packed.
    pub fn expert_tensor(&mut self, name: &str, shape: [usize; 3]) -> Result<Matrix> {
        Ok(Matrix::Dense(self.float(name, &shape)?))
    }

    /// Dense or packed, for activations of `dtype`.
    fn stored(&mut self, path: &str, shape: &[usize], dtype: Dtype) -> Result<Matrix> {
        let quantization = self.snapshot.quantization.resolve(self.snapshot, path, shape)?;
        let weight = self.weights.take(&format!("{path}.weight"))?;
        let Some(quantization) = quantization else {
            return Ok(Matrix::Dense(cast(&weight, dtype)?));
        };
        let mut scales = self.weights.take(&format!("{path}.scales"))?;
        let mut biases = None;
        if quantization.mode == Mode::Affine {
            scales = cast(&scales, dtype)?;
            biases = Some(cast(&self.weights.take(&format!("{path}.biases"))?, dtype)?);
        }
        Ok(Matrix::Packed(Packed::new(weight, scales, biases, quantization, self.device)?))
    }

    /// Whether the snapshot has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.snapshot.tensor(name).is_some()
    }

    /// The layers `names` under `parent`, whose outputs of the given sizes follow each other.
    pub fn linear(&mut self, parent: &str, names: &[(&str, usize)], input: usize) -> Result<Linear> {
        let parts = names.iter().map(|(name, out)| self.matrix(&format!("{parent}.{name}"), *out, input));
        Linear::new(parts.collect::<Result<_>>()?, None)
    }

    /// One small layer for activations of `dtype`, unpacked: MLX's CUDA kernels refuse some packed products in `f32`.
    pub fn linear_as(&mut self, path: &str, out: usize, input: usize, dtype: Dtype) -> Result<Linear> {
        let stored = self.stored(path, &[out, input], dtype)?;
        Linear::new(vec![stored.unpacked(dtype)?], None)
    }

    /// A dense or packed layer with a bias.
    pub fn linear_with_bias(&mut self, path: &str, out: usize, input: usize) -> Result<Linear> {
        let matrix = self.matrix(path, out, input)?;
        Linear::new(vec![matrix], Some(self.float(&format!("{path}.bias"), &[out])?))
    }

    pub fn embedding(&mut self, path: &str, rows: usize, size: usize) -> Result<Embedding> {
        Ok(Embedding { table: self.matrix(path, rows, size)?, dtype: self.dtype })
    }

    /// A table that rows are looked up in, and nothing is multiplied by: a dense one stays as it is stored.
    pub fn lookup_table(&mut self, path: &str, rows: usize, size: usize) -> Result<Embedding> {
        let packed = self.has(&format!("{path}.scales"));
        let table = match packed {
            true => self.matrix(path, rows, size)?,
            false => Matrix::Dense(self.weights.take_float(&format!("{path}.weight"), &[rows, size])?),
        };
        Ok(Embedding { table, dtype: self.dtype })
    }

    pub fn rms_norm(&mut self, path: &str, n: usize, eps: f32) -> Result<RmsNorm> {
        let weight = self.float(&format!("{path}.weight"), &[n])?;
        Ok(RmsNorm::new(Some(weight), n, eps, self.device))
    }

    /// Parameters in `f32`, in which the norm is computed.
    pub fn layer_norm(&mut self, path: &str, n: usize, eps: f32) -> Result<LayerNorm> {
        let weight = self.weights.take_float(&format!("{path}.weight"), &[n])?;
        let bias = self.weights.take_float(&format!("{path}.bias"), &[n])?;
        Ok(LayerNorm { weight: cast(&weight, Dtype::Float32)?, bias: cast(&bias, Dtype::Float32)?, eps })
    }

    /// A float tensor of this shape, in the activations' dtype.
    pub fn float(&mut self, name: &str, shape: &[usize]) -> Result<Array> {
        self.float_as(name, shape, self.dtype)
    }

    /// A float tensor of this shape, as `dtype`.
    pub fn float_as(&mut self, name: &str, shape: &[usize], dtype: Dtype) -> Result<Array> {
        cast(&self.weights.take_float(name, shape)?, dtype)
    }

    /// The weight of a convolution as MLX wants it, `[out, kernel.., in]`; files may also have it as torch does,
    /// `[out, in, kernel..]`, whatever the layout of their names.
    pub fn convolution(&mut self, name: &str, out: usize, kernel: &[usize], input: usize) -> Result<Array> {
        let ours: Vec<usize> = [&[out], kernel, &[input]].concat();
        let torchs: Vec<usize> = [&[out, input], kernel].concat();
        let stored = self.snapshot.tensor(name).ok_or_else(|| self.snapshot.missing(name))?;
        if stored.shape == torchs && torchs != ours {
            let axes: Vec<i32> = [0].into_iter().chain(2..torchs.len() as i32).chain([1]).collect();
            return Ok(self.float(name, &torchs)?.transpose_axes(&axes)?);
        }
        self.float(name, &ours)
    }

    /// Reads `arrays` from the files, and forgets the tensors that they were made from.
    pub fn read<'b>(&mut self, arrays: impl IntoIterator<Item = &'b Array>) -> Result<()> {
        let arrays: Vec<&Array> = arrays.into_iter().collect();
        if self.snapshot.has_data() {
            eval(arrays.iter().copied())?;
            self.weights.check()?;
        }
        self.bytes += arrays.iter().map(|a| a.nbytes()).sum::<usize>();
        Ok(())
    }

    /// Bytes of everything that was [`read`](Self::read).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An error for tensors that no layer took and `ignored` does not excuse.
    pub fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<()> {
        self.weights.finish(ignored)
    }
}
