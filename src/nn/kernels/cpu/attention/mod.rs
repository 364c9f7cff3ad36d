//! `softmax(q kᵀ · scale) v` that goes once over the keys of some queries, so that scores exist for a block of both alone
//! ("FlashAttention", Dao et al. 2022): memory is linear in the length.
//!
//! The queries of all heads that share keys, some positions at a time, are one matrix. For each block of keys its scores are
//! computed, and what the values add up to so far is scaled down when a larger score than all before comes.
//! Where there are fewer such matrices than threads, as in a decode step, the keys are parted too, and the parts' sums are
//! joined in the end.

mod on_arrays;
#[cfg(test)]
mod tests;
pub mod tiles;

use std::ops::Range;

pub use self::on_arrays::attend as of_arrays;
use super::format::{self, STEP};
use super::products::Kernels;
use crate::nn::kernels::pool;

/// Numbers of a block's queries, and of its results, at most.
pub const TILE: usize = 1 << 14;
/// Keys of a block, at most.
pub const KEYS: usize = 64;
/// Rows of a block of queries, at most.
pub const ROWS: usize = 128;
/// Keys that are worth a part of their own.
const PART: usize = 256;
/// Products of fewer numbers than this are not worth waking a helper.
const ALONE: usize = 1 << 17;

/// `[heads, count, dim]` as it lies: how many numbers apart it goes on along each axis.
#[derive(Clone, Copy)]
pub struct Strided {
    pub at: *const u8,
    /// `F32`, or for keys and values also `BF16` and `F16`.
    pub format: u8,
    pub head: isize,
    pub row: isize,
    pub column: isize,
}

impl Strided {
    pub fn row(&self, head: usize, row: usize) -> *const u8 {
        self.after(self.at, head as isize * self.head + row as isize * self.row)
    }

    fn after(&self, at: *const u8, numbers: isize) -> *const u8 {
        at.wrapping_offset(numbers * (format::bits(self.format) / 8) as isize)
    }

    /// A number of a row that is at `row`, in format `F`.
    ///
    /// # Safety
    /// It is there.
    #[inline(always)]
    unsafe fn number<const F: u8>(&self, row: *const u8, column: usize) -> f32 {
        let at = column as isize * self.column;
        // SAFETY: as the caller says.
        unsafe {
            match F {
                format::F32 => row.cast::<f32>().offset(at).read(),
                narrow => format::widened(narrow, row.cast::<u16>().offset(at).read()),
            }
        }
    }

    /// Whether rows are a matrix of whole rows.
    pub fn is_packed(&self, dim: usize) -> bool {
        self.column == 1 && self.row == dim as isize
    }

    /// Copies a row, each number times `scale`, with zeros after it.
    ///
    /// # Safety
    /// The row is there and has `dim` numbers; `to` has room for them.
    #[inline(always)]
    unsafe fn copy(&self, head: usize, row: usize, dim: usize, scale: f32, to: &mut [f32]) {
        // SAFETY: as the caller says.
        unsafe {
            match self.format {
                format::BF16 => self.copy_of::<{ format::BF16 }>(head, row, dim, scale, to),
                format::F16 => self.copy_of::<{ format::F16 }>(head, row, dim, scale, to),
                _ => self.copy_of::<{ format::F32 }>(head, row, dim, scale, to),
            }
        }
    }

    /// # Safety
    /// As [`copy`](Self::copy), and the format is `F`.
    #[inline(always)]
    unsafe fn copy_of<const F: u8>(&self, head: usize, row: usize, dim: usize, scale: f32, to: &mut [f32]) {
        let from = self.row(head, row);
        let (to, rest) = to.split_at_mut(dim);
        for (i, to) in to.iter_mut().enumerate() {
            // SAFETY: as the caller says.
            *to = unsafe { self.number::<F>(from, i) } * scale;
        }
        rest.fill(0.0);
    }
}

/// What attends to what.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    pub q: Strided,
    pub k: Strided,
    pub v: Strided,
    /// `[queries, heads, dim]`.
    pub y: *mut f32,
    pub heads: usize,
    pub kv_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub dim: usize,
    pub scale: f32,
    /// The first key that each query sees and the one after the last; all see all without it.
    pub seen: Option<&'a [[u32; 2]]>,
}

// SAFETY: inputs are only read, and no two blocks have the same part of the result.
unsafe impl Sync for Attention<'_> {}

/// Some queries of all heads that share keys, and some of the keys.
pub struct Block {
    pub kv_head: usize,
    pub queries: Range<usize>,
    pub keys: Range<usize>,
    /// Where the block's sums go where they are not all of them: for each row `dim` numbers, the largest score and the sum
    /// of the weights.
    pub part: Option<*mut f32>,
}

// SAFETY: no two blocks have the same part.
unsafe impl Sync for Block {}

