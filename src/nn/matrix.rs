//! A weight matrix as it is stored: dense, or packed codes with scales.
//!
//! On the GPU everything stays in the snapshot's dtype, and MLX's quantized kernels do the work; not all of them on CUDA
//! ([`OnCuda`]). On the CPU activations are `f32`, and matrices stay as they are stored: kernels of our own multiply them
//! (`kernels::cpu`). Apple's systems are without those: there MLX's accumulate in the activations' dtype and are slow for
//! more than a few rows, so beyond a few the matrix is unpacked, a block of rows at a time, for the BLAS.

use mlx_rs::ops::{concatenate, gather_mm};
use mlx_rs::{Array, Dtype};

#[cfg(not(target_vendor = "apple"))]
use super::kernels::cpu::{Operand, takes};
use super::norm::cast;
use super::on_cuda::OnCuda;
use super::unpack::Unpack;
use super::{Device, has_cuda, mlx};
use crate::error::Result;
use crate::snapshot::quantization::Quantization;

/// Values that are unpacked at a time on the CPU: a few MB, which stay in the processor's caches.
const BLOCK_VALUES: usize = 1 << 19;
/// What the operations of a block cost besides its weights.
const BLOCK_NANOSECONDS: f64 = 40e3;

/// `[out, in]`, or `[E, out, in]` for the same matrix of several experts.
pub enum Matrix {
    Dense(Array),
    Packed(Packed),
}

/// `[.., out, in]` in codes.
pub struct Packed {
    /// `u32` `[.., out, in · bits / 32]`.
    pub codes: Array,
    /// `[.., out, in / group_size]`: `u8` for the float modes, else a float.
    pub scales: Array,
    /// Like `scales`, for the affine mode.
    pub biases: Option<Array>,
    pub quantization: Quantization,
    /// On a CPU without our kernels: how to unpack for more than a few rows.
    unpack: Option<Unpack>,
    /// On an NVIDIA GPU.
    on_cuda: Option<OnCuda>,
}

/// A block of a packed matrix while it is unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub values: usize,
    /// Values that it makes of a row, before they are added up.
    pub of_row: usize,
    /// Bytes of the table that all matrices of the mode share.
    pub table: usize,
}

impl Matrix {
    /// `x · Wᵀ`: `[T, in]` → `[T, out]`, in `x`'s dtype.
    pub fn multiply(&self, x: &Array) -> Result<Array> {
        if let Some(product) = self.by_kernel(x, None) {
            return product;
        }
        match self {
            Matrix::Dense(w) => Ok(x.matmul(w.t())?),
            Matrix::Packed(packed) => packed.multiply(x),
        }
    }

    /// `x · W[experts]ᵀ` for matrices of experts: `x` is `[.., rows, in]`, and its leading axes are broadcast against
    /// `experts`. `sorted` says that `experts` never decrease.
    pub fn gather(&self, x: &Array, experts: &Array, sorted: bool) -> Result<Array> {
        match self {
            Matrix::Dense(w) => Ok(gather_mm(x, w.swap_axes(-1, -2)?, None, experts, sorted)?),
            Matrix::Packed(p) => {
                let biases = p.biases.as_ref();
                mlx::gather_qmm(x, &p.codes, &p.scales, biases, p.quantization, experts, sorted)
            }
        }
    }

    /// `x · Wᵀ` by a kernel of our own for the CPU: `[T, in]` → `[T, out]`. With `experts` `[T, K]` or `[T]`, of a matrix of
    /// experts, the product of each row with each of its: `[T · K, out]`. None where there is no such kernel.
    #[cfg(not(target_vendor = "apple"))]
    pub fn by_kernel(&self, x: &Array, experts: Option<&Array>) -> Option<Result<Array>> {
        let operand = match self {
            Matrix::Dense(w) => Operand::dense(w),
            Matrix::Packed(p) => Operand::packed(&p.codes, &p.scales, p.biases.as_ref(), p.quantization),
        };
        match experts {
            None => operand?.multiply(x),
            Some(experts) => operand?.gather(x, experts),
        }
    }

    #[cfg(target_vendor = "apple")]
    pub fn by_kernel(&self, _: &Array, _: Option<&Array>) -> Option<Result<Array>> {
        None
    }

    /// The matrix of one expert, as a view.
    pub fn expert(&self, index: usize) -> Result<Matrix> {
        let part = |array: &Array| -> Result<Array> {
            let (rows, columns) = (array.dim(1), array.dim(2));
            let index = index as i32;
            Ok(mlx::slice(array, &[index, 0, 0], &[index + 1, rows, columns])?.reshape(&[rows, columns])?)
        };
        Ok(match self {
            Matrix::Dense(w) => Matrix::Dense(part(w)?),
            Matrix::Packed(p) => Matrix::Packed(Packed {
                codes: part(&p.codes)?,
                scales: part(&p.scales)?,
                biases: p.biases.as_ref().map(part).transpose()?,
                quantization: p.quantization,
                unpack: p.unpack.clone(),
                on_cuda: None,
            }),
        })
    }

