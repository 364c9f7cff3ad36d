//! The products, once for all sets of instructions: a module that has vectors of `LANES` numbers invokes [`products`].
//!
//! *Few rows*: a step of a matrix's row is decoded into registers and multiplied by each row of `x`, with the
//! sums of all in registers, so codes are read once, and read in their order.
//!
//! *Many rows*: a block of the matrix is decoded into a tile of `f32`, rows of `TILE_INPUT` values, that stays in the
//! second cache; `multiply_tile` then takes `TILE_X` rows of `x` by four rows of the tile at a time, the sums in registers.

/// Bytes between what is multiplied and what is fetched: more than memory delivers while it is waited for.
pub const AHEAD: usize = 4 << 10;

/// Rows of `x` that [`Kernels::few`] takes at most.
pub const FEW: usize = 8;
/// Values of a row of a tile, at most.
pub const TILE_INPUT: usize = 1024;
/// Rows of a matrix that make a tile, at most.
pub const TILE_ROWS: usize = 64;

use super::attention::{Attention, Block};
use super::format::Stored;
use super::rows::Row as RowFunction;

/// Where rows of `x` begin, and where the results of each begin.
#[derive(Clone, Copy)]
pub struct Pair {
    pub x: *const f32,
    pub y: *mut f32,
}

// SAFETY: two threads never have the same part of a row's result.
unsafe impl Send for Pair {}
// SAFETY: as above.
unsafe impl Sync for Pair {}

/// The products by one set of instructions.
#[derive(Clone, Copy)]
pub struct Kernels {
    #[cfg(test)]
    pub name: &'static str,
    /// Whether [`few`](Self::few) wants the values of each step of a paired format as [`pair`] puts them.
    pub pairs: bool,
    /// `y[first..first + count] = W[first + at..] · x` for up to [`FEW`] pairs; `first` counts from row `at`.
    pub few: unsafe fn(w: &Stored, at: usize, first: usize, count: usize, pairs: &[Pair]),
    /// A function of one row.
    pub row: RowFunction,
    /// A block of an attention that takes such heads.
    pub attend: unsafe fn(all: &Attention, block: &Block),
    /// As `few` for any number of pairs, whose `x` is in its order; `tile` has room for [`TILE_ROWS`] of [`TILE_INPUT`].
    pub many: unsafe fn(w: &Stored, at: usize, first: usize, count: usize, pairs: &[Pair], tile: *mut f32),
}

/// `x` with the even values of each step before the odd ones.
pub fn pair(x: &[f32], to: &mut [f32]) {
    for (x, to) in x.chunks_exact(32).zip(to.chunks_exact_mut(32)) {
        for i in 0..16 {
            to[i] = x[2 * i];
            to[16 + i] = x[2 * i + 1];
        }
    }
}

