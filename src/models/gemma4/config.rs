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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Code;
    use crate::models::gemma4::text::config::{LayerType, MoeConfig};

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
        for odd in [
            json!({ "1": own, "3": own }),
            json!({ "1": own, "3": own, "5": own, "0": own }),
            json!({ "1": own, "3": own, "5": { "head_dim": 16, "num_key_value_heads": 1, "hidden_size": 4 } }),
        ] {
            assert_eq!(with(&json!({ "per_layer_config": odd })).unwrap_err().code(), Code::Unsupported);
        }
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
            ("tie_word_embeddings", json!(false), Code::Unsupported),
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
}
