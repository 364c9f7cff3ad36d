//! The gated feed-forward network.

use mlx_rs::Array;

use crate::error::Result;
use crate::nn::activation::Glu;
use crate::nn::group::Ranks;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::split::Cut;

/// `down(act(gate x) · up x)`.
pub struct Mlp {
    /// Gate and up.
    gate_up: Linear,
    down: Linear,
    glu: Glu,
    ranks: Ranks,
}

impl Mlp {
    /// Reads `path.{gate,up,down}_proj`; of a rank of a group, its part of the inner values.
    pub fn load(loader: &mut Loader, path: &str, hidden: usize, inner: usize, glu: Glu) -> Result<Mlp> {
        let down = format!("{path}.down_proj");
        let own = loader.inner(&down, inner, hidden)?;
        let cut = Cut::rows_among(&own, inner);
        let ins = [("gate_proj", inner, cut.clone()), ("up_proj", inner, cut)];
        Ok(Mlp {
            gate_up: loader.rows_of(path, &ins, hidden)?,
            down: loader.columns_of(&down, hidden, inner, &own)?,
            glu,
            ranks: loader.ranks.clone(),
        })
    }

    /// `[T, H]` → `[T, H]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        self.ranks.sum(self.part(x)?)
    }

    /// This rank's part of the sum that [`forward`](Self::forward) gives.
    pub fn part(&self, x: &Array) -> Result<Array> {
        self.down.forward(&self.glu.halves(&self.gate_up.forward(x)?)?)
    }
}
