//! The feed-forward part of a layer: a gated network, in some models beside experts.

use mlx_rs::{Array, Dtype};

use super::config::{MoeConfig, TextConfig};
use crate::error::Result;
use crate::models::shared::experts;
use crate::models::shared::mlp::Mlp;
use crate::nn::activation::{GeluGlu, Glu};
use crate::nn::group::Ranks;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::moe::{Experts, Routing, route};
use crate::nn::norm::{RmsNorm, cast};

/// What is added to the residual stream, but for the norm after it.
pub struct FeedForward {
    pre_norm: RmsNorm,
    mlp: Mlp,
    sparse: Option<Sparse>,
    ranks: Ranks,
}

/// Experts beside the dense part (`Gemma4TextExperts` of transformers), each behind norms of its own.
struct Sparse {
    post_mlp_norm: RmsNorm,
    pre_norm: RmsNorm,
    router: Router,
    experts: Experts,
    post_norm: RmsNorm,
}

/// Chooses experts, in `f32`: a rounded score may choose another expert.
struct Router {
    /// Weighted by `scale / √H`.
    norm: RmsNorm,
    projection: Linear,
    /// `[E]`, of an expert's weight in the sum.
    per_expert_scale: Array,
    top_k: usize,
}

impl FeedForward {
    pub fn load(loader: &mut Loader, config: &TextConfig, index: usize, path: &str) -> Result<FeedForward> {
        let eps = config.rms_norm_eps;
        let norm = format!("{path}.pre_feedforward_layernorm");
        Ok(FeedForward {
            pre_norm: loader.rms_norm(&norm, config.hidden_size, eps)?,
            mlp: Mlp::load(
                loader,
                &format!("{path}.mlp"),
                config.hidden_size,
                config.mlp_size(index),
                glu(loader)?,
            )?,
            sparse: config.moe.as_ref().map(|moe| Sparse::load(loader, config, moe, path)).transpose()?,
            ranks: loader.ranks.clone(),
        })
    }

    /// `[T, H]` → `[T, H]`.
    pub fn forward(&self, hidden: &Array) -> Result<Array> {
        let dense = self.mlp.part(&self.pre_norm.forward(hidden)?)?;
        match &self.sparse {
            None => self.ranks.sum(dense),
            Some(sparse) => sparse.forward(hidden, dense, &self.ranks),
        }
    }
}

impl Sparse {
    fn load(loader: &mut Loader, config: &TextConfig, moe: &MoeConfig, path: &str) -> Result<Sparse> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let mut norm = |name: &str| loader.rms_norm(&format!("{path}.{name}"), hidden, eps);
        Ok(Sparse {
            post_mlp_norm: norm("post_feedforward_layernorm_1")?,
            pre_norm: norm("pre_feedforward_layernorm_2")?,
            post_norm: norm("post_feedforward_layernorm_2")?,
            router: Router::load(loader, config, moe, &format!("{path}.router"))?,
            experts: load_experts(loader, hidden, moe, &format!("{path}.experts"))?,
        })
    }

    /// `hidden` is what the dense part was made from as well, of which `dense` is this rank's.
    fn forward(&self, hidden: &Array, dense: Array, ranks: &Ranks) -> Result<Array> {
        let routing = self.router.forward(hidden)?;
        let sparse = self.experts.forward(&self.pre_norm.forward(hidden)?, &routing)?;
        let [dense, sparse] = ranks.sum_both([dense, sparse])?;
        let dense = self.post_mlp_norm.forward(&dense)?;
        Ok(dense.add(self.post_norm.forward(&sparse)?)?)
    }
}

fn load_experts(loader: &mut Loader, hidden: usize, moe: &MoeConfig, path: &str) -> Result<Experts> {
    let sizes = experts::Sizes {
        experts: moe.experts,
        top_k: moe.top_k,
        hidden_size: hidden,
        intermediate_size: moe.intermediate_size,
    };
    let glu = glu(loader)?;
    experts::load(loader, path, sizes, glu)
}

fn glu(loader: &Loader) -> Result<Glu> {
    Ok(Glu::GeluTanh(GeluGlu::new(loader.dtype)?))
}

impl Router {
    fn load(loader: &mut Loader, config: &TextConfig, moe: &MoeConfig, path: &str) -> Result<Router> {
        let (hidden, eps, f32) = (config.hidden_size, config.rms_norm_eps, Dtype::Float32);
        let scale = loader.part(&format!("{path}.scale"), &[hidden], f32)?;
        let scale = loader.keep(scale.multiply(Array::from_f32((hidden as f32).sqrt().recip()))?);
        Ok(Router {
            norm: RmsNorm::new(Some(scale), hidden, eps, loader.device),
            projection: loader.linear_as(&format!("{path}.proj"), moe.experts, hidden, f32)?,
            per_expert_scale: loader.float_as(&format!("{path}.per_expert_scale"), &[moe.experts], f32)?,
            top_k: moe.top_k,
        })
    }

    /// The experts of each row of the residual stream `[T, H]`.
    fn forward(&self, hidden: &Array) -> Result<Routing> {
        let scores = self.projection.forward(&self.norm.forward(&cast(hidden, Dtype::Float32)?)?)?;
        let Routing { experts, weights } = route(&scores, self.top_k)?;
        let weights = weights.multiply(self.per_expert_scale.take_axis(&experts, 0)?)?;
        Ok(Routing { experts, weights })
    }
}
