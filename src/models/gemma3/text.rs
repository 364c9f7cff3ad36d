//! The language model of Gemma 3 (`Gemma3TextModel` of transformers).

use std::ops::Range;

use mlx_rs::{Array, Dtype};

use super::config::TextConfig;
use crate::error::Result;
use crate::models::shared::attention::{Attention, Heads};
use crate::models::shared::head::{Head, PATH, Tables};
use crate::models::shared::mlp::Mlp;
use crate::models::shared::rows::{insert, keep};
use crate::models::shared::setting::{Kind, Setting, advance};
use crate::models::shared::whole::Decoder;
use crate::models::{Batch, Hidden};
use crate::nn::Device;
use crate::nn::activation::{GeluGlu, Glu};
use crate::nn::linear::Embedding;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::rope::Rope;
use crate::nn::state::{Shape, State};

pub struct TextModel {
    config: TextConfig,
    device: Device,
    dtype: Dtype,
    embed_tokens: Embedding,
    /// `√H` in the activations' dtype.
    embed_scale: Array,
    layers: Vec<Layer>,
    head: Head,
    full_rope: Rope,
    local_rope: Rope,
    /// Heads of keys and values that this rank keeps.
    kv_heads: usize,
}

struct Layer {
    is_full: bool,
    input_norm: RmsNorm,
    attention: Attention,
    post_attention_norm: RmsNorm,
    pre_feed_forward_norm: RmsNorm,
    mlp: Mlp,
    post_feed_forward_norm: RmsNorm,
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
        let steps = config.full_layers.len() as f32 + 1.0;
        let mut layers = Vec::new();
        for index in 0..config.full_layers.len() {
            loader.read()?;
            progress((index as f32 + 1.0) / steps)?;
            layers.push(Layer::load(loader, config, index)?);
        }
        let norm = loader.rms_norm_plus_one(&format!("{PATH}.norm"), hidden, config.rms_norm_eps)?;
        let (dim, global) = (config.head_dim, config.rope_theta);
        Ok(TextModel {
            embed_scale: Array::from_f32((hidden as f32).sqrt()).as_dtype(dtype)?,
            full_rope: Rope::linear(dim, global, config.rope_factor, device),
            local_rope: Rope::plain(dim, config.local_rope_theta, device),
            head: Head::new(norm, own, config.softcap),
            kv_heads: loader.heads(config.heads, config.kv_heads)?.keys.len(),
            config: config.clone(),
            device,
            dtype,
            embed_tokens: embeddings,
            layers,
        })
    }

    fn window(&self, layer: &Layer) -> Option<usize> {
        (!layer.is_full).then_some(self.config.sliding_window)
    }

    /// `[ΣT, H]`: scaled embeddings, with the soft tokens, which are not scaled, in their places.
    fn embed(&self, batch: &Batch) -> Result<Array> {
        let embedded = self.embed_tokens.forward(&batch.ids()?)?.multiply(&self.embed_scale)?;
        insert(&embedded, &batch.soft(), |tokens| cast(&tokens.features, self.dtype))
    }
}

impl Decoder for TextModel {
    fn new_state(&self) -> State {
        let (kv_heads, head_dim, dtype) = (self.kv_heads, self.config.head_dim, self.dtype);
        let shape = |layer| Shape { window: self.window(layer), kv_heads, head_dim, dtype };
        State::new(self.layers.iter().map(shape))
    }

    /// Image tokens see each other on all layers, on sliding ones inside the window.
    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        let mut hidden = self.embed(batch)?;
        let (dtype, device) = (self.dtype, self.device);
        let full = Kind { rope: &self.full_rope, window: None, blocks: true, dtype, device };
        let window = Some(self.config.sliding_window);
        let local = Setting::new(Kind { rope: &self.local_rope, window, ..full }, batch, states)?;
        let full = Setting::new(full, batch, states)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let setting = if layer.is_full { &full } else { &local };
            let wanted = (index + 1 == self.layers.len()).then_some(batch);
            hidden = layer.forward(&hidden, setting, states, index, wanted)?;
        }
        advance(batch, states);
        Ok(Hidden { rows: hidden })
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        self.head.logits(&self.embed_tokens, hidden, rows)
    }
}

impl Layer {
    fn load(loader: &mut Loader, config: &TextConfig, index: usize) -> Result<Layer> {
        let path = format!("{PATH}.layers.{index}");
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let heads = Heads {
            hidden_size: hidden,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            scale: config.query_pre_attn_scalar.powf(-0.5),
            rms_norm_eps: eps,
            norms_plus_one: true,
        };
        let glu = Glu::GeluTanh(GeluGlu::new(loader.dtype)?);
        let mut norm = |name: &str| loader.rms_norm_plus_one(&format!("{path}.{name}"), hidden, eps);
        Ok(Layer {
            is_full: config.full_layers[index],
            input_norm: norm("input_layernorm")?,
            post_attention_norm: norm("post_attention_layernorm")?,
            pre_feed_forward_norm: norm("pre_feedforward_layernorm")?,
            post_feed_forward_norm: norm("post_feedforward_layernorm")?,
            attention: Attention::load(loader, &format!("{path}.self_attn"), heads)?,
            mlp: Mlp::load(loader, &format!("{path}.mlp"), hidden, config.intermediate_size, glu)?,
        })
    }

    /// `[ΣT, H]` → `[ΣT, H]`, or the wanted rows where nobody needs the others.
    fn forward(
        &self,
        hidden: &Array,
        setting: &Setting,
        states: &mut [&mut State],
        index: usize,
        wanted: Option<&Batch>,
    ) -> Result<Array> {
        let attended = self.attention.forward(&self.input_norm.forward(hidden)?, setting, states, index)?;
        let (attended, hidden) = (keep(&attended, wanted)?, keep(hidden, wanted)?);
        let attended = self.attention.output(&attended)?;
        let hidden = hidden.add(self.post_attention_norm.forward(&attended)?)?;
        let fed = self.mlp.forward(&self.pre_feed_forward_norm.forward(&hidden)?)?;
        Ok(hidden.add(self.post_feed_forward_norm.forward(&fed)?)?)
    }
}
