//! `config.json` of `gemma3`, and of `gemma3_text`, whose root is the text model's.

use serde_json::{Value, json};

use crate::error::Result;
use crate::snapshot::config::Section;

/// Of values that have a meaning, but not here.
const NOT_RUN: &str = "Gemma 3 is not run with this value";

/// What the model is made of.
#[derive(Clone, Debug)]
pub struct Config {
    pub text: TextConfig,
    pub sight: Option<SightConfig>,
    /// `eos_token_id`, top level or of the text model.
    pub eos: Vec<u32>,
}

/// The language model.
#[derive(Clone, Debug)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    /// Whether each layer sees all positions.
    pub full_layers: Vec<bool>,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Scores are divided by its root.
    pub query_pre_attn_scalar: f32,
    /// Positions that a sliding layer's query sees, its own included.
    pub sliding_window: usize,
    pub context_length: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f32,
    /// Full layers divide positions by it.
    pub rope_factor: f32,
    /// Of sliding layers.
    pub local_rope_theta: f32,
    /// `c · tanh(logits / c)`.
    pub softcap: Option<f32>,
    pub tied: bool,
}

/// The tower, and the tokens around and under its soft tokens.
#[derive(Clone, Debug)]
pub struct SightConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    /// Pixels along a side.
    pub image_size: usize,
    pub patch_size: usize,
    pub layer_norm_eps: f32,
    /// Soft tokens of a picture.
    pub soft_tokens: usize,
    pub begin: u32,
    pub soft: u32,
    pub end: u32,
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let own = root.tokens("eos_token_id")?;
        let tied = root.bool_or("tie_word_embeddings", true)?;
        let Some(text) = root.section("text_config")? else {
            return Ok(Config { text: TextConfig::read(&root, tied)?, sight: None, eos: own });
        };
        let vision = root.section("vision_config")?;
        Ok(Config {
            text: TextConfig::read(&text, tied)?,
            sight: vision.map(|s| SightConfig::read(&root, &s)).transpose()?,
            eos: if own.is_empty() { text.tokens("eos_token_id")? } else { own },
        })
    }
}

impl TextConfig {
    /// Missing keys are `Gemma3TextConfig`'s of transformers, which leaves those that have their default out.
    /// `tied` is what the whole model says of its output layer.
    fn read(s: &Section, tied: bool) -> Result<TextConfig> {
        refuse_other_parts(s)?;
        let (heads, kv_heads) =
            (s.usize_or("num_attention_heads", 8)?, s.usize_or("num_key_value_heads", 4)?);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let needed = format!("a divisor of num_attention_heads ({heads})");
            return Err(s.wrong("num_key_value_heads", &json!(kv_heads), &needed));
        }
        let head_dim = s.usize_or("head_dim", 256)?;
        if head_dim == 0 || head_dim % 2 != 0 {
            return Err(s.wrong("head_dim", &json!(head_dim), "even"));
        }
        let ropes = s.section("rope_parameters")?;
        let (rope_theta, rope_factor) = full_rope(s, ropes.as_ref())?;
        Ok(TextConfig {
            vocab_size: s.usize_or("vocab_size", 262_208)?,
            hidden_size: s.usize_or("hidden_size", 2304)?,
            intermediate_size: s.usize_or("intermediate_size", 9216)?,
            full_layers: full_layers(s)?,
            heads,
            kv_heads,
            head_dim,
            query_pre_attn_scalar: s.f32_or("query_pre_attn_scalar", 256.0)?,
            sliding_window: s.usize_or("sliding_window", 4096)?.max(1),
            context_length: s.usize_or("max_position_embeddings", 131_072)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            rope_theta,
            rope_factor,
            local_rope_theta: local_rope(s, ropes.as_ref())?,
            softcap: s.optional_f32("final_logit_softcapping")?.filter(|c| *c > 0.0),
            tied,
        })
    }
}

/// Parts that no published Gemma 3 has, and that would be left out silently.
fn refuse_other_parts(s: &Section) -> Result<()> {
    for key in ["attention_bias", "use_bidirectional_attention"] {
        if s.bool_or(key, false)? {
            return Err(s.unsupported(key, NOT_RUN));
        }
    }
    if s.get("attn_logit_softcapping").is_some() {
        return Err(s.unsupported("attn_logit_softcapping", NOT_RUN));
    }
    match s.optional_str("hidden_activation")? {
        None | Some("gelu_pytorch_tanh") => Ok(()),
        Some(_) => Err(s.unsupported("hidden_activation", NOT_RUN)),
    }
}

