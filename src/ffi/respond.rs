//! A whole answer in one call.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::boundary::{call, required, text};
use super::generation_options::rmlx_generation_options;
use super::model::{rmlx_model, write_text};
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{GenerationOptions, Session, SessionOptions};
use crate::prompt::{Message, Prompt};

/// Answers one text, in a session of its own: the simplest use. It blocks until the answer is whole.
///
/// Only what is said comes back, neither thoughts nor tool calls. For an answer as it is made, media, a longer
/// conversation, or to stop: rmlx_session_submit.
///
/// - `utf8`, `len`: what the user says, and its bytes
/// - `options`: or NULL for what the snapshot's generation_config.json says
/// - `out_utf8`: gets the answer, NUL-terminated, for you to release with rmlx_string_release
/// - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
///
/// Errors: INVALID_ARGUMENT (not UTF-8, or an option out of range); INVALID_PROMPT; CONTEXT_FULL;
/// SUSPENDED; CANCELLED; OUT_OF_MEMORY; BACKEND.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_respond_text(
    model: Option<&rmlx_model>,
    utf8: *const c_char,
    len: usize,
    options: Option<&rmlx_generation_options>,
    out_utf8: Option<&mut MaybeUninit<*mut c_char>>,
    out_len: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        // SAFETY: the caller passes `len` readable bytes.
        let asked = unsafe { text(utf8, len, "utf8") }?;
        let out = required(out_utf8, "out_utf8")?;
        let defaults = GenerationOptions::default();
        let options = options.map_or(&defaults, |options| &options.options);
        let prompt = Prompt { messages: vec![Message::text("user", asked)], ..Prompt::default() };
        let session = Session::new(model, &SessionOptions::default())?;
        write_text(&session.respond(&prompt, options)?, out, out_len)
    })
}
