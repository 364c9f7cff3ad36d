//! The vision tower: patches of 16 × 16 pixels through transformer blocks with two-dimensional rotary positions, pooled
//! to one soft token for each 3 × 3 of them (`Gemma4VisionModel` and `Gemma4MultimodalEmbedder` of transformers).

use mlx_rs::{Array, Dtype};
use serde_json::json;

use crate::error::{Error, Result};
use crate::models::gemma4::config::NOT_RUN;
use crate::nn::Device;
use crate::nn::activation::GeluGlu;
use crate::nn::clipped::ClippedLinear;
use crate::nn::encoder_attention::attend_to_all;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::rope::{Table, plain_frequencies};
use crate::snapshot::config::Section;
use crate::vision::patches::Patches;

/// `vision_config`.
#[derive(Clone, Debug)]
pub struct VisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Side of the square of patches that becomes one soft token.
    pub pooling: usize,
    /// Columns, and rows, that there are positions for.
    pub positions: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f32,
    /// Linear layers have ranges for inputs and outputs.
    pub clipped: bool,
    /// Pooled features are shifted and scaled by tensors of the snapshot.
    pub standardize: bool,
}

impl VisionConfig {
    /// Errors: `InvalidSnapshot` that names the key, `Unsupported` for a tower that computes something else.
    pub fn read(s: &Section) -> Result<VisionConfig> {
        if s.optional_str("hidden_activation")?.is_some_and(|found| found != "gelu_pytorch_tanh") {
            return Err(s.unsupported("hidden_activation", NOT_RUN));
        }
        if s.bool_or("attention_bias", false)? {
            return Err(s.unsupported("attention_bias", NOT_RUN));
        }
        let heads = s.positive_or("num_attention_heads", 12)?;
        let hidden_size = s.positive_or("hidden_size", 768)?;
        let config = VisionConfig {
            hidden_size,
            intermediate_size: s.positive_or("intermediate_size", 3072)?,
            layers: s.positive_or("num_hidden_layers", 16)?,
            heads,
            kv_heads: s.usize_or("num_key_value_heads", heads)?,
            head_dim: s.usize_or("head_dim", hidden_size / heads)?,
            patch_size: s.usize_or("patch_size", 16)?,
            pooling: s.usize_or("pooling_kernel_size", 3)?,
            positions: s.positive_or("position_embedding_size", 10_240)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(s)?,
            clipped: s.bool_or("use_clipped_linears", false)?,
            standardize: s.bool_or("standardize", false)?,
        };
        if config.kv_heads == 0 || !heads.is_multiple_of(config.kv_heads) {
            let needed = format!("a divisor of num_attention_heads ({heads})");
            return Err(s.wrong("num_key_value_heads", &json!(config.kv_heads), &needed));
        }
        if config.head_dim == 0 || !config.head_dim.is_multiple_of(4) {
            return Err(s.wrong("head_dim", &json!(config.head_dim), "a multiple of 4"));
        }
        Ok(config)
    }
}

/// `rope_parameters.rope_theta`. Published files call the type `default`, transformers' newer ones `axial`.
fn rope_theta(s: &Section) -> Result<f32> {
    let Some(rope) = s.section("rope_parameters")? else { return s.f32_or("rope_theta", 100.0) };
    match rope.optional_str("rope_type")? {
        None | Some("default" | "axial") => rope.f32_or("rope_theta", 100.0),
        Some(_) => Err(rope.unsupported("rope_type", NOT_RUN)),
    }
}

pub struct VisionTower {
    config: VisionConfig,
    input_proj: Linear,
    /// `[positions, Hv]`, for columns and for rows.
    columns: Array,
    rows: Array,
    layers: Vec<Layer>,
    activation: GeluGlu,
    /// `std_bias` and `std_scale`, `f32` `[Hv]`.
    standardize: Option<(Array, Array)>,
    projection_norm: RmsNorm,
    projection: Linear,
    device: Device,
    dtype: Dtype,
}

struct Layer {
    input_norm: RmsNorm,
    query: ClippedLinear,
    key: ClippedLinear,
    value: ClippedLinear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    value_norm: RmsNorm,
    output: ClippedLinear,
    post_attention_norm: RmsNorm,
    pre_feedforward_norm: RmsNorm,
    gate: ClippedLinear,
    up: ClippedLinear,
    down: ClippedLinear,
    post_feedforward_norm: RmsNorm,
}

