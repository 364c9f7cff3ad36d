//! Gemma 4 with towers: E2B, E4B, 26B-A4B and 31B.
//!
//! [`text`] is the language model of both Gemma 4 families.

mod config;
mod layout;
pub mod text;
pub mod tokens;

use mlx_rs::Array;

use self::config::Config;
use self::layout::{Layout, lacks};
use self::text::{REFERENCE_TENSOR, TextModel, is_surplus};
use super::{Architecture, Chunk, LanguageModel, SoftTokens};
use crate::error::Result;
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
}

/// The device side.
struct Model {
    text: TextModel,
    weight_bytes: usize,
}

impl Gemma4 {
    pub fn new(snapshot: &Snapshot) -> Result<Gemma4> {
        let config = Config::from_json(&snapshot.config)?;
        let layout = Layout::new(&config, snapshot.processor_config.as_ref())?;
        Ok(Gemma4 { config, layout })
    }

    /// Whether the file may hold a tensor that no part takes.
    fn is_ignored(&self, name: &str) -> bool {
        let towers = ["vision_tower.", "embed_vision.", "audio_tower.", "embed_audio."];
        is_surplus(&self.config.text, name) || towers.iter().any(|tower| name.starts_with(tower))
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
        let kinds = [MediaKind::Image, MediaKind::Audio];
        kinds.into_iter().filter(|kind| self.layout.placeholder(*kind).is_some()).collect()
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
        let text = TextModel::load(&mut loader, &self.config.text, progress)?;
        let weight_bytes = loader.bytes();
        loader.finish(|name| self.is_ignored(name))?;
        progress(1.0)?;
        Ok(Box::new(Model { text, weight_bytes }))
    }
}

impl LanguageModel for Model {
    fn new_cache(&self) -> Cache {
        self.text.new_cache()
    }

    fn encode(&self, media: &Media) -> Result<SoftTokens> {
        Err(lacks(media.kind()))
    }

    fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array> {
        self.text.forward(chunk, cache)
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}
