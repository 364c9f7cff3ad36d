//! What the language models of several architectures do alike.

pub mod rows;
pub mod setting;
