//! Memory of the whole process that MLX manages.

use std::mem::{MaybeUninit, offset_of};

use super::boundary::call;
use super::sized::{Versioned, write_sized};
use super::status::{rmlx_error, rmlx_status};
use crate::memory;

/// Bytes that MLX manages for all models and sessions of the process.
///
/// Set struct_size before the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct rmlx_memory_usage {
    /// sizeof(rmlx_memory_usage)
    pub struct_size: usize,
    /// In use: weights, what sessions hold, and what is being computed.
    pub active: u64,
    /// Not in use, kept to be used again.
    pub cache: u64,
    /// The most that was ever in use.
    pub peak: u64,
    /// Above this, MLX gives its cache back and waits for running work before it takes more.
    pub limit: u64,
    /// Of what is in use: encoded images and sounds that models keep, so that they need not encode them
    /// again.
    pub media: u64,
}

// SAFETY: repr(C), size first, numbers only.
unsafe impl Versioned for rmlx_memory_usage {
    const FIRST_SIZE: usize = offset_of!(rmlx_memory_usage, limit) + size_of::<u64>();
}

/// Fills in how much memory is used.
///
/// - `inout_usage`: its struct_size set; the other fields are written
///
/// Errors: INVALID_ARGUMENT (wrong struct_size); SUSPENDED (before the first model only); BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_memory_stats(
    inout_usage: *mut rmlx_memory_usage,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let stats = memory::stats()?;
        let usage = rmlx_memory_usage {
            struct_size: size_of::<rmlx_memory_usage>(),
            active: stats.active,
            cache: stats.cache,
            peak: stats.peak,
            limit: stats.limit,
            media: stats.media,
        };
        // SAFETY: the caller passes a structure of as many bytes as its first field says.
        unsafe { write_sized(&usage, inout_usage, "inout_usage") }
    })
}

/// Sets how much memory MLX may use and keep, for all models and sessions of the process.
///
/// - `memory_bytes`: above this, it gives its cache back and waits for running work before it takes
///   more; UINT64_MAX leaves the limit as it is. Default: MLX's own, from the memory of the GPU or of
///   the machine
/// - `cache_bytes`: what it keeps to be used again; UINT64_MAX leaves the limit as it is. Default: 32 MiB
///   on iOS, where an app is ended that takes too much; on macOS an eighth of what the GPU should use at
///   most; elsewhere MLX's own
///
/// Errors: SUSPENDED (before the first model only); BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_memory_set_limits(
    memory_bytes: u64,
    cache_bytes: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let given = |bytes| (bytes != u64::MAX).then_some(bytes);
        memory::set_limits(given(memory_bytes), given(cache_bytes))
    })
}

/// Sets how much of the GPU's memory stays wired, so that the system does not page out the weights in a
/// pause. Only Metal has such a limit; elsewhere this has no effect.
///
/// - `bytes`: UINT64_MAX for the default, which on macOS is the weights of all models and an eighth more,
///   as far as the GPU should use, and on iOS nothing
///
/// Errors: SUSPENDED (before the first model only); BACKEND (more than the GPU should use).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_memory_set_wired_limit(
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || memory::set_wired_limit((bytes != u64::MAX).then_some(bytes)))
}

/// Gives the memory that MLX keeps to be used again back to the system, the encoded images and sounds that
/// models keep, and what sessions keep of the positions before their last turn
/// (rmlx_session_options_set_checkpoints), for example when the system warns that memory is short.
///
/// Errors: SUSPENDED (before the first model only); BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_memory_trim(error: Option<&mut MaybeUninit<*mut rmlx_error>>) -> rmlx_status {
    call(error, memory::trim)
}
