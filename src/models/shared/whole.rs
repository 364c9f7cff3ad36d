//! A language model and the encoders that make its soft tokens, as one.

use std::ops::Range;

use mlx_rs::{Array, Dtype};

use super::head::REFERENCE_TENSOR;
use crate::error::Result;
use crate::models::{Batch, Hidden, LanguageModel, LoadContext, Prepared, SoftTokens};
use crate::nn::held::Held;
use crate::nn::loader::Loader;
use crate::nn::state::State;

/// The part of [`LanguageModel`] that is the language model's.
pub trait Decoder {
    fn new_state(&self) -> State;
    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden>;
    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array>;
}

/// The part that is the towers'.
pub trait Encoders {
    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens>;
}

struct Whole<D, E> {
    decoder: D,
    encoders: E,
    held: Held,
    /// What keys and values are kept as, if not as the activations.
    cache: Option<Dtype>,
}

/// Tensors that some files hold and every model computes.
pub fn is_computed(name: &str) -> bool {
    name.ends_with(".inv_freq") || name.ends_with(".position_ids") || name.contains(".rotary_emb.")
}

/// The model of what `parts` read; it tells `progress` of the language model's layers. An error for tensors that no
/// part took and `ignored` does not excuse.
pub fn load<D: Decoder + 'static, E: Encoders + 'static>(
    context: &mut LoadContext,
    ignored: impl Fn(&str) -> bool,
    parts: impl FnOnce(&mut Loader, &mut dyn FnMut(f32) -> Result<()>) -> Result<(D, E)>,
) -> Result<Box<dyn LanguageModel>> {
    (context.progress)(0.0)?;
    let ranks = context.ranks.clone();
    // The towers' tensors are rank 0's.
    let encodes = ranks.encodes();
    let mut loader = Loader::new(context.snapshot, context.device, REFERENCE_TENSOR, context.border, ranks)?;
    let (decoder, encoders) = parts(&mut loader, context.progress)?;
    let held = loader.finish(|name| !encodes || is_computed(name) || ignored(name))?;
    (context.progress)(1.0)?;
    Ok(Box::new(Whole { decoder, encoders, held, cache: context.cache }))
}

impl<D: Decoder, E: Encoders> LanguageModel for Whole<D, E> {
    fn new_state(&self) -> State {
        let state = self.decoder.new_state();
        match self.cache {
            Some(dtype) => state.kept_as(dtype),
            None => state,
        }
    }

    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        self.encoders.encode(prepared)
    }

    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        self.decoder.forward(batch, states)
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        self.decoder.logits(hidden, rows)
    }

    fn held(&self) -> &Held {
        &self.held
    }
}
