//! Models and sessions: one MLX thread, and handles that any thread may hold.

mod encoded;
mod event;
mod held;
mod logprobs;
mod model;
mod options;
mod output;
mod plan;
mod queue;
mod run;
mod session;
mod stats;
pub(crate) mod worker;

pub use event::{Event, EventKind, FinishReason, TokenLogprob};
pub use model::Model;
pub use options::{CancelToken, DeviceChoice, GenerationOptions, LoadOptions, ProgressFn, SessionOptions};
pub use session::Session;
pub use stats::Stats;
