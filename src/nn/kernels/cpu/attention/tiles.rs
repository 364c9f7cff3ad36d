//! What a block of attention does to its tiles, and [`attention`], which makes it of a module's vectors.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{Attention, Block, KEYS, ROWS, Strided, TILE};
use crate::nn::kernels::cpu::format;
use crate::nn::kernels::cpu::rows::{exp, most};

/// A block's numbers, on the stack, where they take no memory that may not be there.
#[repr(C, align(64))]
pub struct Tiles {
    /// `[rows, padded]`.
    pub q: [f32; TILE],
    /// Keys `[padded, keys]` the other way round, or values `[keys, wide]`.
    pub turned: [f32; TILE],
    /// `[rows, wide]`.
    pub sums: [f32; TILE],
    /// `[rows, KEYS]`.
    pub scores: [f32; ROWS * KEYS],
    /// Of each row.
    pub most: [f32; ROWS],
    pub weights: [f32; ROWS],
}

impl Tiles {
    pub fn uninit() -> MaybeUninit<Tiles> {
        MaybeUninit::uninit()
    }
}

/// The block's queries, row after row: those of the first head of the group, then those of the next.
///
/// # Safety
/// As [`attend`].
#[inline(always)]
pub unsafe fn take_queries(all: &Attention, block: &Block, q: &mut [f32]) {
    let padded = all.padded();
    let mut rows = q.chunks_exact_mut(padded);
    for head in block.kv_head * all.group()..(block.kv_head + 1) * all.group() {
        for (query, to) in block.queries.clone().zip(&mut rows) {
            // SAFETY: as the caller says.
            unsafe { all.q.copy(head, query, all.dim, all.scale, to) };
        }
    }
}

/// Rows of `x`, from the first of `rows` on, each `step` long with zeros at its end.
///
/// # Safety
/// The rows are there, and `to` has room for them.
#[inline(always)]
pub unsafe fn take_rows(
    x: &Strided,
    head: usize,
    rows: &Range<usize>,
    dim: usize,
    step: usize,
    to: &mut [f32],
) {
    for (row, to) in rows.clone().zip(to.chunks_exact_mut(step)) {
        // SAFETY: as the caller says.
        unsafe { x.copy(head, row, dim, 1.0, to) };
    }
}

/// Rows of `x` as columns `step` apart; what is between the last of them and `step` becomes zero.
///
/// # Safety
/// As [`take_rows`].
#[inline(always)]
pub unsafe fn take_turned(
    x: &Strided,
    head: usize,
    rows: &Range<usize>,
    dim: usize,
    step: usize,
    to: &mut [f32],
) {
    // SAFETY: as the caller says.
    unsafe {
        match x.format {
            format::BF16 => turned_of::<{ format::BF16 }>(x, head, rows, dim, step, to),
            format::F16 => turned_of::<{ format::F16 }>(x, head, rows, dim, step, to),
            _ => turned_of::<{ format::F32 }>(x, head, rows, dim, step, to),
        }
    }
}

/// # Safety
/// As [`take_turned`], and the format is `F`.
#[inline(always)]
unsafe fn turned_of<const F: u8>(
    x: &Strided,
    head: usize,
    rows: &Range<usize>,
    dim: usize,
    step: usize,
    to: &mut [f32],
) {
    const SIDE: usize = 8;
    let count = rows.len();
    for first in (0..count).step_by(SIDE) {
        let some = SIDE.min(count - first);
        let from: [*const u8; SIDE] =
            std::array::from_fn(|i| x.row(head, rows.start + first + i.min(some - 1)));
        for column in 0..dim {
            let to = &mut to[column * step + first..][..some];
            for (from, to) in from.iter().zip(to) {
                // SAFETY: as the caller says.
                *to = unsafe { x.number::<F>(*from, column) };
            }
        }
    }
    if count < step {
        to.chunks_exact_mut(step).take(dim).for_each(|row| row[count..].fill(0.0));
    }
}

/// Turns the scores of keys that are seen into weights against the largest score so far, and the others into 0. How much
/// what has been added up before is to be scaled by, and what is added to the sum of weights.
#[inline(always)]
pub fn weigh<const FMA: bool>(scores: &mut [f32], seen: Range<usize>, largest: &mut f32) -> (f32, f32) {
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let scores = &mut scores[seen];
    if scores.is_empty() {
        return (1.0, 0.0);
    }
    let before = *largest;
    let now = most(scores).max(before);
    *largest = now;
    let mut sums = [0.0f32; 16];
    let mut chunks = scores.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for i in 0..16 {
            chunk[i] = exp::<FMA>(chunk[i] - now);
            sums[i] += chunk[i];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for score in chunks.into_remainder() {
        *score = exp::<FMA>(*score - now);
        sum += *score;
    }
    (if before == now { 1.0 } else { exp::<FMA>(before - now) }, sum)
}

/// The sums of a block's rows, to the result or to the block's part.
///
/// # Safety
/// As [`attend`].
#[inline(always)]
pub unsafe fn give(all: &Attention, block: &Block, tiles: &Tiles, wide: usize) {
    let (dim, count) = (all.dim, block.queries.len());
    for row in 0..count * all.group() {
        let sums = &tiles.sums[row * wide..][..dim];
        let (head, query) = (block.kv_head * all.group() + row / count, block.queries.start + row % count);
        // SAFETY: the result has a place for each head of each query, and the part for each row.
        unsafe {
            match block.part {
                None => {
                    let to = all.y.add((query * all.heads + head) * dim);
                    let to = std::slice::from_raw_parts_mut(to, dim);
                    let scale = 1.0 / tiles.weights[row];
                    to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum * scale);
                }
                Some(part) => {
                    let to = std::slice::from_raw_parts_mut(part.add(row * all.part_row()), dim + 2);
                    to[..dim].copy_from_slice(sums);
                    (to[dim], to[dim + 1]) = (tiles.most[row], tiles.weights[row]);
                }
            }
        }
    }
}

