//! Kernels for the CPU: products with matrices as they are stored, on a pool of threads of our own.
//!
//! MLX's CPU backend multiplies packed matrices a number at a time on one thread, and wants `bf16` as `f32`. Here codes
//! become exact `f32` in registers, and sums are `f32`. Not on Apple's systems, whose MLX has kernels for its processors.

// The lanes of several vectors, side by side.
#![allow(clippy::needless_range_loop)]

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod driver;
mod format;
mod operation;
mod plain;
mod products;
mod rows;
#[cfg(test)]
mod tests;
mod turn;

use std::ffi::c_void;
use std::sync::OnceLock;

use mlx_rs::{Array, Dtype};

pub use self::attention::of_arrays as attention;
use self::driver::Products;
use self::format::Stored;
use self::operation::operation;
use self::products::Kernels;
pub use self::turn::turn;
use super::RowFunction;
use crate::error::Result;
use crate::nn::norm::cast;
use crate::snapshot::quantization::Quantization;

/// Whether there are kernels for packed matrices whose rows have `input` values.
pub fn takes(quantization: Quantization, input: usize) -> bool {
    format::of_packed(quantization, input).is_some()
}

/// A matrix `[out, in]`, or several `[E, out, in]`, as kernels take it.
pub struct Operand<'a> {
    arrays: Vec<&'a Array>,
    format: u8,
    input: usize,
    group: usize,
}

impl<'a> Operand<'a> {
    /// Of floats of 16 or 32 bits. None where kernels do not take it, or what is computed here is another device's.
    pub fn dense(w: &'a Array) -> Option<Operand<'a>> {
        let format = format::of_dense(w.dtype())?;
        let input = w.dim(-1) as usize;
        (input > 0 && operation::is_on_cpu()).then(|| Operand { arrays: vec![w], format, input, group: 0 })
    }

    /// Of codes. None as for [`dense`](Self::dense).
    pub fn packed(
        codes: &'a Array,
        scales: &'a Array,
        biases: Option<&'a Array>,
        quantization: Quantization,
    ) -> Option<Operand<'a>> {
        let input = quantization.codes(codes.dim(-1) as usize);
        let format = format::of_packed(quantization, input)?;
        let group = quantization.group_size as usize;
        let affine = format > format::AFFINE;
        let fits = codes.dtype() == Dtype::Uint32
            && scales.dim(-1) as usize * group == input
            && scales.dtype() == if affine { Dtype::Float32 } else { Dtype::Uint8 }
            && biases.is_some() == affine
            && biases.is_none_or(|biases| biases.dtype() == Dtype::Float32);
        let arrays = [Some(codes), Some(scales), biases].into_iter().flatten().collect();
        (fits && operation::is_on_cpu()).then_some(Operand { arrays, format, input, group })
    }

    fn rows(&self) -> i32 {
        self.arrays[0].dim(-2)
    }

    fn parameters(&self, products: usize, share: usize, gathers: bool) -> Parameters {
        let matrices = if self.arrays[0].ndim() == 3 { self.arrays[0].dim(0) as u64 } else { 1 };
        Parameters {
            format: self.format.into(),
            rows: self.rows() as u64,
            input: self.input as u64,
            group: self.group as u64,
            products: products as u64,
            share: share as u64,
            matrices,
            parts: self.arrays.len() as u64,
            gathers: gathers.into(),
        }
    }

    /// `x · Wᵀ` for one matrix and `x` `[.., in]` of `f32`: `[.., out]`. None for an `x` that kernels do not take.
    pub fn multiply(&self, x: &Array) -> Option<Result<Array>> {
        let rows = x.size().checked_div(self.input)?;
        let fits = x.dtype() == Dtype::Float32 && x.dim(-1) as usize == self.input && rows > 0;
        fits.then(|| {
            let mut shape = x.shape().to_vec();
            if let Some(last) = shape.last_mut() {
                *last = self.rows();
            }
            let inputs = [&[x], &self.arrays[..]].concat();
            // SAFETY: the parameters are the arrays' own sizes.
            unsafe { operation("a product", &inputs, 0, &shape, multiply, self.parameters(rows, 1, false)) }
        })
    }

    /// `x[i / share] · W[experts[i]]ᵀ` for `x` `[n, in]` of `f32` and `n · share` experts: `[n · share, out]`. None as
    /// for [`multiply`](Self::multiply).
    pub fn gather(&self, x: &Array, experts: &Array) -> Option<Result<Array>> {
        let (rows, products) = (x.size().checked_div(self.input)?, experts.size());
        let fits = x.dtype() == Dtype::Float32
            && x.dim(-1) as usize == self.input
            && rows > 0
            && products > 0
            && products.is_multiple_of(rows)
            && self.arrays[0].ndim() == 3;
        fits.then(|| {
            let experts = cast(experts, Dtype::Uint32)?;
            let inputs = [&[x], &self.arrays[..], &[&experts]].concat();
            let shape = [products as i32, self.rows()];
            let parameters = self.parameters(products, products / rows, true);
            // SAFETY: the parameters are the arrays' own sizes; experts that are not there are not read.
            unsafe { operation("a product of experts", &inputs, 0, &shape, multiply, parameters) }
        })
    }
}

