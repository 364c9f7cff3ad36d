//! From a row of logits to a token: processors, samplers and stop strings.

mod sampler;
mod settings;
mod stop;

pub(crate) use sampler::Sampler;
pub(crate) use settings::{GenerationDefaults, Settings};
pub(crate) use stop::StopMatcher;
