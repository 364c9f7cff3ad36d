//! Kernels of our own, for what MLX's do slowly or wrongly.

#[cfg(not(target_vendor = "apple"))]
pub mod cpu;
pub mod fp4_rows;
#[cfg(target_os = "linux")]
pub mod products;

use mlx_rs::Array;

use crate::error::Result;

/// A function of the rows of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowFunction {
    /// `[n]` → `[n]`.
    Softmax,
    /// Gate and up, `[2n]` → `[n]`: `gelu_tanh(gate) · up`.
    GeluGlu,
    /// The same with `silu`.
    SiluGlu,
    /// `x / sqrt(mean(x²) + eps)`, times the weight where there is one.
    RmsNorm { eps: f32 },
}

/// `function` of the last axis by a kernel of our own for the CPU, with a weight `[n]` for a norm. None where there is no
/// such kernel.
#[cfg(not(target_vendor = "apple"))]
pub fn rows(function: RowFunction, x: &Array, weight: Option<&Array>) -> Option<Result<Array>> {
    cpu::rows(function, x, weight)
}

#[cfg(target_vendor = "apple")]
pub fn rows(_: RowFunction, _: &Array, _: Option<&Array>) -> Option<Result<Array>> {
    None
}
