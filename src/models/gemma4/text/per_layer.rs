//! Per-layer inputs (PLE): values that each token brings for every layer, from a table of its own and from the
//! embeddings.

use mlx_rs::Array;

use super::config::TextConfig;
use crate::error::Result;
use crate::nn::activation::GeluGlu;
use crate::nn::linear::{Embedding, Linear};
use crate::nn::loader::Loader;
use crate::nn::mlx;
use crate::nn::norm::RmsNorm;

/// Makes the inputs of all layers.
pub struct PerLayerInputs {
    /// `[vocab, L · P]`.
    table: Embedding,
    /// `√P`, in the activations' dtype.
    table_scale: Array,
    projection: Linear,
    norm: RmsNorm,
    /// `1 / √2`, in the activations' dtype.
    mean_scale: Array,
    layers: i32,
    size: i32,
}

/// Brings one layer's inputs into the residual stream.
pub struct PerLayerInput {
    gate: Linear,
    projection: Linear,
    norm: RmsNorm,
    glu: GeluGlu,
}

impl PerLayerInputs {
    /// `None` for a model without such inputs.
    pub fn load(loader: &mut Loader, config: &TextConfig, path: &str) -> Result<Option<PerLayerInputs>> {
        let Some(size) = config.per_layer_input else { return Ok(None) };
        let (hidden, layers) = (config.hidden_size, config.layer_types.len());
        let constant = |value: f32| Array::from_f32(value).as_dtype(loader.dtype);
        let (table_scale, mean_scale) = (constant((size as f32).sqrt())?, constant(0.5f32.sqrt())?);
        // The reference multiplies by 1/√H before the norm, which cancels out but for its ε.
        let eps = config.rms_norm_eps * hidden as f32;
        loader.keeps_of_a_row(layers * size);
        let inputs = PerLayerInputs {
            table: loader.lookup_table(
                &format!("{path}.embed_tokens_per_layer"),
                config.vocab_size,
                layers * size,
            )?,
            table_scale,
            projection: loader.linear(path, &[("per_layer_model_projection", layers * size)], hidden)?,
            norm: loader.rms_norm(&format!("{path}.per_layer_projection_norm"), size, eps)?,
            mean_scale,
            layers: layers as i32,
            size: size as i32,
        };
        loader.read()?;
        Ok(Some(inputs))
    }

    /// `[T, L, P]` from `ids` `[T]`, padding under soft tokens, and the first layer's input `[T, H]`.
    pub fn forward(&self, ids: &Array, embedded: &Array) -> Result<Array> {
        let shape = [-1, self.layers, self.size];
        let own = self.table.forward(ids)?.multiply(&self.table_scale)?.reshape(&shape)?;
        let context = self.norm.forward(&self.projection.forward(embedded)?.reshape(&shape)?)?;
        Ok(context.add(own)?.multiply(&self.mean_scale)?)
    }
}

/// The part of [`PerLayerInputs::forward`]'s result that belongs to a layer: `[T, P]`.
pub fn of_layer(inputs: &Array, index: usize) -> Result<Array> {
    let (rows, size, index) = (inputs.dim(0), inputs.dim(2), index as i32);
    Ok(mlx::slice(inputs, &[0, index, 0], &[rows, index + 1, size])?.reshape(&[-1, size])?)
}

impl PerLayerInput {
    pub fn load(loader: &mut Loader, config: &TextConfig, path: &str) -> Result<Option<PerLayerInput>> {
        let Some(size) = config.per_layer_input else { return Ok(None) };
        let hidden = config.hidden_size;
        Ok(Some(PerLayerInput {
            gate: loader.linear(path, &[("per_layer_input_gate", size)], hidden)?,
            projection: loader.linear(path, &[("per_layer_projection", hidden)], size)?,
            norm: loader.rms_norm(
                &format!("{path}.post_per_layer_input_norm"),
                hidden,
                config.rms_norm_eps,
            )?,
            glu: GeluGlu::new(loader.dtype)?,
        }))
    }

    /// What is added to `hidden` `[T, H]` for the inputs `[T, P]`.
    pub fn forward(&self, hidden: &Array, input: &Array) -> Result<Array> {
        let gated = self.glu.forward(&self.gate.forward(hidden)?, input)?;
        self.norm.forward(&self.projection.forward(&gated)?)
    }
}
