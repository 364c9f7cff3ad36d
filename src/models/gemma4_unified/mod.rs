//! Gemma 4 12B, the unified one: no towers, media embedded by single layers.

mod audio;
mod config;
mod vision;

use mlx_rs::Array;

use self::audio::AudioEmbedder;
use self::config::Config;
use self::vision::VisionEmbedder;
use super::gemma4::layout::{Layout, Sound, lacks};
use super::gemma4::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use super::{Architecture, Chunk, LanguageModel, SoftTokens};
use crate::error::Result;
use crate::media::gemma4::{ImageProcessor, model_patches, raw_frames};
use crate::media::{Media, MediaKind};
use crate::nn::Device;
use crate::nn::cache::Cache;
use crate::nn::loader::Loader;
use crate::prompt::MediaLayout;
use crate::snapshot::Snapshot;

pub const MODEL_TYPE: &str = "gemma4_unified";

/// The host side.
pub struct Gemma4Unified {
    config: Config,
    layout: Layout,
}

/// The device side.
struct Model {
    text: TextModel,
    vision: Option<(VisionEmbedder, ImageProcessor)>,
    audio: Option<AudioEmbedder>,
    dtype: mlx_rs::Dtype,
    weight_bytes: usize,
}

impl Gemma4Unified {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4Unified> {
        let config = Config::from_json(&snapshot.config)?;
        let side = config.vision.as_ref().map(|v| v.model_patch_size);
        let sound = config.audio.as_ref().map(|a| Sound::Samples(a.samples_per_token));
        let layout = Layout::new(&config.tokens, side, sound, snapshot.processor_config.as_ref())?;
        Ok(Gemma4Unified { config, layout })
    }
}

impl Architecture for Gemma4Unified {
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
                Some((VisionEmbedder::load(&mut loader, config, hidden)?, *processor))
            }
            _ => None,
        };
        let audio =
            self.config.audio.as_ref().map(|c| AudioEmbedder::load(&mut loader, c, hidden)).transpose()?;
        let text = TextModel::load(&mut loader, &self.config.text, progress)?;
        let dtype = loader.dtype;
        let weight_bytes = loader.finish(|name| is_surplus(&self.config.text, name))?;
        progress(1.0)?;
        Ok(Box::new(Model { text, vision, audio, dtype, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_cache(&self) -> Cache {
        self.text.new_cache()
    }

    fn encode(&self, media: &Media) -> Result<SoftTokens> {
        match (media, &self.vision, &self.audio) {
            (Media::Image(image), Some((vision, processor)), _) => {
                let patches = model_patches(&processor.resized(image)?, processor.side());
                let features = vision.forward(&patches, self.dtype)?;
                Ok(SoftTokens { features, extra: Vec::new(), grid: Some((patches.rows, patches.columns)) })
            }
            (Media::Audio(sound), _, Some(audio)) => {
                let features = audio.forward(&raw_frames(sound, audio.samples_per_token), self.dtype)?;
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
