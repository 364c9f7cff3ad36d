//! `text_config` of the Gemma 4 families.

use serde_json::json;

use crate::error::Result;
use crate::models::gemma4::config::NOT_RUN;
use crate::snapshot::config::Section;

/// What one family's `text_config` means where a key is missing: the defaults of transformers, which leaves keys
/// that have their default out of some files.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Image tokens see each other (`use_bidirectional_attention`).
    pub image_blocks: bool,
    pub hidden_size_per_layer_input: usize,
    pub sliding_window: usize,
    pub context_length: usize,
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
    /// Layers at the end that compute no keys and values, but use those of the last layer of their type before them.
    pub shared_layers: usize,
    /// The feed-forward layers of those are twice as wide.
    pub double_wide_mlp: bool,
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
    /// Values of each token's own input to every layer; `None` without such inputs.
    pub per_layer_input: Option<usize>,
    pub moe: Option<MoeConfig>,
    /// The token that per-layer inputs see under soft tokens.
    pub pad: u32,
    /// The output layer may be the table of the embeddings.
    pub tied: bool,
}

/// Experts beside the feed-forward part of each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoeConfig {
    pub experts: usize,
    /// Experts that a token goes to.
    pub top_k: usize,
    pub intermediate_size: usize,
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

impl TextConfig {
    /// `tied` is what the whole model says of its output layer.
    pub fn read(s: &Section, defaults: Defaults, tied: bool) -> Result<TextConfig> {
        refuse_other_parts(s)?;
        let layer_types = layer_types(s)?;
        let (sliding, full) = heads(s, &layer_types)?;
        let config = TextConfig {
            vocab_size: s.positive_or("vocab_size", 262_144)?,
            hidden_size: s.positive_or("hidden_size", 2304)?,
            intermediate_size: s.positive_or("intermediate_size", 9216)?,
            layer_types,
            shared_layers: s.usize_or("num_kv_shared_layers", 0)?,
            double_wide_mlp: s.bool_or("use_double_wide_mlp", false)?,
            heads: s.positive_or("num_attention_heads", 8)?,
            sliding,
            full,
            sliding_window: s.positive_or("sliding_window", defaults.sliding_window)?,
            context_length: s.positive_or("max_position_embeddings", defaults.context_length)?,
            rms_norm_eps: s.f32_or("rms_norm_eps", 1e-6)?,
            softcap: s.optional_f32("final_logit_softcapping")?.filter(|c| *c > 0.0),
            image_blocks: image_blocks(s, defaults.image_blocks)?,
            per_layer_input: per_layer_input(s, defaults.hidden_size_per_layer_input)?,
            moe: MoeConfig::read(s)?,
            pad: s.optional_token("pad_token_id")?.unwrap_or(0),
            tied,
        };
        config.check_heads(s)?;
        config.check_sharing(s)?;
        config.check_per_layer_input(s)?;
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

    /// Every layer without keys needs one of its type to take them from.
    fn check_sharing(&self, s: &Section) -> Result<()> {
        let (key, count) = ("num_kv_shared_layers", self.shared_layers);
        if count >= self.layer_types.len() {
            let needed = format!("less than num_hidden_layers ({})", self.layer_types.len());
            return Err(s.wrong(key, &json!(count), &needed));
        }
        let (owners, others) = self.layer_types.split_at(self.owning_layers());
        match others.iter().find(|kind| !owners.contains(kind)) {
            None => Ok(()),
            Some(kind) => {
                let needed = format!("so small that a {} layer keeps keys of its own", kind.name());
                Err(s.wrong(key, &json!(count), &needed))
            }
        }
    }

    /// The table of per-layer inputs is looked up by the same ids as the embeddings.
    fn check_per_layer_input(&self, s: &Section) -> Result<()> {
        let rows = s.usize_or("vocab_size_per_layer_input", self.vocab_size)?;
        if self.per_layer_input.is_some() && rows != self.vocab_size {
            let needed = format!("vocab_size ({})", self.vocab_size);
            return Err(s.wrong("vocab_size_per_layer_input", &json!(rows), &needed));
        }
        if self.pad as usize >= self.vocab_size {
            return Err(s.wrong(
                "pad_token_id",
                &json!(self.pad),
                &format!("below vocab_size ({})", self.vocab_size),
            ));
        }
        Ok(())
    }

    /// Layers that compute keys and values, which come first. Only these have caches.
    pub fn owning_layers(&self) -> usize {
        self.layer_types.len() - self.shared_layers
    }

    /// The width of a layer's feed-forward part.
    pub fn mlp_size(&self, index: usize) -> usize {
        let double = self.double_wide_mlp && index >= self.owning_layers();
        if double { self.intermediate_size * 2 } else { self.intermediate_size }
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

impl LayerType {
    fn name(self) -> &'static str {
        match self {
            LayerType::Sliding => "sliding_attention",
            LayerType::Full => "full_attention",
        }
    }
}

impl MoeConfig {
    fn read(s: &Section) -> Result<Option<MoeConfig>> {
        if !s.bool_or("enable_moe_block", false)? {
            return Ok(None);
        }
        let experts = s.usize("num_experts")?;
        let top_k = s.usize("top_k_experts")?;
        if top_k > experts {
            let needed = format!("at most num_experts ({experts})");
            return Err(s.wrong("top_k_experts", &json!(top_k), &needed));
        }
        Ok(Some(MoeConfig { experts, top_k, intermediate_size: s.usize("moe_intermediate_size")? }))
    }
}

/// Parts that no published Gemma 4 has, and that would be left out silently.
fn refuse_other_parts(s: &Section) -> Result<()> {
    if s.bool_or("attention_bias", false)? {
        return Err(s.unsupported("attention_bias", NOT_RUN));
    }
    match s.optional_str("hidden_activation")? {
        None | Some("gelu_pytorch_tanh") => Ok(()),
        Some(_) => Err(s.unsupported("hidden_activation", NOT_RUN)),
    }
}

/// `null` and 0 both stand for none.
fn per_layer_input(s: &Section, default: usize) -> Result<Option<usize>> {
    let key = "hidden_size_per_layer_input";
    let size = if s.is_null(key) { 0 } else { s.usize_or(key, default)? };
    Ok(Some(size).filter(|size| *size > 0))
}

/// `layer_types`; without it every sixth layer is full. The last layer is full whatever the file says, as in
/// transformers.
fn layer_types(s: &Section) -> Result<Vec<LayerType>> {
    let count = s.positive_or("num_hidden_layers", 30)?;
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

/// The heads of sliding and of full layers.
fn heads(s: &Section, layer_types: &[LayerType]) -> Result<(HeadConfig, HeadConfig)> {
    let k_eq_v = s.bool_or("attention_k_eq_v", false)?;
    let kv_heads = s.positive_or("num_key_value_heads", 4)?;
    let head_dim = s.positive_or("head_dim", 256)?;
    let ropes = s.section("rope_parameters")?;
    let sliding = HeadConfig { kv_heads, head_dim, k_eq_v: false, rope: sliding_rope(ropes.as_ref())? };
    let (full_dim, full_kv_heads) = match s.section("per_layer_config")? {
        Some(layers) => by_layer(&layers, layer_types, head_dim, kv_heads)?,
        None => {
            let own = s.usize_or("num_global_key_value_heads", kv_heads)?;
            (s.usize_or("global_head_dim", 512)?, if k_eq_v { own } else { kv_heads })
        }
    };
    let rope = full_rope(ropes.as_ref())?;
    Ok((sliding, HeadConfig { kv_heads: full_kv_heads, head_dim: full_dim, k_eq_v, rope }))
}

/// `per_layer_config`, which newer transformers write instead of the two `global` keys: what differs, by layer number.
/// It must be the same for all full layers, and nothing for the others.
fn by_layer(
    layers: &Section,
    layer_types: &[LayerType],
    head_dim: usize,
    kv_heads: usize,
) -> Result<(usize, usize)> {
    // Keys are numbers with or without zeros before them.
    let mut own: Vec<Option<Section>> = vec![None; layer_types.len()];
    let mut names: Vec<String> = (0..layer_types.len()).map(|index| index.to_string()).collect();
    for key in layers.keys() {
        let index = key.parse::<usize>().ok().filter(|index| *index < layer_types.len());
        let Some(index) = index else {
            let needed = format!("under the number of a layer (0 to {})", layer_types.len() - 1);
            return Err(layers.wrong(key, layers.get(key).unwrap_or(&json!(null)), &needed));
        };
        (own[index], names[index]) = (layers.section(key)?, key.to_owned());
    }
    let mut full = None;
    for ((kind, own), key) in layer_types.iter().zip(&own).zip(&names) {
        let own = match own {
            None => (head_dim, kv_heads),
            Some(own) => {
                if let Some(other) = own.keys().find(|key| !["head_dim", "num_key_value_heads"].contains(key))
                {
                    return Err(own.unsupported(other, NOT_RUN));
                }
                (own.usize_or("head_dim", head_dim)?, own.usize_or("num_key_value_heads", kv_heads)?)
            }
        };
        let expected = match kind {
            LayerType::Sliding => (head_dim, kv_heads),
            LayerType::Full => *full.get_or_insert(own),
        };
        if own != expected {
            return Err(layers.unsupported(key, NOT_RUN));
        }
    }
    Ok(full.unwrap_or((head_dim, kv_heads)))
}

/// `"vision"` or, for plain causal masks, `null`.
fn image_blocks(s: &Section, default: bool) -> Result<bool> {
    if s.is_null("use_bidirectional_attention") {
        return Ok(false);
    }
    match s.optional_str("use_bidirectional_attention")? {
        None => Ok(default),
        Some("vision") => Ok(true),
        Some(_) => Err(s.unsupported("use_bidirectional_attention", NOT_RUN)),
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
        _ => Err(s.unsupported("rope_type", NOT_RUN)),
    }
}
