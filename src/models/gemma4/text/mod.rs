//! The language model of the Gemma 4 families (`Gemma4TextModel` of transformers).

mod attention;
pub mod config;
mod feed_forward;
mod layer;
mod per_layer;

use std::ops::Range;

use mlx_rs::{Array, Dtype};

use self::attention::Source;
use self::config::{HeadConfig, LayerType, RopeConfig, TextConfig};
use self::layer::Layer;
use self::per_layer::PerLayerInputs;
use crate::error::Result;
use crate::models::shared::head::{Head, PATH, Tables};
use crate::models::shared::rows::insert;
use crate::models::shared::setting::{Kind, Setting, advance};
use crate::models::shared::whole::Decoder;
use crate::models::{Batch, Hidden};
use crate::nn::Device;
use crate::nn::linear::Embedding;
use crate::nn::loader::Loader;
use crate::nn::norm::cast;
use crate::nn::rope::Rope;
use crate::nn::runs::KeyValues;
use crate::nn::state::{Shape, State};

pub struct TextModel {
    config: TextConfig,
    device: Device,
    dtype: Dtype,
    embed_tokens: Embedding,
    /// `√H` in the activations' dtype.
    embed_scale: Array,
    per_layer_inputs: Option<PerLayerInputs>,
    layers: Vec<Layer>,
    head: Head,
    sliding_rope: Rope,
    full_rope: Rope,
    /// Heads of keys and values that this rank keeps.
    kv_heads: ByKind<usize>,
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
        let Tables { embeddings, own } = Tables::load(loader, config.tied, config.vocab_size, hidden)?;
        loader.read()?;
        let per_layer_inputs = PerLayerInputs::load(loader, config, PATH)?;
        let steps = config.layer_types.len() as f32 + 1.0;
        let mut layers = Vec::new();
        for index in 0..config.layer_types.len() {
            progress((index as f32 + 1.0) / steps)?;
            layers.push(Layer::load(loader, config, index, &format!("{PATH}.layers.{index}"))?);
        }
        let norm = loader.rms_norm(&format!("{PATH}.norm"), hidden, config.rms_norm_eps)?;
        Ok(TextModel {
            embed_scale: Array::from_f32((hidden as f32).sqrt()).as_dtype(dtype)?,
            sliding_rope: rope(&config.sliding, device),
            full_rope: rope(&config.full, device),
            kv_heads: ByKind {
                sliding: loader.heads(config.heads, config.sliding.kv_heads)?.keys.len(),
                full: loader.heads(config.heads, config.full.kv_heads)?.keys.len(),
            },
            config: config.clone(),
            device,
            dtype,
            embed_tokens: embeddings,
            per_layer_inputs,
            layers,
            head: Head::new(norm, own, config.softcap),
        })
    }

    /// `[ΣT, H]`: scaled embeddings, with the soft tokens, which are not scaled, in their places.
    fn embed(&self, batch: &Batch) -> Result<Array> {
        let embedded = self.embed_tokens.forward(&batch.ids()?)?.multiply(&self.embed_scale)?;
        insert(&embedded, &batch.soft(), |tokens| cast(&tokens.features, self.dtype))
    }

    /// `[ΣT]`: the ids, with padding under soft tokens.
    fn text_ids(&self, batch: &Batch) -> Result<Array> {
        let ids = batch.ids()?;
        insert(&ids, &batch.soft(), |tokens| {
            let padding = vec![self.config.pad; tokens.features.dim(0) as usize];
            cast(&Array::from_slice(&padding, &[padding.len() as i32]), ids.dtype())
        })
    }

    /// Full layers are plainly causal; sliding ones see their window, and each other within an image.
    fn settings(&self, batch: &Batch, states: &[&mut State]) -> Result<ByKind<Setting<'_>>> {
        let of_kind = |kind: LayerType| {
            let kind = Kind {
                rope: self.rope(kind),
                window: self.config.window(kind),
                blocks: self.config.image_blocks && kind == LayerType::Sliding,
                dtype: self.dtype,
                device: self.device,
            };
            Setting::new(kind, batch, states)
        };
        Ok(ByKind { sliding: of_kind(LayerType::Sliding)?, full: of_kind(LayerType::Full)? })
    }

    fn rope(&self, kind: LayerType) -> &Rope {
        match kind {
            LayerType::Sliding => &self.sliding_rope,
            LayerType::Full => &self.full_rope,
        }
    }
}

