//! An operation of MLX's graph whose work on the CPU is a function of ours (`xtask/native/kernel.cpp`).

use std::ffi::{c_int, c_void};

use mlx_rs::Array;
use mlx_sys::{mlx_array, mlx_stream};

use crate::error::Result;
use crate::nn::{Device, default_device, mlx};

/// Does the work for `parameters`, pointers to the inputs, the strides in items of those that are as they lie (the others are
/// row-contiguous), and a pointer to the result of `f32`. It is called on a thread of MLX, must not unwind, and cannot fail.
pub type Work = unsafe extern "C" fn(*const c_void, *const *const c_void, *const i64, *mut f32);

unsafe extern "C" {
    fn rmlx_kernel(
        result: *mut mlx_array,
        inputs: *const mlx_array,
        count: usize,
        as_they_lie: usize,
        shape: *const c_int,
        dimensions: usize,
        work: Work,
        parameters: *const u64,
        words: usize,
        stream: mlx_stream,
    ) -> c_int;
}

/// Whether what is computed here is computed on the CPU.
pub fn is_on_cpu() -> bool {
    default_device() == Device::Cpu || mlx::stream_is_on_cpu()
}

/// An array of `f32` of this shape, made by `work` once it is wanted. The first inputs, so many, are taken `as_they_lie`.
/// `name` is for errors.
///
/// # Safety
/// `work` writes all of the result and reads no more of the inputs than they have, for these parameters.
pub unsafe fn operation<P: Copy>(
    name: &str,
    inputs: &[&Array],
    as_they_lie: usize,
    shape: &[i32],
    work: Work,
    parameters: P,
) -> Result<Array> {
    const { assert!(size_of::<P>().is_multiple_of(8) && align_of::<P>() == 8) };
    let handles: Vec<mlx_array> = inputs.iter().map(|input| input.as_ptr()).collect();
    mlx::call(name, |result, stream| {
        // SAFETY: handles are live; each pointer goes with its length; `parameters` is so many words, which are copied.
        unsafe {
            rmlx_kernel(
                result,
                handles.as_ptr(),
                handles.len(),
                as_they_lie,
                shape.as_ptr(),
                shape.len(),
                work,
                (&raw const parameters).cast(),
                size_of::<P>() / 8,
                stream,
            )
        }
    })
}
