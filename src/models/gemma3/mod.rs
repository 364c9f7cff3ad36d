//! Gemma 3: a language model, and from 4B on a tower (SigLIP) that it sees through.

mod config;
mod layout;
mod text;
mod vision;

use self::config::Config;
use self::layout::Layout;
use self::text::TextModel;
use self::vision::VisionTower;
use super::shared::whole::{self, Encoders};
use super::{Architecture, Facts, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::dialect::Dialect;
use crate::error::Result;
use crate::nn::held::Part;
use crate::snapshot::{Present, Snapshot, Tower};

/// The whole model, and the text model by itself.
pub const MODEL_TYPES: [&str; 2] = ["gemma3", "gemma3_text"];

const TOWERS: [Tower; 1] = [Tower {
    section: "vision_config",
    tensors: "vision_tower.",
    others: &["multi_modal_projector."],
    takes: "images",
}];

/// The host side.
pub struct Gemma3 {
    facts: Facts,
    present: Present,
    config: Config,
    layout: Layout,
}

/// The tower, where the model sees.
struct Sight(Option<VisionTower>);

impl Gemma3 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma3> {
        let present = snapshot.present(&TOWERS);
        let config = Config::from_json(&present.config)?;
        let layout = Layout::new(config.sight.as_ref(), &snapshot.processors)?;
        let facts = Facts {
            name: snapshot.model_type()?.to_owned(),
            context_length: config.text.context_length,
            vocab_size: config.text.vocab_size,
            eos: config.eos.clone(),
            notes: present.notes.clone(),
        };
        Ok(Gemma3 { facts, present, config, layout })
    }
}

impl Architecture for Gemma3 {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn media(&self) -> &dyn MediaModel {
        &self.layout
    }

    fn dialect(&self) -> Dialect {
        Dialect::Plain
    }

    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>> {
        // The head of a tower that was trained by itself is of no use here.
        let ignored = |name: &str| self.present.is_left_out(name) || name.starts_with("vision_tower.head.");
        whole::load(context, ignored, |loader, progress| {
            let (text, sight) = (&self.config.text, self.config.sight.as_ref());
            loader.enter(Part::Vision)?;
            let sight = sight.filter(|_| loader.ranks.encodes());
            let vision = sight.map(|sight| VisionTower::load(loader, sight, text.hidden_size)).transpose()?;
            loader.enter(Part::Text)?;
            Ok((TextModel::load(loader, text, progress)?, Sight(vision)))
        })
    }
}

impl Encoders for Sight {
    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        match (prepared, &self.0) {
            (Prepared::Patches(patches), Some(tower)) => {
                Ok(SoftTokens { features: tower.forward(patches)?, extra: Vec::new() })
            }
            _ => Err(prepared.misplaced()),
        }
    }
}