impl Decoder for TextModel {
    fn new_state(&self) -> State {
        let owners = &self.config.layer_types[..self.config.owning_layers()];
        State::new(owners.iter().map(|kind| {
            let heads = self.config.head_config(*kind);
            let (kv_heads, head_dim) = (*self.kv_heads.get(*kind), heads.head_dim);
            Shape { window: self.config.window(*kind), kv_heads, head_dim, dtype: self.dtype }
        }))
    }

    /// Layers that use the keys of others only ever see the wanted rows: what they do to the rows before is read by
    /// nobody.
    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        let (owners, sharers) = self.layers.split_at(self.config.owning_layers());
        let mut hidden = self.embed(batch)?;
        let inputs = match &self.per_layer_inputs {
            None => None,
            Some(inputs) => Some(inputs.forward(&self.text_ids(batch)?, &hidden)?),
        };
        let settings = self.settings(batch, states)?;
        let mut seen = ByKind { sliding: Vec::new(), full: Vec::new() };
        for (index, layer) in owners.iter().enumerate() {
            let (setting, source) = (settings.get(layer.kind), Source::Own(states, index));
            let wanted = (index + 1 == owners.len()).then_some(batch);
            let (next, kv) = layer.forward(&hidden, inputs.as_ref(), setting, source, wanted)?;
            hidden = next;
            if !sharers.is_empty() {
                seen.set(layer.kind, kv);
            }
        }
        advance(batch, states);
        if !sharers.is_empty() {
            let inputs = inputs.map(|inputs| batch.wanted(&inputs)).transpose()?;
            let of_kind = |kind: LayerType| -> Result<(Setting, Vec<KeyValues>)> {
                let setting = settings.get(kind);
                let seen = setting.seen_by_wanted(batch, seen.get(kind))?;
                Ok((setting.of_wanted(batch, states)?, seen))
            };
            let kinds = ByKind { sliding: of_kind(LayerType::Sliding)?, full: of_kind(LayerType::Full)? };
            for layer in sharers {
                let (setting, seen) = kinds.get(layer.kind);
                hidden = layer.forward(&hidden, inputs.as_ref(), setting, Source::Other(seen), None)?.0;
            }
        }
        Ok(Hidden { rows: hidden })
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        self.head.logits(&self.embed_tokens, hidden, rows)
    }
}

/// Tensors that some files hold and the model does not use: the keys and values of layers that use those of others.
pub fn is_surplus(config: &TextConfig, name: &str) -> bool {
    let layer = name.strip_prefix(PATH).and_then(|rest| rest.strip_prefix(".layers."));
    let Some((index, rest)) = layer.and_then(|rest| rest.split_once('.')) else { return false };
    let shares = index.parse::<usize>().is_ok_and(|i| i >= config.owning_layers());
    shares
        && ["k_proj.", "v_proj.", "k_norm.", "v_norm."]
            .iter()
            .any(|of| rest.strip_prefix("self_attn.").is_some_and(|module| module.starts_with(of)))
}

fn rope(heads: &HeadConfig, device: Device) -> Rope {
    match heads.rope {
        RopeConfig::Plain { theta } => Rope::plain(heads.head_dim, theta, device),
        RopeConfig::Proportional { theta, partial, factor } => {
            Rope::proportional(heads.head_dim, theta, partial, factor, device)
        }
    }
}
