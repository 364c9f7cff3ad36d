//! Products of matrices of 32-bit floats for MLX's CPU backend on Linux, in place of a BLAS.
//!
//! The crate `gemm-f32` multiplies. It takes a transposed right side, which is what a layer's weights are, number by number; so
//! such a matrix is written out the other way round first, a few columns at a time. Columns are handed out to threads.

use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use gemm_common::Parallelism;

use super::{pool, transpose};

/// Columns of the result that are made at once where the right side is transposed.
const COLUMNS: usize = 64;
/// Rows of a right side that are written out at once: with [`COLUMNS`] they stay in a core's cache.
const DEPTH: usize = 2048;
/// Multiplications below which waking other threads takes longer than the product.
const WORTH_THREADS: usize = 1 << 21;

const COLUMN_MAJOR: c_int = 102;
const AS_IT_IS: c_int = 111;

type Sgemm = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    f32,
    *const f32,
    c_int,
    *const f32,
    c_int,
    f32,
    *mut f32,
    c_int,
);

unsafe extern "C" {
    /// Of the library that MLX takes for its BLAS.
    fn rmlx_blas_use(product: Sgemm);
}

/// Makes MLX multiply by these functions from now on.
pub fn register() {
    static DONE: Once = Once::new();
    // SAFETY: the function is what the declaration says, and lives as long as this library's image.
    DONE.call_once(|| unsafe { rmlx_blas_use(sgemm) });
}

/// `C = alpha A B + beta C` as CBLAS has it.
///
/// # Safety
///
/// The matrices are as large as the numbers say, and C is shared with nobody.
unsafe extern "C" fn sgemm(
    layout: c_int,
    ta: c_int,
    tb: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: f32,
    a: *const f32,
    lda: c_int,
    b: *const f32,
    ldb: c_int,
    beta: f32,
    c: *mut f32,
    ldc: c_int,
) {
    let matrix = |at, step: c_int, transposed: c_int| {
        let step = step as isize;
        let is = transposed == AS_IT_IS;
        Matrix { at, row: if is { step } else { 1 }, column: if is { 1 } else { step } }
    };
    // Column by column is row by row, the other way round.
    let swapped = layout == COLUMN_MAJOR;
    let ((a, b), (m, n)) = if swapped {
        ((matrix(b, ldb, tb), matrix(a, lda, ta)), (n, m))
    } else {
        ((matrix(a, lda, ta), matrix(b, ldb, tb)), (m, n))
    };
    let [m, n, k, ldc] = [m, n, k, ldc].map(|count| usize::try_from(count).unwrap_or(0));
    let product = Product { m, n, k, alpha, beta, a, b, c, ldc };
    // SAFETY: what the caller promises.
    unsafe {
        if catch_unwind(AssertUnwindSafe(|| product.make())).is_err() {
            product.make_plainly();
        }
    }
}

#[derive(Clone, Copy)]
struct Matrix {
    at: *const f32,
    /// How far apart numbers of neighbouring rows are.
    row: isize,
    /// How far apart numbers of neighbouring columns are.
    column: isize,
}

impl Matrix {
    /// # Safety
    ///
    /// The place is inside the matrix.
    unsafe fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: what the caller promises.
        let at = unsafe { self.at.offset(row as isize * self.row + column as isize * self.column) };
        Self { at, ..self }
    }
}

/// `C = alpha A B + beta C` for `A` `[m, k]`, `B` `[k, n]` and `C` `[m, n]`, whose rows are `ldc` apart.
#[derive(Clone, Copy)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    alpha: f32,
    beta: f32,
    a: Matrix,
    b: Matrix,
    c: *mut f32,
    ldc: usize,
}

// SAFETY: A and B are only read, and each thread writes blocks of C that no other has.
unsafe impl Sync for Product {}

