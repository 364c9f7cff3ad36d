//! `config.json` of `qwen3_vl` and `qwen3_vl_moe`, and of their text models by themselves.

use serde_json::{Value, json};

use crate::error::Result;
use crate::snapshot::config::Section;

/// Of values that have a meaning, but not here.
const NOT_RUN: &str = "Qwen3-VL is not run with this value";

/// What the model is made of.
#[derive(Clone, Debug)]
pub struct Config {
    pub text: TextConfig,
    pub sight: Option<SightConfig>,
    /// `eos_token_id`, top level or of the text model.
    pub eos: Vec<u32>,
}

/// The language model, Qwen3.
#[derive(Clone, Debug)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub context_length: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f32,
    /// Pairs of a head that turn with time, height and width.
    pub mrope_section: [usize; 3],
    pub tied: bool,
    pub moe: Option<MoeConfig>,
}

/// Experts in the place of the feed-forward part.
#[derive(Clone, Debug)]
pub struct MoeConfig {
    pub experts: usize,
    /// Experts that a token goes to.
    pub top_k: usize,
    pub intermediate_size: usize,
    /// Every so many layers have experts.
    pub sparse_step: usize,
    /// Layers that have none whatever their number.
    pub dense_layers: Vec<usize>,
}

/// The tower, and the tokens around and under its soft tokens.
#[derive(Clone, Debug)]
pub struct SightConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub patch_size: usize,
    /// Frames that are embedded as one.
    pub temporal_patch_size: usize,
    /// Patches along the side of a soft token's square.
    pub merge_size: usize,
    /// Places along a side of the table of positions.
    pub positions: usize,
    /// The blocks whose outputs go to the first layers of the language model.
    pub deepstack: Vec<usize>,
    pub start: u32,
    pub image: u32,
    pub video: u32,
    pub end: u32,
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let is_text = root.optional_str("model_type")?.is_some_and(|name| name.ends_with("_text"));
        let text = if is_text { root.clone() } else { root.required_section("text_config")? };
        let own = root.tokens("eos_token_id")?;
        let tied = root.bool_or("tie_word_embeddings", text.bool_or("tie_word_embeddings", false)?)?;
        let has_experts = root.optional_str("model_type")?.is_some_and(|name| name.contains("_moe"));
        let text_config = TextConfig::read(&text, tied, has_experts)?;
        let vision = root.section("vision_config")?;
        let hidden = text_config.hidden_size;
        Ok(Config {
            sight: vision.map(|s| SightConfig::read(&root, &s, hidden)).transpose()?,
            text: text_config,
            eos: if own.is_empty() { text.tokens("eos_token_id")? } else { own },
        })
    }
}

impl TextConfig {
    /// Missing keys are `Qwen3VLTextConfig`'s and `Qwen3VLMoeTextConfig`'s of transformers.
    fn read(s: &Section, tied: bool, has_experts: bool) -> Result<TextConfig> {
        refuse_other_parts(s)?;
        let of_kind = |dense: usize, sparse: usize| if has_experts { sparse } else { dense };
        let heads = s.positive_or("num_attention_heads", of_kind(32, 16))?;
        let hidden_size = s.positive_or("hidden_size", of_kind(4096, 2048))?;
        let kv_heads = s.usize_or("num_key_value_heads", heads)?;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let needed = format!("a divisor of num_attention_heads ({heads})");
            return Err(s.wrong("num_key_value_heads", &json!(kv_heads), &needed));
        }
        let head_dim = s.usize_or("head_dim", of_kind(128, hidden_size / heads))?;
        let (rope_theta, mrope_section) = rope(s, head_dim)?;
        Ok(TextConfig {
            vocab_size: s.positive_or("vocab_size", 151_936)?,
            hidden_size,
            intermediate_size: s.positive_or("intermediate_size", of_kind(22_016, 5632))?,
            layers: s.positive_or("num_hidden_layers", of_kind(32, 24))?,
            heads,
            kv_heads,
            head_dim,
            context_length: s.usize_or("max_position_embeddings", 128_000)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            rope_theta,
            mrope_section,
            tied,
            moe: if has_experts { MoeConfig::read(s)? } else { None },
        })
    }

    /// The experts of a layer; `None` for a dense one.
    pub fn experts_of(&self, layer: usize) -> Option<&MoeConfig> {
        let has = |moe: &&MoeConfig| {
            !moe.dense_layers.contains(&layer) && (layer + 1).is_multiple_of(moe.sparse_step)
        };
        self.moe.as_ref().filter(has)
    }
}

/// Parts that no published Qwen3-VL has, and that would be left out silently.
fn refuse_other_parts(s: &Section) -> Result<()> {
    for key in ["attention_bias", "use_sliding_window"] {
        if s.bool_or(key, false)? {
            return Err(s.unsupported(key, NOT_RUN));
        }
    }
    match s.optional_str("hidden_act")? {
        None | Some("silu") => Ok(()),
        Some(_) => Err(s.unsupported("hidden_act", NOT_RUN)),
    }
}

