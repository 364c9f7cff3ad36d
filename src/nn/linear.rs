//! Linear layers and embeddings over matrices in any storage.

use mlx_rs::ops::concatenate;
use mlx_rs::{Array, Dtype};

use super::matrix::Matrix;
use crate::error::Result;

/// `x · Wᵀ + b`. Several layers with the same input are one product where they are stored alike.
pub struct Linear {
    /// Stacked in order of output.
    pub(super) matrices: Vec<Matrix>,
    pub(super) bias: Option<Array>,
}

impl Linear {
    /// `[T, in]` → `[T, out]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
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

/// A table of vectors, which may also be the output layer (a tied head).
pub struct Embedding {
    pub table: Matrix,
    /// What the vectors are looked up as.
    pub dtype: Dtype,
}

impl Embedding {
    /// `[T]` → `[T, H]`.
    pub fn forward(&self, ids: &Array) -> Result<Array> {
        self.table.rows(ids, self.dtype)
    }

    /// `[T, H]` → `[T, vocab]`.
    pub fn logits(&self, x: &Array) -> Result<Array> {
        self.table.multiply(x)
    }
}
