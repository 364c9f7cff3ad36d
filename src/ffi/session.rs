//! Sessions.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::time::Duration;

use super::boundary::{call, fill, keep_errno, required, shared, value};
use super::event::rmlx_event;
use super::generation_options::rmlx_generation_options;
use super::model::rmlx_model;
use super::prompt::rmlx_prompt;
use super::session_options::rmlx_session_options;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{Event, GenerationOptions, Session, SessionOptions};
use crate::error::{Code, Result};
use crate::panics;

/// One conversation with a model: it holds what was evaluated so far, and at most one answer in the
/// making.
///
/// Any thread may call any function, one at a time: while one runs, another one returns RMLX_ERROR_BUSY
/// at once. Only rmlx_session_cancel works at any time. Release it when no function runs on it any
/// more.
///
/// Lifetime: yours, until rmlx_session_release. It holds a reference to its model.
pub struct rmlx_session {
    session: Session,
}

impl rmlx_session {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    pub(super) fn session(&self) -> Result<&Session> {
        self.session.require_sound()?;
        Ok(&self.session)
    }

    /// Runs an operation; one that ends in a panic poisons the session.
    pub(super) fn guard<T>(&self, operation: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let session = self.session()?;
        panics::catch(|| operation(session)).inspect_err(|e| {
            if e.code() == Code::Panic {
                self.session.poison();
            }
        })
    }
}

/// Makes a session.
///
/// - `options`: or NULL for the defaults
/// - `out`: gets the session, for you to release
///
/// Errors: OUT_OF_MEMORY (its context does not fit into the memory limit of the load); BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_new(
    model: Option<&rmlx_model>,
    options: Option<&rmlx_session_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let out = required(out, "out")?;
        let options = options.map_or_else(SessionOptions::default, |o| o.options.clone());
        let session = Session::new(model, &options)?;
        out.write(Box::into_raw(Box::new(rmlx_session::new(session))));
        Ok(())
    })
}

/// Releases a session; an answer in the making is stopped. NULL is fine. No other function may be
/// running on it.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_session_release(session: Option<Box<rmlx_session>>) {
    value((), || drop(session));
}

/// Forgets everything that the session holds. An answer in the making is dropped: it delivers no
/// further event. This also makes a poisoned session usable again.
///
/// Errors: BUSY; BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_reset(
    session: Option<NonNull<rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        session.session.reset()
    })
}

/// Begins to answer a conversation.
///
/// The whole conversation is passed each time; its longest beginning that the session already holds,
/// media included, is not evaluated again (rmlx_stats tells how long it was). This call renders,
/// tokenizes and checks it on the calling thread and returns; then rmlx_session_step delivers the
/// events, the last of which is the one FINISH.
///
/// - `options`: or NULL for what the snapshot's generation_config.json says
///
/// Errors: BUSY (the FINISH of the submit before has not been stepped); INVALID_PROMPT (the template
/// refuses the conversation, or a medium has no place); UNSUPPORTED (a medium that this model does not
/// understand); INVALID_MEDIA (one that its encoder cannot take); CONTEXT_FULL; OUT_OF_MEMORY (the system
/// has too little for this prompt); INVALID_ARGUMENT (an option out of range); CANCELLED; SUSPENDED;
/// BACKEND; POISONED. After an error the session is as it was before, and no event
/// follows.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_submit(
    session: Option<NonNull<rmlx_session>>,
    prompt: Option<&rmlx_prompt>,
    options: Option<&rmlx_generation_options>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let prompt = &required(prompt, "prompt")?.prompt;
        let defaults = GenerationOptions::default();
        let options = options.map_or(&defaults, |options| &options.options);
        session.guard(|session| session.submit(prompt, options))
    })
}

/// Evaluates a conversation without answering it, so that an answer to it, or to one that begins like it, comes sooner:
/// what every conversation of an app begins with, or what the user has written so far.
///
/// It goes on like rmlx_session_submit, with the same events to step: PROGRESS events if the options ask for them, and one
/// FINISH of RMLX_FINISH_PREFILLED, or of RMLX_FINISH_CANCELLED or RMLX_FINISH_ERROR. No token comes. Of the options only
/// those matter that say what the prompt is and what the events are. The template writes the opener of the answer as ever:
/// what the next conversation has in its place is evaluated again.
///
/// - `options`: or NULL, as for the submit that is to follow
///
/// Errors: those of rmlx_session_submit.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_prefill(
    session: Option<NonNull<rmlx_session>>,
    prompt: Option<&rmlx_prompt>,
    options: Option<&rmlx_generation_options>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let prompt = &required(prompt, "prompt")?.prompt;
        let defaults = GenerationOptions::default();
        let options = options.map_or(&defaults, |options| &options.options);
        session.guard(|session| session.prefill(prompt, options))
    })
}

