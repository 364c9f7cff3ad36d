//! Cancel objects, for operations that have no session yet.

use std::ptr::NonNull;
use std::sync::Arc;

use super::boundary::{keep_errno, value};
use crate::engine::CancelToken;

/// A flag that stops the operations that watch it, such as loading a model
/// (rmlx_load_options_set_cancel).
///
/// Thread-safe. Once triggered it stays so: make a new one for the next operation.
///
/// Lifetime: reference-counted. rmlx_cancel_new gives you one reference; what watches it has its own.
pub struct rmlx_cancel {
    pub(super) token: CancelToken,
}

/// Makes a cancel object that is not triggered.
///
/// Returns: a reference for you; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_cancel_new() -> *mut rmlx_cancel {
    value(std::ptr::null_mut(), || {
        Arc::into_raw(Arc::new(rmlx_cancel { token: CancelToken::new() })).cast_mut()
    })
}

/// Stops the operations that watch `cancel`: they return RMLX_ERROR_CANCELLED soon, a load before the next group of
/// tensors. From any thread and from a signal handler, at any time, as often as you like. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_cancel_trigger(cancel: Option<&rmlx_cancel>) {
    if let Some(cancel) = cancel {
        keep_errno(|| cancel.token.cancel());
    }
}

/// Adds a reference.
///
/// Returns: `cancel`; NULL for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_cancel_retain(cancel: *const rmlx_cancel) -> *mut rmlx_cancel {
    // SAFETY: the caller holds a reference, which `into_raw` made, or passes NULL.
    unsafe { super::boundary::retain(cancel) }
}

/// Gives a reference back. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_cancel_release(cancel: Option<NonNull<rmlx_cancel>>) {
    // SAFETY: the caller gives back a reference of its own, or passes NULL.
    unsafe { super::boundary::release(cancel) };
}
