//! What makes soft tokens of pictures and of sounds, on the device.

use mlx_rs::Array;

use super::config;
use super::embedder::audio::AudioEmbedder;
use super::embedder::vision::VisionEmbedder;
use super::tower::audio::AudioTower;
use super::tower::vision::VisionTower;
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::vision::patches::Patches;

pub enum Vision {
    Tower(VisionTower),
    Embedder(VisionEmbedder),
}

pub enum Audio {
    /// Of the spectra of speech.
    Tower(Box<AudioTower>),
    /// Of raw samples.
    Embedder(AudioEmbedder),
}

impl Vision {
    /// `hidden` is the language model's size, as for [`Audio::load`].
    pub fn load(loader: &mut Loader, config: &config::Vision, hidden: usize) -> Result<Vision> {
        Ok(match config {
            config::Vision::Tower(config) => Vision::Tower(VisionTower::load(loader, config, hidden)?),
            config::Vision::Embedder(config) => {
                Vision::Embedder(VisionEmbedder::load(loader, config, hidden)?)
            }
        })
    }

    /// `[n, H]` soft tokens.
    pub fn forward(&self, patches: &Patches) -> Result<Array> {
        match self {
            Vision::Tower(tower) => tower.forward(patches),
            Vision::Embedder(embedder) => embedder.forward(patches),
        }
    }
}

impl Audio {
    /// `bands` are those of the spectra.
    pub fn load(loader: &mut Loader, config: &config::Audio, bands: usize, hidden: usize) -> Result<Audio> {
        Ok(match config {
            config::Audio::Tower(config) => {
                Audio::Tower(Box::new(AudioTower::load(loader, config, bands, hidden)?))
            }
            config::Audio::Embedder(config) => Audio::Embedder(AudioEmbedder::load(loader, config, hidden)?),
        })
    }
}