/// The functions of [`Kernels`] for a module with `V`, `LANES`, `PARTS`, `TILE_X`, `zero`, `load`, `store`, `fma`, `sum`,
/// `sum4`, `decode` and `in_order`, all under the same attribute.
macro_rules! products {
    ($(#[$attribute:meta])*) => {
        /// One step of a row, or what is left of a dense one, with zeros after it.
        ///
        /// # Safety
        /// The row is of format `F` and has the step; the processor has the instructions.
        #[inline]
        $(#[$attribute])*
        unsafe fn decode_any<const F: u8>(row: &Row, step: usize, left: usize) -> [V; PARTS] {
            // SAFETY: as the caller says; of a last part only what is there is copied.
            unsafe {
                if left >= STEP {
                    return decode::<F>(row, step);
                }
                let mut codes = [0u32; STEP];
                let from = row.step::<F>(step);
                std::ptr::copy_nonoverlapping(from, codes.as_mut_ptr().cast(), left * format::bits(F) / 8);
                decode::<F>(&Row { codes: codes.as_ptr().cast(), ..*row }, 0)
            }
        }

        /// # Safety
        /// As [`Kernels::few`]; there are at most `M` pairs, and at least one.
        #[inline]
        $(#[$attribute])*
        unsafe fn few_of<const F: u8, const M: usize, const R: usize>(
            w: &Stored,
            at: usize,
            first: usize,
            count: usize,
            pairs: &[Pair],
        ) {
            // What is missing repeats the last, and is thrown away.
            let x: [*const f32; M] = std::array::from_fn(|m| pairs[m.min(pairs.len() - 1)].x);
            let steps = w.input / STEP;
            let ahead = (R * w.row_bytes()).max(1);
            let ahead = ahead * AHEAD.div_ceil(ahead);
            let mut r = first;
            while r < first + count {
                let rows: [Row; R] = std::array::from_fn(|i| w.row(at + (r + i).min(first + count - 1)));
                // SAFETY: all rows have so many steps, and `x` is as long; `y` has a place for each row.
                unsafe {
                    let mut sums = [[zero(); M]; R];
                    for step in 0..steps {
                        for i in 0..R {
                            // Of the rows that come next: rows are too short for the processor to see that they go on.
                            fetch(rows[i].step::<F>(step).wrapping_add(ahead));
                            let parts = decode::<F>(&rows[i], step);
                            for m in 0..M {
                                for (p, part) in parts.iter().enumerate() {
                                    let x = load(x[m].add(step * STEP + p * LANES));
                                    sums[i][m] = fma(*part, x, sums[i][m]);
                                }
                            }
                        }
                    }
                    let left = w.input - steps * STEP;
                    if left > 0 {
                        for i in 0..R {
                            let parts = decode_any::<F>(&rows[i], steps, left);
                            for m in 0..M {
                                for (p, part) in parts.iter().enumerate() {
                                    let x = load(x[m].add(steps * STEP + p * LANES));
                                    sums[i][m] = fma(*part, x, sums[i][m]);
                                }
                            }
                        }
                    }
                    for (m, pair) in pairs.iter().enumerate() {
                        for i in 0..R.min(first + count - r) {
                            *pair.y.add(r + i) = sum(sums[i][m]);
                        }
                    }
                }
                r += R;
            }
        }

        /// # Safety
        /// As [`Kernels::few`].
        $(#[$attribute])*
        unsafe fn few_any<const F: u8>(w: &Stored, at: usize, first: usize, count: usize, pairs: &[Pair]) {
            // SAFETY: as the caller says.
            unsafe {
                match pairs.len() {
                    0 => {}
                    1 => few_of::<F, 1, { ROWS[0] }>(w, at, first, count, pairs),
                    2 => few_of::<F, 2, { ROWS[1] }>(w, at, first, count, pairs),
                    3 | 4 => few_of::<F, 4, { ROWS[2] }>(w, at, first, count, pairs),
                    _ => few_of::<F, 8, { ROWS[3] }>(w, at, first, count, pairs),
                }
            }
        }

        /// `M` rows of `x` by four rows of the tile, `len` values each; `y` is written or, with `add`, added to.
        ///
        /// # Safety
        /// All rows have so many values, and each `y` has four places.
        #[inline]
        $(#[$attribute])*
        unsafe fn multiply_tile<const M: usize>(
            tile: *const f32,
            x: &[*const f32; TILE_X],
            y: &[*mut f32; TILE_X],
            len: usize,
            add: bool,
        ) {
            // SAFETY: as the caller says.
            unsafe {
                let mut sums = [[zero(); 4]; M];
                let mut i = 0;
                while i < len {
                    let w: [V; 4] = [
                        load(tile.add(i)),
                        load(tile.add(len + i)),
                        load(tile.add(2 * len + i)),
                        load(tile.add(3 * len + i)),
                    ];
                    for m in 0..M {
                        let x = load(x[m].add(i));
                        for r in 0..4 {
                            sums[m][r] = fma(w[r], x, sums[m][r]);
                        }
                    }
                    i += LANES;
                }
                for m in 0..M {
                    let mut four = sum4(sums[m]);
                    for r in 0..4 {
                        if add {
                            four[r] += *y[m].add(r);
                        }
                        *y[m].add(r) = four[r];
                    }
                }
            }
        }

        /// All pairs by a tile of rows `first..first + count`, which holds their values `from..from + len`.
        ///
        /// # Safety
        /// As [`Kernels::many`].
        $(#[$attribute])*
        unsafe fn tile_products(tile: *const f32, pairs: &[Pair], first: usize, count: usize, from: usize, len: usize) {
            for group in pairs.chunks(TILE_X) {
                let last = group.len() - 1;
                let x: [*const f32; TILE_X] = std::array::from_fn(|m| group[m.min(last)].x.wrapping_add(from));
                for r in (0..count).step_by(4) {
                    let tile = tile.wrapping_add(r * len);
                    let mut edge = [[0.0f32; 4]; TILE_X];
                    let whole = r + 4 <= count;
                    let y: [*mut f32; TILE_X] = std::array::from_fn(|m| match whole {
                        true => group[m.min(last)].y.wrapping_add(first + r),
                        false => edge[m].as_mut_ptr(),
                    });
                    let add = from > 0 && whole;
                    // SAFETY: rows of `x` and of the tile have `len` values here, and each `y` has four places.
                    unsafe {
                        match group.len() {
                            1 => multiply_tile::<1>(tile, &x, &y, len, add),
                            2 => multiply_tile::<{ least(2) }>(tile, &x, &y, len, add),
                            3 => multiply_tile::<{ least(3) }>(tile, &x, &y, len, add),
                            4 => multiply_tile::<{ least(4) }>(tile, &x, &y, len, add),
                            5 => multiply_tile::<{ least(5) }>(tile, &x, &y, len, add),
                            _ => multiply_tile::<TILE_X>(tile, &x, &y, len, add),
                        }
                        if !whole {
                            for (m, pair) in group.iter().enumerate() {
                                for i in 0..count - r {
                                    let to = pair.y.add(first + r + i);
                                    *to = edge[m][i] + if from > 0 { *to } else { 0.0 };
                                }
                            }
                        }
                    }
                }
            }
        }

        /// A group of a tile has no more rows than [`TILE_X`].
        const fn least(rows: usize) -> usize {
            if rows < TILE_X { rows } else { TILE_X }
        }

        /// # Safety
        /// As [`Kernels::many`].
        $(#[$attribute])*
        unsafe fn many_any<const F: u8>(
            w: &Stored,
            at: usize,
            first: usize,
            count: usize,
            pairs: &[Pair],
            tile: *mut f32,
        ) {
            let padded = w.input.next_multiple_of(STEP);
            for from in (0..padded).step_by(TILE_INPUT) {
                let len = TILE_INPUT.min(padded - from);
                // SAFETY: the tile has room for all rows, and the matrix has the steps.
                unsafe {
                    for r in 0..count.next_multiple_of(4) {
                        let row = w.row(at + first + r.min(count - 1));
                        for s in 0..len / STEP {
                            let step = from / STEP + s;
                            let parts = decode_any::<F>(&row, step, w.input - step * STEP);
                            let parts = if format::is_paired(F) { in_order(parts) } else { parts };
                            for (p, part) in parts.iter().enumerate() {
                                store(tile.add(r * len + s * STEP + p * LANES), *part);
                            }
                        }
                    }
                    tile_products(tile, pairs, first, count, from, len);
                }
            }
        }

        /// # Safety
        /// As [`Kernels::few`].
        unsafe fn few(w: &Stored, at: usize, first: usize, count: usize, pairs: &[Pair]) {
            // SAFETY: as the caller says, and the format is the matrix's.
            unsafe {
                format::of_format!(w.format, few_any(w, at, first, count, pairs));
            }
        }

        /// # Safety
        /// As [`Kernels::many`].
        unsafe fn many(w: &Stored, at: usize, first: usize, count: usize, pairs: &[Pair], t: *mut f32) {
            // SAFETY: as the caller says, and the format is the matrix's.
            unsafe {
                format::of_format!(w.format, many_any(w, at, first, count, pairs, t));
            }
        }
    };
}

pub(super) use products;
