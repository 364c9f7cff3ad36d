//! The audio tower: log-mel frames through two convolutions, which keep one frame in four, and Conformer layers
//! (`Gemma4AudioModel` and `Gemma4MultimodalEmbedder` of transformers).
//!
//! Only frames that lie within the sound are given in, so nothing here has padding to mask: the reference's padded
//! frames are zeros where a convolution's own padding is, and no frame attends to a later one.

use mlx_rs::ops::{conv2d, maximum};
use mlx_rs::{Array, Dtype};
use serde_json::json;

use super::conformer::{Conformer, Distances};
use crate::audio::mel::MelFrames;
use crate::error::Result;
use crate::models::gemma4::config::NOT_RUN;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{LayerNorm, RmsNorm, cast};
use crate::snapshot::config::Section;

/// `audio_config`.
#[derive(Clone, Debug)]
pub struct AudioConfig {
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    /// Channels after the first and the second convolution.
    pub channels: [usize; 2],
    /// Frames that the depthwise convolution sees, the last of which is the frame's own.
    pub kernel: usize,
    /// Frames that attention sees, the frame's own included; also the size of the blocks it is computed in.
    pub reach: usize,
    /// `c · tanh(scores / c)`.
    pub logit_cap: f32,
    /// How much of a feed-forward module's result is added.
    pub residual_weight: f32,
    /// Linear layers have ranges for inputs and outputs.
    pub clipped: bool,
    pub rms_norm_eps: f32,
    /// What the tower gives out.
    pub output_size: usize,
}

impl AudioConfig {
    /// Errors: `InvalidSnapshot` that names the key, `Unsupported` for a tower that computes something else.
    pub fn read(s: &Section) -> Result<AudioConfig> {
        if s.optional_str("hidden_act")?.is_some_and(|found| found != "silu") {
            return Err(s.unsupported("hidden_act", NOT_RUN));
        }
        // The reference labels distances differently for other combinations than these.
        let reach = s.usize_or("attention_chunk_size", 12)?;
        if reach == 0 {
            return Err(s.wrong("attention_chunk_size", &json!(0), "at least 1"));
        }
        if s.usize_or("attention_context_left", 13)? != reach + 1 {
            return Err(s.unsupported("attention_context_left", NOT_RUN));
        }
        if s.usize_or("attention_context_right", 0)? != 0 {
            return Err(s.unsupported("attention_context_right", NOT_RUN));
        }
        let hidden_size = s.positive_or("hidden_size", 1024)?;
        let heads = s.positive_or("num_attention_heads", 8)?;
        if !hidden_size.is_multiple_of(heads) || hidden_size % 2 != 0 {
            let needed = format!("a divisor of hidden_size ({hidden_size}), which must be even");
            return Err(s.wrong("num_attention_heads", &json!(heads), &needed));
        }
        Ok(AudioConfig {
            hidden_size,
            layers: s.positive_or("num_hidden_layers", 12)?,
            heads,
            channels: channels(s)?,
            kernel: s.usize_or("conv_kernel_size", 5)?.max(1),
            reach,
            logit_cap: s.f32_or("attention_logit_cap", 50.0)?,
            residual_weight: s.f32_or("residual_weight", 0.5)?,
            clipped: s.bool_or("use_clipped_linears", true)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            output_size: s.usize_or("output_proj_dims", hidden_size)?,
        })
    }

    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }
}

/// `subsampling_conv_channels`, a list of two.
fn channels(s: &Section) -> Result<[usize; 2]> {
    const KEY: &str = "subsampling_conv_channels";
    let Some(value) = s.get(KEY) else { return Ok([128, 32]) };
    let wrong = || s.wrong(KEY, value, "a list of two positive numbers");
    let numbers: Option<Vec<usize>> = value.as_array().and_then(|list| {
        list.iter().map(|v| v.as_u64().filter(|n| (1..=1 << 16).contains(n)).map(|n| n as usize)).collect()
    });
    numbers.ok_or_else(wrong)?.try_into().map_err(|_| wrong())
}

pub struct AudioTower {
    config: AudioConfig,
    convolutions: [Convolution; 2],
    input_proj: Linear,
    distances: Distances,
    layers: Vec<Conformer>,
    output_proj: Linear,
    projection_norm: RmsNorm,
    projection: Linear,
    dtype: Dtype,
}

/// 3 × 3 with step 2 over time and bands, a norm over channels, and a rectifier.
struct Convolution {
    /// `[out, 3, 3, in]`
    weight: Array,
    norm: LayerNorm,
}

