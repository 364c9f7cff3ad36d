//! Which way a product with a packed matrix takes on an NVIDIA GPU.
//!
//! MLX compiles its products of 8 rows and more when they are first used, 20 to 60 seconds for each storage and each size
//! of tile; some of four-bit floats were wrong, and those of an affine matrix whose rows are one group each always are.
//! Its products of fewer rows are compiled already. So few rows take our own kernel or those of MLX, and more take a
//! dense product with the values written out.

use mlx_rs::ops::concatenate;
use mlx_rs::{Array, Dtype};

use super::kernels::fp4_rows;
use super::matrix::Packed;
use super::mlx;
use crate::error::Result;
use crate::snapshot::quantization::Quantization;

/// Values that are written out at most for a dense product: half a GB of them.
const DENSE_VALUES: usize = 1 << 28;
/// Rows of MLX's compiled kernel, which reads the matrix again for each.
const MLX_ROWS: i32 = 7;

/// The kernel for few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCuda {
    /// Our own, which takes activations of `bf16`.
    Fp4Rows,
    Mlx,
    /// MLX's, where it has a wrong one for more than one row.
    MlxOneRow,
}

impl OnCuda {
    pub fn of(codes: &Array, scales: &Array, quantization: Quantization) -> Result<OnCuda> {
        Ok(if fp4_rows::takes(codes, scales, quantization)? {
            OnCuda::Fp4Rows
        } else if scales.dim(-1) == 1 {
            OnCuda::MlxOneRow
        } else {
            OnCuda::Mlx
        })
    }

    /// Rows that the kernel takes at once.
    fn rows(self) -> i32 {
        match self {
            OnCuda::Fp4Rows => fp4_rows::ROWS,
            OnCuda::Mlx => MLX_ROWS,
            OnCuda::MlxOneRow => 1,
        }
    }

    /// The largest number of rows for which the kernel, in pieces, is faster than a dense product.
    fn most_rows(self) -> i32 {
        match self {
            OnCuda::Fp4Rows => 192,
            OnCuda::Mlx | OnCuda::MlxOneRow => self.rows(),
        }
    }

    /// `x · Wᵀ`: `[T, in]` → `[T, out]`, in `x`'s dtype.
    pub fn multiply(self, x: &Array, w: &Packed) -> Result<Array> {
        let rows = x.dim(0);
        let way = match self {
            OnCuda::Fp4Rows if x.dtype() != Dtype::Bfloat16 => OnCuda::Mlx,
            way => way,
        };
        if rows > way.most_rows() && w.quantization.codes(w.codes.size()) <= DENSE_VALUES {
            let (biases, dtype) = (w.biases.as_ref(), x.dtype());
            let values = mlx::dequantize(&w.codes, &w.scales, biases, w.quantization, dtype)?;
            return Ok(x.matmul(values.t())?);
        }
        if rows <= way.rows() {
            return way.few(x, w);
        }
        let part = |first: i32| {
            let last = rows.min(first + way.rows());
            way.few(&mlx::slice(x, &[first, 0], &[last, x.dim(1)])?, w)
        };
        let parts = (0..rows).step_by(way.rows() as usize).map(part).collect::<Result<Vec<_>>>()?;
        Ok(concatenate(&parts, 0)?)
    }

    fn few(self, x: &Array, w: &Packed) -> Result<Array> {
        match self {
            OnCuda::Fp4Rows => fp4_rows::multiply(x, &w.codes, &w.scales, w.quantization),
            OnCuda::Mlx | OnCuda::MlxOneRow => {
                mlx::quantized_matmul(x, &w.codes, &w.scales, w.biases.as_ref(), w.quantization)
            }
        }
    }
}