impl Product {
    /// # Safety
    ///
    /// As [`sgemm`].
    unsafe fn make(&self) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        if self.k == 0 {
            // SAFETY: what the caller promises.
            return unsafe { self.make_plainly() };
        }
        let work = self.m.saturating_mul(self.n).saturating_mul(self.k);
        let is_small = work < WORTH_THREADS;
        let is_transposed = self.b.row == 1 && self.b.column > 1 && self.n > 1;
        let by_columns = is_transposed || self.n >= self.m;
        let (all, step) = match (is_transposed, by_columns) {
            (true, _) => (self.n, COLUMNS),
            (_, true) => (self.n, if is_small { self.n } else { 4 * COLUMNS }),
            (_, false) => (self.m, if is_small { self.m } else { COLUMNS }),
        };
        // SAFETY: the blocks lie inside the matrices, and do not overlap.
        let block = |index: usize| unsafe {
            let from = index * step;
            let size = step.min(all - from);
            let part = if by_columns { self.columns(from, size) } else { self.rows(from, size) };
            // For one row, the crate reads such a matrix as it is.
            if is_transposed && self.m > 1 { part.turned() } else { part.multiply() }
        };
        let blocks = all.div_ceil(step);
        if is_small || blocks == 1 {
            (0..blocks).for_each(block);
        } else {
            assert!(pool::run(blocks, block), "a block of a product panicked");
        }
    }

    unsafe fn columns(&self, from: usize, n: usize) -> Self {
        // SAFETY: the caller has checked the block.
        unsafe { Self { n, b: self.b.from(0, from), c: self.c.add(from), ..*self } }
    }

    unsafe fn rows(&self, from: usize, m: usize) -> Self {
        // SAFETY: the caller has checked the block.
        unsafe { Self { m, a: self.a.from(from, 0), c: self.c.add(from * self.ldc), ..*self } }
    }

    unsafe fn multiply(&self) {
        let Self { m, n, k, a, b, c, ldc, alpha, beta } = *self;
        // The crate likes results column by column: it gets the product the other way round.
        // SAFETY: what the caller promises.
        unsafe {
            gemm_f32::gemm::f32::get_gemm_fn()(
                n,
                m,
                k,
                c,
                ldc as isize,
                1,
                beta != 0.0,
                b.at,
                b.row,
                b.column,
                a.at,
                a.row,
                a.column,
                beta,
                alpha,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }

    /// With a transposed B of at most [`COLUMNS`] columns.
    unsafe fn turned(&self) {
        thread_local! {
            static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            let size = DEPTH.min(self.k) * self.n;
            if buffer.try_reserve(size.saturating_sub(buffer.len())).is_err() {
                // SAFETY: what the caller promises.
                return unsafe { self.make_plainly() };
            }
            buffer.resize(size.max(buffer.len()), 0.0);
            for from in (0..self.k).step_by(DEPTH) {
                let k = DEPTH.min(self.k - from);
                // SAFETY: `k` rows from `from` on are inside A and B, and the buffer has room for them.
                unsafe {
                    let (a, b) = (self.a.from(0, from), self.b.from(from, 0));
                    transpose::columns(b.at, b.column as usize, self.n, k, buffer);
                    let b = Matrix { at: buffer.as_ptr(), row: self.n as isize, column: 1 };
                    let beta = if from == 0 { self.beta } else { 1.0 };
                    Self { k, a, b, beta, ..*self }.multiply();
                }
            }
        });
    }

    /// Number by number, without taking any memory.
    unsafe fn make_plainly(&self) {
        for i in 0..self.m {
            for j in 0..self.n {
                // SAFETY: what the caller promises.
                unsafe { self.write(i, j, self.sum(i, j)) }
            }
        }
    }

    unsafe fn sum(&self, i: usize, j: usize) -> f32 {
        // SAFETY: the caller's places are inside the matrices.
        (0..self.k).map(|l| unsafe { *self.a.from(i, l).at * *self.b.from(l, j).at }).sum()
    }

    unsafe fn write(&self, i: usize, j: usize, sum: f32) {
        // SAFETY: the caller's place is inside the matrix.
        unsafe {
            let out = self.c.add(i * self.ldc + j);
            // What is not to be read may be no number.
            let before = if self.beta == 0.0 { 0.0 } else { self.beta * *out };
            *out = self.alpha * sum + before;
        }
    }
}

#[cfg(test)]
mod tests;