/// [`Kernels::attend`] for a module with what [`products`](crate::nn::kernels::cpu::products::products) needs, and `splat`; `$wide` vectors of
/// results of six rows fit its registers.
macro_rules! attention {
    ($fma:expr, $wide:expr, $(#[$attribute:meta])*) => {
        /// `c[i][..] = a[i][..len] · b`, for `M` rows of `a` and `N` vectors of each row of `b`; with `add`, added to `c`.
        ///
        /// # Safety
        /// All of it is there, and rows are so far apart.
        #[inline]
        $(#[$attribute])*
        unsafe fn outer<const M: usize, const N: usize>(
            (a, a_step): (*const f32, usize),
            (b, b_step): (*const f32, isize),
            (c, c_step): (*mut f32, usize),
            len: usize,
            add: bool,
        ) {
            // SAFETY: as the caller says.
            unsafe {
                let mut sums = [[zero(); N]; M];
                if add {
                    for m in 0..M {
                        for n in 0..N {
                            sums[m][n] = load(c.add(m * c_step + n * LANES));
                        }
                    }
                }
                for l in 0..len {
                    let from = b.wrapping_offset(l as isize * b_step);
                    let row: [V; N] = std::array::from_fn(|n| load(from.add(n * LANES)));
                    for m in 0..M {
                        let value = splat(*a.add(m * a_step + l));
                        for n in 0..N {
                            sums[m][n] = fma(value, row[n], sums[m][n]);
                        }
                    }
                }
                for m in 0..M {
                    for n in 0..N {
                        store(c.add(m * c_step + n * LANES), sums[m][n]);
                    }
                }
            }
        }

        /// The same for any number of rows, and of columns that are a whole number of vectors.
        ///
        /// # Safety
        /// As [`outer`].
        $(#[$attribute])*
        unsafe fn outer_all(
            (rows, columns, len): (usize, usize, usize),
            (a, a_step): (*const f32, usize),
            (b, b_step): (*const f32, isize),
            (c, c_step): (*mut f32, usize),
            add: bool,
        ) {
            let mut column = 0;
            while column < columns {
                let wide = columns - column >= $wide * LANES;
                let b = (b.wrapping_add(column), b_step);
                let mut row = 0;
                while row < rows {
                    let (a, c) = ((a.wrapping_add(row * a_step), a_step), (c.wrapping_add(row * c_step + column), c_step));
                    // SAFETY: as the caller says.
                    row += unsafe {
                        match (rows - row, wide) {
                            (0..=1, true) => { outer::<1, { $wide }>(a, b, c, len, add); 1 }
                            (2..=3, true) => { outer::<2, { $wide }>(a, b, c, len, add); 2 }
                            (4..=5, true) => { outer::<4, { $wide }>(a, b, c, len, add); 4 }
                            (_, true) => { outer::<6, { $wide }>(a, b, c, len, add); 6 }
                            (0..=5, false) => { outer::<1, 1>(a, b, c, len, add); 1 }
                            (_, false) => { outer::<6, 1>(a, b, c, len, add); 6 }
                        }
                    };
                }
                column += if wide { $wide * LANES } else { LANES };
            }
        }

        /// The scores of a block's rows with some keys, rows of scores [`KEYS`] apart.
        ///
        /// # Safety
        /// As [`Kernels::attend`].
        $(#[$attribute])*
        unsafe fn score(all: &Attention, block: &Block, keys: &Range<usize>, rows: usize, tiles: &mut Tiles) {
            let (padded, scores) = (all.padded(), tiles.scores.as_mut_ptr());
            // SAFETY: as the caller says, and the tiles have room.
            unsafe {
                let narrow = all.k.format != format::F32;
                if (rows <= FEW || narrow) && all.k.is_packed(all.dim) {
                    // Too few for the keys to be turned: they are a matrix, and the queries what it is multiplied by.
                    let w = stored(&all.k, block.kv_head, keys, all.dim);
                    for first in (0..rows).step_by(FEW) {
                        let pairs: [Pair; FEW] = std::array::from_fn(|row| Pair {
                            x: tiles.q.as_ptr().wrapping_add((first + row) * padded),
                            y: scores.wrapping_add((first + row) * attention::KEYS),
                        });
                        let pairs = &pairs[..FEW.min(rows - first)];
                        match w.format {
                            format::BF16 => few_any::<{ format::BF16 }>(&w, 0, 0, keys.len(), pairs),
                            format::F16 => few_any::<{ format::F16 }>(&w, 0, 0, keys.len(), pairs),
                            _ => few_any::<{ format::F32 }>(&w, 0, 0, keys.len(), pairs),
                        }
                    }
                    return;
                }
                let columns = keys.len().next_multiple_of(LANES);
                tiles::take_turned(&all.k, block.kv_head, keys, all.dim, columns, &mut tiles.turned);
                let b = (tiles.turned.as_ptr(), columns as isize);
                outer_all((rows, columns, all.dim), (tiles.q.as_ptr(), padded), b, (scores, attention::KEYS), false);
            }
        }

        fn stored(x: &Strided, head: usize, rows: &Range<usize>, dim: usize) -> Stored {
            let (codes, none) = (x.row(head, rows.start), std::ptr::null());
            Stored { format: x.format, codes, scales: none, biases: none, rows: rows.len(), input: dim, group: 0 }
        }

        /// Rows of 16-bit numbers as `f32`, `wide` apart.
        ///
        /// # Safety
        /// The matrix is there in format `F`, and `to` has room for its rows and a step more.
        #[inline]
        $(#[$attribute])*
        unsafe fn widen<const F: u8>(w: &Stored, wide: usize, to: *mut f32) {
            for row in 0..w.rows {
                let from = w.row(row);
                for step in 0..w.input.div_ceil(STEP) {
                    // SAFETY: as the caller says; what is behind a row is written before the next one.
                    unsafe {
                        let parts = decode_any::<F>(&from, step, w.input - step * STEP);
                        let to = to.add(row * wide + step * STEP);
                        for (p, part) in parts.iter().enumerate() {
                            store(to.add(p * LANES), *part);
                        }
                    }
                }
            }
        }

        /// Values as rows of `f32`, and how far they are apart.
        ///
        /// # Safety
        /// As [`Kernels::attend`].
        #[inline]
        $(#[$attribute])*
        unsafe fn values(
            all: &Attention,
            block: &Block,
            keys: &Range<usize>,
            wide: usize,
            turned: &mut [f32],
        ) -> (*const f32, isize) {
            let (v, dim) = (&all.v, all.dim);
            // SAFETY: as the caller says, and the tile has room.
            unsafe {
                match v.format {
                    format::F32 if v.column == 1 && wide == dim => {
                        return (v.row(block.kv_head, keys.start).cast(), v.row);
                    }
                    format::BF16 if v.is_packed(dim) => {
                        widen::<{ format::BF16 }>(&stored(v, block.kv_head, keys, dim), wide, turned.as_mut_ptr());
                    }
                    format::F16 if v.is_packed(dim) => {
                        widen::<{ format::F16 }>(&stored(v, block.kv_head, keys, dim), wide, turned.as_mut_ptr());
                    }
                    _ => tiles::take_rows(v, block.kv_head, keys, dim, wide, turned),
                }
            }
            (turned.as_ptr(), wide as isize)
        }

        /// # Safety
        /// As [`Kernels::attend`].
        $(#[$attribute])*
        unsafe fn attend(all: &Attention, block: &Block) {
            let (count, wide) = (block.queries.len(), all.dim.next_multiple_of(LANES));
            let (rows, step) = (count * all.group(), all.keys_at_once());
            let mut numbers = Tiles::uninit();
            // SAFETY: as the caller says. What is read of the tiles has been written: all numbers are floats.
            unsafe {
                let own = &mut *numbers.as_mut_ptr();
                tiles::take_queries(all, block, &mut own.q);
                own.sums[..rows * wide].fill(0.0);
                own.most[..rows].fill(f32::NEG_INFINITY);
                own.weights[..rows].fill(0.0);
                for first in block.keys.clone().step_by(step) {
                    let keys = first..block.keys.end.min(first + step);
                    score(all, block, &keys, rows, own);
                    for row in 0..rows {
                        let seen = all.seen(block.queries.start + row % count, &keys);
                        let seen = seen.start - first..seen.end - first;
                        let scores = &mut own.scores[row * attention::KEYS..][..keys.len()];
                        let (scale, sum) = tiles::weigh::<{ $fma }>(scores, seen, &mut own.most[row]);
                        own.weights[row] = own.weights[row] * scale + sum;
                        if scale != 1.0 {
                            own.sums[row * wide..][..wide].iter_mut().for_each(|value| *value *= scale);
                        }
                    }
                    let b = values(all, block, &keys, wide, &mut own.turned);
                    let a = (own.scores.as_ptr(), attention::KEYS);
                    outer_all((rows, wide, keys.len()), a, b, (own.sums.as_mut_ptr(), wide), true);
                }
                tiles::give(all, block, own, wide);
            }
        }
    };
}

pub(in crate::nn::kernels::cpu) use attention;
