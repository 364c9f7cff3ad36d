//! `config.json` of the Gemma 4 models.

use serde_json::Value;

use super::text::config::{Defaults, TextConfig};
use super::tokens::Tokens;
use super::{embedder, tower};
use crate::error::Result;
use crate::snapshot::config::Section;

/// Whole models, and text models by themselves, whose `config.json` is what the others have as `text_config`.
pub const MODEL_TYPES: [&str; 4] = ["gemma4", "gemma4_unified", "gemma4_text", "gemma4_unified_text"];

/// Of values that have a meaning, but not here.
pub const NOT_RUN: &str = "Gemma 4 is not run with this value";

/// `Gemma4TextConfig` of transformers.
const DEFAULTS: Defaults = Defaults {
    image_blocks: false,
    hidden_size_per_layer_input: 256,
    sliding_window: 512,
    context_length: 131_072,
};
/// `Gemma4UnifiedTextConfig`.
const UNIFIED_DEFAULTS: Defaults = Defaults {
    image_blocks: true,
    hidden_size_per_layer_input: 0,
    sliding_window: 1024,
    context_length: 262_144,
};

/// What the model is made of.
#[derive(Clone, Debug)]
pub struct Config {
    pub model_type: String,
    pub text: TextConfig,
    pub vision: Option<Vision>,
    pub audio: Option<Audio>,
    pub tokens: Tokens,
    /// `eos_token_id`, top level or of the text model.
    pub eos: Vec<u32>,
}

/// What pictures go through.
#[derive(Clone, Debug)]
pub enum Vision {
    Tower(tower::vision::VisionConfig),
    Embedder(embedder::vision::VisionConfig),
}

/// What sounds go through.
#[derive(Clone, Debug)]
pub enum Audio {
    Tower(tower::audio::AudioConfig),
    Embedder(embedder::audio::AudioConfig),
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let model_type = root.str("model_type")?;
        let unified = model_type.starts_with("gemma4_unified");
        let is_text = model_type.ends_with("_text");
        let text = if is_text { root.clone() } else { root.required_section("text_config")? };
        let encoder = |key: &str| if is_text { Ok(None) } else { root.section(key) };
        let own = root.tokens("eos_token_id")?;
        // As in transformers, the text model's own word counts only where it is the whole model.
        let tied = root.bool_or("tie_word_embeddings", true)?;
        let text_config = TextConfig::read(&text, if unified { UNIFIED_DEFAULTS } else { DEFAULTS }, tied)?;
        Ok(Config {
            model_type: model_type.to_owned(),
            vision: encoder("vision_config")?.map(|s| Vision::read(&s, unified)).transpose()?,
            audio: encoder("audio_config")?.map(|s| Audio::read(&s, unified)).transpose()?,
            tokens: Tokens::read(&root, text_config.vocab_size)?,
            text: text_config,
            eos: if own.is_empty() { text.tokens("eos_token_id")? } else { own },
        })
    }
}

impl Vision {
    fn read(s: &Section, unified: bool) -> Result<Vision> {
        Ok(match unified {
            false => Vision::Tower(tower::vision::VisionConfig::read(s)?),
            true => Vision::Embedder(embedder::vision::VisionConfig::read(s)?),
        })
    }

    /// Side of a soft token's square, in pixels.
    pub fn side(&self) -> usize {
        match self {
            Vision::Tower(config) => config.patch_size * config.pooling,
            Vision::Embedder(config) => config.model_patch_size,
        }
    }
}

