//! How a session is made.

use std::mem::MaybeUninit;

use super::boundary::{call, required, value};
use super::load_options::not_zero;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::SessionOptions;

/// How a session is made. Everything has a default, so rmlx_session_new also takes NULL for it.
///
/// Use it from one thread at a time. A session takes a copy: changing or releasing the options later
/// has no effect on it.
///
/// Lifetime: yours, until rmlx_session_options_release.
#[derive(Default)]
pub struct rmlx_session_options {
    pub(super) options: SessionOptions,
}

/// Makes session options that hold the defaults.
///
/// Returns: an object for you to release; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_new() -> Option<Box<rmlx_session_options>> {
    value(None, || Some(Box::default()))
}

/// Releases session options. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_release(options: Option<Box<rmlx_session_options>>) {
    value((), || drop(options));
}

/// Limits the context to `positions` tokens, prompt, media and answer together, if the model itself
/// allows that many. Default: what the model allows.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_set_context_length(
    options: Option<&mut rmlx_session_options>,
    positions: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.options.context_length = Some(not_zero(positions, "positions")?);
        Ok(())
    })
}

/// Evaluates a prompt in pieces of `tokens` tokens; an image whose tokens see each
/// other is never split. Smaller pieces need less memory and let a cancel through sooner, larger ones
/// are faster. Default: 512; fewer on iOS, and with a memory limit of the load, where more would not fit.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_set_prefill_chunk(
    options: Option<&mut rmlx_session_options>,
    tokens: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.options.prefill_chunk = Some(not_zero(tokens, "tokens")?);
        Ok(())
    })
}
