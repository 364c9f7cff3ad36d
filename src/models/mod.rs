//! Architectures: what a snapshot's `config.json` describes, and the model that runs it.
//!
//! [`architecture`] picks one by `model_type`. An [`Architecture`] is made from JSON files alone, knows nothing of
//! MLX, and may be used from any thread; its [`load`](Architecture::load) gives the [`LanguageModel`], which owns
//! MLX arrays and never leaves the thread that made it.

mod batch;
mod gemma3;
mod gemma4;
// The tests of the C ABI read more of it.
#[cfg(test)]
#[allow(dead_code)]
#[path = "../../tests/support/golden.rs"]
mod cases;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod mapped_tests;
#[cfg(all(test, target_os = "linux"))]
mod operations_tests;
#[cfg(test)]
mod published;
mod qwen3_vl;
mod shared;

use std::ops::Range;
use std::sync::Arc;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype};

pub use self::batch::{Batch, Hidden, Run, chunks};
use crate::audio::gemma4::AudioFrames;
use crate::audio::mel::MelFrames;
use crate::dialect::Dialect;
use crate::error::{Code, Error, Result};
use crate::media::{Check, Image, Media, MediaKind};
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::held::Held;
use crate::nn::mlx::Waits;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::prompt::{MediaLayout, Placed};
use crate::snapshot::Snapshot;
use crate::vision::patches::Patches;
use crate::vision::resize::{Target, reduced};

/// The host side of an architecture: everything that is known before the weights are read.
pub trait Architecture: Send + Sync {
    fn facts(&self) -> &Facts;
    /// Where media go in a prompt, and what is done with them before they are encoded.
    fn media(&self) -> &dyn MediaModel;
    /// How the model spells its thoughts and its tool calls.
    fn dialect(&self) -> Dialect;
    /// Reads the weights on the calling thread, which is the only one that may use the model afterwards.
    fn load(&self, context: &mut LoadContext) -> Result<Box<dyn LanguageModel>>;

    /// What the model takes besides text.
    fn modalities(&self) -> Vec<MediaKind> {
        let takes = |kind: &MediaKind| self.media().placeholder(*kind).is_some();
        MediaKind::ALL.into_iter().filter(takes).collect()
    }
}

/// What `config.json` says of every model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `model_type`.
    pub name: String,
    /// Positions that the model was made for (`max_position_embeddings`).
    pub context_length: usize,
    /// Rows of the logits.
    pub vocab_size: usize,
    /// `eos_token_id`, for snapshots without a `generation_config.json`. Empty when there is none.
    pub eos: Vec<u32>,
    /// Sentences about parts that the snapshot has not whole, and that are left out.
    pub notes: Vec<String>,
}

/// What a model is loaded from, and for.
pub struct LoadContext<'a> {
    pub snapshot: &'a Snapshot,
    /// Where the arrays are to be.
    pub device: Device,
    /// Called with 0.0 to 1.0 as layers arrive; an error from it (a cancel) stops the load.
    pub progress: &'a mut dyn FnMut(f32) -> Result<()>,
    /// Called before some tensors are read: it may wait, and an error from it stops the load.
    pub border: &'a dyn Fn() -> Result<()>,
    /// What keys and values are kept as; as the activations otherwise.
    pub cache: Option<Dtype>,
    /// Which part of the model is loaded. The encoders of media are rank 0's.
    pub ranks: Ranks,
}

/// What an architecture does with media before MLX sees them. Any thread; nothing here is slow but
/// [`prepare`](Self::prepare).
pub trait MediaModel: MediaLayout {
    /// What the encoder takes of a medium. Media that [`MediaLayout::blocks`] takes apart (videos, long sounds) come as
    /// their parts. `check` is called now and then; an error from it (a cancel) stops the work.
    fn prepare(&self, media: &Media, check: Check) -> Result<Prepared>;

    /// The pictures of a medium that [`MediaLayout::blocks`] gave, and the sizes at which [`prepare`](Self::prepare)
    /// takes them. Nothing for what is no picture.
    fn targets(&self, media: &Media) -> Result<Vec<(Image, Target)>>;

    /// Positions of a prompt's rows.
    fn positions(&self, prompt: &Placed) -> Positions {
        Positions::counting(prompt.ids.len())
    }
}

