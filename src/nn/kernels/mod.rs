//! Kernels of our own, for what MLX's do slowly or wrongly.

#[cfg(not(target_vendor = "apple"))]
pub mod cpu;
pub mod fp4_rows;
#[cfg(not(target_vendor = "apple"))]
mod pool;
#[cfg(target_os = "linux")]
pub mod products;
#[cfg(target_os = "linux")]
mod transpose;

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
    /// `gelu_tanh(x)`, times the weight where there is one, which is as large as `x`.
    Gelu,
    /// The same with `silu`.
    Silu,
    /// `x / sqrt(mean(x²) + eps)`, times the weight where there is one.
    RmsNorm { eps: f32 },
    /// `(x - mean(x)) / sqrt(var(x) + eps)`.
    LayerNorm { eps: f32 },
}

/// `function` of the last axis by a kernel of our own for the CPU, with a weight for an RMS norm: `[n]`, or `[R, n]` for
/// the last two axes. None where there is no such kernel.
#[cfg(not(target_vendor = "apple"))]
pub fn rows(function: RowFunction, x: &Array, weight: Option<&Array>) -> Option<Result<Array>> {
    cpu::rows(function, x, weight)
}

#[cfg(target_vendor = "apple")]
pub fn rows(_: RowFunction, _: &Array, _: Option<&Array>) -> Option<Result<Array>> {
    None
}

/// `softmax(q kᵀ · scale) v` by a kernel of our own for the CPU, for `q` `[1, heads, T, D]` and `k` and `v`
/// `[1, kv_heads, n, D]`: `[1, heads, T, D]`. `seen` is `[T, 2]` of `u32`: the first key that a query sees and the one after
/// the last. None where there is no such kernel.
#[cfg(not(target_vendor = "apple"))]
pub fn attention(q: &Array, k: &Array, v: &Array, scale: f32, seen: Option<&Array>) -> Option<Result<Array>> {
    cpu::attention(q, k, v, scale, seen)
}

#[cfg(target_vendor = "apple")]
pub fn attention(_: &Array, _: &Array, _: &Array, _: f32, _: Option<&Array>) -> Option<Result<Array>> {
    None
}

/// `x · cos + turned(x) · sin` by a kernel of our own for the CPU, where the halves of a row of `turned(x)` have changed
/// places: `x` is `[heads, T, D]` or `[1, heads, T, D]`, `cos` and `sin` are `[T, D]`. None where there is no such kernel.
#[cfg(not(target_vendor = "apple"))]
pub fn turn(x: &Array, cos: &Array, sin: &Array) -> Option<Result<Array>> {
    cpu::turn(x, cos, sin)
}

#[cfg(target_vendor = "apple")]
pub fn turn(_: &Array, _: &Array, _: &Array) -> Option<Result<Array>> {
    None
}
