//! What the models of several architectures do alike.

pub mod attention;
pub mod encoder;
pub mod experts;
pub mod head;
pub mod mlp;
pub mod rows;
pub mod setting;
pub mod whole;