/// The angles of every patch, `[N · 2, D/2]`: the first half of a head turns with the column, the second with the row.
struct Angles(Table);

impl VisionTower {
    /// Reads `vision_tower.*` and `embed_vision.*`; `hidden_size` is the language model's.
    pub fn load(loader: &mut Loader, config: &VisionConfig, hidden_size: usize) -> Result<VisionTower> {
        let (dim, embedder) = (config.hidden_size, "vision_tower.patch_embedder");
        let table = format!("{embedder}.position_embedding_table");
        let [columns, rows] = loader.pair(&table, &[2, config.positions, dim], 0)?;
        let standardize = match config.standardize {
            false => None,
            true => {
                let mut of = |name| loader.float_as(name, &[dim], Dtype::Float32);
                Some((of("vision_tower.std_bias")?, of("vision_tower.std_scale")?))
            }
        };
        let tower = VisionTower {
            input_proj: loader.linear(embedder, &[("input_proj", dim)], 3 * config.patch_size.pow(2))?,
            columns,
            rows,
            layers: Vec::new(),
            activation: GeluGlu::new(loader.dtype)?,
            standardize,
            projection_norm: RmsNorm::new(None, dim, config.rms_norm_eps, loader.device),
            projection: loader.linear("embed_vision", &[("embedding_projection", hidden_size)], dim)?,
            device: loader.device,
            dtype: loader.dtype,
            config: config.clone(),
        };
        loader.read()?;
        let layers = (0..config.layers).map(|i| {
            let layer = Layer::load(loader, config, &format!("vision_tower.encoder.layers.{i}"))?;
            loader.read()?;
            Ok(layer)
        });
        Ok(VisionTower { layers: layers.collect::<Result<_>>()?, ..tower })
    }

    /// `[n, patch · patch · 3]` patches in 0..1 → `[n / pooling², H]` soft tokens.
    pub fn forward(&self, patches: &Patches) -> Result<Array> {
        self.projection.forward(&self.projection_norm.forward(&self.features(patches)?)?)
    }

    /// What the tower makes of the patches, before the projection: `[n / pooling², Hv]`.
    pub fn features(&self, patches: &Patches) -> Result<Array> {
        let (rows, columns, k) = (patches.rows, patches.columns, self.config.pooling);
        if rows.max(columns) > self.config.positions || rows % k != 0 || columns % k != 0 {
            let most = self.config.positions;
            let message = format!(
                "an image of {columns} x {rows} patches: both must be multiples of {k}, and at most {most}"
            );
            return Err(Error::media(message));
        }
        let mut x = self.embed(patches)?;
        let angles = Angles::new(&self.config, patches, self.dtype)?;
        for layer in &self.layers {
            x = layer.attend(&x, &angles, &self.config, self.device)?;
            x = layer.feed_forward(&x, &self.activation)?;
        }
        self.pool(&x, rows, columns)
    }

    /// Pixels in -1..1 through the first layer, plus what stands for column and row.
    fn embed(&self, patches: &Patches) -> Result<Array> {
        let count = (patches.rows * patches.columns) as i32;
        let pixels = Array::from_slice(&patches.values, &[count, patches.values.len() as i32 / count.max(1)]);
        let pixels = pixels.subtract(Array::from_f32(0.5))?.multiply(Array::from_f32(2.0))?;
        let lookup = |table: &Array, at: fn(usize, usize) -> usize| {
            let at: Vec<i32> = (0..count as usize).map(|i| at(i, patches.columns) as i32).collect();
            table.take_axis(Array::from_slice(&at, &[count]), 0)
        };
        let columns = lookup(&self.columns, |i, width| i % width)?;
        let rows = lookup(&self.rows, |i, width| i / width)?;
        Ok(self.input_proj.forward(&cast(&pixels, self.dtype)?)?.add(columns.add(rows)?)?)
    }

