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

/// Keeps the states of at most `count` earlier positions. Where layers have a sliding window, as in Gemma, a session cannot
/// go back further than that window by itself: a conversation that differs from the last one before it would be evaluated
/// from its beginning. So the state is kept where the last turn begins, and at places before it, the further back the
/// fewer: an edit of an older turn then evaluates about as much as lies behind it. Each takes the memory of the windows
/// (rmlx_stats.checkpoint_bytes has all); rmlx_memory_trim gives up all but the last turn's. Default: 8; fewer on iOS,
/// and with a memory limit of the load, where more would not fit. 0 keeps none. Models without windows need and keep none.
///
/// Errors: INVALID_ARGUMENT (NULL).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_set_checkpoints(
    options: Option<&mut rmlx_session_options>,
    count: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.options.checkpoints = Some(count);
        Ok(())
    })
}

/// Leaves out the oldest turns of a conversation that does not fit into the context, in place of CONTEXT_FULL. A turn is a
/// message of the user and all that follows it up to the next one, calls of tools and their results included. System
/// messages stay, and so do the last `turns` turns: where these do not fit either, it is CONTEXT_FULL as ever. Media of
/// turns that are left out go with them. What is evaluated is what the template makes of the shortened conversation; your
/// prompt is not changed, and rmlx_stats.dropped_messages says how many messages of it were left out.
///
/// A conversation does not fit if it leaves less for the answer than rmlx_generation_options_set_max_tokens says, or than
/// a quarter of the context. Half of the context is made free at once if there are turns to leave out, so that the submits
/// that follow, which begin where this one did, find what they begin with evaluated. Answers before
/// that are not kept as they were generated (rmlx_generation_options_set_exact_history), but as the template has them.
/// Prompts of raw tokens are never shortened. Default: no turn is left out.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_options_set_keep_turns(
    options: Option<&mut rmlx_session_options>,
    turns: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.options.keep_turns = Some(not_zero(turns, "turns")?);
        Ok(())
    })
}
