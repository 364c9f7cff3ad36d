//! Gemma 3: a language model, and from 4B on a tower (SigLIP) that it sees through.

mod config;
mod layout;
mod text;
mod vision;

use std::ops::Range;

use mlx_rs::Array;

use self::config::Config;
use self::layout::Layout;
use self::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use self::vision::VisionTower;
use super::{Architecture, Batch, Hidden, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::nn::state::State;
use crate::snapshot::Snapshot;

/// The whole model, and the text model by itself.
pub const MODEL_TYPES: [&str; 2] = ["gemma3", "gemma3_text"];

/// The host side.
pub struct Gemma3 {
    name: String,
    config: Config,
    layout: Layout,
}

/// The device side.
struct Model {
    text: TextModel,
    vision: Option<VisionTower>,
    weight_bytes: usize,
}

impl Gemma3 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma3> {
        let config = Config::from_json(&snapshot.config)?;
        let layout = Layout::new(config.sight.as_ref(), &snapshot.processors)?;
        Ok(Gemma3 { name: snapshot.model_type()?.to_owned(), config, layout })
    }
}

impl Architecture for Gemma3 {
    fn name(&self) -> &str {
        &self.name
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
        let sight = self.config.sight.as_ref();
        let hidden = self.config.text.hidden_size;
        let vision = sight.map(|config| VisionTower::load(&mut loader, config, hidden)).transpose()?;
        let text = TextModel::load(&mut loader, &self.config.text, context.progress)?;
        let weight_bytes = loader.finish(is_surplus)?;
        (context.progress)(1.0)?;
        Ok(Box::new(Model { text, vision, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_state(&self) -> State {
        self.text.new_state()
    }

    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        match (prepared, &self.vision) {
            (Prepared::Patches(patches), Some(tower)) => {
                Ok(SoftTokens { features: tower.forward(patches)?, extra: Vec::new() })
            }
            _ => Err(prepared.misplaced()),
        }
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
