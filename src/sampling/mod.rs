//! From a row of logits to a token: grammars, processors, samplers and stop strings.

mod constraint;
mod sampler;
mod settings;
mod stop;

pub(crate) use constraint::{Compiler, Constraint, Fault, Mask, TokenForm, Vocabulary, prepared};
pub use constraint::{Grammar, GrammarKind};
pub(crate) use sampler::Sampler;
pub(crate) use settings::{GenerationDefaults, Settings};
pub(crate) use stop::StopMatcher;
