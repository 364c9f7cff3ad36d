//! From a row of logits to a token: grammars, processors, samplers and stop strings; and what keeps answers from repeating.

mod constraint;
mod loops;
mod repeats;
mod sampler;
mod settings;
mod stop;
mod verify;

pub(crate) use constraint::{Compiler, Constraint, Fault, Mask, TokenForm, Vocabulary, prepared};
pub use constraint::{Grammar, GrammarKind};
pub use loops::LoopDetection;
pub(crate) use loops::LoopDetector;
pub(crate) use repeats::{Dry, Repeats};
pub(crate) use sampler::{Choice, Drawn, Mark, Sampler};
pub(crate) use settings::{GenerationDefaults, Settings};
pub(crate) use stop::StopMatcher;
pub(crate) use verify::DrawnAhead;
