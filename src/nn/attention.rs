//! Scaled dot-product attention with grouped queries, and the masks of language models.

use std::ops::Range;

use mlx_rs::ops::{arange, select, softmax_axis};
use mlx_rs::{Array, fast};

use super::kernels::{self, RowFunction, rows};
use super::norm::cast;
use super::{Device, mlx};
use crate::error::Result;

/// Which keys the queries of a chunk see.
#[derive(Clone)]
pub enum Mask {
    /// All of them: a decode step.
    All,
    /// Those up to the query's own position.
    Causal,
    /// `[T, n]` of truth values.
    Array(Array),
    /// On the CPU, `[T, 2]` of `u32`: the first key that a query sees, and the one after the last.
    Ranges(Array),
}

/// Where a chunk's queries are among the keys they may see.
pub struct MaskShape<'a> {
    /// Queries, which are the last keys.
    pub queries: usize,
    pub keys: usize,
    /// Keys further back than this many positions are out of sight (the query's own counts as one).
    pub window: Option<usize>,
    /// Runs of queries that see each other whatever their order.
    pub blocks: &'a [Range<usize>],
}

impl Mask {
    /// Key `j` is visible to query `i` when `(j ≤ i or both are in one block) and j > i - window`.
    pub fn new(shape: &MaskShape, device: Device) -> Result<Mask> {
        if shape.queries == 1 {
            return Ok(Mask::All);
        }
        let reaches = shape.window.is_none_or(|window| shape.keys <= window);
        if device == Device::Gpu && reaches && shape.blocks.is_empty() {
            return Ok(Mask::Causal);
        }
        match device {
            Device::Gpu => Ok(Mask::Array(visible(shape, reaches)?)),
            Device::Cpu => Ok(Mask::Ranges(Array::from_slice(&ranges(shape), &[shape.queries as i32, 2]))),
        }
    }
}

/// What each query sees: keys that follow each other, as a block is one of queries that do.
fn ranges(shape: &MaskShape) -> Vec<u32> {
    let first = shape.keys - shape.queries;
    let mut ends: Vec<usize> = (first + 1..=shape.keys).collect();
    for block in shape.blocks {
        ends[block.clone()].fill(first + block.end);
    }
    let start = |position: usize| shape.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let range = |(query, end): (usize, usize)| [start(first + query) as u32, end as u32];
    ends.into_iter().enumerate().flat_map(range).collect()
}

/// `[T, n]` of truth values.
fn visible(shape: &MaskShape, reaches: bool) -> Result<Array> {
    let (queries, keys) = (shape.queries as i32, shape.keys as i32);
    let first = keys - queries;
    let query = arange::<i32, i32>(first, keys, None)?.reshape(&[queries, 1])?;
    let key = arange::<i32, i32>(0, keys, None)?.reshape(&[1, keys])?;
    let mut visible = key.le(&query)?;
    if !shape.blocks.is_empty() {
        let (of_query, of_key) = block_numbers(shape);
        let of_query = Array::from_slice(&of_query, &[queries, 1]);
        let of_key = Array::from_slice(&of_key, &[1, keys]);
        visible = visible.logical_or(of_query.eq(&of_key)?)?;
    }
    match shape.window {
        Some(window) if !reaches => {
            let oldest = query.subtract(Array::from_int(window as i32))?;
            Ok(visible.logical_and(key.gt(&oldest)?)?)
        }
        _ => Ok(visible),
    }
}

/// The block that each query and each key is in; -1 and -2, which are never equal, for none.
fn block_numbers(shape: &MaskShape) -> (Vec<i32>, Vec<i32>) {
    let first = shape.keys - shape.queries;
    let mut of_query = vec![-1; shape.queries];
    let mut of_key = vec![-2; shape.keys];
    for (number, block) in shape.blocks.iter().enumerate() {
        of_query[block.clone()].fill(number as i32);
        of_key[first + block.start..first + block.end].fill(number as i32);
    }
    (of_query, of_key)
}