    /// The rows `ids` `[T]` as `dtype`: `[T, in]`.
    pub fn rows(&self, ids: &Array, dtype: Dtype) -> Result<Array> {
        match self {
            Matrix::Dense(w) => cast(&w.take_axis(ids, 0)?, dtype),
            Matrix::Packed(p) => {
                let biases = p.biases.as_ref().map(|b| b.take_axis(ids, 0)).transpose()?;
                let (codes, scales) = (p.codes.take_axis(ids, 0)?, p.scales.take_axis(ids, 0)?);
                mlx::dequantize(&codes, &scales, biases.as_ref(), p.quantization, dtype)
            }
        }
    }

    /// Matrices with the same `in` on top of each other, if they are stored in the same way.
    pub fn stacked(parts: Vec<Matrix>) -> Result<Result<Matrix, Vec<Matrix>>> {
        let Some(first) = parts.first().filter(|first| parts.iter().all(|p| p.is_stored_like(first))) else {
            return Ok(Err(parts));
        };
        if parts.len() == 1 {
            return Ok(parts.into_iter().next().ok_or_else(Vec::new));
        }
        let stack = |get: &dyn Fn(&Packed) -> Array| -> Result<Array> {
            let arrays: Vec<Array> = parts.iter().filter_map(|p| p.packed().map(get)).collect();
            Ok(concatenate(&arrays, -2)?)
        };
        let stacked = match first {
            Matrix::Dense(_) => {
                let arrays: Vec<&Array> = parts.iter().flat_map(Matrix::arrays).collect();
                Matrix::Dense(concatenate(&arrays, -2)?)
            }
            Matrix::Packed(p) => Matrix::Packed(Packed {
                codes: stack(&|p| p.codes.clone())?,
                scales: stack(&|p| p.scales.clone())?,
                biases: match p.biases {
                    Some(_) => Some(stack(&|p| p.biases.clone().unwrap_or_else(|| p.scales.clone()))?),
                    None => None,
                },
                quantization: p.quantization,
                unpack: p.unpack.clone(),
                on_cuda: Packed::common_way(&parts),
            }),
        };
        Ok(Ok(stacked))
    }

    /// `count` matrices of as many rows, on top of each other, as `[count, out, in]`.
    pub fn apart(self, count: usize) -> Result<Matrix> {
        let apart = |array: &Array| array.reshape(&[count as i32, -1, array.dim(-1)]);
        Ok(match self {
            Matrix::Dense(w) => Matrix::Dense(apart(&w)?),
            Matrix::Packed(p) => Matrix::Packed(Packed {
                codes: apart(&p.codes)?,
                scales: apart(&p.scales)?,
                biases: p.biases.as_ref().map(apart).transpose()?,
                ..p
            }),
        })
    }

    /// The same matrix with its values written out.
    pub fn unpacked(self, dtype: Dtype) -> Result<Matrix> {
        match self {
            Matrix::Dense(w) => Ok(Matrix::Dense(cast(&w, dtype)?)),
            Matrix::Packed(p) => {
                let values = mlx::dequantize(&p.codes, &p.scales, p.biases.as_ref(), p.quantization, dtype)?;
                Ok(Matrix::Dense(values))
            }
        }
    }

    fn is_stored_like(&self, other: &Matrix) -> bool {
        match (self, other) {
            (Matrix::Dense(a), Matrix::Dense(b)) => a.dtype() == b.dtype(),
            (Matrix::Packed(a), Matrix::Packed(b)) => a.quantization == b.quantization,
            _ => false,
        }
    }

    fn packed(&self) -> Option<&Packed> {
        match self {
            Matrix::Packed(packed) => Some(packed),
            Matrix::Dense(_) => None,
        }
    }

    /// What it is unpacked with, where it is for more than a few rows.
    pub fn block(&self) -> Option<Block> {
        let Matrix::Packed(packed) = self else { return None };
        let unpack = packed.unpack.as_ref()?;
        let (rows, words) = (packed.codes.dim(-2) as usize, packed.codes.dim(-1) as usize);
        let columns = packed.quantization.codes(words).max(1);
        let rows = rows.min((BLOCK_VALUES / columns).max(1));
        let (values, of_row) = (rows * columns, rows * unpack.planes());
        Some(Block { values, of_row, table: unpack.table_bytes() })
    }

