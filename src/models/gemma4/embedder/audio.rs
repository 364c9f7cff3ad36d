//! Sound without an encoder: each frame of raw samples through a norm and one layer.

use mlx_rs::{Array, Dtype};

use crate::audio::gemma4::AudioFrames;
use crate::error::Result;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};
use crate::snapshot::config::Section;

/// `audio_config`.
#[derive(Clone, Debug)]
pub struct AudioConfig {
    pub samples_per_token: usize,
    pub rms_norm_eps: f32,
}

impl AudioConfig {
    pub fn read(s: &Section) -> Result<AudioConfig> {
        let samples = s.usize_or("audio_embed_dim", 640)?;
        Ok(AudioConfig {
            samples_per_token: s.usize_or("audio_samples_per_token", samples)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
        })
    }
}

pub struct AudioEmbedder {
    pub samples_per_token: usize,
    norm: RmsNorm,
    projection: Linear,
    dtype: Dtype,
}

impl AudioEmbedder {
    pub fn load(loader: &mut Loader, config: &AudioConfig, hidden_size: usize) -> Result<AudioEmbedder> {
        let samples = config.samples_per_token;
        let audio = AudioEmbedder {
            samples_per_token: samples,
            norm: RmsNorm::new(None, samples, config.rms_norm_eps, loader.device),
            projection: loader.linear("embed_audio", &[("embedding_projection", hidden_size)], samples)?,
            dtype: loader.dtype,
        };
        loader.read()?;
        Ok(audio)
    }

    /// `[n, samples]` frames → `[n, H]` soft tokens.
    pub fn forward(&self, frames: &AudioFrames) -> Result<Array> {
        let samples =
            Array::from_slice(&frames.values, &[frames.count as i32, self.samples_per_token as i32]);
        self.projection.forward(&self.norm.forward(&cast(&samples, self.dtype)?)?)
    }
}
