//! Kernels of our own, for what MLX's do slowly or wrongly.

pub mod fp4_rows;
#[cfg(target_os = "linux")]
pub mod products;
