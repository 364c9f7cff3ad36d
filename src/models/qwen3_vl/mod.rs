//! Qwen3-VL: Qwen3 with a tower that it sees pictures and videos through.

mod config;
mod layout;
mod text;
mod vision;

use self::config::Config;
use self::layout::Layout;
use self::text::{REFERENCE_TENSOR, TextModel};
use self::vision::VisionTower;
use super::shared::whole::{Encoders, Whole};
use super::{Architecture, Facts, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::snapshot::Snapshot;

/// Dense, and with experts.
pub const MODEL_TYPES: [&str; 2] = ["qwen3_vl", "qwen3_vl_moe"];

/// The host side.
pub struct Qwen3Vl {
    facts: Facts,
    config: Config,
    layout: Layout,
}

/// The tower, where the model sees.
struct Sight(Option<VisionTower>);

impl Qwen3Vl {
    pub fn new(snapshot: &Snapshot) -> Result<Qwen3Vl> {
        let config = Config::from_json(&snapshot.config)?;
        let layout = Layout::new(config.sight.as_ref(), &snapshot.processors)?;
        let facts = Facts {
            name: snapshot.model_type()?.to_owned(),
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
            eos: config.eos.clone(),
        };
        Ok(Qwen3Vl { facts, config, layout })
    }
}

impl Architecture for Qwen3Vl {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn media(&self) -> &dyn MediaModel {
        &self.layout
    }

    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>> {
        (context.progress)(0.0)?;
        let mut loader = Loader::new(context.snapshot, context.device, REFERENCE_TENSOR)?;
        let sight = self.config.sight.as_ref();
        let hidden = self.config.text.hidden_size;
        let vision = sight.map(|config| VisionTower::load(&mut loader, config, hidden)).transpose()?;
        let text = TextModel::load(&mut loader, &self.config.text, context.progress)?;
        let weight_bytes = loader.finish(|name| name.ends_with(".inv_freq"))?;
        (context.progress)(1.0)?;
        Ok(Box::new(Whole { decoder: text, encoders: Sight(vision), weight_bytes }))
    }
}

impl Encoders for Sight {
    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        match (prepared, &self.0) {
            (Prepared::Patches(patches), Some(tower)) => tower.forward(patches),
            _ => Err(prepared.misplaced()),
        }
    }
}