    /// What the matrix holds, for evaluation and for counting.
    pub fn arrays(&self) -> Vec<&Array> {
        match self {
            Matrix::Dense(w) => vec![w],
            Matrix::Packed(p) => {
                [Some(&p.codes), Some(&p.scales), p.biases.as_ref()].into_iter().flatten().collect()
            }
        }
    }
}

impl Packed {
    pub fn new(
        codes: Array,
        scales: Array,
        biases: Option<Array>,
        quantization: Quantization,
        device: Device,
    ) -> Result<Packed> {
        let unpacks = device == Device::Cpu && !has_kernel(&codes, quantization);
        let unpack = unpacks.then(|| Unpack::new(quantization)).transpose()?;
        let cuda = device == Device::Gpu && has_cuda();
        let on_cuda = cuda.then(|| OnCuda::of(&codes, &scales, quantization)).transpose()?;
        Ok(Packed { codes, scales, biases, quantization, unpack, on_cuda })
    }

    /// The way of matrices that are stored alike, put on top of each other.
    fn common_way(parts: &[Matrix]) -> Option<OnCuda> {
        let mut ways = parts.iter().filter_map(|part| part.packed()?.on_cuda);
        let first = ways.next()?;
        Some(if ways.all(|way| way == first) { first } else { OnCuda::Mlx })
    }

    fn multiply(&self, x: &Array) -> Result<Array> {
        match (&self.unpack, self.on_cuda) {
            (Some(unpack), _) if self.is_cheaper_unpacked(unpack, x.dim(0)) => {
                self.multiply_unpacked(unpack, x)
            }
            (None, Some(way)) if x.ndim() == 2 => way.multiply(x, self),
            _ => mlx::quantized_matmul(x, &self.codes, &self.scales, self.biases.as_ref(), self.quantization),
        }
    }

    fn is_cheaper_unpacked(&self, unpack: &Unpack, rows: i32) -> bool {
        let (each_row, once) = unpack.costs();
        let weights = self.quantization.codes(self.codes.size()) as f64;
        weights * (each_row * f64::from(rows) - once)
            > BLOCK_NANOSECONDS * (weights / BLOCK_VALUES as f64).ceil()
    }

    /// Unpacks a block of rows, multiplies, and goes on to the next block only then, so that only one unpacked block
    /// exists at a time.
    fn multiply_unpacked(&self, unpack: &Unpack, x: &Array) -> Result<Array> {
        let rows = self.codes.dim(0);
        let step = (BLOCK_VALUES as i32 / x.dim(1)).max(1);
        let x = unpack.arrange(x)?;
        let mut products: Vec<Array> = Vec::new();
        for first in (0..rows).step_by(step as usize) {
            let block = self.block(first, (first + step).min(rows), products.last())?;
            products.push(unpack.product(&x, &block)?);
        }
        match products.len() {
            1 => Ok(products.remove(0)),
            _ => Ok(concatenate(&products, -1)?),
        }
    }

    /// Rows `first..stop`, to be touched once `previous` has been evaluated.
    fn block(&self, first: i32, stop: i32, previous: Option<&Array>) -> Result<Packed> {
        let part = |array: &Array| mlx::slice(array, &[first, 0], &[stop, array.dim(1)]);
        let codes = part(&self.codes)?;
        Ok(Packed {
            codes: previous.map_or(Ok(codes.clone()), |previous| mlx::after(&codes, previous))?,
            scales: part(&self.scales)?,
            biases: self.biases.as_ref().map(part).transpose()?,
            quantization: self.quantization,
            unpack: None,
            on_cuda: None,
        })
    }
}

/// Whether a kernel of our own for the CPU multiplies a matrix of these codes.
#[cfg(not(target_vendor = "apple"))]
fn has_kernel(codes: &Array, quantization: Quantization) -> bool {
    takes(quantization, quantization.codes(codes.dim(-1) as usize))
}