/// A medium of which only what `model` takes of its pictures is left, where that is less than all of it: to the model, it
/// is the same. A sound stays as it is.
///
/// Errors: `Unsupported` for a medium or a wish that the model does not know, `InvalidArgument` for one that was reduced
/// for another model, `InvalidMedia`, `OutOfMemory`, and what `check` ends it with.
pub fn reduce(model: &dyn MediaModel, media: &Arc<Media>, check: Check) -> Result<Media> {
    let mut targets = Vec::new();
    for block in model.blocks(media)? {
        targets.extend(model.targets(&block.media)?);
    }
    // Nothing is computed for a medium that is refused.
    let mut sizes = Vec::with_capacity(targets.len());
    for (image, target) in targets {
        check()?;
        sizes.push(reduced(&image, target, check)?);
    }
    Ok(media.with_sizes(&sizes))
}

/// A medium as an encoder takes it.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Of a picture, or of some frames of a video.
    Patches(Patches),
    /// Of a sound: its samples, a row for each soft token.
    Samples(AudioFrames),
    /// Of speech: spectra.
    Mel(MelFrames),
}

impl Prepared {
    /// The error for an encoder that the model does not have, which no prompt can lead to.
    fn misplaced(&self) -> Error {
        let what = match self {
            Prepared::Patches(_) => "patches",
            Prepared::Samples(_) => "samples",
            Prepared::Mel(_) => "spectra",
        };
        Error::new(Code::Backend, format!("the model has no encoder for {what}"))
    }
}

/// The device side of an architecture. Lives on the MLX thread; every method builds lazy arrays on the default
/// stream of that thread and evaluates nothing, but for the routing of experts on the CPU.
pub trait LanguageModel {
    /// An empty state for one session.
    fn new_state(&self) -> State;

    /// What takes the place of one medium's placeholder tokens.
    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens>;

    /// Appends the rows of each run to the state at the same index, and gives the hidden states of the wanted rows.
    /// Evaluate [`State::arrays`] alone for all but the last chunk of a prompt.
    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden>;

    /// Logits of some rows of `hidden`: `f32`, `[rows, vocab]`, softcapped, before any processor.
    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array>;

    /// What of the weights is held, and in what way.
    fn held(&self) -> &Held;

    /// What goes with each wait for what it computes.
    fn waits(&self) -> Option<Arc<dyn Waits>> {
        None
    }

    /// Called before the thread rests: what others are to be told is told.
    fn settle(&self) {}

    /// Why a pass failed, where the model knows better than `error`.
    fn explain(&self, error: Error) -> Error {
        error
    }
}

/// The encoding of one medium.
#[derive(Clone, Debug)]
pub struct SoftTokens {
    /// `[n, H]`, inserted after the embedding scale.
    pub features: Array,
    /// Features for deeper layers, each `[n, H]` (Qwen3-VL's deepstack). Mostly empty.
    pub extra: Vec<Array>,
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
        Ok(SoftTokens { features: part(&self.features)?, extra })
    }
}

/// The error for a medium that the model has no encoder for.
fn lacks(kind: MediaKind) -> Error {
    Error::unsupported(format!("this model takes no {} input", kind.name())).with("modality", kind.name())
}

/// The host side of a snapshot's architecture.
type Open = fn(&Snapshot) -> Result<Box<dyn Architecture>>;

/// Every architecture: the `model_type`s of `config.json` that it runs, and how it is opened.
const REGISTRY: [(&[&str], Open); 3] = [
    (&gemma3::MODEL_TYPES, |snapshot| Ok(Box::new(gemma3::Gemma3::new(snapshot)?))),
    (&gemma4::MODEL_TYPES, |snapshot| Ok(Box::new(gemma4::Gemma4::new(snapshot)?))),
    (&qwen3_vl::MODEL_TYPES, |snapshot| Ok(Box::new(qwen3_vl::Qwen3Vl::new(snapshot)?))),
];

/// The architecture that `snapshot` names in `config.json`'s `model_type`.
pub fn architecture(snapshot: &Snapshot) -> Result<Box<dyn Architecture>> {
    let found = snapshot.model_type()?;
    if let Some((_, open)) = REGISTRY.iter().find(|(names, _)| names.contains(&found)) {
        return open(snapshot);
    }
    let known: Vec<&str> = REGISTRY.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    let message = format!("model_type {found} is not supported: this version runs {}", known.join(", "));
    Err(Error::unsupported(message).with("model_type", found))
}
