//! `config.json` of `gemma4_unified`.

use serde_json::{Value, json};

use crate::error::Result;
use crate::models::gemma4::text::config::{Defaults, TextConfig, unsupported};
use crate::models::gemma4::tokens::Tokens;
use crate::snapshot::config::Section;

/// `Gemma4UnifiedTextConfig` of transformers.
const TEXT_DEFAULTS: Defaults = Defaults { image_blocks: true, hidden_size_per_layer_input: 0 };

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

/// The encoder-free image embedder.
#[derive(Clone, Debug)]
pub struct VisionConfig {
    /// Side of a model patch in pixels.
    pub model_patch_size: usize,
    pub embed_dim: usize,
    /// Columns, and rows, that there are positions for.
    pub positions: usize,
    pub rms_norm_eps: f32,
}

/// The raw-waveform audio embedder.
#[derive(Clone, Debug)]
pub struct AudioConfig {
    pub samples_per_token: usize,
    pub rms_norm_eps: f32,
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let text_section = root.required_section("text_config")?;
        let own = root.tokens("eos_token_id")?;
        refuse_other_parts(&text_section)?;
        Ok(Config {
            text: TextConfig::read(&text_section, TEXT_DEFAULTS)?,
            vision: root.section("vision_config")?.map(|s| VisionConfig::read(&s)).transpose()?,
            audio: root.section("audio_config")?.map(|s| AudioConfig::read(&s)).transpose()?,
            tokens: Tokens::read(&root)?,
            eos: if own.is_empty() { text_section.tokens("eos_token_id")? } else { own },
        })
    }
}

/// Parts that other Gemma 4 models have. This family has no place for them, and would leave them out silently.
fn refuse_other_parts(s: &Section) -> Result<()> {
    for key in ["hidden_size_per_layer_input", "num_kv_shared_layers"] {
        if s.usize_or(key, 0)? != 0 {
            return Err(unsupported(s, key));
        }
    }
    for key in ["enable_moe_block", "use_double_wide_mlp"] {
        if s.bool_or(key, false)? {
            return Err(unsupported(s, key));
        }
    }
    Ok(())
}

impl VisionConfig {
    fn read(s: &Section) -> Result<VisionConfig> {
        let side = s.usize_or("patch_size", 16)? * s.usize_or("pooling_kernel_size", 3)?;
        let embed_dim = s.usize("mm_embed_dim")?;
        let projected = s.usize_or("output_proj_dims", embed_dim)?;
        if projected != embed_dim {
            return Err(s.wrong(
                "output_proj_dims",
                &json!(projected),
                &format!("mm_embed_dim ({embed_dim})"),
            ));
        }
        Ok(VisionConfig {
            model_patch_size: s.usize_or("model_patch_size", side)?,
            embed_dim,
            positions: s.usize("mm_posemb_size")?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
        })
    }
}

impl AudioConfig {
    fn read(s: &Section) -> Result<AudioConfig> {
        let samples = s.usize_or("audio_embed_dim", 640)?;
        Ok(AudioConfig {
            samples_per_token: s.usize_or("audio_samples_per_token", samples)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::models::gemma4::text::config::{LayerType, RopeConfig};

    /// The published 12B, less what this file does not read.
    fn published() -> Value {
        json!({
            "model_type": "gemma4_unified", "eos_token_id": [1, 106],
            "image_token_id": 258880, "audio_token_id": 258881, "boi_token_id": 255999, "eoi_token_id": 258882,
            "boa_token_id": 256000, "eoa_token_id": 258883,
            "text_config": {
                "vocab_size": 262144, "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48,
                "num_attention_heads": 16, "num_key_value_heads": 8, "num_global_key_value_heads": 1, "head_dim": 256,
                "global_head_dim": 512, "attention_k_eq_v": true, "sliding_window": 1024,
                "max_position_embeddings": 262144, "final_logit_softcapping": 30.0, "num_experts": null,
            },
            "vision_config": { "mm_embed_dim": 3840, "mm_posemb_size": 1120 },
            "audio_config": { "audio_embed_dim": 640 },
        })
    }

    #[test]
    fn missing_keys_take_the_documented_defaults() {
        let config = Config::from_json(&published()).unwrap();
        let text = &config.text;
        assert!(text.image_blocks);
        assert_eq!(text.softcap, Some(30.0));
        assert_eq!(text.sliding.rope, RopeConfig::Plain { theta: 1e4 });
        assert_eq!(text.full.rope, RopeConfig::Proportional { theta: 1e6, partial: 0.25, factor: 1.0 });
        let full: Vec<usize> = (0..48).filter(|&i| text.layer_types[i] == LayerType::Full).collect();
        assert_eq!(full, [5, 11, 17, 23, 29, 35, 41, 47]);
        assert_eq!((text.full.kv_heads, text.full.head_dim, text.full.k_eq_v), (1, 512, true));
        assert_eq!(config.vision.unwrap().model_patch_size, 48);
        assert_eq!(config.audio.unwrap().samples_per_token, 640);
        assert_eq!(config.tokens.end_audio, Some(258_883));
    }

    #[test]
    fn bad_keys_are_named() {
        let with = |key: &str, value: Value| {
            let mut config = published();
            config["text_config"][key] = value;
            Config::from_json(&config)
        };
        for (key, value, code) in [
            ("hidden_size", Value::Null, Code::InvalidSnapshot),
            ("num_key_value_heads", json!(3), Code::InvalidSnapshot),
            ("layer_types", json!(["full_attention", "chunked"]), Code::InvalidSnapshot),
            ("num_kv_shared_layers", json!(20), Code::Unsupported),
            ("enable_moe_block", json!(true), Code::Unsupported),
            ("use_bidirectional_attention", json!("all"), Code::Unsupported),
            ("rope_parameters", json!({ "full_attention": { "rope_type": "yarn" } }), Code::Unsupported),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(key) || key == "rope_parameters", "{error}");
        }
        assert!(!with("use_bidirectional_attention", Value::Null).unwrap().text.image_blocks);
    }
}