#[cfg(target_vendor = "apple")]
fn has_kernel(_: &Array, _: Quantization) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{close, host, random};
    use crate::snapshot::quantization::Mode;

    fn packed(rows: i32, columns: i32, quantization: Quantization, device: Device) -> Packed {
        let (codes, scales, biases) = mlx::quantize(&random(&[rows, columns], 5), quantization).unwrap();
        Packed::new(codes, scales, biases, quantization, device).unwrap()
    }

    fn values(m: &Packed) -> Array {
        mlx::dequantize(&m.codes, &m.scales, m.biases.as_ref(), m.quantization, Dtype::Float32).unwrap()
    }

    /// Every mode that a snapshot may have.
    fn all() -> Vec<Quantization> {
        let mut all = Vec::new();
        for bits in [2, 3, 4, 5, 6, 8] {
            for group_size in [32, 64, 128] {
                all.push(Quantization { mode: Mode::Affine, bits, group_size });
            }
        }
        for (mode, bits, group_size) in [(Mode::Mxfp4, 4, 32), (Mode::Nvfp4, 4, 16), (Mode::Mxfp8, 8, 32)] {
            all.push(Quantization { mode, bits, group_size });
        }
        all
    }

    #[test]
    fn packed_products_are_those_of_the_unpacked_matrix() {
        for quantization in all() {
            let matrix = packed(96, 256, quantization, Device::Cpu);
            let dense = values(&matrix);
            for rows in [1, 2, 40] {
                let x = random(&[rows, 256], 9);
                let expected = host(&x.matmul(dense.t()).unwrap());
                close(&host(&matrix.multiply(&x).unwrap()), &expected, 1e-4);
                let unpack = Unpack::new(quantization).unwrap();
                close(&host(&matrix.multiply_unpacked(&unpack, &x).unwrap()), &expected, 1e-4);
                let ours = Matrix::Packed(packed(96, 256, quantization, Device::Cpu));
                close(&host(&ours.multiply(&x).unwrap()), &expected, 1e-4);
            }
        }
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU: `cargo xtask gpu-check` runs it"]
    fn on_cuda_any_number_of_rows_of_any_storage() {
        assert!(has_cuda());
        // The last has one group a row for some.
        for columns in [512, 256, 128] {
            for quantization in all() {
                let matrix = packed(256, columns, quantization, Device::Gpu);
                let fp4 = matches!(quantization.mode, Mode::Mxfp4 | Mode::Nvfp4);
                assert_eq!(matrix.on_cuda == Some(OnCuda::Fp4Rows), fp4);
                let dense = values(&matrix);
                for rows in [1, 2, 7, 8, 32, 33, 100, 192, 193, 1000] {
                    let x = random(&[rows, columns], 9).as_dtype(Dtype::Bfloat16).unwrap();
                    let expected = x.as_dtype(Dtype::Float32).unwrap().matmul(dense.t()).unwrap();
                    // Sums of some tens, rounded to bf16; a GPU's f32 products have 10 bits.
                    close(&host(&matrix.multiply(&x).unwrap()), &host(&expected), 0.3);
                }
            }
        }
    }

    #[test]
    fn blocks_join_in_order() {
        let quantization = Quantization { mode: Mode::Mxfp4, bits: 4, group_size: 32 };
        let columns = BLOCK_VALUES as i32 / 64;
        let matrix = packed(150, columns, quantization, Device::Cpu);
        let x = random(&[20, columns], 3);
        let expected = host(&x.matmul(values(&matrix).t()).unwrap());
        let unpack = Unpack::new(quantization).unwrap();
        close(&host(&matrix.multiply_unpacked(&unpack, &x).unwrap()), &expected, 2e-3);
    }

    #[test]
    fn rows_are_looked_up_in_any_storage() {
        let ids = Array::from_slice(&[5i32, 0, 63, 5], &[4]);
        for quantization in all() {
            let matrix = packed(64, 128, quantization, Device::Cpu);
            let dense = Matrix::Dense(values(&matrix));
            let expected = host(&dense.rows(&ids, Dtype::Float32).unwrap());
            close(&host(&Matrix::Packed(matrix).rows(&ids, Dtype::Float32).unwrap()), &expected, 0.0);
        }
    }

    #[test]
    fn equal_storage_stacks() {
        let mx = Quantization { mode: Mode::Mxfp8, bits: 8, group_size: 32 };
        let affine = Quantization { mode: Mode::Affine, bits: 4, group_size: 64 };
        for quantization in [mx, affine] {
            let parts = vec![
                Matrix::Packed(packed(32, 128, quantization, Device::Cpu)),
                Matrix::Packed(packed(64, 128, quantization, Device::Cpu)),
            ];
            let x = random(&[3, 128], 1);
            let separate: Vec<Array> = parts.iter().map(|p| p.multiply(&x).unwrap()).collect();
            let expected = host(&concatenate(&separate, -1).unwrap());
            let Ok(stacked) = Matrix::stacked(parts).unwrap() else { panic!() };
            close(&host(&stacked.multiply(&x).unwrap()), &expected, 1e-5);
        }
        let mixed = vec![
            Matrix::Packed(packed(32, 128, mx, Device::Cpu)),
            Matrix::Packed(packed(32, 128, affine, Device::Cpu)),
        ];
        assert!(Matrix::stacked(mixed).unwrap().is_err());
    }
}
