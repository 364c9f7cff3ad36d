//! Pictures without an encoder: pixels of a patch through one dense layer and factorized positions
//! (`Gemma4UnifiedVisionEmbedder` of transformers).

use mlx_rs::{Array, Dtype};
use serde_json::json;

use crate::error::{Error, Result};
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{LayerNorm, RmsNorm, cast};
use crate::snapshot::config::Section;
use crate::vision::patches::Patches;

/// `LayerNorm`'s own default, which the configuration does not touch.
const LAYER_NORM_EPS: f32 = 1e-5;

/// `vision_config`.
#[derive(Clone, Debug)]
pub struct VisionConfig {
    /// Side of a model patch in pixels.
    pub model_patch_size: usize,
    pub embed_dim: usize,
    /// Columns, and rows, that there are positions for.
    pub positions: usize,
    pub rms_norm_eps: f32,
}

impl VisionConfig {
    pub fn read(s: &Section) -> Result<VisionConfig> {
        let side = s.usize_or("patch_size", 16)? * s.usize_or("pooling_kernel_size", 3)?;
        let embed_dim = s.positive_or("mm_embed_dim", 3840)?;
        let projected = s.usize_or("output_proj_dims", embed_dim)?;
        if projected != embed_dim {
            let needed = format!("mm_embed_dim ({embed_dim})");
            return Err(s.wrong("output_proj_dims", &json!(projected), &needed));
        }
        Ok(VisionConfig {
            model_patch_size: s.usize_or("model_patch_size", side)?,
            embed_dim,
            positions: s.positive_or("mm_posemb_size", 1120)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
        })
    }
}

pub struct VisionEmbedder {
    patch_ln1: LayerNorm,
    patch_dense: Linear,
    patch_ln2: LayerNorm,
    /// `[positions, embed_dim]`, for columns and for rows.
    columns: Array,
    rows: Array,
    positions: usize,
    pos_norm: LayerNorm,
    projection_norm: RmsNorm,
    projection: Linear,
    dtype: Dtype,
}

impl VisionEmbedder {
    pub fn load(loader: &mut Loader, config: &VisionConfig, hidden_size: usize) -> Result<VisionEmbedder> {
        let pixels = config.model_patch_size * config.model_patch_size * 3;
        let dim = config.embed_dim;
        let [columns, rows] = loader.pair("vision_embedder.pos_embedding", &[config.positions, 2, dim], 1)?;
        let vision = VisionEmbedder {
            patch_ln1: loader.layer_norm("vision_embedder.patch_ln1", pixels, LAYER_NORM_EPS)?,
            patch_dense: loader.linear_with_bias("vision_embedder.patch_dense", dim, pixels)?,
            patch_ln2: loader.layer_norm("vision_embedder.patch_ln2", dim, LAYER_NORM_EPS)?,
            columns,
            rows,
            positions: config.positions,
            pos_norm: loader.layer_norm("vision_embedder.pos_norm", dim, LAYER_NORM_EPS)?,
            projection_norm: RmsNorm::new(None, dim, config.rms_norm_eps, loader.device),
            projection: loader.linear("embed_vision", &[("embedding_projection", hidden_size)], dim)?,
            dtype: loader.dtype,
        };
        loader.read()?;
        Ok(vision)
    }

    /// `[n, side · side · 3]` patches in 0..1 → `[n, H]` soft tokens.
    pub fn forward(&self, patches: &Patches) -> Result<Array> {
        let count = patches.rows * patches.columns;
        if patches.rows.max(patches.columns) > self.positions {
            let (rows, columns) = (patches.rows, patches.columns);
            let message =
                format!("an image of {columns} x {rows} patches: the model has {} positions", self.positions);
            return Err(Error::media(message));
        }
        let pixels =
            Array::from_slice(&patches.values, &[count as i32, (patches.values.len() / count.max(1)) as i32]);
        let x = self.patch_ln1.forward(&cast(&pixels, self.dtype)?)?;
        let x = self.patch_ln2.forward(&self.patch_dense.forward(&x)?)?;
        let (columns, rows): (Vec<i32>, Vec<i32>) =
            (0..count).map(|i| ((i % patches.columns) as i32, (i / patches.columns) as i32)).unzip();
        let lookup = |table: &Array, at: &[i32]| table.take_axis(Array::from_slice(at, &[count as i32]), 0);
        let positions = lookup(&self.columns, &columns)?.add(lookup(&self.rows, &rows)?)?;
        let x = self.pos_norm.forward(&x.add(positions)?)?;
        self.projection.forward(&self.projection_norm.forward(&x)?)
    }
}