impl AudioTower {
    /// Reads `audio_tower.*` and `embed_audio.*`, for frames of `bands` values; `hidden_size` is the language
    /// model's.
    pub fn load(
        loader: &mut Loader,
        config: &AudioConfig,
        bands: usize,
        hidden_size: usize,
    ) -> Result<AudioTower> {
        let (dim, path) = (config.hidden_size, "audio_tower.subsample_conv_projection");
        let [first, second] = config.channels;
        let eps = config.rms_norm_eps;
        let left = bands.div_ceil(2).div_ceil(2);
        let tower = AudioTower {
            convolutions: [
                Convolution::load(loader, &format!("{path}.layer0"), first, 1, eps)?,
                Convolution::load(loader, &format!("{path}.layer1"), second, first, eps)?,
            ],
            input_proj: loader.linear(path, &[("input_proj_linear", dim)], left * second)?,
            distances: Distances::new(config, loader.dtype)?,
            layers: Vec::new(),
            output_proj: loader.linear_with_bias("audio_tower.output_proj", config.output_size, dim)?,
            projection_norm: RmsNorm::new(None, config.output_size, eps, loader.device),
            projection: loader.linear(
                "embed_audio",
                &[("embedding_projection", hidden_size)],
                config.output_size,
            )?,
            dtype: loader.dtype,
            config: config.clone(),
        };
        loader.read()?;
        let layers = (0..config.layers).map(|i| {
            let path = format!("audio_tower.layers.{i}");
            let layer = Conformer::load(loader, config, &tower.distances, &path)?;
            loader.read()?;
            Ok(layer)
        });
        Ok(AudioTower { layers: layers.collect::<Result<_>>()?, ..tower })
    }

    /// `[n, bands]` frames → one soft token for each four of them, `[⌈⌈n / 2⌉ / 2⌉, H]`.
    pub fn forward(&self, frames: &MelFrames) -> Result<Array> {
        self.projection.forward(&self.projection_norm.forward(&self.features(frames)?)?)
    }

    /// What the tower makes of the frames, before the projection.
    pub fn features(&self, frames: &MelFrames) -> Result<Array> {
        let shape = [1, frames.count as i32, frames.bands as i32, 1];
        let mut x = cast(&Array::from_slice(&frames.values, &shape), self.dtype)?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?;
        }
        let count = x.dim(1);
        let mut x = self.input_proj.forward(&x.reshape(&[count, -1])?)?;
        let mask = self.distances.mask(count)?;
        for layer in &self.layers {
            x = layer.forward(&x, &self.config, &mask)?;
        }
        self.output_proj.forward(&x)
    }
}

impl Convolution {
    fn load(loader: &mut Loader, path: &str, out: usize, input: usize, eps: f32) -> Result<Convolution> {
        let norm = format!("{path}.norm.weight");
        Ok(Convolution {
            weight: loader.convolution(&format!("{path}.conv.weight"), out, &[3, 3], input)?,
            norm: LayerNorm {
                weight: loader.float_as(&norm, &[out], Dtype::Float32)?,
                bias: loader.keep(Array::from_slice(&vec![0.0f32; out], &[out as i32])),
                eps,
                device: loader.device,
            },
        })
    }

    /// `[1, time, bands, in]` → `[1, ⌈time / 2⌉, ⌈bands / 2⌉, out]`.
    fn forward(&self, x: &Array) -> Result<Array> {
        let x = self.norm.forward(&conv2d(x, &self.weight, (2, 2), (1, 1), None, None)?)?;
        let zero = Array::from_f32(0.0).as_dtype(x.dtype())?;
        Ok(maximum(x, zero)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use serde_json::Value;

    fn with(key: &str, value: Value) -> Result<AudioConfig> {
        let mut config = json!({
            "model_type": "gemma4_audio", "hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 8,
            "hidden_act": "silu", "subsampling_conv_channels": [128, 32], "conv_kernel_size": 5, "residual_weight": 0.5,
            "attention_chunk_size": 12, "attention_context_left": 13, "attention_context_right": 0,
            "attention_logit_cap": 50.0, "use_clipped_linears": true, "rms_norm_eps": 1e-6, "output_proj_dims": 1536,
        });
        config[key] = value;
        AudioConfig::read(&Section::root(&config)?)
    }

    #[test]
    fn the_published_configuration_is_read() {
        let config = with("gradient_clipping", json!(1e10)).unwrap();
        assert_eq!((config.hidden_size, config.layers, config.heads, config.head_dim()), (1024, 12, 8, 128));
        assert_eq!((config.channels, config.kernel, config.reach), ([128, 32], 5, 12));
        assert_eq!((config.logit_cap, config.residual_weight, config.output_size), (50.0, 0.5, 1536));
        assert!(config.clipped);
    }

    #[test]
    fn bad_keys_are_named() {
        for (key, value, code) in [
            ("hidden_size", Value::Null, Code::InvalidSnapshot),
            ("num_attention_heads", json!(7), Code::InvalidSnapshot),
            ("subsampling_conv_channels", json!([128]), Code::InvalidSnapshot),
            ("subsampling_conv_channels", json!([128, 0]), Code::InvalidSnapshot),
            ("hidden_act", json!("relu"), Code::Unsupported),
            ("attention_context_left", json!(12), Code::Unsupported),
            ("attention_context_right", json!(1), Code::Unsupported),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
        assert!(with("attention_chunk_size", json!(0)).is_err());
    }
}
