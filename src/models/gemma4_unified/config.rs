//! `config.json` of `gemma4_unified`.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::snapshot::config::Section;

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

/// Which keys a layer's queries see, and which frequencies turn them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerType {
    Sliding,
    Full,
}

/// The language model.
#[derive(Clone, Debug)]
pub struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layer_types: Vec<LayerType>,
    pub heads: usize,
    pub sliding: HeadConfig,
    pub full: HeadConfig,
    /// Positions that a sliding layer's query sees, its own included.
    pub sliding_window: usize,
    pub context_length: usize,
    pub rms_norm_eps: f32,
    /// `c · tanh(logits / c)`.
    pub softcap: Option<f32>,
    /// Image tokens of one image see each other on sliding layers.
    pub image_blocks: bool,
}

/// Attention heads of one kind of layer.
#[derive(Clone, Copy, Debug)]
pub struct HeadConfig {
    pub kv_heads: usize,
    pub head_dim: usize,
    /// There is no value projection: values are the keys before norm and rotation.
    pub k_eq_v: bool,
    pub rope: RopeConfig,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeConfig {
    Plain { theta: f32 },
    Proportional { theta: f32, partial: f32, factor: f32 },
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

/// Ids of the tokens around and under media.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    pub image: Option<u32>,
    pub begin_image: Option<u32>,
    pub end_image: Option<u32>,
    pub audio: Option<u32>,
    pub begin_audio: Option<u32>,
    pub end_audio: Option<u32>,
}

impl Config {
    pub fn from_json(config: &Value) -> Result<Config> {
        let root = Section::root(config)?;
        let text_section = root.required_section("text_config")?;
        let own = root.tokens("eos_token_id")?;
        Ok(Config {
            text: TextConfig::read(&text_section)?,
            vision: root.section("vision_config")?.map(|s| VisionConfig::read(&s)).transpose()?,
            audio: root.section("audio_config")?.map(|s| AudioConfig::read(&s)).transpose()?,
            tokens: Tokens::read(&root)?,
            eos: if own.is_empty() { text_section.tokens("eos_token_id")? } else { own },
        })
    }
}

impl TextConfig {
    fn read(s: &Section) -> Result<TextConfig> {
        refuse_other_parts(s)?;
        let layer_types = layer_types(s)?;
        let k_eq_v = s.bool_or("attention_k_eq_v", false)?;
        let kv_heads = s.usize("num_key_value_heads")?;
        let head_dim = s.usize("head_dim")?;
        let global_kv_heads =
            if k_eq_v { s.usize_or("num_global_key_value_heads", kv_heads)? } else { kv_heads };
        let ropes = s.section("rope_parameters")?;
        let config = TextConfig {
            vocab_size: s.usize("vocab_size")?,
            hidden_size: s.usize("hidden_size")?,
            intermediate_size: s.usize("intermediate_size")?,
            layer_types,
            heads: s.usize("num_attention_heads")?,
            sliding: HeadConfig { kv_heads, head_dim, k_eq_v: false, rope: sliding_rope(ropes.as_ref())? },
            full: HeadConfig {
                kv_heads: global_kv_heads,
                head_dim: s.usize_or("global_head_dim", head_dim)?,
                k_eq_v,
                rope: full_rope(ropes.as_ref())?,
            },
            sliding_window: s.usize("sliding_window")?,
            context_length: s.usize("max_position_embeddings")?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            softcap: s.optional_f32("final_logit_softcapping")?.filter(|c| *c > 0.0),
            image_blocks: image_blocks(s)?,
        };
        config.check_heads(s)?;
        Ok(config)
    }

    fn check_heads(&self, s: &Section) -> Result<()> {
        for (kind, key) in
            [(&self.sliding, "num_key_value_heads"), (&self.full, "num_global_key_value_heads")]
        {
            if kind.kv_heads == 0 || !self.heads.is_multiple_of(kind.kv_heads) {
                let needed = format!("a divisor of num_attention_heads ({})", self.heads);
                return Err(s.wrong(key, &json!(kind.kv_heads), &needed));
            }
            if kind.head_dim == 0 || kind.head_dim % 2 != 0 {
                return Err(s.wrong("head_dim", &json!(kind.head_dim), "even"));
            }
        }
        Ok(())
    }

    /// The heads of a layer of this kind.
    pub fn head_config(&self, kind: LayerType) -> &HeadConfig {
        match kind {
            LayerType::Sliding => &self.sliding,
            LayerType::Full => &self.full,
        }
    }