    /// The mean of each square of patches; its scale and standardization are `f32` as in the reference.
    fn pool(&self, x: &Array, rows: usize, columns: usize) -> Result<Array> {
        let (k, width) = (self.config.pooling as i32, self.config.hidden_size as i32);
        let (rows, columns) = (rows as i32 / k, columns as i32 / k);
        let cells = cast(x, Dtype::Float32)?.reshape(&[rows, k, columns, k, width])?;
        let mean = cells.mean_axes(&[1, 3], false)?.reshape(&[rows * columns, width])?;
        let mean = cast(&cast(&mean, self.dtype)?, Dtype::Float32)?;
        let scale = Array::from_f32((self.config.hidden_size as f32).sqrt());
        let mut pooled = mean.multiply(scale)?;
        if let Some((bias, scale)) = &self.standardize {
            pooled = pooled.subtract(bias)?.multiply(scale)?;
        }
        cast(&pooled, self.dtype)
    }
}

impl Layer {
    fn load(loader: &mut Loader, c: &VisionConfig, path: &str) -> Result<Layer> {
        let (dim, eps) = (c.hidden_size, c.rms_norm_eps);
        let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let mut linear = |name: &str, out, input| {
            ClippedLinear::load(loader, &format!("{path}.{name}"), out, input, c.clipped)
        };
        let [query, key, value] = [("q", queries), ("k", keys), ("v", keys)]
            .map(|(n, out)| linear(&format!("self_attn.{n}_proj"), out, dim));
        let [gate, up] = ["gate", "up"].map(|n| linear(&format!("mlp.{n}_proj"), c.intermediate_size, dim));
        let down = linear("mlp.down_proj", dim, c.intermediate_size)?;
        let output = linear("self_attn.o_proj", dim, queries)?;
        let mut norm = |name: &str, n| loader.rms_norm(&format!("{path}.{name}"), n, eps);
        Ok(Layer {
            query: query?,
            key: key?,
            value: value?,
            gate: gate?,
            up: up?,
            down,
            output,
            input_norm: norm("input_layernorm", dim)?,
            query_norm: norm("self_attn.q_norm", c.head_dim)?,
            key_norm: norm("self_attn.k_norm", c.head_dim)?,
            post_attention_norm: norm("post_attention_layernorm", dim)?,
            pre_feedforward_norm: norm("pre_feedforward_layernorm", dim)?,
            post_feedforward_norm: norm("post_feedforward_layernorm", dim)?,
            value_norm: RmsNorm::new(None, c.head_dim, eps, loader.device),
        })
    }

    fn attend(&self, x: &Array, angles: &Angles, c: &VisionConfig, device: Device) -> Result<Array> {
        let (count, dim) = (x.dim(0), c.head_dim as i32);
        let normed = self.input_norm.forward(x)?;
        // Heads first before the norms, whose results are then laid out as the products want them.
        let heads = |layer: &ClippedLinear, norm: &RmsNorm, heads: usize| {
            let x = layer.forward(&normed)?.reshape(&[count, heads as i32, dim])?;
            norm.forward(&x.swap_axes(0, 1)?)
        };
        let batched = |x: Array, heads: usize| x.reshape(&[1, heads as i32, count, dim]);
        let q = angles.turn(&heads(&self.query, &self.query_norm, c.heads)?)?;
        let k = angles.turn(&heads(&self.key, &self.key_norm, c.kv_heads)?)?;
        let v = heads(&self.value, &self.value_norm, c.kv_heads)?;
        let [q, k, v] = [batched(q, c.heads)?, batched(k, c.kv_heads)?, batched(v, c.kv_heads)?];
        let seen = attend_to_all(&q, &k, &v, device)?.swap_axes(1, 2)?.reshape(&[count, -1])?;
        Ok(x.add(self.post_attention_norm.forward(&self.output.forward(&seen)?)?)?)
    }

    fn feed_forward(&self, x: &Array, activation: &GeluGlu) -> Result<Array> {
        let normed = self.pre_feedforward_norm.forward(x)?;
        let inner = activation.forward(&self.gate.forward(&normed)?, &self.up.forward(&normed)?)?;
        Ok(x.add(self.post_feedforward_norm.forward(&self.down.forward(&inner)?)?)?)
    }
}

