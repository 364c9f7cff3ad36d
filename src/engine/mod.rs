//! Models and sessions: one MLX thread, and handles that any thread may hold.

mod budget;
mod checkpoints;
mod decode;
mod encode;
mod encoded;
mod estimate;
mod event;
mod fit;
mod group;
mod guide;
mod host_row;
mod inbox;
mod limits;
mod logprobs;
mod memory;
mod metallib;
mod model;
mod options;
mod output;
mod pending;
mod prefill;
mod queue;
mod reuse;
mod run;
mod saved;
mod scheduler;
mod session;
mod speculate;
mod stats;
mod suspend;
mod waker;
pub(crate) mod worker;

pub use crate::dialect::{Call, Draft};
pub use crate::sampling::{Grammar, GrammarKind, LoopDetection};
pub use event::{Event, EventKind, FinishReason, TokenLogprob};
pub use group::{GroupBackend, GroupOptions, serve};
pub use model::Model;
pub use options::{
    CacheType, CancelToken, DeviceChoice, DryOptions, GenerationOptions, LoadOptions, LogitsProcessor,
    ProgressFn, SessionOptions, Speculate, ToolChoice, WeightsChoice,
};
pub use session::Session;
pub use stats::Stats;
pub use suspend::{resume, suspend};
pub use waker::Waker;

use crate::nn::mlx::group::Backend;
use crate::nn::{Device, default_device};

/// Whether the processes of a group can talk in the way that MLX calls so.
pub(crate) fn has_group_backend(name: &str) -> bool {
    Backend::ALL.into_iter().any(|backend| backend.name() == name && backend.is_available())
}

/// Whether this build of MLX has a GPU here.
pub(crate) fn has_gpu() -> bool {
    default_device() == Device::Gpu
}
