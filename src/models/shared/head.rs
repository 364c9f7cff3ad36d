//! The end of a text model: the final norm, the output layer and its softcap.

use std::ops::Range;

use mlx_rs::ops::tanh;
use mlx_rs::{Array, Dtype};

use crate::error::Result;
use crate::models::Hidden;
use crate::nn::linear::Embedding;
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};

/// Where the canonical names of a text model's tensors begin.
pub const PATH: &str = "language_model.model";
const HEAD: &str = "language_model.lm_head";

/// The norm that every file has, and whose dtype is the snapshot's.
pub const REFERENCE_TENSOR: &str = "language_model.model.norm.weight";

/// The table of the embeddings, and that of the output layer where it is another one.
pub struct Tables {
    pub embeddings: Embedding,
    pub own: Option<Embedding>,
}

impl Tables {
    /// A file that has both means both, whatever its configuration says. Where they are `tied`, one may stand for the
    /// other, as in transformers.
    pub fn load(loader: &mut Loader, tied: bool, vocab: usize, hidden: usize) -> Result<Tables> {
        let embeddings = format!("{PATH}.embed_tokens");
        let has = |loader: &Loader, path: &str| loader.has(&format!("{path}.weight"));
        if tied && !has(loader, &embeddings) && has(loader, HEAD) {
            return Ok(Tables { embeddings: loader.embedding(HEAD, vocab, hidden)?, own: None });
        }
        let own = has(loader, HEAD) || !tied;
        Ok(Tables {
            embeddings: loader.embedding(&embeddings, vocab, hidden)?,
            own: own.then(|| loader.embedding(HEAD, vocab, hidden)).transpose()?,
        })
    }
}

pub struct Head {
    norm: RmsNorm,
    /// Where it is not the table of the embeddings.
    own: Option<Embedding>,
    /// `c` and `1 / c` of the softcap.
    softcap: Option<(Array, Array)>,
}

impl Head {
    pub fn new(norm: RmsNorm, own: Option<Embedding>, softcap: Option<f32>) -> Head {
        Head { norm, own, softcap: softcap.map(|c| (Array::from_f32(c), Array::from_f32(1.0 / c))) }
    }

    /// `f32` `[rows, vocab]` of some rows of `hidden`. `embeddings` are the output layer where it has no table of its
    /// own.
    pub fn logits(&self, embeddings: &Embedding, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        let normed = self.norm.forward(&hidden.rows(rows)?)?;
        let logits = cast(&self.own.as_ref().unwrap_or(embeddings).logits(&normed)?, Dtype::Float32)?;
        match &self.softcap {
            None => Ok(logits),
            Some((cap, inverse)) => Ok(tanh(logits.multiply(inverse)?)?.multiply(cap)?),
        }
    }
}
