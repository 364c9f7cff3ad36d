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

use self::config::Config;
pub use self::config::MODEL_TYPES;
use self::encoder::{Audio, Vision};
use self::layout::{Layout, Sound};
use self::text::{TextModel, is_surplus};
use super::shared::whole::{self, Encoders};
use super::{Architecture, Facts, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::audio::mel::MelFrontEnd;
use crate::dialect::Dialect;
use crate::error::Result;
use crate::nn::held::Part;
use crate::snapshot::{Present, Snapshot, Tower};

const TOWERS: [Tower; 2] = [
    Tower {
        section: "vision_config",
        tensors: "vision_tower.",
        others: &["embed_vision."],
        takes: "images and videos",
    },
    Tower { section: "audio_config", tensors: "audio_tower.", others: &["embed_audio."], takes: "sounds" },
];
/// Of the models without towers.
const UNIFIED_TOWERS: [Tower; 2] = [
    Tower {
        section: "vision_config",
        tensors: "vision_embedder.",
        others: &["embed_vision."],
        takes: "images and videos",
    },
    Tower { section: "audio_config", tensors: "embed_audio.", others: &[], takes: "sounds" },
];

/// The host side.
pub struct Gemma4 {
    facts: Facts,
    present: Present,
    config: Config,
    layout: Layout,
    /// Bands of the speech encoder's front end, where the model hears speech by its spectra.
    bands: usize,
}

/// What the model has besides its language model.
struct Senses {
    vision: Option<Vision>,
    audio: Option<Audio>,
}

impl Gemma4 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4> {
        let unified = snapshot.model_type()?.starts_with("gemma4_unified");
        let present = snapshot.present(if unified { &UNIFIED_TOWERS } else { &TOWERS });
        let config = Config::from_json(&present.config)?;
        let processors = &snapshot.processors;
        let side = config.vision.as_ref().map(config::Vision::side);
        let sound = match &config.audio {
            None => None,
            Some(config::Audio::Tower(_)) => Some(Sound::Speech(MelFrontEnd::read(&processors.sound()?)?)),
            Some(config::Audio::Embedder(audio)) => Some(Sound::Samples(audio.samples_per_token)),
        };
        let bands = if let Some(Sound::Speech(mel)) = &sound { mel.bands() } else { 0 };
        let tower = matches!(config.vision, Some(config::Vision::Tower(_)));
        let layout = Layout::new(&config.tokens, side, sound, processors)?;
        let layout = Layout { tower, image_blocks: config.text.image_blocks, ..layout };
        let facts = Facts {
            name: config.model_type.clone(),
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
            eos: config.eos.clone(),
            notes: present.notes.clone(),
        };
        Ok(Gemma4 { facts, present, config, layout, bands })
    }

    /// Whether the file may hold a tensor that no part takes: some conversions write ranges for layers that are not
    /// clipped.
    fn is_ignored(&self, name: &str) -> bool {
        let ranges = [".input_min", ".input_max", ".output_min", ".output_max"];
        self.present.is_left_out(name)
            || is_surplus(&self.config.text, name)
            || ranges.iter().any(|range| name.ends_with(range))
    }
}

impl Architecture for Gemma4 {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn media(&self) -> &dyn MediaModel {
        &self.layout
    }

    fn dialect(&self) -> Dialect {
        Dialect::Gemma4
    }

    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>> {
        whole::load(
            context,
            |name| self.is_ignored(name),
            |loader, progress| {
                let hidden = self.config.text.hidden_size;
                loader.enter(Part::Vision)?;
                let vision = self.config.vision.as_ref().filter(|_| loader.ranks.encodes());
                let vision = vision.map(|config| Vision::load(loader, config, hidden)).transpose()?;
                loader.enter(Part::Audio)?;
                let audio = self.config.audio.as_ref().filter(|_| loader.ranks.encodes());
                let audio =
                    audio.map(|config| Audio::load(loader, config, self.bands, hidden)).transpose()?;
                loader.enter(Part::Text)?;
                let text = TextModel::load(loader, &self.config.text, progress)?;
                Ok((text, Senses { vision, audio }))
            },
        )
    }
}

impl Encoders for Senses {
    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        let features = match (prepared, &self.vision, &self.audio) {
            (Prepared::Patches(patches), Some(vision), _) => vision.forward(patches)?,
            (Prepared::Mel(frames), _, Some(Audio::Tower(tower))) => tower.forward(frames)?,
            (Prepared::Samples(frames), _, Some(Audio::Embedder(embedder))) => embedder.forward(frames)?,
            _ => return Err(prepared.misplaced()),
        };
        Ok(SoftTokens { features, extra: Vec::new() })
    }
}
