//! What the unified models have instead of encoders: single layers.

pub mod audio;
pub mod vision;