impl Angles {
    /// `position · θ^(-2i / (D/2))` for i < D/4, in `f32` as in the reference.
    fn new(c: &VisionConfig, patches: &Patches, dtype: Dtype) -> Result<Angles> {
        let (half, quarter) = (c.head_dim / 2, c.head_dim / 4);
        let frequencies = plain_frequencies(half, c.rope_theta, quarter);
        let columns = patches.columns;
        let angle = |row: usize, pair: usize| {
            let patch = row / 2;
            let position = if row.is_multiple_of(2) { patch % columns } else { patch / columns };
            position as f32 * frequencies[pair]
        };
        Ok(Angles(Table::new(patches.rows * columns * 2, quarter, dtype, angle)?))
    }

    /// Turns `x` `[heads, N, D]`, NeoX style within each half of a head.
    fn turn(&self, x: &Array) -> Result<Array> {
        let (heads, count, dim) = (x.dim(0), x.dim(1), x.dim(2));
        let turned = self.0.turn(&x.reshape(&[heads, count * 2, dim / 2])?)?;
        Ok(turned.reshape(&[heads, count, dim])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::nn::testing::{close, host, random};
    use serde_json::Value;

    /// The published E2B's and E4B's.
    fn published() -> Value {
        json!({
            "model_type": "gemma4_vision", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16,
            "num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64, "patch_size": 16,
            "pooling_kernel_size": 3, "position_embedding_size": 10240, "rms_norm_eps": 1e-6,
            "rope_parameters": { "rope_theta": 100.0, "rope_type": "default" }, "use_clipped_linears": true,
            "standardize": false, "hidden_activation": "gelu_pytorch_tanh", "default_output_length": 280,
        })
    }

    fn with(key: &str, value: Value) -> Result<VisionConfig> {
        let mut config = published();
        config[key] = value;
        VisionConfig::read(&Section::root(&config)?)
    }

    #[test]
    fn the_published_configuration_is_read() {
        let config = with("attention_bias", json!(false)).unwrap();
        assert_eq!((config.layers, config.heads, config.kv_heads, config.head_dim), (16, 12, 12, 64));
        assert_eq!((config.patch_size, config.pooling, config.positions), (16, 3, 10_240));
        assert!(config.clipped && !config.standardize && config.rope_theta == 100.0);
        let axial = with("rope_parameters", json!({ "rope_theta": 50.0, "rope_type": "axial" })).unwrap();
        assert_eq!(axial.rope_theta, 50.0);
        assert_eq!(with("head_dim", Value::Null).unwrap().head_dim, 64);
    }

    #[test]
    fn bad_keys_are_named() {
        for (key, value, code) in [
            ("hidden_size", Value::Null, Code::InvalidSnapshot),
            ("position_embedding_size", json!(0), Code::InvalidSnapshot),
            ("num_key_value_heads", json!(5), Code::InvalidSnapshot),
            ("head_dim", json!(66), Code::InvalidSnapshot),
            ("hidden_activation", json!("gelu"), Code::Unsupported),
            ("attention_bias", json!(true), Code::Unsupported),
            ("rope_parameters", json!({ "rope_type": "yarn" }), Code::Unsupported),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
    }

    /// Rotation by definition, in `f64`.
    #[test]
    fn halves_of_a_head_turn_with_column_and_row() {
        let config = VisionConfig { head_dim: 16, ..with("head_dim", json!(64)).unwrap() };
        let (rows, columns, heads) = (4, 5, 2);
        let x = random(&[heads, (rows * columns) as i32, 16], 3);
        let patches = Patches { values: Vec::new(), rows, columns };
        let turned = Angles::new(&config, &patches, Dtype::Float32).unwrap().turn(&x).unwrap();
        let mut expected = host(&x);
        for (i, vector) in expected.chunks_mut(16).enumerate() {
            let patch = i % (rows * columns);
            for (half, position) in vector.chunks_mut(8).zip([patch % columns, patch / columns]) {
                for pair in 0..4 {
                    let angle = position as f64 * 100f64.powf(-2.0 * pair as f64 / 8.0);
                    let (a, b) = (f64::from(half[pair]), f64::from(half[pair + 4]));
                    half[pair] = (a * angle.cos() - b * angle.sin()) as f32;
                    half[pair + 4] = (b * angle.cos() + a * angle.sin()) as f32;
                }
            }
        }
        close(&host(&turned), &expected, 1e-6);
    }
}
