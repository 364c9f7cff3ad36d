//! The language model of the Gemma 4 families (`Gemma4TextModel` of transformers).

mod attention;
pub mod config;
mod feed_forward;
mod layer;
mod per_layer;

use std::ops::Range;

use mlx_rs::ops::{concatenate, tanh};
use mlx_rs::{Array, Dtype};

use self::attention::{KeyValues, Setting, Source};
use self::config::{HeadConfig, LayerType, RopeConfig, TextConfig};
use self::layer::Layer;
use self::per_layer::PerLayerInputs;
use crate::error::{Code, Error, Result};
use crate::models::{Chunk, SoftTokens};
use crate::nn::attention::{Mask, MaskShape};
use crate::nn::cache::{Cache, LayerCache};
use crate::nn::linear::Embedding;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::rope::Rope;
use crate::nn::{Device, mlx};

/// Where the canonical names of the text model's tensors begin.
const PATH: &str = "language_model.model";

/// The norm that every file has, and whose dtype is the snapshot's.
pub const REFERENCE_TENSOR: &str = "language_model.model.norm.weight";

pub struct TextModel {
    config: TextConfig,
    device: Device,
    dtype: Dtype,
    embed_tokens: Embedding,
    /// `√H` in the activations' dtype.
    embed_scale: Array,
    per_layer_inputs: Option<PerLayerInputs>,
    layers: Vec<Layer>,
    norm: RmsNorm,
    sliding_rope: Rope,
    full_rope: Rope,
    /// `c` and `1 / c` of the softcap.
    softcap: Option<(Array, Array)>,
}

/// One value for each kind of layer.
struct ByKind<T> {
    sliding: T,
    full: T,
}

impl<T> ByKind<T> {
    fn get(&self, kind: LayerType) -> &T {
        match kind {
            LayerType::Sliding => &self.sliding,
            LayerType::Full => &self.full,
        }
    }

    fn set(&mut self, kind: LayerType, value: T) {
        match kind {
            LayerType::Sliding => self.sliding = value,
            LayerType::Full => self.full = value,
        }
    }
}

impl TextModel {
    /// Reads the weights, a layer at a time; `progress` gets the part of layers that is done.
    pub fn load(
        loader: &mut Loader,
        config: &TextConfig,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<TextModel> {
        let (hidden, device, dtype) = (config.hidden_size, loader.device, loader.dtype);
        let embed_tokens = loader.embedding(&format!("{PATH}.embed_tokens"), config.vocab_size, hidden)?;
        loader.read()?;
        let per_layer_inputs = PerLayerInputs::load(loader, config, PATH)?;
        let steps = config.layer_types.len() as f32 + 1.0;
        let mut layers = Vec::new();
        for index in 0..config.layer_types.len() {
            progress((index as f32 + 1.0) / steps)?;
            layers.push(Layer::load(loader, config, index, &format!("{PATH}.layers.{index}"))?);
        }
        let norm = loader.rms_norm(&format!("{PATH}.norm"), hidden, config.rms_norm_eps)?;
        let softcap = config.softcap.map(|c| (Array::from_f32(c), Array::from_f32(1.0 / c)));
        Ok(TextModel {
            embed_scale: Array::from_f32((hidden as f32).sqrt()).as_dtype(dtype)?,
            sliding_rope: rope(&config.sliding, device),
            full_rope: rope(&config.full, device),
            config: config.clone(),
            device,
            dtype,
            embed_tokens,
            per_layer_inputs,
            layers,
            norm,
            softcap,
        })
    }

    pub fn new_cache(&self) -> Cache {
        let owners = &self.config.layer_types[..self.config.owning_layers()];
        Cache::new(owners.iter().map(|kind| self.config.window(*kind)))
    }

    /// Logits of the chunk's last row: `f32` `[vocab]`.
    ///
    /// Layers that use the keys of others only ever see the last row: what they do to the rows before it is read by
    /// nobody.
    pub fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array> {
        let (owners, sharers) = self.layers.split_at(self.config.owning_layers());
        let mut hidden = self.embed(chunk)?;
        let inputs = match &self.per_layer_inputs {
            None => None,
            Some(inputs) => Some(inputs.forward(&self.text_ids(chunk)?, &hidden)?),
        };
        let settings = self.settings(chunk, cache.offset())?;
        let mut seen = ByKind { sliding: None, full: None };
        for (index, layer) in owners.iter().enumerate() {
            let source = Source::Own(cache.layer(index));
            let is_last = index + 1 == owners.len();
            let (next, kv) =
                layer.forward(&hidden, inputs.as_ref(), settings.get(layer.kind), source, is_last)?;
            hidden = next;
            if !sharers.is_empty() {
                seen.set(layer.kind, Some(kv));
            }
        }
        cache.advance(chunk.count());
        if !sharers.is_empty() {
            hidden = self.share(sharers, &hidden, inputs.as_ref(), &seen, cache.offset() - 1)?;
        }
        self.logits(&hidden)
    }

    /// The row `hidden` `[1, H]` at `position` through layers without keys of their own.
    fn share(
        &self,
        layers: &[Layer],
        hidden: &Array,
        inputs: Option<&Array>,
        seen: &ByKind<Option<KeyValues>>,
        position: usize,
    ) -> Result<Array> {
        let of_kind = |kind: LayerType| -> Result<(Setting, Option<KeyValues>)> {
            let rope = self.rope(kind);
            let angles = rope.angles(position, 1, self.dtype)?;
            let setting = Setting { rope, angles, mask: Mask::All, device: self.device };
            let kv = seen.get(kind).as_ref();
            Ok((setting, kv.map(|kv| kv.of_last_query(self.config.window(kind))).transpose()?))
        };
        let kinds = ByKind { sliding: of_kind(LayerType::Sliding)?, full: of_kind(LayerType::Full)? };
        let mut hidden = hidden.clone();
        for layer in layers {
            let (setting, kv) = kinds.get(layer.kind);
            let kv = kv.as_ref().ok_or_else(|| Error::new(Code::Backend, "a layer has no keys to share"))?;
            hidden = layer.forward(&hidden, inputs, setting, Source::Other(kv), true)?.0;
        }
        Ok(hidden)
    }

    /// `[T, H]`: scaled embeddings, with the soft tokens, which are not scaled, in their places.
    fn embed(&self, chunk: &Chunk) -> Result<Array> {
        let ids = chunk.ids.reshape(&[-1])?;
        let embedded = self.embed_tokens.forward(&ids)?.multiply(&self.embed_scale)?;
        insert(&embedded, chunk.soft, |tokens| cast(&tokens.features, self.dtype))
    }

    /// `[T]`: the ids, with padding under soft tokens.
    fn text_ids(&self, chunk: &Chunk) -> Result<Array> {
        let ids = chunk.ids.reshape(&[-1])?;
        insert(&ids, chunk.soft, |tokens| {
            let padding = vec![self.config.pad; tokens.features.dim(0) as usize];
            cast(&Array::from_slice(&padding, &[padding.len() as i32]), ids.dtype())
        })
    }

    /// Full layers are plainly causal; sliding ones see their window, and each other within an image.
    fn settings(&self, chunk: &Chunk, offset: usize) -> Result<ByKind<Setting<'_>>> {
        let count = chunk.count();
        let of_kind = |kind: LayerType| -> Result<Setting<'_>> {
            let window = self.config.window(kind);
            let has_blocks = self.config.image_blocks && kind == LayerType::Sliding;
            let shape = MaskShape {
                queries: count,
                keys: LayerCache::visible(window, offset, count),
                window,
                blocks: if has_blocks { chunk.blocks } else { &[] },
            };
            let rope = self.rope(kind);
            let angles = rope.angles(offset, count, self.dtype)?;
            Ok(Setting { rope, angles, mask: Mask::new(&shape, self.device)?, device: self.device })
        };
        Ok(ByKind { sliding: of_kind(LayerType::Sliding)?, full: of_kind(LayerType::Full)? })
    }

    fn rope(&self, kind: LayerType) -> &Rope {
        match kind {
            LayerType::Sliding => &self.sliding_rope,
            LayerType::Full => &self.full_rope,
        }
    }

    /// `[1, H]` → `[vocab]`.
    fn logits(&self, hidden: &Array) -> Result<Array> {
        let logits = self.embed_tokens.logits(&self.norm.forward(hidden)?)?;
        let logits = cast(&logits.reshape(&[-1])?, Dtype::Float32)?;
        match &self.softcap {
            None => Ok(logits),
            Some((cap, inverse)) => Ok(tanh(logits.multiply(inverse)?)?.multiply(cap)?),
        }
    }
}

