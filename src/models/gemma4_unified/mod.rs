//! Gemma 4 12B, the unified one: no towers, media embedded by single layers.

mod audio;
mod config;
mod vision;

use std::ops::Range;

use mlx_rs::Array;

use self::audio::AudioEmbedder;
use self::config::Config;
use self::vision::VisionEmbedder;
use super::gemma4::layout::{Layout, Sound};
use super::gemma4::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use super::{Architecture, Batch, Hidden, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::nn::state::State;
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
    vision: Option<VisionEmbedder>,
    audio: Option<AudioEmbedder>,
    dtype: mlx_rs::Dtype,
    weight_bytes: usize,
}

impl Gemma4Unified {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4Unified> {
        let config = Config::from_json(&snapshot.config)?;
        let side = config.vision.as_ref().map(|v| v.model_patch_size);
        let sound = config.audio.as_ref().map(|a| Sound::Samples(a.samples_per_token));
        let layout = Layout::new(&config.tokens, side, sound, &snapshot.processors)?;
        let layout = layout.with_image_blocks(config.text.image_blocks);
        Ok(Gemma4Unified { config, layout })
    }
}

impl Architecture for Gemma4Unified {
    fn name(&self) -> &str {
        MODEL_TYPE
    }

    fn media(&self) -> &dyn MediaModel {
        &self.layout
    }

    fn context_length(&self) -> usize {
        self.config.text.context_length
    }

    fn vocab_size(&self) -> usize {
        self.config.text.vocab_size
    }

    fn eos_from_config(&self) -> Vec<u32> {
        self.config.eos.clone()
    }

    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>> {
        (context.progress)(0.0)?;
        let mut loader = Loader::new(context.snapshot, context.device, REFERENCE_TENSOR)?;
        let hidden = self.config.text.hidden_size;
        let vision = self.config.vision.as_ref();
        let vision = vision.map(|config| VisionEmbedder::load(&mut loader, config, hidden)).transpose()?;
        let audio =
            self.config.audio.as_ref().map(|c| AudioEmbedder::load(&mut loader, c, hidden)).transpose()?;
        let text = TextModel::load(&mut loader, &self.config.text, context.progress)?;
        let dtype = loader.dtype;
        let weight_bytes = loader.finish(|name| is_surplus(&self.config.text, name))?;
        (context.progress)(1.0)?;
        Ok(Box::new(Model { text, vision, audio, dtype, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_state(&self) -> State {
        self.text.new_state()
    }

    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        let features = match (prepared, &self.vision, &self.audio) {
            (Prepared::Patches(patches), Some(vision), _) => vision.forward(patches, self.dtype)?,
            (Prepared::Samples(frames), _, Some(audio)) => audio.forward(frames, self.dtype)?,
            _ => return Err(prepared.misplaced()),
        };
        Ok(SoftTokens { features, extra: Vec::new() })
    }

    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        self.text.forward(batch, states)
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        self.text.logits(hidden, rows)
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}