impl Audio {
    fn read(s: &Section, unified: bool) -> Result<Audio> {
        Ok(match unified {
            false => Audio::Tower(tower::audio::AudioConfig::read(s)?),
            true => Audio::Embedder(embedder::audio::AudioConfig::read(s)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Code;
    use crate::models::gemma4::text::config::{LayerType, MoeConfig, RopeConfig};

    /// A small model with everything that E2B has.
    fn small() -> Value {
        json!({
            "model_type": "gemma4", "eoa_token_id": 9,
            "text_config": {
                "vocab_size": 64, "vocab_size_per_layer_input": 64, "hidden_size": 32, "intermediate_size": 64,
                "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
                "layer_types": [
                    "sliding_attention", "full_attention", "sliding_attention", "full_attention",
                    "sliding_attention", "full_attention",
                ],
                "sliding_window": 16, "max_position_embeddings": 128, "num_kv_shared_layers": 3,
                "use_double_wide_mlp": true,
            },
        })
    }

    fn with(changes: &Value) -> Result<TextConfig> {
        let mut config = small();
        for (key, value) in changes.as_object().unwrap() {
            config["text_config"][key] = value.clone();
        }
        Config::from_json(&config).map(|config| config.text)
    }

    #[test]
    fn missing_keys_take_the_defaults_of_transformers() {
        let config = Config::from_json(&small()).unwrap();
        let text = config.text;
        assert_eq!((text.per_layer_input, text.full.head_dim, text.softcap), (Some(256), 512, None));
        assert!(!text.image_blocks && text.moe.is_none());
        assert_eq!(config.tokens.end_audio, Some(9));
        assert_eq!(with(&json!({ "hidden_size_per_layer_input": 0 })).unwrap().per_layer_input, None);
        assert_eq!(with(&json!({ "hidden_size_per_layer_input": null })).unwrap().per_layer_input, None);
    }

    #[test]
    fn layers_that_share_keys_are_the_last_and_may_be_wider() {
        let text = with(&json!({})).unwrap();
        assert_eq!(text.owning_layers(), 3);
        assert_eq!((0..6).map(|i| text.mlp_size(i)).collect::<Vec<_>>(), [64, 64, 64, 128, 128, 128]);
        let narrow = with(&json!({ "use_double_wide_mlp": false })).unwrap();
        assert_eq!(narrow.mlp_size(5), 64);
    }

    #[test]
    fn heads_may_be_given_by_layer() {
        let own = json!({ "head_dim": 16, "num_key_value_heads": 1 });
        let text = with(&json!({ "per_layer_config": { "1": own, "3": own, "5": own } })).unwrap();
        assert_eq!((text.full.head_dim, text.full.kv_heads), (16, 1));
        assert_eq!((text.sliding.head_dim, text.sliding.kv_heads), (8, 2));
        assert_eq!(text.head_config(LayerType::Full).head_dim, 16);
        let padded = json!({ "01": own, "0003": own, "05": own, "02": {} });
        assert_eq!(with(&json!({ "per_layer_config": padded })).unwrap().full.head_dim, 16);
        for odd in ["6", "-1", "one"] {
            let mut layers = json!({ "1": own, "3": own, "5": own });
            layers[odd] = own.clone();
            let error = with(&json!({ "per_layer_config": layers })).unwrap_err();
            assert!(error.message().contains("the number of a layer (0 to 5)"), "{error}");
        }
        for odd in [
            json!({ "1": own, "3": own }),
            json!({ "1": own, "3": own, "5": own, "0": own }),
            json!({ "1": own, "3": own, "5": { "head_dim": 16, "num_key_value_heads": 1, "hidden_size": 4 } }),
        ] {
            assert_eq!(with(&json!({ "per_layer_config": odd })).unwrap_err().code(), Code::Unsupported);
        }
    }

    #[test]
    fn the_whole_model_says_whether_its_output_layer_is_the_embeddings() {
        let tied = |whole: Value, text: Value| {
            let mut config = small();
            (config["tie_word_embeddings"], config["text_config"]["tie_word_embeddings"]) = (whole, text);
            Config::from_json(&config).unwrap().text.tied
        };
        assert!(tied(Value::Null, Value::Null) && tied(json!(true), json!(false)));
        assert!(!tied(json!(false), json!(true)) && tied(Value::Null, json!(false)));
    }

    #[test]
    fn global_heads_count_only_where_keys_are_values() {
        let keys = |k_eq_v: bool| {
            with(&json!({ "num_global_key_value_heads": 1, "attention_k_eq_v": k_eq_v })).unwrap()
        };
        assert_eq!((keys(true).full.kv_heads, keys(false).full.kv_heads), (1, 2));
    }

    #[test]
    fn experts_are_counted() {
        let moe = json!({ "enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 16 });
        let read = with(&moe).unwrap().moe;
        assert_eq!(read, Some(MoeConfig { experts: 8, top_k: 2, intermediate_size: 16 }));
    }

    #[test]
    fn values_that_cannot_be_right_are_named() {
        for (key, value, code) in [
            ("num_kv_shared_layers", json!(6), Code::InvalidSnapshot),
            // Then the only owner would be a sliding layer.
            ("num_kv_shared_layers", json!(5), Code::InvalidSnapshot),
            ("vocab_size_per_layer_input", json!(60), Code::InvalidSnapshot),
            ("pad_token_id", json!(64), Code::InvalidSnapshot),
            ("hidden_activation", json!("silu"), Code::Unsupported),
            ("attention_bias", json!(true), Code::Unsupported),
            ("use_bidirectional_attention", json!("all"), Code::Unsupported),
        ] {
            let mut changes = json!({});
            changes[key] = value.clone();
            let error = with(&changes).unwrap_err();
            assert_eq!(error.code(), code, "{key}: {value}");
            assert!(error.message().contains(key), "{error}");
        }
        let moe = json!({ "enable_moe_block": true, "num_experts": 2, "top_k_experts": 3, "moe_intermediate_size": 16 });
        assert!(with(&moe).unwrap_err().message().contains("at most num_experts (2)"));
    }

    /// The published 12B, less what this file does not read.
    fn published_unified() -> Value {
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
    fn missing_keys_of_a_unified_model_take_its_own_defaults() {
        let config = Config::from_json(&published_unified()).unwrap();
        let text = &config.text;
        assert!(text.image_blocks);
        assert_eq!(text.softcap, Some(30.0));
        assert_eq!(text.sliding.rope, RopeConfig::Plain { theta: 1e4 });
        assert_eq!(text.full.rope, RopeConfig::Proportional { theta: 1e6, partial: 0.25, factor: 1.0 });
        let full: Vec<usize> = (0..48).filter(|&i| text.layer_types[i] == LayerType::Full).collect();
        assert_eq!(full, [5, 11, 17, 23, 29, 35, 41, 47]);
        assert_eq!((text.full.kv_heads, text.full.head_dim, text.full.k_eq_v), (1, 512, true));
        assert!(matches!(config.vision, Some(Vision::Embedder(v)) if v.model_patch_size == 48));
        assert!(matches!(config.audio, Some(Audio::Embedder(a)) if a.samples_per_token == 640));
        assert_eq!(config.tokens.end_audio, Some(258_883));
    }

    #[test]
    fn bad_keys_of_a_unified_model_are_named() {
        let with = |key: &str, value: Value| {
            let mut config = published_unified();
            config["text_config"][key] = value;
            Config::from_json(&config)
        };
        for (key, value, code) in [
            ("hidden_size", Value::Null, Code::InvalidSnapshot),
            ("num_key_value_heads", json!(3), Code::InvalidSnapshot),
            ("layer_types", json!(["full_attention", "chunked"]), Code::InvalidSnapshot),
            ("use_bidirectional_attention", json!("all"), Code::Unsupported),
            ("rope_parameters", json!({ "full_attention": { "rope_type": "yarn" } }), Code::Unsupported),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(key) || key == "rope_parameters", "{error}");
        }
        assert!(!with("use_bidirectional_attention", Value::Null).unwrap().text.image_blocks);
    }

    #[test]
    fn a_unified_model_may_have_what_the_others_have() {
        let mut config = published_unified();
        for (key, value) in [
            ("num_kv_shared_layers", json!(20)),
            ("hidden_size_per_layer_input", json!(128)),
            ("use_double_wide_mlp", json!(true)),
            ("enable_moe_block", json!(true)),
            ("num_experts", json!(8)),
            ("top_k_experts", json!(2)),
            ("moe_intermediate_size", json!(512)),
        ] {
            config["text_config"][key] = value;
        }
        let text = Config::from_json(&config).unwrap().text;
        assert_eq!((text.owning_layers(), text.per_layer_input), (28, Some(128)));
        assert_eq!((text.mlp_size(27), text.mlp_size(28)), (15_360, 30_720));
        assert_eq!(text.moe.unwrap().experts, 8);
    }
}
