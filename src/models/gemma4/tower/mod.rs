//! The encoders of E2B, E4B, 26B-A4B and 31B.

pub mod audio;
mod conformer;
pub mod vision;
