//! Products shared out: which kernel for how many rows, blocks of the matrix for the pool, and rows in the kernel's order.

use std::mem::MaybeUninit;

use super::format::{STEP, Stored, is_paired};
use super::products::{FEW, Kernels, Pair, TILE_INPUT, TILE_ROWS, pair};
use crate::nn::kernels::pool;

/// From so many rows of `x` on, the matrix is decoded into tiles.
const MANY: usize = 17;
/// Bytes of a matrix that are handed out at a time for few rows: some microseconds of work.
const BLOCK_BYTES: usize = 32 << 10;
/// Rows of `x` that are handed out at a time for many.
const BLOCK_X: usize = 512;
/// Products of fewer values than this are not worth waking a helper.
const ALONE: usize = 1 << 16;

/// What is multiplied: `x[i / share] · W[experts[i]]ᵀ` for each of `products` results, or `x[i] · Wᵀ`.
#[derive(Clone, Copy)]
pub struct Products<'a> {
    pub w: Stored,
    pub x: *const f32,
    pub y: *mut f32,
    /// Which matrix each product is with, where there are several.
    pub experts: Option<&'a [u32]>,
    /// How many matrices there are.
    pub matrices: usize,
    pub products: usize,
    /// Products that take the same row of `x`.
    pub share: usize,
}

/// Products with the same matrix, and a part of its rows.
struct Block {
    /// The row of all rows of all matrices that the matrix begins at.
    at: usize,
    first: usize,
    count: usize,
    pairs: std::ops::Range<usize>,
}

/// # Safety
/// The matrices, `x` and `y` are there in the sizes that are said, `y` is nobody else's, and the processor has the
/// instructions of `kernels`.
pub unsafe fn multiply(kernels: &Kernels, products: &Products) {
    let (w, count) = (&products.w, products.products);
    let groups = groups(products);
    let many = groups.iter().any(|group| group.len() >= MANY);
    let rows = count.div_ceil(products.share);
    // Of experts some have few rows and some many, so both orders are there.
    let few = groups.iter().any(|group| group.len() < MANY);
    let paired = few && kernels.pairs && is_paired(w.format);
    let padded = w.input.next_multiple_of(STEP);
    // SAFETY: so many rows of `x` are there.
    let x = unsafe { std::slice::from_raw_parts(products.x, rows * w.input) };
    let pads = w.input != padded && (many || !paired);
    let (mut in_order, mut in_pairs) = (Vec::new(), Vec::new());
    let has_room = (!pads || in_order.try_reserve_exact(rows * padded).is_ok())
        && (!paired || in_pairs.try_reserve_exact(rows * padded).is_ok());
    if !has_room && count > 1 {
        // SAFETY: as the caller says.
        return unsafe { one_by_one(kernels, products) };
    }
    if pads {
        in_order.resize(rows * padded, 0.0);
        pad(x, w.input, &mut in_order, padded);
    }
    if paired {
        in_pairs.resize(rows * padded, 0.0);
        pair(x, &mut in_pairs);
    }
    let ordered = if pads { &in_order[..] } else { x };
    let order = order(&groups);
    let pairs: Vec<Pair> = groups
        .iter()
        .flat_map(|group| {
            let x = if paired && group.len() < MANY { &in_pairs[..] } else { ordered };
            group.iter().map(move |&product| Pair {
                x: x.as_ptr().wrapping_add(product as usize / products.share * padded),
                y: products.y.wrapping_add(product as usize * w.rows),
            })
        })
        .collect();
    let blocks = blocks(products, &groups, &order);
    let work = |number: usize| {
        let block = &blocks[number];
        let pairs = &pairs[block.pairs.clone()];
        let Block { at, first, count, .. } = *block;
        // SAFETY: rows and pairs are those of the matrix, and no other block has the same.
        unsafe {
            if pairs.len() < MANY {
                for pairs in pairs.chunks(FEW) {
                    (kernels.few)(w, at, first, count, pairs);
                }
            } else {
                // On the stack, where it takes no memory that may not be there.
                let mut tile = MaybeUninit::<[f32; TILE_ROWS * TILE_INPUT]>::uninit();
                (kernels.many)(w, at, first, count, pairs, tile.as_mut_ptr().cast());
            }
        }
    };
    let whole = if w.rows * w.input * count < ALONE {
        (0..blocks.len()).for_each(work);
        true
    } else {
        pool::run(blocks.len(), work)
    };
    if !whole {
        // What is computed from it is not taken for an answer.
        // SAFETY: `y` has so many numbers.
        unsafe { std::slice::from_raw_parts_mut(products.y, count * w.rows) }.fill(f32::NAN);
    }
}

/// The products of each matrix.
fn groups(products: &Products) -> Vec<Vec<u32>> {
    let all = 0..products.products as u32;
    let Some(experts) = products.experts else { return vec![all.collect()] };
    let mut sorted: Vec<u32> = all.collect();
    sorted.sort_by_key(|&product| experts[product as usize]);
    sorted.chunk_by(|&a, &b| experts[a as usize] == experts[b as usize]).map(<[u32]>::to_vec).collect()
}

/// Where each group's pairs are among those of all.
fn order(groups: &[Vec<u32>]) -> Vec<std::ops::Range<usize>> {
    let mut at = 0;
    let place = |group: &Vec<u32>| {
        at += group.len();
        at - group.len()..at
    };
    groups.iter().map(place).collect()
}

fn blocks(products: &Products, groups: &[Vec<u32>], order: &[std::ops::Range<usize>]) -> Vec<Block> {
    let w = &products.w;
    let mut blocks = Vec::new();
    for (group, pairs) in groups.iter().zip(order) {
        let expert = products.experts.map_or(0, |experts| experts[group[0] as usize] as usize);
        let expert = expert.min(products.matrices - 1);
        let at = expert * w.rows;
        let many = group.len() >= MANY;
        let step = match many {
            true => TILE_ROWS,
            false => (BLOCK_BYTES / w.row_bytes().max(1)).next_multiple_of(4).clamp(4, 1 << 12),
        };
        let parts = group.len().div_ceil(if many { BLOCK_X } else { MANY });
        // All parts of the matrix for one part of the rows, which stays in a shared cache, then the next.
        let part = group.len().div_ceil(parts);
        for from in pairs.clone().step_by(part) {
            let to = pairs.end.min(from + part);
            for first in (0..w.rows).step_by(step) {
                let count = step.min(w.rows - first);
                blocks.push(Block { at, first, count, pairs: from..to });
            }
        }
    }
    blocks
}

/// Rows with zeros after them up to a whole number of steps.
fn pad(x: &[f32], input: usize, to: &mut [f32], padded: usize) {
    for (x, to) in x.chunks_exact(input).zip(to.chunks_exact_mut(padded)) {
        to[..input].copy_from_slice(x);
    }
}

/// [`multiply`] with memory for one row alone.
///
/// # Safety
/// As [`multiply`].
pub unsafe fn one_by_one(kernels: &Kernels, all: &Products) {
    for i in 0..all.products {
        let one = Products {
            x: all.x.wrapping_add(i / all.share * all.w.input),
            y: all.y.wrapping_add(i * all.w.rows),
            experts: all.experts.map(|experts| &experts[i..=i]),
            products: 1,
            share: 1,
            ..*all
        };
        // SAFETY: as the caller says.
        unsafe { multiply(kernels, &one) };
    }
}
