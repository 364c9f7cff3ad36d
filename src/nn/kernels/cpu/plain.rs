//! The products in plain Rust: the reference of the others' tests, and what processors without their instructions run.
//! A vector is eight numbers side by side, which the compiler makes vectors of where it can.

use std::ops::Range;

use super::attention::tiles::{self, Tiles, attention};
use super::attention::{self, Attention, Block, Strided};
use super::format::{self, Row, STEP, Stored};
use super::products::{AHEAD, FEW, Kernels, Pair, TILE_INPUT, products};
use super::rows;

pub const KERNELS: Kernels = Kernels {
    #[cfg(test)]
    name: "plain",
    pairs: false,
    few,
    many,
    row: rows::plain,
    attend,
};

type V = [f32; LANES];
const LANES: usize = 8;
const PARTS: usize = STEP / LANES;
const TILE_X: usize = 3;
/// Rows of the matrix at a time, for 1, 2, 4 and 8 rows of `x`.
const ROWS: [usize; 4] = [4, 2, 1, 1];

#[inline(always)]
fn zero() -> V {
    [0.0; LANES]
}

/// Nothing here.
fn fetch(_: *const u8) {}

/// # Safety
/// There are so many numbers.
#[inline(always)]
unsafe fn load(from: *const f32) -> V {
    // SAFETY: as the caller says.
    unsafe { from.cast::<V>().read_unaligned() }
}

/// # Safety
/// There is room for so many numbers.
#[inline(always)]
unsafe fn store(to: *mut f32, v: V) {
    // SAFETY: as the caller says.
    unsafe { to.cast::<V>().write_unaligned(v) }
}

#[inline(always)]
fn splat(value: f32) -> V {
    [value; LANES]
}

#[inline(always)]
fn fma(a: V, b: V, c: V) -> V {
    let mut sum = c;
    for i in 0..LANES {
        sum[i] += a[i] * b[i];
    }
    sum
}

#[inline(always)]
fn sum(v: V) -> f32 {
    (v[0] + v[4]) + (v[1] + v[5]) + ((v[2] + v[6]) + (v[3] + v[7]))
}

#[inline(always)]
fn sum4(v: [V; 4]) -> [f32; 4] {
    v.map(sum)
}

/// # Safety
/// The row is of format `F` and has the step.
#[inline(always)]
unsafe fn decode<const F: u8>(row: &Row, step: usize) -> [V; PARTS] {
    // SAFETY: as the caller says.
    let values = unsafe { format::values::<F>(row, step) };
    std::array::from_fn(|p| std::array::from_fn(|i| values[p * LANES + i]))
}

/// Values come in their order.
#[inline(always)]
fn in_order(parts: [V; PARTS]) -> [V; PARTS] {
    parts
}

products!();
attention!(false, 1,);
