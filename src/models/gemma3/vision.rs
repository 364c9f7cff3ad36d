//! SigLIP, and what brings its patches to the language model (`SiglipVisionModel` and `Gemma3MultiModalProjector` of
//! transformers).

use mlx_rs::{Array, Dtype};

use super::config::SightConfig;
use crate::error::{Code, Error, Result};
use crate::models::shared::encoder::{EncoderLayer, Names, Sizes};
use crate::nn::loader::Loader;
use crate::nn::norm::{LayerNorm, RmsNorm, cast};
use crate::vision::patches::Patches;

const TOWER: &str = "vision_tower";
const PROJECTOR: &str = "multi_modal_projector";

const NAMES: Names = Names {
    norms: ["layer_norm1", "layer_norm2"],
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.out_proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
};

pub struct VisionTower {
    config: SightConfig,
    /// `[patch · patch · 3, Hv]`
    patch_embedding: Array,
    patch_bias: Array,
    /// `[patches, Hv]`
    positions: Array,
    layers: Vec<EncoderLayer>,
    post_norm: LayerNorm,
    soft_norm: RmsNorm,
    /// `[Hv, H]`
    projection: Array,
    dtype: Dtype,
}

impl VisionTower {
    /// `hidden_size` is the language model's.
    pub fn load(loader: &mut Loader, config: &SightConfig, hidden_size: usize) -> Result<VisionTower> {
        let (dim, patch) = (config.hidden_size, config.patch_size);
        let embeddings = format!("{TOWER}.embeddings");
        let weight = format!("{embeddings}.patch_embedding.weight");
        let weight = loader.convolution_part(&weight, dim, &[patch, patch], 3)?;
        let patch_embedding = loader.keep(weight.reshape(&[dim as i32, -1])?.transpose()?.contiguous()?);
        let sizes = Sizes {
            hidden_size: dim,
            intermediate_size: config.intermediate_size,
            heads: config.heads,
            layer_norm_eps: config.layer_norm_eps,
        };
        let mut layers = Vec::new();
        for i in 0..config.layers {
            layers.push(EncoderLayer::load(loader, &format!("{TOWER}.encoder.layers.{i}"), &sizes, &NAMES)?);
            loader.read()?;
        }
        let positions = [config.patches() * config.patches(), dim];
        Ok(VisionTower {
            patch_embedding,
            patch_bias: loader.float(&format!("{embeddings}.patch_embedding.bias"), &[dim])?,
            positions: loader.float(&format!("{embeddings}.position_embedding.weight"), &positions)?,
            layers,
            post_norm: loader.layer_norm(&format!("{TOWER}.post_layernorm"), dim, config.layer_norm_eps)?,
            soft_norm: loader.rms_norm_plus_one(
                &format!("{PROJECTOR}.mm_soft_emb_norm"),
                dim,
                config.layer_norm_eps,
            )?,
            projection: loader
                .float(&format!("{PROJECTOR}.mm_input_projection_weight"), &[dim, hidden_size])?,
            dtype: loader.dtype,
            config: config.clone(),
        })
    }

    /// Normalized patches, row by row, `[n, patch · patch · 3]` → `[soft tokens, H]`.
    pub fn forward(&self, patches: &Patches) -> Result<Array> {
        let (side, count) = (self.config.patches(), patches.rows * patches.columns);
        if (patches.rows, patches.columns) != (side, side) {
            let message =
                format!("{} x {} patches for a tower of {side} x {side}", patches.columns, patches.rows);
            return Err(Error::new(Code::Backend, message));
        }
        let width = (patches.values.len() / count) as i32;
        let pixels = cast(&Array::from_slice(&patches.values, &[count as i32, width]), self.dtype)?;
        let mut x = pixels.matmul(&self.patch_embedding)?.add(&self.patch_bias)?.add(&self.positions)?;
        for layer in &self.layers {
            x = layer.forward(&x, Ok)?;
        }
        let pooled = self.pool(&self.post_norm.forward(&x)?)?;
        Ok(self.soft_norm.forward(&pooled)?.matmul(&self.projection)?)
    }

    /// The mean of each square of patches.
    fn pool(&self, x: &Array) -> Result<Array> {
        let (side, width) = (self.config.side() as i32, self.config.hidden_size as i32);
        let k = self.config.patches() as i32 / side;
        let cells = x.reshape(&[side, k, side, k, width])?;
        Ok(cells.mean_axes(&[1, 3], false)?.reshape(&[side * side, width])?)
    }
}
