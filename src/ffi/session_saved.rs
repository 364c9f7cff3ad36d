//! Sessions in files and in the host's memory.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::boundary::{array, call, path, required, room, shared};
use super::model::rmlx_model;
use super::session::rmlx_session;
use super::session_options::rmlx_session_options;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{Session, SessionOptions};
use crate::error::{Error, Result};

/// Writes what the session holds to a file, for rmlx_session_load: the tokens, what was evaluated of them, and which
/// images and sounds are among them, but not their pixels and samples. docs/saved-sessions.md has the format.
///
/// The file appears whole or not at all: after an error, what was there before still is. The session stays as it is.
/// Blocks until the bytes are on the disk; other sessions go on meanwhile.
///
/// The file says what was said in the conversation to whoever can read it. It gets the permissions of the file that it
/// replaces, or those of any new file.
///
/// - `path_utf8`: where to; NUL-terminated
///
/// Errors: BUSY (the FINISH of the last submit has not been stepped); NOT_FOUND (no such folder); IO; SUSPENDED (only
/// where the rows are in the memory of a CUDA device, since it would have to copy them); POISONED; BACKEND; OUT_OF_MEMORY;
/// INVALID_ARGUMENT.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_save(
    session: Option<NonNull<rmlx_session>>,
    path_utf8: *const c_char,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let path = unsafe { path(path_utf8, "path_utf8") }?;
        session.guard(|session| session.save(path))
    })
}

/// Writes to memory what rmlx_session_save writes to a file.
///
/// - `out`, `capacity`, `out_count`: the array protocol (see the top of this file), in bytes. As long as the session is
///   not used, their number stays the same.
///
/// Errors: INVALID_ARGUMENT (too little room); BUSY, SUSPENDED, POISONED and BACKEND as rmlx_session_save.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_save_to_buffer(
    session: Option<NonNull<rmlx_session>>,
    out: *mut u8,
    capacity: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        let out_count = required(out_count, "out_count")?;
        // SAFETY: the caller passes `capacity` writable bytes.
        let out = match capacity {
            0 if out.is_null() => None,
            0 => Some(&mut [][..]),
            _ => Some(unsafe { room(out, capacity, "out") }?),
        };
        session.guard(|session| session.save_into(|bytes| fitting(out, bytes, out_count)))
    })
}

/// The room for `bytes`, whose number is told even where it is too little.
fn fitting<'a>(
    out: Option<&'a mut [MaybeUninit<u8>]>,
    bytes: usize,
    out_count: &mut MaybeUninit<usize>,
) -> Result<Option<&'a mut [MaybeUninit<u8>]>> {
    out_count.write(bytes);
    match out {
        Some(out) if out.len() < bytes => {
            let message = format!("`out` has room for {} bytes, and there are {bytes}", out.len());
            Err(Error::invalid_argument(message).with("argument", "capacity").with("needed", bytes))
        }
        out => Ok(out),
    }
}

/// Makes a session of a file that rmlx_session_save wrote, for the same model: a later submit evaluates only what comes
/// after the beginning that it shares with what was saved, and encodes no image or sound that is in there.
///
/// What was told of the last submit (rmlx_stats but held_tokens and cache_bytes, rmlx_session_logits,
/// rmlx_session_prompt_tokens, rmlx_prompt_add_answer) is not saved. Seeds and penalties begin anew with each submit
/// anyway. The options of the session are those that are given here. It works while the library is suspended.
///
/// - `options`: or NULL for the defaults
/// - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
/// - `out`: gets the session, for you to release
///
/// Errors: NOT_FOUND; IO; INVALID_SAVE, whose detail "fault" is one of "format" (it is no saved session), "version" (of
/// another version of the format), "snapshot", "template" (saved from another snapshot, or with another chat template),
/// "dtype" (on a device where the model computes with other numbers), "layers", or "damaged" (truncated or changed);
/// CONTEXT_FULL (it holds more than the context of the options); OUT_OF_MEMORY; BACKEND. Where it cannot be loaded, a new
/// session and the whole conversation do the same, with more work.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_load(
    model: Option<&rmlx_model>,
    options: Option<&rmlx_session_options>,
    path_utf8: *const c_char,
    out: Option<&mut MaybeUninit<*mut rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let path = unsafe { path(path_utf8, "path_utf8") }?;
        let out = required(out, "out")?;
        hand_out(Session::load(model, &given(options), path)?, out);
        Ok(())
    })
}

/// Makes a session of bytes that rmlx_session_save_to_buffer or rmlx_session_save wrote; otherwise like
/// rmlx_session_load. They are copied.
///
/// - `bytes`, `len`: what was written, all of it
///
/// Errors: those of rmlx_session_load but NOT_FOUND and IO.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_load_from_buffer(
    model: Option<&rmlx_model>,
    options: Option<&rmlx_session_options>,
    bytes: *const c_void,
    len: usize,
    out: Option<&mut MaybeUninit<*mut rmlx_session>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        // SAFETY: the caller passes `len` readable bytes.
        let bytes = unsafe { array(bytes.cast::<u8>(), len, "bytes") }?;
        let out = required(out, "out")?;
        hand_out(Session::load_from_bytes(model, &given(options), bytes)?, out);
        Ok(())
    })
}

fn given(options: Option<&rmlx_session_options>) -> SessionOptions {
    options.map_or_else(SessionOptions::default, |options| options.options.clone())
}

fn hand_out(session: Session, out: &mut MaybeUninit<*mut rmlx_session>) {
    out.write(Box::into_raw(Box::new(rmlx_session::new(session))));
}