impl Attention<'_> {
    /// Whether blocks have room for heads of so many numbers, of which so many share keys.
    pub fn takes(dim: usize, group: usize) -> bool {
        let padded = dim.next_multiple_of(STEP);
        dim > 0 && padded <= TILE / 16 && group <= ROWS.min(TILE / padded)
    }

    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers of a row of queries in a block, with zeros up to a whole number of steps.
    pub fn padded(&self) -> usize {
        self.dim.next_multiple_of(STEP)
    }

    /// The keys that a query sees of a block's.
    pub fn seen(&self, query: usize, block: &Range<usize>) -> Range<usize> {
        let all = self.seen.map_or(0..self.keys, |seen| seen[query][0] as usize..seen[query][1] as usize);
        all.start.max(block.start).min(block.end)..all.end.min(block.end).max(block.start)
    }

    /// All keys that any of some queries sees.
    fn seen_by(&self, queries: &Range<usize>) -> Range<usize> {
        let Some(seen) = self.seen else { return 0..self.keys };
        let first = seen[queries.clone()].iter().map(|seen| seen[0]).min().unwrap_or(0);
        let last = seen[queries.clone()].iter().map(|seen| seen[1]).max().unwrap_or(0);
        first as usize..(last as usize).min(self.keys)
    }

    /// Keys of a block, so that they and their values fit a tile.
    pub fn keys_at_once(&self) -> usize {
        KEYS.min(TILE / self.padded()) / 16 * 16
    }

    /// Queries of a block.
    fn step(&self) -> usize {
        (ROWS.min(TILE / self.padded()) / self.group()).max(1)
    }

    /// Numbers of the parts that a row is joined of.
    fn part_row(&self) -> usize {
        self.dim + 2
    }
}

/// # Safety
/// Inputs and result are there in the sizes that are said, [`Attention::takes`] the heads, the result is nobody else's, and
/// the processor has the instructions of `kernels`.
pub unsafe fn attend(kernels: &Kernels, all: &Attention) {
    let alone = all.heads * all.queries * all.keys * all.dim < ALONE;
    let step = all.step();
    let tiles = all.queries.div_ceil(step);
    let matrices = tiles * all.kv_heads;
    let wanted = if alone { 1 } else { (2 * pool::threads()).div_ceil(matrices) };
    let mut parts = wanted.min(all.keys / PART).max(1);
    let (mut sums, size) = (Vec::new(), all.heads * all.queries * all.part_row());
    if parts > 1 && sums.try_reserve_exact(parts * size).is_err() {
        parts = 1;
    }
    if parts > 1 {
        sums.resize(parts * size, 0.0f32);
    }
    let mut blocks = Vec::with_capacity(matrices * parts);
    // The last queries see the most.
    for tile in (0..tiles).rev() {
        let queries = tile * step..all.queries.min((tile + 1) * step);
        let keys = all.seen_by(&queries);
        let share = keys.len().div_ceil(parts).next_multiple_of(KEYS);
        for (kv_head, part) in (0..all.kv_heads).flat_map(|head| (0..parts).map(move |part| (head, part))) {
            let first = (kv_head * all.queries + queries.start) * all.group() * all.part_row();
            let from = (keys.start + part * share).min(keys.end);
            let keys = from..(from + share).min(keys.end);
            let part = (parts > 1).then(|| sums.as_mut_ptr().wrapping_add(part * size + first));
            blocks.push(Block { kv_head, queries: queries.clone(), keys, part });
        }
    }
    let work = |number: usize| {
        // SAFETY: as the caller says; each block has its own queries, heads and keys.
        unsafe { (kernels.attend)(all, &blocks[number]) }
    };
    let whole = if alone {
        (0..blocks.len()).for_each(work);
        true
    } else {
        pool::run(blocks.len(), work)
    };
    // SAFETY: the result has so many numbers.
    let y = unsafe { std::slice::from_raw_parts_mut(all.y, all.heads * all.queries * all.dim) };
    if !whole {
        // What is computed from it is not taken for an answer.
        y.fill(f32::NAN);
    } else if parts > 1 {
        join(all, &sums, size, step, y);
    }
}

/// Adds up the parts of each row.
fn join(all: &Attention, sums: &[f32], size: usize, step: usize, y: &mut [f32]) {
    let (dim, group, row) = (all.dim, all.group(), all.part_row());
    for (number, y) in y.chunks_exact_mut(dim).enumerate() {
        let (query, head) = (number / all.heads, number % all.heads);
        let (kv_head, in_group) = (head / group, head % group);
        let tile = query / step * step;
        let count = (all.queries - tile).min(step);
        // Rows of a block: the queries of the first head of the group, then those of the next.
        let first = (kv_head * all.queries + tile) * group + in_group * count + query - tile;
        let parts = || sums.chunks_exact(size).map(|part| &part[first * row..][..row]);
        let most = parts().map(|part| part[dim]).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        y.fill(0.0);
        for part in parts().filter(|part| part[dim + 1] != 0.0) {
            let weight = (part[dim] - most).exp();
            sum += part[dim + 1] * weight;
            y.iter_mut().zip(part).for_each(|(y, value)| *y += value * weight);
        }
        y.iter_mut().for_each(|y| *y /= sum);
    }
}
