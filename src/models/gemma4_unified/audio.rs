//! Sound without an encoder: each frame of raw samples through a norm and one layer.

use mlx_rs::{Array, Dtype};

use super::config::AudioConfig;
use crate::error::Result;
use crate::media::gemma4::AudioFrames;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};

pub struct AudioEmbedder {
    pub samples_per_token: usize,
    norm: RmsNorm,
    projection: Linear,
}

impl AudioEmbedder {
    pub fn load(loader: &mut Loader, config: &AudioConfig, hidden_size: usize) -> Result<AudioEmbedder> {
        let samples = config.samples_per_token;
        let audio = AudioEmbedder {
            samples_per_token: samples,
            norm: RmsNorm::new(None, samples, config.rms_norm_eps, loader.device),
            projection: loader.linear("embed_audio", &[("embedding_projection", hidden_size)], samples)?,
        };
        loader.read()?;
        Ok(audio)
    }

    /// `[n, samples]` frames → `[n, H]` soft tokens.
    pub fn forward(&self, frames: &AudioFrames, dtype: Dtype) -> Result<Array> {
        let samples =
            Array::from_slice(&frames.values, &[frames.count as i32, self.samples_per_token as i32]);
        self.projection.forward(&self.norm.forward(&cast(&samples, dtype)?)?)
    }
}