/// Base and sections: `rope_parameters`, or the keys before it.
fn rope(s: &Section, head_dim: usize) -> Result<(f32, [usize; 3])> {
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(s.wrong("head_dim", &json!(head_dim), "even"));
    }
    let theta = s.f32_or("rope_theta", 5e6)?;
    let new = s.section("rope_parameters")?;
    let Some(own) = new.map_or_else(|| s.section("rope_scaling"), |own| Ok(Some(own)))? else {
        return Ok((theta, [24, 20, 20]));
    };
    for key in ["rope_type", "type"] {
        if !matches!(own.optional_str(key)?, None | Some("default" | "mrope")) {
            return Err(own.unsupported(key, NOT_RUN));
        }
    }
    if !own.bool_or("mrope_interleaved", true)? {
        return Err(own.unsupported("mrope_interleaved", NOT_RUN));
    }
    let key = "mrope_section";
    let sections = match own.get(key) {
        None => [24, 20, 20],
        Some(value) => {
            let numbers =
                value.as_array().map(|list| list.iter().filter_map(Value::as_u64).collect::<Vec<_>>());
            match numbers.as_deref() {
                Some(&[t, h, w]) if t + h + w == head_dim as u64 / 2 => [t, h, w].map(|n| n as usize),
                _ => {
                    let needed = format!("three numbers whose sum is half of head_dim ({head_dim})");
                    return Err(own.wrong(key, value, &needed));
                }
            }
        }
    };
    Ok((own.f32_or("rope_theta", theta)?, sections))
}

impl MoeConfig {
    /// Newer versions of transformers write the number of experts under another name.
    fn read(s: &Section) -> Result<Option<MoeConfig>> {
        let renamed = s.optional_usize("num_local_experts")?;
        let experts = s.optional_usize("num_experts")?.or(renamed).unwrap_or(60);
        if experts == 0 {
            return Ok(None);
        }
        let top_k = s.positive_or("num_experts_per_tok", 4)?;
        if top_k > experts {
            let needed = format!("at most num_experts ({experts})");
            return Err(s.wrong("num_experts_per_tok", &json!(top_k), &needed));
        }
        Ok(Some(MoeConfig {
            experts,
            top_k,
            intermediate_size: s.positive_or("moe_intermediate_size", 1408)?,
            sparse_step: s.usize_or("decoder_sparse_step", 1)?.max(1),
            dense_layers: counts(s, "mlp_only_layers")?.unwrap_or_default(),
        }))
    }
}

/// A list of whole numbers.
fn counts(s: &Section, key: &str) -> Result<Option<Vec<usize>>> {
    let Some(value) = s.get(key) else { return Ok(None) };
    let wrong = || s.wrong(key, value, "a list of whole numbers");
    let list = value.as_array().ok_or_else(wrong)?;
    let number = |v: &Value| v.as_u64().filter(|n| *n < 1 << 20).map(|n| n as usize).ok_or_else(wrong);
    list.iter().map(number).collect::<Result<_>>().map(Some)
}