/// `softmax(q kᵀ · scale + mask) v`.
///
/// `q` is `[1, heads, T, D]`, `k` and `v` are `[1, kv_heads, n, D]`, and may be of a type with fewer bits; gives
/// `[1, heads, T, D]`.
pub fn attend(q: &Array, k: &Array, v: &Array, scale: f32, mask: &Mask, device: Device) -> Result<Array> {
    let (wide_k, wide_v);
    let (mut k, mut v) = (k, v);
    // A decode step is bound by what it reads, and has a kernel for what is kept.
    let as_kept = device == Device::Cpu && q.dim(2) == 1 && cfg!(target_os = "linux");
    if k.dtype() != q.dtype() && !as_kept {
        (wide_k, wide_v) = (cast(k, q.dtype())?, cast(v, q.dtype())?);
        (k, v) = (&wide_k, &wide_v);
    }
    if device == Device::Cpu {
        let attended = match mask {
            Mask::All => kernels::attention(q, k, v, scale, None),
            Mask::Ranges(seen) => kernels::attention(q, k, v, scale, Some(seen)),
            Mask::Causal | Mask::Array(_) => None,
        };
        return attended.unwrap_or_else(|| attend_plainly(q, k, v, scale, mask));
    }
    Ok(match mask {
        Mask::Ranges(_) => attend_plainly(q, k, v, scale, mask)?,
        Mask::All => fast::scaled_dot_product_attention(q, k, v, scale, None, None)?,
        Mask::Causal => {
            let causal = fast::ScaledDotProductAttentionMask::Causal;
            fast::scaled_dot_product_attention(q, k, v, scale, Some(causal), None)?
        }
        Mask::Array(mask) => fast::scaled_dot_product_attention(q, k, v, scale, mask, None)?,
    })
}

/// Where there is no kernel for attention: the queries of all heads that share keys are one matrix.
fn attend_plainly(q: &Array, k: &Array, v: &Array, scale: f32, mask: &Mask) -> Result<Array> {
    let (heads, count, dim) = (q.dim(1), q.dim(2), q.dim(3));
    let (kv_heads, keys) = (k.dim(1), k.dim(2));
    let rows = heads / kv_heads * count;
    let mut q = q.reshape(&[1, kv_heads, rows, dim])?;
    if scale != 1.0 {
        q = q.multiply(Array::from_f32(scale).as_dtype(q.dtype())?)?;
    }
    let mut scores = q.matmul(k.swap_axes(-1, -2)?)?;
    if let Some(mask) = additive(mask, count, keys)? {
        scores = scores.reshape(&[1, heads, count, keys])?.add(mask)?.reshape(&[1, kv_heads, rows, keys])?;
    }
    let weights = softmax(&scores, count)?;
    Ok(weights.matmul(v)?.reshape(&[1, heads, count, dim])?)
}

/// Over the last axis. MLX writes the weights where the scores of many queries were, which may be most of what a prompt takes.
fn softmax(scores: &Array, queries: i32) -> Result<Array> {
    let kernel = (queries == 1).then(|| rows(RowFunction::Softmax, scores, None)).flatten();
    kernel.unwrap_or_else(|| Ok(softmax_axis(scores, -1, true)?))
}