/// Makes a second session that has been through the same as this one: it holds the same positions, and has the same
/// options, last prompt, answer (rmlx_prompt_add_answer), logits and stats. From then on the two go their own ways, also at
/// the same time. It has no waker. A seed is of a submit, so both draw alike where both are submitted the same with it.
///
/// Forking copies nothing and waits for nothing: the memory of what is held is shared. A session that goes on copies what
/// it writes to, once: then it takes about rmlx_stats.cache_bytes of its own.
///
/// - `out_session`: gets the session, for you to release, in any order
///
/// Errors: BUSY (the FINISH of the last submit has not been stepped); POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_fork(
    session: Option<NonNull<rmlx_session>>,
    out_session: Option<&mut MaybeUninit<*mut rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let out = required(out_session, "out_session")?;
        let session = session.guard(Session::fork)?;
        out.write(Box::into_raw(Box::new(rmlx_session { session })));
        Ok(())
    })
}

/// Forgets what the session holds from position `positions` on (rmlx_session_prompt_tokens has the prompt's, and the
/// answer's follow). A submit does so by itself where its conversation differs; this is for a host that wants it sooner.
///
/// Fewer positions may stay than were asked for: an image or a sound is never cut in two; and a model with a sliding
/// window cannot go back further than about the window, but to the nearest position whose state was kept
/// (rmlx_session_options_set_checkpoints), or to the beginning. What the next submit has between there and `positions` is
/// evaluated again. The last prompt and its answer are remembered nevertheless.
///
/// - `positions`: at or behind the end of what is held, nothing is forgotten
/// - `out_kept`: gets how many positions are still held
///
/// Errors: BUSY (the FINISH of the last submit has not been stepped); POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_truncate(
    session: Option<NonNull<rmlx_session>>,
    positions: usize,
    out_kept: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let out = required(out_kept, "out_kept")?;
        out.write(session.guard(|session| session.truncate(positions))?);
        Ok(())
    })
}

/// Blocks until the next event of the answer. While you hold it, the next one is already being
/// computed. While the library is suspended (rmlx_suspend), none is.
///
/// An answer that ends early, by a cancel or by an error of the model, is no error of this call: its
/// FINISH event says so. Nothing follows the FINISH event: step again only after another submit.
///
/// - `out_event`: gets the event, for you to release
///
/// Errors: INVALID_ARGUMENT (there is nothing to step: no submit since the last FINISH event); BUSY;
/// POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_step(
    session: Option<NonNull<rmlx_session>>,
    out_event: Option<&mut MaybeUninit<*mut rmlx_event>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    // SAFETY: by this function's contract.
    call(error, || unsafe { next_event(session, out_event, Session::step) })
}

/// Waits for the next event of the answer like rmlx_session_step, but not for longer than it is told.
///
/// - `timeout_ms`: 0 does not wait
/// - `out_event`: gets the event, for you to release
///
/// Errors: TIMEOUT (no event has come yet: the answer goes on, and nothing is lost); those of rmlx_session_step.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_step_timeout(
    session: Option<NonNull<rmlx_session>>,
    timeout_ms: u64,
    out_event: Option<&mut MaybeUninit<*mut rmlx_event>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    // SAFETY: by this function's contract.
    call(error, || unsafe {
        next_event(session, out_event, |session| session.step_timeout(Duration::from_millis(timeout_ms)))
    })
}

/// The next event of the answer if it is there already; never waits. rmlx_waker tells when it is worth a try.
///
/// - `out_event`: gets the event, for you to release
///
/// Errors: TIMEOUT (no event is there yet); those of rmlx_session_step.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_try_step(
    session: Option<NonNull<rmlx_session>>,
    out_event: Option<&mut MaybeUninit<*mut rmlx_event>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    // SAFETY: by this function's contract.
    call(error, || unsafe { next_event(session, out_event, Session::try_step) })
}

/// Hands out the event that `step` gives.
///
/// # Safety
/// `session` is NULL or has not been released.
unsafe fn next_event(
    session: Option<NonNull<rmlx_session>>,
    out_event: Option<&mut MaybeUninit<*mut rmlx_event>>,
    step: impl FnOnce(&Session) -> Result<Event>,
) -> Result<()> {
    // SAFETY: by this function's contract.
    let session = unsafe { shared(session, "session") }?;
    let out = required(out_event, "out_event")?;
    let event = session.guard(step)?;
    out.write(Box::into_raw(Box::new(rmlx_event::new(event))));
    Ok(())
}