/// `layer_types`, or every `sliding_window_pattern`th layer.
fn full_layers(s: &Section) -> Result<Vec<bool>> {
    let count = s.usize_or("num_hidden_layers", 26)?;
    let Some(names) = s.strings("layer_types")? else {
        let pattern = s.usize_or("sliding_window_pattern", 6)?.max(1);
        return Ok((1..=count).map(|i| i % pattern == 0).collect());
    };
    let kind = |name: &&str| match *name {
        "sliding_attention" => Ok(false),
        "full_attention" => Ok(true),
        other => Err(s.wrong("layer_types", &json!(other), "sliding_attention or full_attention")),
    };
    let layers: Vec<bool> = names.iter().map(kind).collect::<Result<_>>()?;
    if layers.len() != count {
        let needed = format!("{}, as long as layer_types", layers.len());
        return Err(s.wrong("num_hidden_layers", &json!(count), &needed));
    }
    Ok(layers)
}

/// Base and factor of full layers: `rope_parameters`, or the keys before it.
fn full_rope(s: &Section, ropes: Option<&Section>) -> Result<(f32, f32)> {
    let theta = s.f32_or("rope_theta", 1e6)?;
    let own = match ropes {
        Some(ropes) => ropes.section("full_attention")?,
        None => s.section("rope_scaling")?,
    };
    let Some(own) = own else { return Ok((theta, 1.0)) };
    let theta = own.f32_or("rope_theta", theta)?;
    let old_name = own.optional_str("type")?;
    match own.optional_str("rope_type")?.or(old_name).unwrap_or("default") {
        "default" => Ok((theta, 1.0)),
        "linear" => Ok((theta, own.f32_or("factor", 1.0)?)),
        _ => Err(own.unsupported("rope_type", NOT_RUN)),
    }
}

fn local_rope(s: &Section, ropes: Option<&Section>) -> Result<f32> {
    let theta = s.f32_or("rope_local_base_freq", 1e4)?;
    match ropes.map(|ropes| ropes.section("sliding_attention")).transpose()?.flatten() {
        None => Ok(theta),
        Some(own) if matches!(own.optional_str("rope_type")?, None | Some("default")) => {
            own.f32_or("rope_theta", theta)
        }
        Some(own) => Err(own.unsupported("rope_type", NOT_RUN)),
    }
}

impl SightConfig {
    /// Missing keys are `SiglipVisionConfig`'s and `Gemma3Config`'s of transformers.
    fn read(root: &Section, s: &Section) -> Result<SightConfig> {
        match s.optional_str("hidden_act")? {
            None | Some("gelu_pytorch_tanh") => {}
            Some(_) => return Err(s.unsupported("hidden_act", NOT_RUN)),
        }
        let (hidden_size, heads) = (s.usize_or("hidden_size", 768)?, s.usize_or("num_attention_heads", 12)?);
        if heads == 0 || !hidden_size.is_multiple_of(heads) {
            let needed = format!("a divisor of hidden_size ({hidden_size})");
            return Err(s.wrong("num_attention_heads", &json!(heads), &needed));
        }
        let (image_size, patch_size) = (s.usize_or("image_size", 224)?, s.usize_or("patch_size", 16)?);
        let soft_tokens = root.usize_or("mm_tokens_per_image", 256)?;
        let patches = image_size / patch_size.max(1);
        let side = soft_tokens.isqrt();
        if side == 0 || side * side != soft_tokens || !patches.is_multiple_of(side) || patches == 0 {
            let needed =
                format!("the square of a divisor of {patches}, the patches along a side of the image");
            return Err(root.wrong("mm_tokens_per_image", &json!(soft_tokens), &needed));
        }
        let token = |key: &str, default: u32| {
            Ok::<_, crate::error::Error>(root.optional_token(key)?.unwrap_or(default))
        };
        let image = root.optional_token("image_token_id")?;
        Ok(SightConfig {
            hidden_size,
            intermediate_size: s.usize_or("intermediate_size", 3072)?,
            layers: s.usize_or("num_hidden_layers", 12)?,
            heads,
            image_size,
            patch_size,
            layer_norm_eps: s.f32_or("layer_norm_eps", 1e-6)?,
            soft_tokens,
            begin: token("boi_token_index", 255_999)?,
            soft: image.map_or_else(|| token("image_token_index", 262_144), Ok)?,
            end: token("eoi_token_index", 256_000)?,
        })
    }

