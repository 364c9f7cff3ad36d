//! Gemma 4 with towers: E2B, E4B, 26B-A4B and 31B.
//!
//! [`text`] is the language model of both Gemma 4 families.

mod audio;
mod config;
mod conformer;
pub mod layout;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tokens;
mod vision;

use mlx_rs::Array;

use self::audio::AudioTower;
use self::config::Config;
use self::layout::{Layout, Sound, lacks};
use self::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use self::vision::VisionTower;
use super::{Architecture, Chunk, LanguageModel, SoftTokens};
use crate::error::Result;
use crate::media::gemma4::{ImageProcessor, model_patches};
use crate::media::mel::MelFrontEnd;
use crate::media::{Media, MediaKind};
use crate::nn::Device;
use crate::nn::cache::Cache;
use crate::nn::loader::Loader;
use crate::prompt::MediaLayout;
use crate::snapshot::Snapshot;

pub const MODEL_TYPE: &str = "gemma4";

/// The host side.
pub struct Gemma4 {
    config: Config,
    layout: Layout,
    /// Where the model hears.
    mel: Option<MelFrontEnd>,
}

/// The device side.
struct Model {
    text: TextModel,
    vision: Option<(VisionTower, ImageProcessor)>,
    audio: Option<(AudioTower, MelFrontEnd)>,
    weight_bytes: usize,
}

impl Gemma4 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4> {
        let config = Config::from_json(&snapshot.config)?;
        let processors = snapshot.processor_config.as_ref();
        let side = config.vision.as_ref().map(|v| v.patch_size * v.pooling);
        let mel = config.audio.as_ref().map(|_| MelFrontEnd::from_config(processors)).transpose()?;
        let sound = mel.as_ref().map(|_| Sound::Speech);
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
        MODEL_TYPE
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
                Some((VisionTower::load(&mut loader, config, hidden)?, *processor))
            }
            _ => None,
        };
        let audio = match (&self.config.audio, &self.mel) {
            (Some(config), Some(mel)) => {
                Some((AudioTower::load(&mut loader, config, mel.bands(), hidden)?, mel.clone()))
            }
            _ => None,
        };
        let text = TextModel::load(&mut loader, &self.config.text, progress)?;
        let weight_bytes = loader.finish(|name| self.is_ignored(name))?;
        progress(1.0)?;
        Ok(Box::new(Model { text, vision, audio, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_cache(&self) -> Cache {
        self.text.new_cache()
    }

    fn encode(&self, media: &Media) -> Result<SoftTokens> {
        match (media, &self.vision, &self.audio) {
            (Media::Image(image), Some((tower, processor)), _) => {
                let patches = model_patches(&processor.resized(image)?, processor.patch_size);
                let k = processor.pooling_kernel_size as usize;
                let grid = Some((patches.rows / k, patches.columns / k));
                Ok(SoftTokens { features: tower.forward(&patches)?, extra: Vec::new(), grid })
            }
            (Media::Audio(sound), _, Some((tower, mel))) => {
                let features = tower.forward(&mel.frames(sound.samples())?)?;
                Ok(SoftTokens { features, extra: Vec::new(), grid: None })
            }
            _ => Err(lacks(media.kind())),
        }
    }

    fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array> {
        self.text.forward(chunk, cache)
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}
