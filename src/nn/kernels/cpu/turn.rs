//! Rotations of rows by a table of angles. MLX does this in eight operations, each on one thread.

use std::ffi::c_void;

use mlx_rs::{Array, Dtype};

use super::operation::{is_on_cpu, operation};
use crate::error::Result;
use crate::nn::kernels::pool;

/// Rows of so many values together are handed out at a time.
const BLOCK: usize = 1 << 14;

/// See [`super::super::turn`].
pub fn turn(x: &Array, cos: &Array, sin: &Array) -> Option<Result<Array>> {
    let (first, [heads, rows, dim]) = match *x.shape() {
        [heads, rows, dim] => (0, [heads, rows, dim]),
        [1, heads, rows, dim] => (1, [heads, rows, dim]),
        _ => return None,
    };
    let fits = x.size() > 0
        && dim % 2 == 0
        && [x, cos, sin].iter().all(|array| array.dtype() == Dtype::Float32)
        && [cos, sin].iter().all(|array| array.shape() == [rows, dim])
        && is_on_cpu();
    fits.then(|| {
        let [heads, rows, dim] = [heads, rows, dim].map(|size| size as u64);
        let parameters = Parameters { first, heads, rows, dim };
        // SAFETY: the parameters are the arrays' own sizes.
        unsafe { operation("a rotation", &[x, cos, sin], 1, x.shape(), turn_rows, parameters) }
    })
}

/// Of an operation: the inputs are `x`, cosines and sines.
#[derive(Clone, Copy)]
#[repr(C)]
struct Parameters {
    /// The axis of heads.
    first: u64,
    heads: u64,
    rows: u64,
    dim: u64,
}

/// Where `x` is, and where its rows go.
struct Rows {
    x: *const f32,
    strides: [isize; 3],
    y: *mut f32,
}

// SAFETY: `x` is only read, and no two blocks have the same row of the result.
unsafe impl Sync for Rows {}

/// # Safety
/// As [`operation::Work`](super::operation::Work), for [`Parameters`].
unsafe extern "C" fn turn_rows(
    parameters: *const c_void,
    inputs: *const *const c_void,
    strides: *const i64,
    result: *mut f32,
) {
    // SAFETY: MLX's thread gives what the operation was made with: a stride for each axis of `x`.
    unsafe {
        let p = *parameters.cast::<Parameters>();
        let (rows, dim) = (p.rows as usize, p.dim as usize);
        let table = |index: usize| std::slice::from_raw_parts((*inputs.add(index)).cast::<f32>(), rows * dim);
        let (cos, sin) = (table(1), table(2));
        let strides = [0, 1, 2].map(|axis| *strides.add(p.first as usize + axis) as isize);
        let all = Rows { x: (*inputs).cast(), strides, y: result };
        let (count, step) = (p.heads as usize * rows, (BLOCK / dim).max(1));
        let work = |block: usize| {
            let all = &all;
            for index in block * step..count.min((block + 1) * step) {
                let (head, row) = ((index / rows) as isize, index % rows);
                let from = all.x.offset(head * all.strides[0] + row as isize * all.strides[1]);
                let to = std::slice::from_raw_parts_mut(all.y.add(index * dim), dim);
                let angles = [cos, sin].map(|table| &table[row * dim..][..dim]);
                turn_row(|i| *from.offset(i as isize * all.strides[2]), angles, to);
            }
        };
        if !pool::run(count.div_ceil(step), work) {
            // What is computed from it is not taken for an answer.
            std::slice::from_raw_parts_mut(result, count * dim).fill(f32::NAN);
        }
    }
}

#[inline(always)]
fn turn_row(x: impl Fn(usize) -> f32, [cos, sin]: [&[f32]; 2], y: &mut [f32]) {
    let half = y.len() / 2;
    for i in 0..half {
        let (a, b) = (x(i), x(i + half));
        y[i] = a * cos[i] + b * sin[i];
        y[i + half] = b * cos[i + half] + a * sin[i + half];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::mlx::halves;
    use crate::nn::testing::{close, host, random};

    #[test]
    fn rows_turn_by_their_own_angles_however_they_lie() {
        for [heads, rows, dim] in [[1, 1, 2], [3, 5, 8], [8, 300, 64], [2, 7, 72]] {
            let (cos, sin) = (random(&[rows, dim], 1), random(&[rows, dim], 2));
            let x = random(&[heads, rows, dim], 3);
            let [first, second] = halves(&x).unwrap();
            let swapped = mlx_rs::ops::concatenate(&[second, first], -1).unwrap();
            let expected = x.multiply(&cos).unwrap().add(swapped.multiply(&sin).unwrap()).unwrap();
            let by_row = x.swap_axes(0, 1).unwrap().contiguous().unwrap().swap_axes(0, 1).unwrap();
            let by_column = x.swap_axes(1, 2).unwrap().contiguous().unwrap().swap_axes(1, 2).unwrap();
            let batched = by_row.reshape(&[1, heads, rows, dim]).unwrap();
            for x in [x, by_row, by_column, batched] {
                let turned = turn(&x, &cos, &sin).unwrap().unwrap();
                assert_eq!(turned.shape(), x.shape());
                close(&host(&turned), &host(&expected), 1e-6);
            }
        }
    }
}
