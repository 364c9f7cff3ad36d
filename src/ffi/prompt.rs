//! Conversations.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::boundary::{array, c_text, call, required, text, value};
use super::media::rmlx_media;
use super::status::{rmlx_error, rmlx_status};
use crate::error::{Error, Result};
use crate::json;
use crate::media::Media;
use crate::prompt::{Message, Part, Prompt, ToolCall};

/// A conversation: messages, each of a role and of parts that are texts and media, in order, and the
/// assistant's messages of thoughts and tool calls, too. It always holds the whole conversation: after
/// an answer, add it as a message of the role "assistant", add the next question, and submit the same
/// prompt again; what the session already holds is not evaluated again.
///
/// The model's own chat template makes the prompt of it, and sees what transformers' templates see:
/// "role", "content", "reasoning_content", "tool_calls", "tool_call_id" and "name" of each message. A
/// message of whose text (other than blanks), tool result or tool call the template leaves no trace at
/// all is an error that names it when the prompt is submitted or counted; so is such a medium.
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

/// Makes a second prompt that holds the same: messages, tools, variables and raw tokens, and answers as
/// they were generated (rmlx_prompt_add_answer). Media are shared, not copied. From then on each is
/// changed for itself, such as where a fork of a session goes on.
///
/// - `out_prompt`: gets the prompt, for you to release
///
/// Errors: INVALID_ARGUMENT (an argument is NULL).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_prompt_copy(
    prompt: Option<&rmlx_prompt>,
    out_prompt: Option<&mut MaybeUninit<*mut rmlx_prompt>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?.prompt.clone();
        required(out_prompt, "out_prompt")?.write(Box::into_raw(Box::new(rmlx_prompt { prompt })));
        Ok(())
    })
}

/// Begins a message; the parts that are added from now on belong to it.
///
/// - `role`: who says it, as the model's chat template names the roles: "system", "user", "assistant";
///   for "tool" use rmlx_prompt_begin_tool_result. UTF-8 and NUL-terminated.
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
        let role = unsafe { filled(role, "role") }?;
        prompt.prompt.messages.push(Message::new(role, Vec::new()));
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

/// Begins a message of the role "tool", with what a tool that the assistant called has returned: add it
/// by rmlx_prompt_add_text or rmlx_prompt_add_json, and media where the template takes them.
///
/// - `call_id`: of the call (rmlx_event_tool_call_id, or what was given to rmlx_prompt_add_tool_call);
///   NULL for none
/// - `name`: of the tool; NULL for none, but some templates need it (Gemma 4's)
///
/// Both are UTF-8 and NUL-terminated.
///
/// Errors: INVALID_ARGUMENT (one of them is not UTF-8).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_begin_tool_result(
    prompt: Option<&mut rmlx_prompt>,
    call_id: *const c_char,
    name: *const c_char,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let prompt = required(prompt, "prompt")?;
        // SAFETY: the caller passes NULL or NUL-terminated texts.
        let (tool_call_id, name) = unsafe { (optional(call_id, "call_id")?, optional(name, "name")?) };
        prompt.prompt.messages.push(Message { tool_call_id, name, ..Message::new("tool", Vec::new()) });
        Ok(())
    })
}

/// Adds a JSON value as what the tool returned, the one part of its message. A template that takes an
/// object gets it as one; any other gets the value's text, as Python's json.dumps writes it.
///
/// - `json`, `len`: the value
///
/// Errors: INVALID_ARGUMENT (not UTF-8, or not JSON; the last message is no tool's, or has a part).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_add_json(
    prompt: Option<&mut rmlx_prompt>,
    json: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let message = last(required(prompt, "prompt")?)?;
        // SAFETY: the caller passes `len` readable bytes.
        let value = unsafe { parse(json, len, "json") }?.ok_or_else(|| not_json("json", "a JSON value"))?;
        if message.role != "tool" || !message.parts.is_empty() {
            let text =
                "a JSON value is the one part of a tool's message: call rmlx_prompt_begin_tool_result first";
            return Err(Error::invalid_argument(text));
        }
        message.parts.push(Part::Json(value));
        Ok(())
    })
}

/// Adds to what the assistant thought before it said what is in its message, which was begun last.
/// Templates leave most thoughts out of the history; that is theirs to decide.
///
/// - `utf8`, `len`: the text, copied, and its bytes
///
/// Errors: INVALID_ARGUMENT (not UTF-8; the last message is not of the role "assistant").
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_add_reasoning(
    prompt: Option<&mut rmlx_prompt>,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let message = assistants(required(prompt, "prompt")?)?;
        // SAFETY: the caller passes `len` readable bytes.
        let text = unsafe { text(utf8, len, "utf8") }?;
        message.reasoning.get_or_insert_default().push_str(text);
        Ok(())
    })
}

/// Adds a tool call to the assistant's message, which was begun last. What the tool returns comes in a
/// message of its own (rmlx_prompt_begin_tool_result).
///
/// - `id`: by which the result names the call; NULL for none
/// - `name`: of the tool. Both are UTF-8 and NUL-terminated.
/// - `arguments_json`, `len`: a JSON object; of no bytes for no arguments
///
/// Errors: INVALID_ARGUMENT (not UTF-8; `name` is empty; not a JSON object; the last message is not of
/// the role "assistant").
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_add_tool_call(
    prompt: Option<&mut rmlx_prompt>,
    id: *const c_char,
    name: *const c_char,
    arguments_json: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let message = assistants(required(prompt, "prompt")?)?;
        // SAFETY: the caller passes NULL or a NUL-terminated text, a NUL-terminated text, and `len` readable bytes.
        let (id, name, arguments) = unsafe {
            (optional(id, "id")?, filled(name, "name")?, parse(arguments_json, len, "arguments_json")?)
        };
        let arguments = match arguments {
            None => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(not_json("arguments_json", "an object")),
        };
        message.tool_calls.push(ToolCall { id, name: name.to_owned(), arguments });
        Ok(())
    })
}

