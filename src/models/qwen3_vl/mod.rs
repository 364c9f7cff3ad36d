//! Qwen3-VL: Qwen3 with a tower that it sees pictures and videos through.

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

/// Dense, and with experts; and the language models of both by themselves, whose `config.json` is what the others have as
/// `text_config`.
pub const MODEL_TYPES: [&str; 4] = ["qwen3_vl", "qwen3_vl_moe", "qwen3_vl_text", "qwen3_vl_moe_text"];

const TOWERS: [Tower; 1] =
    [Tower { section: "vision_config", tensors: "vision_tower.", others: &[], takes: "images and videos" }];

/// The host side.
pub struct Qwen3Vl {
    facts: Facts,
    present: Present,
    config: Config,
    layout: Layout,
}

/// The tower, where the model sees.
struct Sight(Option<VisionTower>);

impl Qwen3Vl {
    pub fn new(snapshot: &Snapshot) -> Result<Qwen3Vl> {
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
        Ok(Qwen3Vl { facts, present, config, layout })
    }
}

impl Architecture for Qwen3Vl {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn media(&self) -> &dyn MediaModel {
        &self.layout
    }

    fn dialect(&self) -> Dialect {
        Dialect::Hermes
    }

    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>> {
        let ignored = |name: &str| self.present.is_left_out(name);
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
            (Prepared::Patches(patches), Some(tower)) => tower.forward(patches),
            _ => Err(prepared.misplaced()),
        }
    }
}