/// Tensors that some files hold and the model does not use: a copy of the tied output layer, buffers that are computed,
/// and the keys and values of layers that use those of others.
pub fn is_surplus(config: &TextConfig, name: &str) -> bool {
    if name.starts_with("language_model.lm_head.") || name.ends_with(".inv_freq") {
        return true;
    }
    let layer = name.strip_prefix(PATH).and_then(|rest| rest.strip_prefix(".layers."));
    let Some((index, rest)) = layer.and_then(|rest| rest.split_once('.')) else { return false };
    let shares = index.parse::<usize>().is_ok_and(|i| i >= config.owning_layers());
    shares
        && ["k_proj.", "v_proj.", "k_norm."]
            .iter()
            .any(|of| rest.strip_prefix("self_attn.").is_some_and(|module| module.starts_with(of)))
}

/// `rows` with those under soft tokens replaced by what `part` makes of them.
fn insert(
    rows: &Array,
    soft: &[(Range<usize>, SoftTokens)],
    part: impl Fn(&SoftTokens) -> Result<Array>,
) -> Result<Array> {
    if soft.is_empty() {
        return Ok(rows.clone());
    }
    let count = rows.dim(0) as usize;
    let between = |from: usize, to: usize| {
        let (mut start, mut stop) = (vec![0; rows.ndim()], rows.shape().to_vec());
        (start[0], stop[0]) = (from as i32, to as i32);
        mlx::slice(rows, &start, &stop)
    };
    let mut parts = Vec::new();
    let mut done = 0;
    for (range, tokens) in soft {
        if range.start > done {
            parts.push(between(done, range.start)?);
        }
        parts.push(part(tokens)?);
        done = range.end;
    }
    if done < count {
        parts.push(between(done, count)?);
    }
    Ok(concatenate(&parts, 0)?)
}

fn last_row(x: &Array) -> Result<Array> {
    mlx::slice(x, &[x.dim(0) - 1, 0], &[x.dim(0), x.dim(1)])
}

fn rope(heads: &HeadConfig, device: Device) -> Rope {
    match heads.rope {
        RopeConfig::Plain { theta } => Rope::plain(heads.head_dim, theta, device),
        RopeConfig::Proportional { theta, partial, factor } => {
            Rope::proportional(heads.head_dim, theta, partial, factor, device)
        }
    }
}
