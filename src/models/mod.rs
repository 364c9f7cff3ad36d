//! Architectures: what a snapshot's `config.json` describes, and the model that runs it.
//!
//! [`architecture`] picks one by `model_type`. An [`Architecture`] is made from JSON files alone, knows nothing of
//! MLX, and may be used from any thread; its [`load`](Architecture::load) gives the [`LanguageModel`], which owns
//! MLX arrays and never leaves the thread that made it.

mod gemma4;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod published;

use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::ops::indexing::TryIndexOp;

use crate::error::{Error, Result};
use crate::media::{Media, MediaKind};
use crate::nn::Device;
use crate::nn::cache::Cache;
use crate::prompt::MediaLayout;
use crate::snapshot::Snapshot;

/// The host side of an architecture: everything that is known before the weights are read.
pub trait Architecture: Send + Sync {
    /// `model_type` of `config.json`.
    fn name(&self) -> &str;
    /// Where media go in a prompt, and how many soft tokens each one takes.
    fn layout(&self) -> &dyn MediaLayout;
    /// Positions that the model was made for (`max_position_embeddings`).
    fn context_length(&self) -> usize;
    /// Rows of the logits.
    fn vocab_size(&self) -> usize;
    /// What the model takes besides text.
    fn modalities(&self) -> Vec<MediaKind>;
    /// `eos_token_id` of `config.json`, for snapshots without a `generation_config.json`. Empty when it has none.
    fn eos_from_config(&self) -> Vec<u32>;
    /// Reads the weights on the calling thread, which is the only one that may use the model afterwards.
    ///
    /// `progress` is called with 0.0 to 1.0 as layers arrive; an error from it (a cancel) stops the load.
    fn load(
        &self,
        snapshot: &Snapshot,
        device: Device,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Box<dyn LanguageModel>>;
}

/// The device side of an architecture. Lives on the MLX thread; every method builds lazy arrays on the default
/// stream of that thread and evaluates nothing, but for the routing of experts on the CPU.
pub trait LanguageModel {
    /// An empty cache for one session.
    fn new_cache(&self) -> Cache;

    /// What takes the place of one medium's placeholder tokens. Media that [`MediaLayout::blocks`] takes apart (videos,
    /// long sounds) come as their parts.
    fn encode(&self, media: &Media) -> Result<SoftTokens>;

    /// Appends `chunk` to `cache` and gives the logits of its last row: `f32`, `[vocab]`, softcapped, before any
    /// processor. A chunk whose logits are not evaluated costs neither the head nor the last layer's tail:
    /// evaluate [`Cache::arrays`] alone for all but the last chunk of a prompt.
    fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array>;

    /// Bytes of the weights as they are held.
    fn weight_bytes(&self) -> usize;
}

/// The encoding of one medium.
#[derive(Clone, Debug)]
pub struct SoftTokens {
    /// `[n, H]`, inserted after the embedding scale.
    pub features: Array,
    /// Features for deeper layers, each `[n, H]` (Qwen3-VL's deepstack). Mostly empty.
    pub extra: Vec<Array>,
    /// Rows and columns of a picture's tokens, for architectures whose positions follow them.
    pub grid: Option<(usize, usize)>,
}

impl SoftTokens {
    /// The arrays to evaluate so that the encoding is done.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        std::iter::once(&self.features).chain(&self.extra)
    }

    /// A part of the tokens, for a medium that crosses the border of a prefill chunk (audio may, images of models
    /// with block masks never do).
    pub fn rows(&self, rows: Range<usize>) -> Result<SoftTokens> {
        let range = rows.start as i32..rows.end as i32;
        let part = |a: &Array| a.try_index(range.clone()).map_err(Error::from);
        let extra = self.extra.iter().map(part).collect::<Result<_>>()?;
        Ok(SoftTokens { features: part(&self.features)?, extra, grid: self.grid })
    }
}

/// A run of consecutive positions of one prompt.
pub struct Chunk<'a> {
    /// `[T]`, `u32` or `i32`; may be lazy (the token that was just sampled). Positions under soft tokens hold the
    /// placeholder's id.
    pub ids: &'a Array,
    /// Soft tokens and where they go, relative to the chunk, in order.
    pub soft: &'a [(Range<usize>, SoftTokens)],
    /// Runs of image tokens inside the chunk, relative to it, for block masks. A block is never split over chunks.
    pub blocks: &'a [Range<usize>],
}

impl Chunk<'_> {
    /// Positions, `T`.
    pub fn count(&self) -> usize {
        self.ids.size()
    }
}

/// The architecture that `snapshot` names in `config.json`'s `model_type`.
pub fn architecture(snapshot: &Snapshot) -> Result<Box<dyn Architecture>> {
    match snapshot.model_type()? {
        known if gemma4::MODEL_TYPES.contains(&known) => Ok(Box::new(gemma4::Gemma4::new(snapshot)?)),
        other => {
            let known = gemma4::MODEL_TYPES.join(", ");
            let message = format!("model_type {other} is not supported: this version runs {known}");
            Err(Error::unsupported(message).with("model_type", other))
        }
    }
}
