//! Qwen3-VL: Qwen3 with a tower that it sees pictures and videos through.

mod config;
mod layout;
mod text;
mod vision;

use std::ops::Range;

use mlx_rs::Array;

use self::config::Config;
use self::layout::Layout;
use self::text::{REFERENCE_TENSOR, TextModel};
use self::vision::VisionTower;
use super::{Architecture, Batch, Hidden, LanguageModel, LoadContext, MediaModel, Prepared, SoftTokens};
use crate::error::Result;
use crate::nn::loader::Loader;
use crate::nn::state::State;
use crate::snapshot::Snapshot;

/// Dense, and with experts.
pub const MODEL_TYPES: [&str; 2] = ["qwen3_vl", "qwen3_vl_moe"];

/// The host side.
pub struct Qwen3Vl {
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

impl Qwen3Vl {
    pub fn new(snapshot: &Snapshot) -> Result<Qwen3Vl> {
        let config = Config::from_json(&snapshot.config)?;
        let layout = Layout::new(config.sight.as_ref(), &snapshot.processors)?;
        Ok(Qwen3Vl { name: snapshot.model_type()?.to_owned(), config, layout })
    }
}

impl Architecture for Qwen3Vl {
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
        let weight_bytes = loader.finish(|name| name.ends_with(".inv_freq"))?;
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
            (Prepared::Patches(patches), Some(tower)) => tower.forward(patches),
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
