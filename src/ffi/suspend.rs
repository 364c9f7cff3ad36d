//! Pausing all work of the process.

use std::mem::MaybeUninit;
use std::time::Duration;

use super::boundary::call;
use super::status::{rmlx_error, rmlx_status};
use crate::engine;
use crate::error::Code;

/// Pauses all work of models, for systems that end a program which works where it may not: iOS does so with an app that
/// uses the GPU in the background. Returns when no work is in flight (on a GPU, its last command has finished) and none
/// will begin before rmlx_resume.
///
/// Meanwhile
///  - answers in the making stay as they are, between two tokens, two pieces of a prompt, or two media. rmlx_session_step
///    gives the events that are there already and then waits for rmlx_resume; rmlx_session_step_timeout and
///    rmlx_session_try_step answer TIMEOUT;
///  - rmlx_session_submit, rmlx_session_logits and rmlx_probe answer SUSPENDED and change nothing;
///  - rmlx_model_load waits, between two groups of tensors if it has begun;
///  - everything else works as ever: it needs no work. Sessions can be made, reset and released, answers be cancelled (their
///    FINISH comes) and memory be given back, except that a host which has loaded no model yet gets SUSPENDED from the
///    functions for memory.
///
/// It is not counted: calls of it are alike to one, and one rmlx_resume ends them all. From any thread, at any time, before
/// the first model is loaded too; not from a signal handler.
///
/// - `deadline_ms`: how long to wait for the work that runs: a token, a piece of a prompt, a medium, or a group of tensors
///   (64 MiB, or one that is larger); 0 does not wait
/// - `out_running`: or NULL; gets the number of units of work that still run: 0, and with TIMEOUT 1
///
/// Errors: TIMEOUT (the work did not end in time; the pause holds nevertheless, from when it has ended, and the call can be
/// made again to wait for that); CANCELLED (rmlx_resume was called meanwhile).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_suspend(
    deadline_ms: u64,
    out_running: Option<&mut MaybeUninit<u32>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let outcome = engine::suspend(Duration::from_millis(deadline_ms));
        let running = match &outcome {
            Ok(()) => Some(0),
            Err(e) if e.code() == Code::Timeout => e.details()["running"].as_u64(),
            Err(_) => None,
        };
        if let (Some(out), Some(running)) = (out_running, running) {
            out.write(u32::try_from(running).unwrap_or(u32::MAX));
        }
        outcome
    })
}

/// Ends what rmlx_suspend began: answers and loads go on, with the tokens that would have come without the pause. Where
/// nothing is suspended it does nothing.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_resume(error: Option<&mut MaybeUninit<*mut rmlx_error>>) -> rmlx_status {
    call(error, || {
        engine::resume();
        Ok(())
    })
}
