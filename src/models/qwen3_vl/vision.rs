//! The tower: patches of two frames through pre-norm blocks with two-dimensional rotary positions, merged four to a soft
//! token (`Qwen3VLVisionModel` of transformers). Patches come in the order of the merger: square by square, row by row.

use mlx_rs::{Array, Dtype};

use super::config::SightConfig;
use crate::error::{Code, Error, Result};
use crate::models::SoftTokens;
use crate::models::shared::encoder::{EncoderLayer, Names, Sizes};
use crate::nn::activation::gelu_erf;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{LayerNorm, cast};
use crate::nn::rope::{Table, plain_frequencies};
use crate::vision::patches::Patches;

const TOWER: &str = "vision_tower";
/// Of every norm of the tower.
const NORM_EPS: f32 = 1e-6;
const ROPE_THETA: f32 = 1e4;

const NAMES: Names = Names {
    norms: ["norm1", "norm2"],
    qkv: &["attn.qkv"],
    output: "attn.proj",
    mlp: ["mlp.linear_fc1", "mlp.linear_fc2"],
};

pub struct VisionTower {
    config: SightConfig,
    /// `[3 · frames · patch · patch, Hv]`
    patch_embedding: Array,
    patch_bias: Array,
    /// `[places, Hv]`, row by row.
    positions: Array,
    layers: Vec<EncoderLayer>,
    merger: Merger,
    /// One for each block of `deepstack`.
    deepstack: Vec<Merger>,
    dtype: Dtype,
}

/// `fc2(gelu(fc1(x)))` of the four patches of a soft token; the norm is of each patch, or of the four together.
struct Merger {
    norm: LayerNorm,
    of_patches: bool,
    /// `4 · Hv`
    width: i32,
    fc1: Linear,
    fc2: Linear,
}

impl VisionTower {
    /// `hidden_size` is the language model's.
    pub fn load(loader: &mut Loader, config: &SightConfig, hidden_size: usize) -> Result<VisionTower> {
        let (dim, patch, frames) = (config.hidden_size, config.patch_size, config.temporal_patch_size);
        let name = format!("{TOWER}.patch_embed.proj.weight");
        let weight = loader.convolution_part(&name, dim, &[frames, patch, patch], 3)?;
        // The patches' values are in torch's order: channels before frames, rows and columns.
        let weight = weight.transpose_axes(&[4, 1, 2, 3, 0])?.reshape(&[-1, dim as i32])?;
        let patch_embedding = loader.keep(weight.contiguous()?);
        let sizes = Sizes {
            hidden_size: dim,
            intermediate_size: config.intermediate_size,
            heads: config.heads,
            layer_norm_eps: NORM_EPS,
        };
        let mut layers = Vec::new();
        for i in 0..config.layers {
            layers.push(EncoderLayer::load(loader, &format!("{TOWER}.blocks.{i}"), &sizes, &NAMES)?);
            loader.read()?;
        }
        let places = config.positions * config.positions;
        let mut deepstack = Vec::new();
        for i in 0..config.deepstack.len() {
            let path = format!("{TOWER}.deepstack_merger_list.{i}");
            deepstack.push(Merger::load(loader, &path, config, hidden_size, false)?);
        }
        Ok(VisionTower {
            patch_embedding,
            patch_bias: loader.float(&format!("{TOWER}.patch_embed.proj.bias"), &[dim])?,
            positions: loader.float(&format!("{TOWER}.pos_embed.weight"), &[places, dim])?,
            layers,
            merger: Merger::load(loader, &format!("{TOWER}.merger"), config, hidden_size, true)?,
            deepstack,
            dtype: loader.dtype,
            config: config.clone(),
        })
    }

