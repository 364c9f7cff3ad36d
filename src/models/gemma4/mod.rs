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

use std::ops::Range;

use mlx_rs::Array;

use self::audio::AudioTower;
use self::config::Config;
use self::layout::{Layout, Sound};
use self::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use self::vision::VisionTower;
use super::{Architecture, Batch, Hidden, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::audio::mel::MelFrontEnd;
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::nn::state::State;
use crate::snapshot::Snapshot;

pub const MODEL_TYPE: &str = "gemma4";

/// The host side.
pub struct Gemma4 {
    config: Config,
    layout: Layout,
    /// Bands of the speech encoder's front end, where the model hears.
    bands: Option<usize>,
}

/// The device side.
struct Model {
    text: TextModel,
    vision: Option<VisionTower>,
    audio: Option<AudioTower>,
    weight_bytes: usize,
}

impl Gemma4 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4> {
        let config = Config::from_json(&snapshot.config)?;
        let processors = &snapshot.processors;
        let side = config.vision.as_ref().map(|v| v.patch_size * v.pooling);
        let mel = config.audio.as_ref().map(|_| MelFrontEnd::read(&processors.sound()?)).transpose()?;
        let bands = mel.as_ref().map(MelFrontEnd::bands);
        let layout = Layout::new(&config.tokens, side, mel.map(Sound::Speech), processors)?;
        let layout = Layout { tower: true, image_blocks: config.text.image_blocks, ..layout };
        Ok(Gemma4 { config, layout, bands })
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
        let vision = vision.map(|config| VisionTower::load(&mut loader, config, hidden)).transpose()?;
        let audio = match (&self.config.audio, self.bands) {
            (Some(config), Some(bands)) => Some(AudioTower::load(&mut loader, config, bands, hidden)?),
            _ => None,
        };
        let text = TextModel::load(&mut loader, &self.config.text, context.progress)?;
        let weight_bytes = loader.finish(|name| self.is_ignored(name))?;
        (context.progress)(1.0)?;
        Ok(Box::new(Model { text, vision, audio, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_state(&self) -> State {
        self.text.new_state()
    }

    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        let features = match (prepared, &self.vision, &self.audio) {
            (Prepared::Patches(patches), Some(tower), _) => tower.forward(patches)?,
            (Prepared::Mel(frames), _, Some(tower)) => tower.forward(frames)?,
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
