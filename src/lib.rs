//! rmlx: multimodal language models on the device, over Apple MLX.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod error;
pub mod media;
pub mod models;
pub mod nn;
pub mod prompt;
pub mod snapshot;

pub use error::{Code, Error, Result};
