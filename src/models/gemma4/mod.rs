//! Gemma 4: a language model that sees and hears through towers (E2B, E4B, 26B-A4B, 31B) or single layers (the unified
//! 12B), or does neither.

mod config;
mod embedder;
mod encoder;
mod layout;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod tower;

use mlx_rs::Array;

use self::config::Config;
pub use self::config::MODEL_TYPES;
use self::encoder::{Audio, Vision};
use self::layout::{Layout, Sound, lacks};
use self::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use super::{Architecture, Chunk, LanguageModel, SoftTokens};
use crate::error::Result;
use crate::media::gemma4::{ImageProcessor, model_patches, raw_frames};
use crate::media::mel::MelFrontEnd;
use crate::media::{Media, MediaKind};
use crate::nn::Device;
use crate::nn::cache::Cache;
use crate::nn::loader::Loader;
use crate::prompt::MediaLayout;
use crate::snapshot::Snapshot;

/// The host side.
pub struct Gemma4 {
    config: Config,
    layout: Layout,
    /// Where the model hears speech by its spectra.
    mel: Option<MelFrontEnd>,
}

/// The device side.
struct Model {
    text: TextModel,
    vision: Option<(Vision, ImageProcessor)>,
    audio: Option<Audio>,
    mel: Option<MelFrontEnd>,
    weight_bytes: usize,
}

impl Gemma4 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4> {
        let config = Config::from_json(&snapshot.config)?;
        let processors = snapshot.processor_config.as_ref();
        let side = config.vision.as_ref().map(config::Vision::side);
        let (mel, sound) = match &config.audio {
            None => (None, None),
            Some(config::Audio::Tower(_)) => {
                (Some(MelFrontEnd::from_config(processors)?), Some(Sound::Speech))
            }
            Some(config::Audio::Embedder(audio)) => (None, Some(Sound::Samples(audio.samples_per_token))),
        };
        let layout = Layout::new(&config.tokens, side, sound, processors)?;
        Ok(Gemma4 { config, layout, mel })
    }

    /// Whether the file may hold a tensor that no part takes: some conversions write ranges for layers that are not
    /// clipped.
    fn is_ignored(&self, name: &str) -> bool {
        let ranges = [".input_min", ".input_max", ".output_min", ".output_max"];
        is_surplus(&self.config.text, name) || ranges.iter().any(|range| name.ends_with(range))
    }
}

impl Architecture for Gemma4 {
    fn name(&self) -> &str {
        &self.config.model_type
    }

    fn layout(&self) -> &dyn MediaLayout {
        &self.layout
    }

    fn context_length(&self) -> usize {
        self.config.text.context_length
    }

    fn vocab_size(&self) -> usize {
        self.config.text.vocab_size
    }

    fn modalities(&self) -> Vec<MediaKind> {
        self.layout.modalities()
    }

    fn eos_from_config(&self) -> Vec<u32> {
        self.config.eos.clone()
    }

    fn load(
        &self,
        snapshot: &Snapshot,
        device: Device,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Box<dyn LanguageModel>> {
        progress(0.0)?;
        let mut loader = Loader::new(snapshot, device, REFERENCE_TENSOR)?;
        let hidden = self.config.text.hidden_size;
        let vision = match (&self.config.vision, &self.layout.image) {
            (Some(config), Some((_, processor))) => {
                Some((Vision::load(&mut loader, config, hidden)?, *processor))
            }
            _ => None,
        };
        let bands = self.mel.as_ref().map_or(0, MelFrontEnd::bands);
        let audio = self.config.audio.as_ref();
        let audio = audio.map(|config| Audio::load(&mut loader, config, bands, hidden)).transpose()?;
        let text = TextModel::load(&mut loader, &self.config.text, progress)?;
        let weight_bytes = loader.finish(|name| self.is_ignored(name))?;
        progress(1.0)?;
        Ok(Box::new(Model { text, vision, audio, mel: self.mel.clone(), weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_cache(&self) -> Cache {
        self.text.new_cache()
    }

    fn encode(&self, media: &Media) -> Result<SoftTokens> {
        let features = match (media, &self.vision, &self.audio, &self.mel) {
            (Media::Image(image), Some((vision, processor)), _, _) => {
                let side = match vision {
                    Vision::Tower(_) => processor.patch_size,
                    Vision::Embedder(_) => processor.side(),
                };
                vision.forward(&model_patches(&processor.resized(image)?, side))?
            }
            (Media::Audio(sound), _, Some(Audio::Tower(tower)), Some(mel)) => {
                tower.forward(&mel.frames(sound.samples())?)?
            }
            (Media::Audio(sound), _, Some(Audio::Embedder(embedder)), _) => {
                embedder.forward(&raw_frames(sound, embedder.samples_per_token))?
            }
            _ => return Err(lacks(media.kind())),
        };
        Ok(SoftTokens { features, extra: Vec::new(), grid: None })
    }

    fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array> {
        self.text.forward(chunk, cache)
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}
