//! One layer of the language model.

use mlx_rs::Array;

use super::attention::{Attention, Source};
use super::config::{LayerType, TextConfig};
use super::feed_forward::FeedForward;
use super::per_layer::{PerLayerInput, of_layer};
use crate::error::Result;
use crate::models::Batch;
use crate::models::shared::rows::keep;
use crate::models::shared::setting::Setting;
use crate::nn::loader::Loader;
use crate::nn::norm::RmsNorm;
use crate::nn::runs::KeyValues;

pub struct Layer {
    pub kind: LayerType,
    index: usize,
    input_norm: RmsNorm,
    attention: Attention,
    post_attention_norm: RmsNorm,
    feed_forward: FeedForward,
    post_feed_forward_norm: RmsNorm,
    per_layer_input: Option<PerLayerInput>,
    layer_scalar: Array,
}

impl Layer {
    pub fn load(loader: &mut Loader, config: &TextConfig, index: usize, path: &str) -> Result<Layer> {
        let owns_keys = index < config.owning_layers();
        // Layers without keys of their own see the rows that are wanted: one of a prompt.
        let layer = match owns_keys {
            true => Self::parts(loader, config, index, path),
            false => loader.aside(|loader| Self::parts(loader, config, index, path)),
        }?;
        loader.read()?;
        Ok(layer)
    }

    fn parts(loader: &mut Loader, config: &TextConfig, index: usize, path: &str) -> Result<Layer> {
        let kind = config.layer_types[index];
        let owns_keys = index < config.owning_layers();
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let mut norm = |name: &str| loader.rms_norm(&format!("{path}.{name}"), hidden, eps);
        Ok(Layer {
            kind,
            index,
            input_norm: norm("input_layernorm")?,
            post_attention_norm: norm("post_attention_layernorm")?,
            post_feed_forward_norm: norm("post_feedforward_layernorm")?,
            attention: Attention::load(loader, config, &format!("{path}.self_attn"), kind, owns_keys)?,
            feed_forward: FeedForward::load(loader, config, index, path)?,
            per_layer_input: loader.aside(|loader| PerLayerInput::load(loader, config, path))?,
            layer_scalar: loader.float(&format!("{path}.layer_scalar"), &[1])?,
        })
    }

    /// `[ΣT, H]` → `[ΣT, H]`, or the wanted rows of `wanted` where nobody needs the others; and the keys and values that
    /// the queries saw. `inputs` are those of all layers, for the rows of `hidden`.
    pub fn forward(
        &self,
        hidden: &Array,
        inputs: Option<&Array>,
        setting: &Setting,
        source: Source,
        wanted: Option<&Batch>,
    ) -> Result<(Array, Vec<KeyValues>)> {
        let normed = self.input_norm.forward(hidden)?;
        let (attended, seen) = self.attention.forward(&normed, setting, source)?;
        let (attended, hidden) = (keep(&attended, wanted)?, keep(hidden, wanted)?);
        let attended = self.attention.output(&attended)?;
        let hidden = hidden.add(self.post_attention_norm.forward(&attended)?)?;
        let fed = self.feed_forward.forward(&hidden)?;
        let mut hidden = hidden.add(self.post_feed_forward_norm.forward(&fed)?)?;
        if let (Some(own), Some(inputs)) = (&self.per_layer_input, inputs) {
            let input = keep(&of_layer(inputs, self.index)?, wanted)?;
            hidden = hidden.add(own.forward(&hidden, &input)?)?;
        }
        Ok((hidden.multiply(&self.layer_scalar)?, seen))
    }
}
