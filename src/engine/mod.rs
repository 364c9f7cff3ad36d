//! Models and sessions: one MLX thread, and handles that any thread may hold.

mod decode;
mod encode;
mod encoded;
mod event;
mod host_row;
mod limits;
mod logprobs;
mod metallib;
mod model;
mod options;
mod output;
mod prefill;
mod queue;
mod reuse;
mod run;
mod scheduler;
mod session;
mod stats;
pub(crate) mod worker;

pub use crate::dialect::Call;
pub use crate::sampling::LoopDetection;
pub use event::{Event, EventKind, FinishReason, TokenLogprob};
pub use model::Model;
pub use options::{
    CancelToken, DeviceChoice, DryOptions, GenerationOptions, LoadOptions, LogitsProcessor, ProgressFn,
    SessionOptions,
};
pub use session::Session;
pub use stats::Stats;

use crate::nn::{Device, default_device};

/// Whether this build of MLX has a GPU here.
pub(crate) fn has_gpu() -> bool {
    default_device() == Device::Gpu
}
