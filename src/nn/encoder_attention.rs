//! Attention of encoders, in which every query sees every key, in bounded memory.

use mlx_rs::ops::{concatenate, pad, softmax_axis};
use mlx_rs::{Array, fast};

use super::kernels::attention;
use super::matrix::Matrix;
use super::{Device, mlx};
use crate::error::Result;

/// Scores that exist at a time on the CPU where we have no kernel, 32 MB: a whole head of an image of 280 soft tokens.
const BLOCK_SCORES: i32 = 1 << 23;
/// Head sizes that MLX's fused kernels take; with others it would write all scores out.
const FUSED: [i32; 3] = [64, 80, 128];

/// `softmax(q kᵀ) v`, unscaled.
///
/// `q` is `[1, heads, T, D]`, `k` and `v` are `[1, kv_heads, T, D]`; gives `[1, heads, T, D]`.
pub fn attend_to_all(q: &Array, k: &Array, v: &Array, device: Device) -> Result<Array> {
    match device {
        Device::Gpu => attend_fused(q, k, v),
        Device::Cpu => {
            attention(q, k, v, 1.0, None).unwrap_or_else(|| attend_in_blocks(q, k, v, BLOCK_SCORES))
        }
    }
}

/// Zeros at the end of a head change neither its scores nor the values before them.
fn attend_fused(q: &Array, k: &Array, v: &Array) -> Result<Array> {
    let dim = q.dim(3);
    let missing = FUSED.iter().find(|&&fused| fused >= dim).map_or(0, |fused| fused - dim);
    if missing == 0 {
        return Ok(fast::scaled_dot_product_attention(q, k, v, 1.0, None, None)?);
    }
    let widen = |x: &Array| pad(x, &[(0, 0), (0, 0), (0, 0), (0, missing)][..], None, None);
    let wide = fast::scaled_dot_product_attention(widen(q)?, widen(k)?, widen(v)?, 1.0, None, None)?;
    mlx::slice(&wide, &[0; 4], &[wide.dim(0), wide.dim(1), wide.dim(2), dim])
}

/// Some queries of one head at a time, the next ones only when these are done: few large products are faster here
/// than many small ones or batched ones.
fn attend_in_blocks(q: &Array, k: &Array, v: &Array, scores: i32) -> Result<Array> {
    let (heads, count, dim) = (q.dim(1), q.dim(2), q.dim(3));
    let (kv_heads, keys) = (k.dim(1), k.dim(2));
    let step = (scores / keys).clamp(1, count);
    let rows = |x: &Array, head: i32, first: i32, last: i32| -> Result<Array> {
        let rows = mlx::slice(x, &[0, head, first, 0], &[1, head + 1, last, dim])?;
        Ok(rows.reshape(&[last - first, dim])?)
    };
    let mut parts: Vec<Array> = Vec::new();
    for head in 0..heads {
        let of = head / (heads / kv_heads);
        let (k, v) = (Matrix::Dense(rows(k, of, 0, keys)?), rows(v, of, 0, keys)?);
        for first in (0..count).step_by(step as usize) {
            let mut part = rows(q, head, first, (first + step).min(count))?;
            if let Some(previous) = parts.last() {
                part = mlx::after(&part, previous)?;
            }
            parts.push(softmax_axis(k.multiply(&part)?, -1, true)?.matmul(&v)?);
        }
    }
    Ok(concatenate(&parts, 0)?.reshape(&[1, heads, count, dim])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::attention::{Mask, attend};
    use crate::nn::testing::{close, host, random};

    #[test]
    fn blocks_and_padding_change_nothing() {
        for (heads, kv_heads, count, dim) in [(4, 4, 37, 16), (6, 2, 10, 72), (2, 1, 5, 128), (1, 1, 3, 200)]
        {
            let q = random(&[1, heads, count, dim], 1);
            let k = random(&[1, kv_heads, count, dim], 2);
            let v = random(&[1, kv_heads, count, dim], 3);
            let expected = host(&attend(&q, &k, &v, 1.0, &Mask::All, Device::Gpu).unwrap());
            close(&host(&attend_to_all(&q, &k, &v, Device::Cpu).unwrap()), &expected, 1e-5);
            for scores in [1, count * 3, BLOCK_SCORES] {
                close(&host(&attend_in_blocks(&q, &k, &v, scores).unwrap()), &expected, 1e-5);
            }
            close(&host(&attend_to_all(&q, &k, &v, Device::Gpu).unwrap()), &expected, 1e-5);
        }
    }
}