/// Of an operation: the inputs are `x`, then so many `parts` of the matrix, then the experts where there are any.
#[derive(Clone, Copy)]
#[repr(C)]
struct Parameters {
    format: u64,
    rows: u64,
    input: u64,
    group: u64,
    products: u64,
    share: u64,
    matrices: u64,
    parts: u64,
    /// Whether there are experts.
    gathers: u64,
}

/// # Safety
/// As [`operation::Work`], for [`Parameters`].
unsafe extern "C" fn multiply(
    parameters: *const c_void,
    inputs: *const *const c_void,
    _: *const i64,
    result: *mut f32,
) {
    // SAFETY: MLX's thread gives what the operation was made with.
    unsafe {
        let p = *parameters.cast::<Parameters>();
        let part = |index: u64| match index <= p.parts {
            true => (*inputs.add(index as usize)).cast::<u8>(),
            false => std::ptr::null(),
        };
        let w = Stored {
            format: p.format as u8,
            codes: part(1),
            scales: part(2),
            biases: part(3),
            rows: p.rows as usize,
            input: p.input as usize,
            group: p.group as usize,
        };
        let products = p.products as usize;
        let experts = (p.gathers != 0)
            .then(|| std::slice::from_raw_parts((*inputs.add(p.parts as usize + 1)).cast::<u32>(), products));
        let x = (*inputs).cast::<f32>();
        let (matrices, share) = (p.matrices as usize, p.share as usize);
        let all = Products { w, x, y: result, experts, matrices, products, share };
        driver::multiply(kernels(), &all);
    }
}

/// A function of the last axis of `x`, of `f32`: see [`super::rows`].
pub fn rows(function: RowFunction, x: &Array, weight: Option<&Array>) -> Option<Result<Array>> {
    let input = x.dim(-1) as usize;
    let n = input / rows::input(function, 1);
    let fits = x.dtype() == Dtype::Float32
        && x.size() > 0
        && rows::input(function, n) == input
        && weight.is_none_or(|w| {
            let each = matches!(function, RowFunction::Gelu | RowFunction::Silu);
            let fits = match (each, w.shape()) {
                (true, shape) => shape == x.shape(),
                (false, [width]) => *width as usize == n,
                (false, [rows, width]) => *width as usize == n && x.ndim() > 1 && x.dim(-2) == *rows,
                _ => false,
            };
            fits && w.dtype() == Dtype::Float32
        })
        && operation::is_on_cpu();
    fits.then(|| {
        let mut shape = x.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = n as i32;
        }
        let inputs: Vec<&Array> = [Some(x), weight].into_iter().flatten().collect();
        let (code, eps) = match function {
            RowFunction::Softmax => (0, 0.0),
            RowFunction::GeluGlu => (1, 0.0),
            RowFunction::SiluGlu => (2, 0.0),
            RowFunction::Gelu => (3, 0.0),
            RowFunction::Silu => (4, 0.0),
            RowFunction::RmsNorm { eps } => (5, eps),
            RowFunction::LayerNorm { eps } => (6, eps),
        };
        let (size, n, weights) = (x.size() as u64, n as u64, weight.map_or(0, Array::size) as u64);
        let parameters = RowParameters { code, eps: f32::to_bits(eps).into(), size, n, weights };
        // SAFETY: the parameters are the arrays' own sizes.
        unsafe { operation("a function of rows", &inputs, 0, &shape, of_rows, parameters) }
    })
}

/// Of an operation: the inputs are `x` of so many values and, if there are `weights`, the weight.
#[derive(Clone, Copy)]
#[repr(C)]
struct RowParameters {
    code: u64,
    /// The bits of an `f32`.
    eps: u64,
    size: u64,
    n: u64,
    weights: u64,
}

/// # Safety
/// As [`operation::Work`], for [`RowParameters`].
unsafe extern "C" fn of_rows(
    parameters: *const c_void,
    inputs: *const *const c_void,
    _: *const i64,
    result: *mut f32,
) {
    // SAFETY: MLX's thread gives what the operation was made with.
    unsafe {
        let p = *parameters.cast::<RowParameters>();
        let function = match p.code {
            0 => RowFunction::Softmax,
            1 => RowFunction::GeluGlu,
            2 => RowFunction::SiluGlu,
            3 => RowFunction::Gelu,
            4 => RowFunction::Silu,
            5 => RowFunction::RmsNorm { eps: f32::from_bits(p.eps as u32) },
            _ => RowFunction::LayerNorm { eps: f32::from_bits(p.eps as u32) },
        };
        let floats = |index: usize, count: usize| {
            std::slice::from_raw_parts((*inputs.add(index)).cast::<f32>(), count)
        };
        let x = floats(0, p.size as usize);
        let weight = if p.weights != 0 { floats(1, p.weights as usize) } else { &[] };
        rows::all(kernels().row, function, x, weight, result, p.n as usize);
    }
}

/// The best that this processor has.
fn kernels() -> &'static Kernels {
    static KERNELS: OnceLock<Kernels> = OnceLock::new();
    KERNELS.get_or_init(|| available()[0])
}

/// Those that this processor has, the best first.
fn available() -> Vec<Kernels> {
    let mut available = vec![plain::KERNELS];
    #[cfg(target_arch = "x86_64")]
    {
        if avx2::is_there() {
            available.insert(0, avx2::KERNELS);
        }
        if avx512::is_there() {
            available.insert(0, avx512::KERNELS);
        }
    }
    available
}
