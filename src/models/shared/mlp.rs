//! The gated feed-forward network.

use mlx_rs::Array;

use crate::error::Result;
use crate::nn::activation::Glu;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;

/// `down(act(gate x) · up x)`.
pub struct Mlp {
    /// Gate and up.
    gate_up: Linear,
    down: Linear,
    glu: Glu,
}

impl Mlp {
    /// Reads `path.{gate,up,down}_proj`.
    pub fn load(loader: &mut Loader, path: &str, hidden: usize, inner: usize, glu: Glu) -> Result<Mlp> {
        Ok(Mlp {
            gate_up: loader.linear(path, &[("gate_proj", inner), ("up_proj", inner)], hidden)?,
            down: loader.linear(path, &[("down_proj", hidden)], inner)?,
            glu,
        })
    }

    /// `[T, H]` → `[T, H]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        self.down.forward(&self.glu.halves(&self.gate_up.forward(x)?)?)
    }
}