impl SightConfig {
    /// Missing keys are `Qwen3VLVisionConfig`'s and `Qwen3VLConfig`'s of transformers. `text_hidden` is the language
    /// model's width.
    fn read(root: &Section, s: &Section, text_hidden: usize) -> Result<SightConfig> {
        match s.optional_str("hidden_act")? {
            None | Some("gelu_pytorch_tanh") => {}
            Some(_) => return Err(s.unsupported("hidden_act", NOT_RUN)),
        }
        let (hidden_size, heads) = (s.usize_or("hidden_size", 1152)?, s.usize_or("num_heads", 16)?);
        if heads == 0 || !hidden_size.is_multiple_of(heads * 4) {
            let needed = format!("such that hidden_size ({hidden_size}) makes heads of a multiple of 4");
            return Err(s.wrong("num_heads", &json!(heads), &needed));
        }
        let out = s.usize_or("out_hidden_size", text_hidden)?;
        if out != text_hidden {
            let needed = format!("text_config.hidden_size ({text_hidden})");
            return Err(s.wrong("out_hidden_size", &json!(out), &needed));
        }
        let places = s.usize_or("num_position_embeddings", 2304)?;
        if places == 0 || places.isqrt().pow(2) != places {
            return Err(s.wrong("num_position_embeddings", &json!(places), "a square"));
        }
        let layers = s.usize_or("depth", 27)?;
        let deepstack = counts(s, "deepstack_visual_indexes")?.unwrap_or_else(|| vec![8, 16, 24]);
        if !deepstack.is_sorted_by(|a, b| a < b) || deepstack.last().is_some_and(|last| *last >= layers) {
            let needed = format!("ascending block numbers below depth ({layers})");
            return Err(s.wrong("deepstack_visual_indexes", &json!(deepstack), &needed));
        }
        let token = |key: &str, default: u32| {
            Ok::<_, crate::error::Error>(root.optional_token(key)?.unwrap_or(default))
        };
        Ok(SightConfig {
            hidden_size,
            intermediate_size: s.usize_or("intermediate_size", 4304)?,
            layers,
            heads,
            patch_size: s.usize_or("patch_size", 16)?.max(1),
            temporal_patch_size: s.usize_or("temporal_patch_size", 2)?.max(1),
            merge_size: s.usize_or("spatial_merge_size", 2)?.max(1),
            positions: places.isqrt(),
            deepstack,
            start: token("vision_start_token_id", 151_652)?,
            image: token("image_token_id", 151_655)?,
            video: token("video_token_id", 151_656)?,
            end: token("vision_end_token_id", 151_653)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// config.json of the published 4B, less what this file does not read.
    fn published() -> Value {
        json!({
            "model_type": "qwen3_vl", "image_token_id": 151_655, "video_token_id": 151_656,
            "vision_start_token_id": 151_652, "vision_end_token_id": 151_653, "tie_word_embeddings": true,
            "text_config": {
                "model_type": "qwen3_vl_text", "vocab_size": 151_936, "hidden_size": 2560, "intermediate_size": 9728,
                "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
                "hidden_act": "silu", "max_position_embeddings": 262_144, "rms_norm_eps": 1e-6, "rope_theta": 5e6,
                "attention_bias": false, "eos_token_id": 151_645,
                "rope_scaling": { "mrope_interleaved": true, "mrope_section": [24, 20, 20], "rope_type": "default" },
            },
            "vision_config": {
                "model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16,
                "out_hidden_size": 2560, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
                "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17], "in_channels": 3,
                "hidden_act": "gelu_pytorch_tanh",
            },
        })
    }

    #[test]
    fn both_spellings_of_rotations_are_read() {
        let old = Config::from_json(&published()).unwrap();
        assert_eq!((old.text.rope_theta, old.text.mrope_section, old.text.tied), (5e6, [24, 20, 20], true));
        assert_eq!(old.eos, [151_645]);
        let sight = old.sight.as_ref().unwrap();
        assert_eq!((sight.positions, &sight.deepstack[..]), (48, &[5, 11, 17][..]));
        let mut config = published();
        let text = config["text_config"].as_object_mut().unwrap();
        text.remove("rope_theta");
        let mut own = text.remove("rope_scaling").unwrap();
        own["rope_theta"] = json!(5e6);
        text.insert("rope_parameters".into(), own);
        let new = Config::from_json(&config).unwrap();
        assert_eq!(format!("{:?}", new.text), format!("{:?}", old.text));
    }

    #[test]
    fn layers_have_experts_by_their_number() {
        let mut config = published();
        config["model_type"] = json!("qwen3_vl_moe");
        let moe = json!({ "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
            "decoder_sparse_step": 2, "mlp_only_layers": [3] });
        for (key, value) in moe.as_object().unwrap() {
            config["text_config"][key] = value.clone();
        }
        let text = Config::from_json(&config).unwrap().text;
        let sparse: Vec<usize> = (0..8).filter(|&i| text.experts_of(i).is_some()).collect();
        assert_eq!(sparse, [1, 5, 7]);
        let text = config["text_config"].as_object_mut().unwrap();
        let count = text.remove("num_experts").unwrap();
        text.insert("num_local_experts".into(), count);
        assert_eq!(Config::from_json(&config).unwrap().text.experts_of(1).unwrap().experts, 8);
        assert!(Config::from_json(&published()).unwrap().text.experts_of(1).is_none());
    }

    #[test]
    fn bad_keys_are_named() {
        for (section, key, value, code) in [
            ("text_config", "num_key_value_heads", json!(5), Code::InvalidSnapshot),
            ("text_config", "hidden_act", json!("gelu"), Code::Unsupported),
            ("text_config", "attention_bias", json!(true), Code::Unsupported),
            ("text_config", "rope_scaling", json!({ "rope_type": "yarn" }), Code::Unsupported),
            ("text_config", "rope_scaling", json!({ "mrope_section": [1, 2, 3] }), Code::InvalidSnapshot),
            ("vision_config", "num_heads", json!(7), Code::InvalidSnapshot),
            ("vision_config", "out_hidden_size", json!(100), Code::InvalidSnapshot),
            ("vision_config", "num_position_embeddings", json!(2300), Code::InvalidSnapshot),
            ("vision_config", "deepstack_visual_indexes", json!([5, 30]), Code::InvalidSnapshot),
            ("vision_config", "hidden_act", json!("relu"), Code::Unsupported),
        ] {
            let mut config = published();
            config[section][key] = value;
            let error = Config::from_json(&config).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(
                error.message().contains(if key == "rope_scaling" { "rope_scaling." } else { key }),
                "{error}"
            );
        }
    }
}
