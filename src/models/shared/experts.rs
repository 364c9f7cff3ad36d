//! The matrices of experts as files hold them.

use crate::error::Result;
use crate::nn::activation::Glu;
use crate::nn::loader::Loader;
use crate::nn::moe::Experts;

/// Sizes of a mixture.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub experts: usize,
    /// Experts that a row goes to.
    pub top_k: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
}

/// One tensor for gate and up, `fused.gate_up_proj` and `fused.down_proj`, as transformers writes it, or one each,
/// `split.{gate,up,down}_proj.weight`, as MLX's converters do.
///
/// Files hold the fused ones as `[E, out, in]` or `[E, in, out]`. One of the two shapes is not square, and tells.
pub fn load(loader: &mut Loader, fused: &str, split: &str, sizes: Sizes, glu: Glu) -> Result<Experts> {
    let Sizes { experts, top_k, hidden_size: hidden, intermediate_size: inner } = sizes;
    loader.makes_of_a_row(top_k * (2 * inner + hidden));
    let (gate_up, down) = (format!("{fused}.gate_up_proj"), format!("{fused}.down_proj"));
    if loader.has(&gate_up) {
        let is = |loader: &Loader, name: &str, shape: [usize; 3]| loader.has_shape(name, &shape);
        let turned = (hidden != 2 * inner && is(loader, &gate_up, [experts, hidden, 2 * inner]))
            || (hidden != inner && is(loader, &down, [experts, inner, hidden]));
        let gate_up = loader.expert_tensor(&gate_up, [experts, 2 * inner, hidden], turned)?;
        let down = loader.expert_tensor(&down, [experts, hidden, inner], turned)?;
        return loader.experts(vec![gate_up], down, glu);
    }
    let mut stacked = |name: &str, out: usize, input: usize| {
        loader.expert_matrix(&format!("{split}.{name}"), [experts, out, input])
    };
    let gate_up = vec![stacked("gate_proj", inner, hidden)?, stacked("up_proj", inner, hidden)?];
    let down = stacked("down_proj", hidden, inner)?;
    loader.experts(gate_up, down, glu)
}