fn additive(mask: &Mask, queries: i32, keys: i32) -> Result<Option<Array>> {
    let visible = match mask {
        Mask::All => return Ok(None),
        Mask::Array(visible) => visible.clone(),
        Mask::Causal => {
            let (queries, keys) = (queries as usize, keys as usize);
            visible(&MaskShape { queries, keys, window: None, blocks: &[] }, true)?
        }
        Mask::Ranges(ranges) => {
            let key = arange::<u32, u32>(0, keys as u32, None)?.reshape(&[1, keys])?;
            let side = |at: i32| mlx::slice(ranges, &[0, at], &[queries, at + 1]);
            key.ge(side(0)?)?.logical_and(key.lt(side(1)?)?)?
        }
    };
    Ok(Some(select(visible, Array::from_f32(0.0), Array::from_f32(f32::MIN))?))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of blocks that happen to hold one
mod tests {
    use mlx_rs::ops::concatenate;

    use super::*;
    use crate::nn::testing::{close, host, random};

    /// The official rule, cell by cell, over absolute positions.
    fn brute_force(shape: &MaskShape) -> Vec<f32> {
        let first = shape.keys - shape.queries;
        let block = |p: usize| shape.blocks.iter().position(|b| p >= first && b.contains(&(p - first)));
        let mut cells = Vec::new();
        for i in first..shape.keys {
            for j in 0..shape.keys {
                let same = block(i).is_some() && block(i) == block(j);
                let inside = shape.window.is_none_or(|w| j as i64 > i as i64 - w as i64);
                cells.push(if (j <= i || same) && inside { 1.0 } else { 0.0 });
            }
        }
        cells
    }

    #[test]
    fn masks_equal_brute_force() {
        let image = vec![2..7usize];
        let two = vec![0..3usize, 3..9];
        let none: Vec<Range<usize>> = vec![];
        for (queries, keys) in [(10, 10), (10, 25), (12, 13)] {
            for window in [None, Some(4), Some(9), Some(64)] {
                for blocks in [&none, &image, &two] {
                    let shape = MaskShape { queries, keys, window, blocks };
                    let expected = brute_force(&shape);
                    let cpu = Mask::new(&shape, Device::Cpu).unwrap();
                    assert!(matches!(cpu, Mask::Ranges(_)));
                    let added = additive(&cpu, queries as i32, keys as i32).unwrap().unwrap();
                    let cpu: Vec<f32> = host(&added).iter().map(|v| f32::from(*v == 0.0)).collect();
                    assert_eq!(cpu, expected, "{queries} {keys} {window:?} {blocks:?}");
                    match Mask::new(&shape, Device::Gpu).unwrap() {
                        Mask::Array(gpu) => assert_eq!(host(&gpu), expected),
                        Mask::Causal => {
                            let causal = MaskShape { window: None, blocks: &none, ..shape };
                            assert_eq!(brute_force(&causal), expected);
                        }
                        Mask::All | Mask::Ranges(_) => panic!(),
                    }
                }
            }
        }
        let step = MaskShape { queries: 1, keys: 9, window: Some(4), blocks: &[] };
        assert!(matches!(Mask::new(&step, Device::Cpu).unwrap(), Mask::All));
    }

    #[test]
    fn plain_attention_is_mlx_attention() {
        for (heads, kv_heads, count, keys) in [(4, 2, 5, 9), (6, 1, 1, 7), (3, 3, 4, 4)] {
            let q = random(&[1, heads, count, 16], 1);
            let (k, v) = (random(&[1, kv_heads, keys, 16], 2), random(&[1, kv_heads, keys, 16], 3));
            let shape =
                MaskShape { queries: count as usize, keys: keys as usize, window: Some(3), blocks: &[] };
            let masks = if count == 1 { [Device::Cpu, Device::Cpu] } else { [Device::Cpu, Device::Gpu] };
            let [plain, fused] = masks.map(|device| Mask::new(&shape, device).unwrap());
            let fused = host(&attend(&q, &k, &v, 0.3, &fused, Device::Gpu).unwrap());
            close(&host(&attend_plainly(&q, &k, &v, 0.3, &plain).unwrap()), &fused, 1e-5);
            close(&host(&attend(&q, &k, &v, 0.3, &plain, Device::Cpu).unwrap()), &fused, 1e-5);
            // Heads as they come out of a projection, and keys as they lie in a cache with room.
            let q = q.swap_axes(1, 2).unwrap().contiguous().unwrap().swap_axes(1, 2).unwrap();
            let room = |x: &Array| {
                let wide = concatenate(&[x, x], 2).unwrap();
                mlx::slice(&wide, &[0; 4], &[1, kv_heads, keys, 16]).unwrap()
            };
            close(&host(&attend(&q, &room(&k), &room(&v), 0.3, &plain, Device::Cpu).unwrap()), &fused, 1e-5);
        }
    }
}