/// Ends the answer in the making, wherever it is. Step on: after at most the event that was ready already comes
/// a FINISH of RMLX_FINISH_CANCELLED. From any thread, at any time, as often as you like; without an answer in the
/// making it does nothing. One that comes while rmlx_session_submit runs ends the answer that it starts. NULL is
/// fine.
///
/// It may be called from a signal handler: it takes no lock and no memory, and leaves errno alone.
///
/// The FINISH comes when the unit of work that is running has ended, whosever it is: a token, a piece of a prompt
/// (rmlx_session_options_set_prefill_chunk says how long they are), a medium, or a group of a load's tensors (64 MiB, or
/// one that is larger). On a slow CPU a piece of a prompt of a large model may take seconds.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_cancel(session: Option<NonNull<rmlx_session>>) {
    // Nothing here may take a lock, allocate or touch thread-local data but errno.
    if let Some(session) = session {
        // SAFETY: the caller passes a session that it has not released.
        let session = unsafe { session.as_ref() };
        keep_errno(|| session.session.cancel());
    }
}

/// Adds the answer of the last submit to a conversation, as it came: a message of the role "assistant"
/// with its text, its thoughts and its tool calls. Where the answer continued the last message
/// (rmlx_prompt_set_continue_final_message), it is added to that, which is finished then. What the next
/// prompt has of it is the chat template's matter.
///
/// - `prompt`: the one that was submitted, or one that says the same
///
/// Errors: INVALID_ARGUMENT (nothing was submitted since the session was made or reset, or the last conversation was only
/// evaluated, by rmlx_session_prefill); BUSY (the
/// answer's FINISH event has not been stepped); POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_add_answer(
    prompt: Option<&mut rmlx_prompt>,
    session: Option<NonNull<rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = &mut required(prompt, "prompt")?.prompt;
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        session.guard(|session| session.add_answer(prompt))
    })
}

/// Copies the logits that the token of the last event was sampled from, as the model gave them: one
/// number for each id of the vocabulary, before any option had its effect.
///
/// - `out`, `capacity`, `out_count`: the array protocol (see the top of this file)
///
/// Errors: INVALID_ARGUMENT (no token since the last submit; too little room); BUSY; SUSPENDED; POISONED;
/// BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_logits(
    session: Option<NonNull<rmlx_session>>,
    out: *mut f32,
    capacity: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let out_count = required(out_count, "out_count")?;
        let logits = session.guard(Session::logits)?;
        // SAFETY: the caller passes `capacity` writable elements.
        unsafe { fill(&logits, out, capacity, out_count) }
    })
}

/// Copies the token ids of the last prompt as they were evaluated, with those of its media in their
/// places.
///
/// - `out`, `capacity`, `out_count`: the array protocol (see the top of this file); before the first
///   submit, and after a reset, there are 0
///
/// Errors: INVALID_ARGUMENT (too little room); BUSY; POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_prompt_tokens(
    session: Option<NonNull<rmlx_session>>,
    out: *mut u32,
    capacity: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let out_count = required(out_count, "out_count")?;
        let ids = session.guard(Session::prompt_tokens)?;
        // SAFETY: the caller passes `capacity` writable elements.
        unsafe { fill(&ids, out, capacity, out_count) }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::{LoadOptions, Model};
    use crate::ffi::status::{RMLX_ERROR_POISONED, RMLX_OK};
    use crate::prompt::{Message, Prompt};

    #[test]
    fn a_panic_poisons_its_session_until_it_is_reset() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx");
        let model = Model::load(&folder, LoadOptions::default()).unwrap();
        let session = Session::new(&model, &SessionOptions::default()).unwrap();
        let mut session = rmlx_session { session };
        let handle = NonNull::new(&raw mut session);
        let prompt = Prompt { messages: vec![Message::text("user", "Hello")], ..Prompt::default() };
        let prompt = rmlx_prompt { prompt };
        // SAFETY: the session outlives these calls.
        let submit = || unsafe { rmlx_session_submit(handle, Some(&prompt), None, None) };

        // SAFETY: as above.
        let session = unsafe { handle.unwrap().as_ref() };
        let error = session.guard(|_| -> Result<()> { panic!("on purpose") }).unwrap_err();
        assert_eq!(error.code(), Code::Panic);
        assert_eq!(submit(), RMLX_ERROR_POISONED);
        // SAFETY: as above.
        unsafe {
            let mut count = MaybeUninit::uninit();
            let no_ids = std::ptr::null_mut();
            assert_eq!(
                rmlx_session_step(handle, Some(&mut MaybeUninit::uninit()), None),
                RMLX_ERROR_POISONED
            );
            assert_eq!(
                rmlx_session_prompt_tokens(handle, no_ids, 0, Some(&mut count), None),
                RMLX_ERROR_POISONED
            );
            rmlx_session_cancel(handle);
            assert_eq!(rmlx_session_reset(handle, None), RMLX_OK);
        }
        assert_eq!(submit(), RMLX_OK);
    }
}
