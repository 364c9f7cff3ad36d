//! Conversations.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::boundary::{array, c_text, call, required, text, value};
use super::media::rmlx_media;
use super::status::{rmlx_error, rmlx_status};
use crate::error::{Error, Result};
use crate::prompt::{Message, Part, Prompt};

/// A conversation: messages, each of a role and of parts that are texts and media, in order. It always
/// holds the whole conversation: after an answer, add it as a message of the role "assistant", add the
/// next question, and submit the same prompt again; what the session already holds is not evaluated
/// again.
///
/// Special tokens that a text happens to spell, such as "<|image|>", stay text. Media are parts, never
/// markers.
///
/// Use it from one thread at a time. A submit takes a copy of what it needs: changing or releasing the
/// prompt later has no effect on it.
///
/// Lifetime: yours, until rmlx_prompt_release.
#[derive(Default)]
pub struct rmlx_prompt {
    pub(super) prompt: Prompt,
}

/// Makes an empty prompt.
///
/// Returns: an object for you to release; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_prompt_new() -> Option<Box<rmlx_prompt>> {
    value(None, || Some(Box::default()))
}

/// Releases a prompt. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_prompt_release(prompt: Option<Box<rmlx_prompt>>) {
    value((), || drop(prompt));
}

/// Begins a message; the parts that are added from now on belong to it.
///
/// - `role`: who says it, as the model's chat template names the roles: "system", "user", "assistant".
///   UTF-8 and NUL-terminated.
///
/// Errors: INVALID_ARGUMENT (`role` is empty or not UTF-8).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_begin_message(
    prompt: Option<&mut rmlx_prompt>,
    role: *const c_char,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes NULL or a NUL-terminated text.
        let role = unsafe { c_text(role, "role") }?;
        if role.trim().is_empty() {
            return Err(Error::invalid_argument("`role` is empty").with("argument", "role"));
        }
        prompt.prompt.messages.push(Message { role: role.to_owned(), parts: Vec::new() });
        Ok(())
    })
}

/// Adds a text to the message that was begun last.
///
/// - `utf8`, `len`: the text, copied, and its bytes; it may hold NULs
///
/// Errors: INVALID_ARGUMENT (not UTF-8: the message and the detail "byte" say where; no message was
/// begun).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_add_text(
    prompt: Option<&mut rmlx_prompt>,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes `len` readable bytes.
        let text = unsafe { text(utf8, len, "utf8") }?;
        parts(prompt)?.push(Part::Text(text.to_owned()));
        Ok(())
    })
}

/// Adds a medium to the message that was begun last, after the parts that it has. The prompt takes a
/// reference.
///
/// Errors: INVALID_ARGUMENT (no message was begun).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_prompt_add_media(
    prompt: Option<&mut rmlx_prompt>,
    media: Option<&rmlx_media>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        let media = &required(media, "media")?.media;
        parts(prompt)?.push(Part::Media(Arc::clone(media)));
        Ok(())
    })
}

/// The parts of the last message.
fn parts(prompt: &mut rmlx_prompt) -> Result<&mut Vec<Part>> {
    match prompt.prompt.messages.last_mut() {
        Some(message) => Ok(&mut message.parts),
        None => Err(Error::invalid_argument("no message was begun: call rmlx_prompt_begin_message first")),
    }
}

/// Sets the tools that the chat template tells the model about.
///
/// - `json`, `len`: a JSON array of objects, as the model's template expects them; of no bytes to have
///   no tools, which is the default
///
/// Errors: INVALID_ARGUMENT (not UTF-8, or not a JSON array of objects).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_set_tools_json(
    prompt: Option<&mut rmlx_prompt>,
    json: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes `len` readable bytes.
        let tools = unsafe { parse(json, len) }?;
        let are_objects =
            |tools: &Value| tools.as_array().is_some_and(|all| all.iter().all(Value::is_object));
        if tools.as_ref().is_some_and(|tools| !are_objects(tools)) {
            return Err(not_json("an array of objects"));
        }
        prompt.prompt.tools = tools;
        Ok(())
    })
}

/// Sets further variables of the chat template.
///
/// - `json`, `len`: a JSON object, its members the variables; of no bytes to have none, which is the
///   default
///
/// Errors: INVALID_ARGUMENT (not UTF-8, or not a JSON object). That a template cannot take a variable
/// shows when it is rendered.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_set_template_vars_json(
    prompt: Option<&mut rmlx_prompt>,
    json: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes `len` readable bytes.
        prompt.prompt.template_vars = match unsafe { parse(json, len) }? {
            None => Map::new(),
            Some(Value::Object(variables)) => variables,
            Some(_) => return Err(not_json("an object")),
        };
        Ok(())
    })
}

/// Sets the prompt's token ids, for experts who do without the chat template: only these are evaluated,
/// and the messages may hold media only. Those replace, in order, the placeholder tokens among the ids.
///
/// - `ids`, `count`: the tokens, copied; none to go back to the messages, which is the default
///
/// Errors: none of its own. That an id is outside of the vocabulary shows when the prompt is submitted.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_set_tokens(
    prompt: Option<&mut rmlx_prompt>,
    ids: *const u32,
    count: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes `count` readable ids.
        let ids = unsafe { array(ids, count, "ids") }?;
        prompt.prompt.tokens = (!ids.is_empty()).then(|| ids.to_vec());
        Ok(())
    })
}

/// A JSON argument; none if it has no bytes.
///
/// # Safety
/// `json` points to `len` readable bytes that nobody changes meanwhile, or `len` is 0.
unsafe fn parse(json: *const c_char, len: usize) -> Result<Option<Value>> {
    // SAFETY: by this function's contract.
    let json = unsafe { text(json, len, "json") }?;
    if json.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(json).map(Some).map_err(|e| {
        Error::invalid_argument(format!("`json` is not JSON: {e}"))
            .with("argument", "json")
            .with("line", e.line())
    })
}

fn not_json(what: &str) -> Error {
    Error::invalid_argument(format!("`json` is not {what}")).with("argument", "json")
}