    /// Patches along a side of the image.
    pub fn patches(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Soft tokens along a side.
    pub fn side(&self) -> usize {
        self.soft_tokens.isqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// config.json of the published 4B, less what this file does not read.
    fn published() -> Value {
        json!({
            "model_type": "gemma3", "boi_token_index": 255_999, "eoi_token_index": 256_000,
            "image_token_index": 262_144, "eos_token_id": [1, 106], "mm_tokens_per_image": 256,
            "text_config": {
                "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                "num_hidden_layers": 34, "sliding_window": 1024,
                "rope_scaling": { "factor": 8.0, "rope_type": "linear" },
            },
            "vision_config": {
                "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
                "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896, "patch_size": 14,
                "vision_use_head": false,
            },
        })
    }

    #[test]
    fn missing_keys_take_the_defaults_of_transformers() {
        let config = Config::from_json(&published()).unwrap();
        let text = &config.text;
        assert_eq!((text.heads, text.kv_heads, text.head_dim, text.vocab_size), (8, 4, 256, 262_208));
        assert_eq!((text.rope_theta, text.rope_factor, text.local_rope_theta), (1e6, 8.0, 1e4));
        let full: Vec<usize> = (0..34).filter(|&i| text.full_layers[i]).collect();
        assert_eq!(full, [5, 11, 17, 23, 29]);
        assert_eq!((text.context_length, text.softcap, text.tied), (131_072, None, true));
        let sight = config.sight.unwrap();
        assert_eq!((sight.patches(), sight.side(), sight.soft_tokens), (64, 16, 256));
        assert_eq!(config.eos, [1, 106]);
    }

    #[test]
    fn newer_files_say_the_same_otherwise() {
        let mut config = published();
        let text = config["text_config"].as_object_mut().unwrap();
        text.remove("rope_scaling");
        text.insert(
            "rope_parameters".into(),
            json!({ "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
                    "sliding_attention": { "rope_type": "default", "rope_theta": 1e4 } }),
        );
        let types: Vec<&str> =
            (1..=34).map(|i| if i % 6 == 0 { "full_attention" } else { "sliding_attention" }).collect();
        text.insert("layer_types".into(), json!(types));
        let (new, old) = (Config::from_json(&config).unwrap(), Config::from_json(&published()).unwrap());
        assert_eq!(format!("{:?}", new.text), format!("{:?}", old.text));
    }

    #[test]
    fn a_text_model_is_its_own_root() {
        let mut root = published()["text_config"].clone();
        root["eos_token_id"] = json!(1);
        let config = Config::from_json(&root).unwrap();
        assert!(config.sight.is_none());
        assert_eq!((config.text.hidden_size, config.eos), (2560, vec![1]));
    }

    #[test]
    fn bad_keys_are_named() {
        let with = |section: &str, key: &str, value: Value| {
            let mut config = published();
            config[section][key] = value;
            Config::from_json(&config)
        };
        for (section, key, value, code) in [
            ("text_config", "num_key_value_heads", json!(3), Code::InvalidSnapshot),
            ("text_config", "layer_types", json!(["chunked"]), Code::InvalidSnapshot),
            ("text_config", "attn_logit_softcapping", json!(50.0), Code::Unsupported),
            ("text_config", "use_bidirectional_attention", json!(true), Code::Unsupported),
            ("text_config", "hidden_activation", json!("silu"), Code::Unsupported),
            ("text_config", "rope_scaling", json!({ "rope_type": "yarn" }), Code::Unsupported),
            ("vision_config", "num_attention_heads", json!(5), Code::InvalidSnapshot),
            ("vision_config", "hidden_act", json!("gelu"), Code::Unsupported),
        ] {
            let error = with(section, key, value).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            let key = if key == "rope_scaling" { "rope_type" } else { key };
            assert!(error.message().contains(key), "{error}");
        }
        let mut config = published();
        config["mm_tokens_per_image"] = json!(100);
        assert!(Config::from_json(&config).unwrap_err().message().contains("mm_tokens_per_image"));
    }
}
