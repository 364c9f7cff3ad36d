//! A language model and the encoders that make its soft tokens, as one.

use std::ops::Range;

use mlx_rs::Array;

use crate::error::Result;
use crate::models::{Batch, Hidden, LanguageModel, Prepared, SoftTokens};
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

pub struct Whole<D, E> {
    pub decoder: D,
    pub encoders: E,
    pub weight_bytes: usize,
}

impl<D: Decoder, E: Encoders> LanguageModel for Whole<D, E> {
    fn new_state(&self) -> State {
        self.decoder.new_state()
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

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}