    /// `[n, 3 · frames · patch · patch]` normalized patches → `[n / 4, H]` soft tokens, and as many for each of the first
    /// layers of the language model.
    pub fn forward(&self, patches: &Patches) -> Result<SoftTokens> {
        let (rows, columns, merge) = (patches.rows, patches.columns, self.config.merge_size);
        let count = rows * columns;
        if count == 0 || rows % merge != 0 || columns % merge != 0 {
            let message = format!("{columns} x {rows} patches: both must be multiples of {merge}");
            return Err(Error::new(Code::Backend, message));
        }
        let places = places(rows, columns, merge);
        let width = (patches.values.len() / count) as i32;
        let pixels = cast(&Array::from_slice(&patches.values, &[count as i32, width]), self.dtype)?;
        let x = pixels.matmul(&self.patch_embedding)?.add(&self.patch_bias)?;
        let mut x = x.add(cast(&self.interpolate(&places, rows, columns)?, self.dtype)?)?;
        let angles = angles(&self.config, &places, self.dtype)?;
        let mut extra = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, |heads| angles.turn(&heads))?;
            if let Some(at) = self.config.deepstack.iter().position(|block| *block == index) {
                extra.push(self.deepstack[at].forward(&x)?);
            }
        }
        Ok(SoftTokens { features: self.merger.forward(&x)?, extra })
    }

    /// `f32` `[n, Hv]`: the table of positions stretched over the picture, corners on corners, between four places.
    fn interpolate(&self, places: &[(usize, usize)], rows: usize, columns: usize) -> Result<Array> {
        let side = self.config.positions;
        let stretch = |count: usize, i: usize| (i * (side - 1)) as f32 / (count.max(2) - 1) as f32;
        let table = cast(&self.positions, Dtype::Float32)?;
        let mut sum: Option<Array> = None;
        for corner in 0..4 {
            let (mut at, mut weights) = (Vec::new(), Vec::new());
            for &(row, column) in places {
                let (y, x) = (stretch(rows, row), stretch(columns, column));
                let along = |value: f32, far: bool| {
                    let (near, rest) = (value.floor() as usize, value.fract());
                    if far { ((near + 1).min(side - 1), rest) } else { (near.min(side - 1), 1.0 - rest) }
                };
                let ((y, wy), (x, wx)) = (along(y, corner & 2 != 0), along(x, corner & 1 != 0));
                at.push((y * side + x) as i32);
                weights.push(wy * wx);
            }
            let at = Array::from_slice(&at, &[places.len() as i32]);
            let weights = Array::from_slice(&weights, &[places.len() as i32, 1]);
            let part = table.take_axis(at, 0)?.multiply(weights)?;
            sum = Some(sum.map_or(Ok(part.clone()), |sum| sum.add(part))?);
        }
        sum.ok_or_else(|| Error::new(Code::Backend, "a picture has no corners"))
    }
}

/// Row and column of each patch, in the order of the merger.
fn places(rows: usize, columns: usize, merge: usize) -> Vec<(usize, usize)> {
    let mut places = Vec::with_capacity(rows * columns);
    for row in (0..rows).step_by(merge) {
        for column in (0..columns).step_by(merge) {
            places.extend((0..merge * merge).map(|i| (row + i / merge, column + i % merge)));
        }
    }
    places
}

impl Merger {
    fn load(
        loader: &mut Loader,
        path: &str,
        config: &SightConfig,
        out: usize,
        of_patches: bool,
    ) -> Result<Merger> {
        let width = config.hidden_size * config.merge_size * config.merge_size;
        let normed = if of_patches { config.hidden_size } else { width };
        Ok(Merger {
            norm: loader.layer_norm(&format!("{path}.norm"), normed, NORM_EPS)?,
            of_patches,
            width: width as i32,
            fc1: loader.linear_with_bias(&format!("{path}.linear_fc1"), width, width)?,
            fc2: loader.linear_with_bias(&format!("{path}.linear_fc2"), out, width)?,
        })
    }

    /// `[n, Hv]` → `[n / 4, H]`.
    fn forward(&self, x: &Array) -> Result<Array> {
        let merged = |x: &Array| x.reshape(&[-1, self.width]);
        let x =
            if self.of_patches { merged(&self.norm.forward(x)?)? } else { self.norm.forward(&merged(x)?)? };
        self.fc2.forward(&gelu_erf(&self.fc1.forward(&x)?)?)
    }
}

/// The angles of every patch, `position · θ^(-2i / (D/2))` in `f32` as in the reference: a quarter of the dimensions of
/// a head turns with the row, as many with the column.
fn angles(config: &SightConfig, places: &[(usize, usize)], dtype: Dtype) -> Result<Table> {
    let dim = config.hidden_size / config.heads;
    let (half, quarter) = (dim / 2, dim / 4);
    let frequencies = plain_frequencies(half, ROPE_THETA, quarter);
    Table::new(places.len(), 2 * quarter, dtype, |patch, pair| {
        let (row, column) = places[patch];
        let position = if pair < quarter { row } else { column };
        position as f32 * frequencies[pair % quarter]
    })
}