    /// Positions that a layer of this kind keeps; `None` for all.
    pub fn window(&self, kind: LayerType) -> Option<usize> {
        (kind == LayerType::Sliding).then_some(self.sliding_window)
    }
}

/// Parts that other Gemma 4 models have, and that would be left out silently.
fn refuse_other_parts(s: &Section) -> Result<()> {
    for key in ["hidden_size_per_layer_input", "num_kv_shared_layers"] {
        if s.usize_or(key, 0)? != 0 {
            return Err(unsupported(s, key));
        }
    }
    for key in ["enable_moe_block", "attention_bias"] {
        if s.bool_or(key, false)? {
            return Err(unsupported(s, key));
        }
    }
    for (key, only) in [("tie_word_embeddings", true), ("use_double_wide_mlp", false)] {
        if s.bool_or(key, only)? != only {
            return Err(unsupported(s, key));
        }
    }
    match s.optional_str("hidden_activation")? {
        None | Some("gelu_pytorch_tanh") => Ok(()),
        Some(_) => Err(unsupported(s, "hidden_activation")),
    }
}

fn unsupported(s: &Section, key: &str) -> Error {
    let value = s.get(key).cloned().unwrap_or(Value::Null);
    let error = s.wrong(key, &value, "another value: gemma4_unified is not run with this one");
    Error::unsupported(error.message()).with("key", key)
}

/// `layer_types`; without it every sixth layer is full. The last layer is full whatever the file says, as in
/// transformers.
fn layer_types(s: &Section) -> Result<Vec<LayerType>> {
    let count = s.usize("num_hidden_layers")?;
    let mut types = match s.strings("layer_types")? {
        None => (1..=count).map(|i| if i % 6 == 0 { LayerType::Full } else { LayerType::Sliding }).collect(),
        Some(names) => {
            let kind = |name: &&str| match *name {
                "sliding_attention" => Ok(LayerType::Sliding),
                "full_attention" => Ok(LayerType::Full),
                other => Err(s.wrong("layer_types", &json!(other), "sliding_attention or full_attention")),
            };
            names.iter().map(kind).collect::<Result<Vec<_>>>()?
        }
    };
    if types.len() != count {
        return Err(s.wrong(
            "num_hidden_layers",
            &json!(count),
            &format!("{}, as long as layer_types", types.len()),
        ));
    }
    if let Some(last) = types.last_mut() {
        *last = LayerType::Full;
    }
    Ok(types)
}

/// `"vision"`, also where the key is missing; `null` for plain causal masks.
fn image_blocks(s: &Section) -> Result<bool> {
    if s.is_null("use_bidirectional_attention") {
        return Ok(false);
    }
    match s.optional_str("use_bidirectional_attention")? {
        None | Some("vision") => Ok(true),
        Some(_) => Err(unsupported(s, "use_bidirectional_attention")),
    }
}

fn sliding_rope(ropes: Option<&Section>) -> Result<RopeConfig> {
    match ropes.map(|r| r.section("sliding_attention")).transpose()?.flatten() {
        None => Ok(RopeConfig::Plain { theta: 1e4 }),
        Some(s) => rope(&s, "default", 1e4, 1.0),
    }
}

fn full_rope(ropes: Option<&Section>) -> Result<RopeConfig> {
    match ropes.map(|r| r.section("full_attention")).transpose()?.flatten() {
        None => Ok(RopeConfig::Proportional { theta: 1e6, partial: 0.25, factor: 1.0 }),
        Some(s) => rope(&s, "proportional", 1e6, 0.25),
    }
}

fn rope(s: &Section, default: &str, theta: f32, partial: f32) -> Result<RopeConfig> {
    let theta = s.f32_or("rope_theta", theta)?;
    match s.optional_str("rope_type")?.unwrap_or(default) {
        "default" if s.f32_or("partial_rotary_factor", 1.0)? == 1.0 => Ok(RopeConfig::Plain { theta }),
        "proportional" => Ok(RopeConfig::Proportional {
            theta,
            partial: s.f32_or("partial_rotary_factor", partial)?,
            factor: s.f32_or("factor", 1.0)?,
        }),
        _ => Err(unsupported(s, "rope_type")),
    }
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

impl Tokens {
    /// The end-of-audio id goes by two names, depending on who wrote the file.
    fn read(root: &Section) -> Result<Tokens> {
        let end_audio = root.optional_token("eoa_token_index")?;
        Ok(Tokens {
            image: root.optional_token("image_token_id")?,
            begin_image: root.optional_token("boi_token_id")?,
            end_image: root.optional_token("eoi_token_id")?,
            audio: root.optional_token("audio_token_id")?,
            begin_audio: root.optional_token("boa_token_id")?,
            end_audio: end_audio.or(root.optional_token("eoa_token_id")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

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
