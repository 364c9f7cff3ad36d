//! `config.json` of `gemma4`.

use serde_json::Value;

use super::audio::AudioConfig;
use super::text::config::{Defaults, TextConfig};
use super::tokens::Tokens;
use super::vision::VisionConfig;
use crate::error::Result;
use crate::snapshot::config::Section;

/// `Gemma4TextConfig` of transformers.
const TEXT_DEFAULTS: Defaults = Defaults { image_blocks: false, hidden_size_per_layer_input: 256 };

/// What the model is made of.
#[derive(Clone, Debug)]
pub struct Config {
    pub text: TextConfig,
    pub vision: Option<VisionConfig>,
    pub audio: Option<AudioConfig>,
    pub tokens: Tokens,
    /// `eos_token_id`, top level or of the text model.
    pub eos: Vec<u32>,
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let text = root.required_section("text_config")?;
        let own = root.tokens("eos_token_id")?;
        Ok(Config {
            text: TextConfig::read(&text, TEXT_DEFAULTS)?,
            vision: root.section("vision_config")?.map(|s| VisionConfig::read(&s)).transpose()?,
            audio: root.section("audio_config")?.map(|s| AudioConfig::read(&s)).transpose()?,
            tokens: Tokens::read(&root)?,
            eos: if own.is_empty() { text.tokens("eos_token_id")? } else { own },
        })
    }
}
