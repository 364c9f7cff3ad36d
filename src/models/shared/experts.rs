//! The matrices of experts as files hold them.

use crate::error::Result;
use crate::nn::activation::Glu;
use crate::nn::loader::Loader;
use crate::nn::moe::Experts;
use crate::nn::split::Cut;

/// Sizes of a mixture.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub experts: usize,
    /// Experts that a row goes to.
    pub top_k: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
}

/// The matrices `path.gate_up_proj` or `path.{gate,up}_proj`, and `path.down_proj`: of all experts as one tensor, packed or
/// dense, or of each by itself. Of a rank of a group, its part of the inner values of every expert.
///
/// Files hold the dense ones of all experts as `[E, out, in]` or `[E, in, out]`. One of them is not square, and tells.
pub fn load(loader: &mut Loader, path: &str, sizes: Sizes, glu: Glu) -> Result<Experts> {
    let Sizes { experts, top_k, hidden_size: hidden, intermediate_size: inner } = sizes;
    let own = loader.inner(&format!("{path}.down_proj"), inner, hidden)?;
    loader.experts_make(top_k * (2 * own.len() + hidden));
    let has = |loader: &Loader, name: &str| {
        loader.has(&format!("{path}.{name}.weight")) || loader.has(&format!("{path}.0.{name}.weight"))
    };
    let ins: &[(&str, usize)] = match has(loader, "gate_up_proj") {
        true => &[("gate_up_proj", 2 * inner)],
        false => &[("gate_proj", inner), ("up_proj", inner)],
    };
    let mut all = ins.iter().map(|(name, out)| (*name, *out, hidden)).chain([("down_proj", hidden, inner)]);
    let is_turned = |(name, out, input): (&str, usize, usize)| {
        out != input && loader.has_shape(&format!("{path}.{name}.weight"), &[experts, input, out])
    };
    let turned = all.any(is_turned);
    let mut matrix = |name: &str, out: usize, input: usize, cut: &Cut| {
        loader.expert_matrix(path, name, [experts, out, input], turned, cut)
    };
    let (rows, columns) = (Cut::rows_among(&own, inner), Cut::columns_among(&own, inner));
    // A matrix of both has the rows of the gate, and behind them those of up.
    let ins = ins.iter().map(|(name, out)| matrix(name, *out, hidden, &rows.repeated(out / inner, inner)));
    let gate_up = ins.collect::<Result<_>>()?;
    let down = matrix("down_proj", hidden, inner, &columns)?;
    loader.experts(gate_up, down, glu)
}
