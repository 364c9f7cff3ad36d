//! Models and sessions: one MLX thread, and handles that any thread may hold.

mod decode;
mod encode;
mod encoded;
mod event;
mod logprobs;
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

pub use event::{Event, EventKind, FinishReason, TokenLogprob};
pub use model::Model;
pub use options::{CancelToken, DeviceChoice, GenerationOptions, LoadOptions, ProgressFn, SessionOptions};
pub use session::Session;
pub use stats::Stats;