/// Says that the last message is the assistant's and unfinished: the model goes on with its text, where
/// otherwise a new answer begins. The events bring what the model adds. Default: false.
///
/// Errors: none of its own. That the last message is not the assistant's or does not end with a text
/// shows when the prompt is rendered.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_prompt_set_continue_final_message(
    prompt: Option<&mut rmlx_prompt>,
    continue_final_message: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(prompt, "prompt")?.prompt.continue_final_message = continue_final_message;
        Ok(())
    })
}

/// Makes a prompt of a whole conversation in JSON, in the shape of OpenAI's chat messages:
///
/// ```json
/// {"messages": [{"role": "user", "content": [{"type": "image", "media": 0},
///                                            {"type": "text", "text": "What is it?"}]}],
///  "tools": [], "template_vars": {}, "continue_final_message": false}
/// ```
///
/// Of a message: "role"; "content", a text, null, or a list of parts (of a "tool" message also an
/// object); "reasoning_content"; "tool_calls", each {"id", "type": "function", "function": {"name",
/// "arguments"}}, the arguments an object or a text that holds one; "tool_call_id"; "name". Further
/// members are handed to the template as they are. A medium is {"type": "image", "media": n}, with
/// "audio" or "video" likewise: the n-th of `media`, counted from 0.
///
/// - `utf8`, `len`: the JSON and its bytes
/// - `media`, `media_count`: the media that the messages name; each must be used. The prompt takes
///   references.
/// - `out_prompt`: gets the prompt, for you to release
///
/// Errors: INVALID_ARGUMENT (not UTF-8 or not JSON: the details "line" and "column" say where; a member
/// is wrong: the message and the details "message_index" and "key" say which, and what would be right;
/// a medium is not used).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_prompt_from_json(
    utf8: *const c_char,
    len: usize,
    media: *const *const rmlx_media,
    media_count: usize,
    out_prompt: Option<&mut MaybeUninit<*mut rmlx_prompt>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes `len` readable bytes and `media_count` readable media.
        let (json, media) = unsafe { (text(utf8, len, "utf8")?, array(media, media_count, "media")?) };
        let out = required(out_prompt, "out_prompt")?;
        let medium = |medium: &*const rmlx_media| -> Result<Arc<Media>> {
            // SAFETY: the caller passes media that it holds references to, or NULL.
            let medium = required(unsafe { medium.as_ref() }, "media")?;
            Ok(Arc::clone(&medium.media))
        };
        let media = media.iter().map(medium).collect::<Result<Vec<_>>>()?;
        let prompt = Prompt::from_json(json, &media)?;
        out.write(Box::into_raw(Box::new(rmlx_prompt { prompt })));
        Ok(())
    })
}

/// The last message.
fn last(prompt: &mut rmlx_prompt) -> Result<&mut Message> {
    let missing = || Error::invalid_argument("no message was begun: call rmlx_prompt_begin_message first");
    prompt.prompt.messages.last_mut().ok_or_else(missing)
}

/// The last message, which must be the assistant's.
fn assistants(prompt: &mut rmlx_prompt) -> Result<&mut Message> {
    let message = last(prompt)?;
    match message.is_model() {
        true => Ok(message),
        false => {
            let text = format!("the last message is of the role '{}', not 'assistant'", message.role);
            Err(Error::invalid_argument(text))
        }
    }
}

/// The parts of the last message.
fn parts(prompt: &mut rmlx_prompt) -> Result<&mut Vec<Part>> {
    let message = last(prompt)?;
    if message.parts.iter().any(|part| matches!(part, Part::Json(_))) {
        return Err(Error::invalid_argument("the JSON value of a tool's message is its one part"));
    }
    Ok(&mut message.parts)
}

/// A text that must not be blank.
///
/// # Safety
/// As for [`c_text`].
unsafe fn filled<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: by this function's contract.
    let text = unsafe { c_text(text, name) }?;
    match text.trim().is_empty() {
        true => Err(Error::invalid_argument(format!("`{name}` is empty")).with("argument", name)),
        false => Ok(text),
    }
}

/// A text that may be NULL.
///
/// # Safety
/// As for [`c_text`].
unsafe fn optional(text: *const c_char, name: &str) -> Result<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: by this function's contract.
    Ok(Some(unsafe { c_text(text, name) }?.to_owned()))
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
        let tools = unsafe { parse(json, len, "json") }?;
        let are_objects =
            |tools: &Value| tools.as_array().is_some_and(|all| all.iter().all(Value::is_object));
        if tools.as_ref().is_some_and(|tools| !are_objects(tools)) {
            return Err(not_json("json", "an array of objects"));
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
        prompt.prompt.template_vars = match unsafe { parse(json, len, "json") }? {
            None => Map::new(),
            Some(Value::Object(variables)) => variables,
            Some(_) => return Err(not_json("json", "an object")),
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
unsafe fn parse(json: *const c_char, len: usize, name: &str) -> Result<Option<Value>> {
    // SAFETY: by this function's contract.
    let text = unsafe { text(json, len, name) }?;
    if text.is_empty() {
        return Ok(None);
    }
    json::parse(text.as_bytes()).map(Some).map_err(|e| {
        Error::invalid_argument(format!("`{name}` is not JSON: {e}"))
            .with("argument", name)
            .with("line", e.line())
    })
}

fn not_json(name: &str, what: &str) -> Error {
    Error::invalid_argument(format!("`{name}` is not {what}")).with("argument", name)
}
