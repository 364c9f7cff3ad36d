//! Attention as an operation of MLX's graph.

use std::ffi::c_void;

use mlx_rs::{Array, Dtype};

use super::{Attention, Strided};
use crate::error::Result;
use crate::nn::kernels::cpu::operation::{is_on_cpu, operation};
use crate::nn::kernels::cpu::{format, kernels};

/// See [`crate::nn::kernels::attention`].
pub fn attend(q: &Array, k: &Array, v: &Array, scale: f32, seen: Option<&Array>) -> Option<Result<Array>> {
    let ([batch, heads, queries, dim], [_, kv_heads, keys, _]) = (sizes(q)?, sizes(k)?);
    let kept = format::of_dense(k.dtype()).filter(|_| k.dtype() == v.dtype())?;
    let fits = q.dtype() == Dtype::Float32
        && k.shape() == v.shape()
        && k.shape() == [1, kv_heads as i32, keys as i32, dim as i32]
        && batch == 1
        && kv_heads > 0
        && heads > 0
        && heads.is_multiple_of(kv_heads)
        && queries > 0
        && keys > 0
        && Attention::takes(dim, heads / kv_heads)
        && seen.is_none_or(|seen| seen.dtype() == Dtype::Uint32 && seen.shape() == [queries as i32, 2])
        && is_on_cpu();
    fits.then(|| {
        let numbers = [heads, kv_heads, queries, keys, dim].map(|number| number as u64);
        let (scale, masked) = (scale.to_bits().into(), seen.is_some().into());
        let parameters = Parameters { numbers, scale, masked, kept: kept.into() };
        let inputs: Vec<&Array> = [Some(q), Some(k), Some(v), seen].into_iter().flatten().collect();
        let shape = [1, queries as i32, heads as i32, dim as i32];
        // SAFETY: the parameters are the arrays' own sizes, and a query that sees keys which are not there sees none of them.
        let y = unsafe { operation("attention", &inputs, 3, &shape, of_arrays, parameters) }?;
        Ok(y.swap_axes(1, 2)?)
    })
}

fn sizes(array: &Array) -> Option<[usize; 4]> {
    <[i32; 4]>::try_from(array.shape()).ok().map(|shape| shape.map(|size| size as usize))
}

/// Of an operation: the inputs are queries, keys and values and, if it is `masked`, the keys that each query sees.
#[derive(Clone, Copy)]
#[repr(C)]
struct Parameters {
    /// Heads, heads of keys, queries, keys, numbers of a head.
    numbers: [u64; 5],
    /// The bits of an `f32`.
    scale: u64,
    masked: u64,
    /// The format of keys and values.
    kept: u64,
}

/// # Safety
/// As [`operation::Work`](crate::nn::kernels::cpu::operation::Work), for [`Parameters`].
unsafe extern "C" fn of_arrays(
    parameters: *const c_void,
    inputs: *const *const c_void,
    strides: *const i64,
    result: *mut f32,
) {
    // SAFETY: MLX's thread gives what the operation was made with: four strides for each of the first three inputs.
    unsafe {
        let p = *parameters.cast::<Parameters>();
        let [heads, kv_heads, queries, keys, dim] = p.numbers.map(|number| number as usize);
        let strided = |index: usize| {
            let stride = |axis: usize| *strides.add(4 * index + axis) as isize;
            let format = if index == 0 { format::F32 } else { p.kept as u8 };
            let at = (*inputs.add(index)).cast();
            Strided { at, format, head: stride(1), row: stride(2), column: stride(3) }
        };
        let [q, k, v] = [0, 1, 2].map(strided);
        let seen = (p.masked != 0).then(|| std::slice::from_raw_parts((*inputs.add(3)).cast(), queries));
        let scale = f32::from_bits(p.scale as u32);
        let all = Attention { q, k, v, y: result, heads, kv_heads, queries, keys, dim, scale, seen };
        super::attend(kernels(), &all);
    }
}
