//! Events: what a session delivers.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::boundary::{c_bytes, value};
use super::status::rmlx_error;
use crate::engine::{Event, EventKind, FinishReason, TokenLogprob};

/// One step of an answer.
///
/// Immutable: any number of threads may read it.
///
/// Lifetime: yours, until rmlx_event_release, and independent of the session's. What its functions
/// return belongs to it.
pub struct rmlx_event {
    event: Event,
    /// The event's text and a NUL.
    text: Vec<u8>,
    call: Option<CallTexts>,
    draft: Option<CallTexts>,
    /// A text and a NUL for each of the event's likeliest tokens.
    top_texts: Vec<Vec<u8>>,
    error: Option<rmlx_error>,
}

/// A tool call's texts, each with a NUL.
struct CallTexts {
    id: Vec<u8>,
    name: Vec<u8>,
    /// Of a draft: what is added to them.
    arguments: Vec<u8>,
}

impl CallTexts {
    fn new(id: &str, name: &str, arguments: &str) -> Self {
        Self { id: c_bytes(id), name: c_bytes(name), arguments: c_bytes(arguments) }
    }
}

impl rmlx_event {
    pub(super) fn new(event: Event) -> Self {
        let mut text = event.text.clone().into_bytes();
        text.push(0);
        let top_texts = event.top_logprobs.iter().map(|top| c_bytes(&top.text)).collect();
        let call = event.tool_call.as_ref();
        let call = call.map(|call| CallTexts::new(&call.id, &call.name, &call.arguments));
        let draft = event.tool_draft.as_ref();
        let draft = draft.map(|draft| CallTexts::new(&draft.id, &draft.name, &draft.added));
        let error = event.error.as_ref().map(rmlx_error::new);
        Self { event, text, call, draft, top_texts, error }
    }

    fn top(&self, index: usize) -> Option<&TokenLogprob> {
        self.event.top_logprobs.get(index)
    }
}

/// What an event is about: one of RMLX_EVENT_*.
///
/// A host should pass over kinds that it does not know: later versions may add some, and deliver them only to a host that asked for them by an option.
pub type rmlx_event_type = i32;

/// One token of the answer, with its text, which may be empty.
pub const RMLX_EVENT_TEXT: rmlx_event_type = 1;
/// One token of what the model thinks before it answers, with its text, which may be empty.
pub const RMLX_EVENT_REASONING: rmlx_event_type = 2;
/// One token of what may be a call of a tool. Only where it ends it is known to be one: the event of its
/// last token has the whole call (rmlx_event_tool_call_name), and as its text the call as the model
/// spelled it; the events before have neither, but show the call as it comes
/// (rmlx_event_tool_call_delta). What turns out to be no call comes as TEXT, spelled as it was.
pub const RMLX_EVENT_TOOL_CALL: rmlx_event_type = 3;
/// More of the prompt has been evaluated (rmlx_event_progress).
pub const RMLX_EVENT_PROGRESS: rmlx_event_type = 4;
/// The answer has ended (rmlx_event_finish_reason): the one last event of a submit.
pub const RMLX_EVENT_FINISH: rmlx_event_type = 5;

/// Why an answer ended: one of RMLX_FINISH_*. Later versions may add reasons.
pub type rmlx_finish_reason = i32;

/// It has not: this is no FINISH event.
pub const RMLX_FINISH_NONE: rmlx_finish_reason = 0;
/// The model ended its turn.
pub const RMLX_FINISH_END_OF_TURN: rmlx_finish_reason = 1;
/// The most tokens that the options allow were generated.
pub const RMLX_FINISH_MAX_TOKENS: rmlx_finish_reason = 2;
/// A stop string appeared.
pub const RMLX_FINISH_STOP_STRING: rmlx_finish_reason = 3;
/// The host cancelled.
pub const RMLX_FINISH_CANCELLED: rmlx_finish_reason = 4;
/// The context has no position left.
pub const RMLX_FINISH_CONTEXT_FULL: rmlx_finish_reason = 5;
/// Something failed: see rmlx_event_error.
pub const RMLX_FINISH_ERROR: rmlx_finish_reason = 6;
/// The model ended its turn, in which it called tools: run them, add their results, and submit again.
pub const RMLX_FINISH_TOOL_CALLS: rmlx_finish_reason = 7;
/// A stop token appeared (rmlx_generation_options_add_stop_token).
pub const RMLX_FINISH_STOP_TOKEN: rmlx_finish_reason = 8;
/// The most tokens were generated, or the context was full, before the answer was complete by its
/// constraint or the call that was required: what there is of it is cut, and JSON does not parse.
pub const RMLX_FINISH_CONSTRAINT_CUT: rmlx_finish_reason = 9;
/// It went round in a circle (rmlx_generation_options_set_loop_detection).
pub const RMLX_FINISH_LOOP: rmlx_finish_reason = 10;
/// The prompt has been evaluated, and no answer was asked for (rmlx_session_prefill).
pub const RMLX_FINISH_PREFILLED: rmlx_finish_reason = 11;

/// What an event is about.
///
/// Returns: one of RMLX_EVENT_*; 0 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_kind(event: Option<&rmlx_event>) -> rmlx_event_type {
    event.map_or(0, |event| match event.event.kind {
        EventKind::Text => RMLX_EVENT_TEXT,
        EventKind::Reasoning => RMLX_EVENT_REASONING,
        EventKind::ToolCall => RMLX_EVENT_TOOL_CALL,
        EventKind::Progress => RMLX_EVENT_PROGRESS,
        EventKind::Finish => RMLX_EVENT_FINISH,
    })
}

/// The text that an event adds to the answer: always whole UTF-8 characters. It may be empty, when a
/// character is not complete or a stop string may have begun; a later event then brings what was held
/// back. A FINISH event may bring the last of it.
///
/// - `out_len`: gets its length in bytes; or NULL. The text also has a NUL after it.
///
/// Returns: a text that lives as long as the event; "" for NULL and for events without a text.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_text(
    event: Option<&rmlx_event>,
    out_len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    let text = event.map_or(&[0][..], |event| &event.text);
    if let Some(out_len) = out_len {
        out_len.write(text.len() - 1);
    }
    text.as_ptr().cast()
}

/// The name of the tool of a call that is whole with this event, NUL-terminated. A U+0000 in it is
/// U+FFFD.
///
/// Returns: a text that lives as long as the event; NULL for NULL, and for an event that completes no
/// call.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_tool_call_name(event: Option<&rmlx_event>) -> *const c_char {
    call_text(event, |call| &call.name)
}

/// By what the result names a call (rmlx_prompt_begin_tool_result), NUL-terminated: nine letters and
/// digits that rmlx makes up.
///
/// Returns: as rmlx_event_tool_call_name.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_tool_call_id(event: Option<&rmlx_event>) -> *const c_char {
    call_text(event, |call| &call.id)
}

/// The arguments of a call: a JSON object, NUL-terminated. They are valid JSON; that they are what the
/// tool declares is not checked.
///
/// Returns: as rmlx_event_tool_call_name.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_tool_call_arguments(event: Option<&rmlx_event>) -> *const c_char {
    call_text(event, |call| &call.arguments)
}

/// What a token adds to the arguments of a call that is being made, to be shown as it comes.
///
/// The first event that has it begins the call: the tool's name is known. All of one call together are its
/// arguments, which come whole with its end (rmlx_event_tool_call_arguments). Until then the call is a
/// draft, and nothing to act upon: what turns out to be no call is followed by an event of another kind
/// with its spelling, and then its draft is to be forgotten.
///
/// - `out_id`, `out_name`: get the call's id and name as the whole call will have them, texts that live as
///   long as the event; or NULL
///
/// Returns: a piece of JSON, NUL-terminated and often "", that lives as long as the event; NULL for NULL,
/// and for an event of no call or of one whose name is not known yet.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_tool_call_delta(
    event: Option<&rmlx_event>,
    out_id: Option<&mut MaybeUninit<*const c_char>>,
    out_name: Option<&mut MaybeUninit<*const c_char>>,
) -> *const c_char {
    let Some(draft) = event.and_then(|event| event.draft.as_ref()) else { return std::ptr::null() };
    for (out, text) in [(out_id, &draft.id), (out_name, &draft.name)] {
        give(Some(text.as_ptr().cast()), out);
    }
    draft.arguments.as_ptr().cast()
}

fn call_text(event: Option<&rmlx_event>, text: impl Fn(&CallTexts) -> &Vec<u8>) -> *const c_char {
    let call = event.and_then(|event| event.call.as_ref());
    call.map_or(std::ptr::null(), |call| text(call).as_ptr().cast())
}

/// The token of a TEXT, REASONING or TOOL_CALL event.
///
/// - `out_token`: gets its id, if there is one; or NULL
///
/// Returns: whether the event has a token; false for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_token(
    event: Option<&rmlx_event>,
    out_token: Option<&mut MaybeUninit<u32>>,
) -> bool {
    give(event.and_then(|event| event.event.token), out_token)
}

/// The natural logarithm of the probability of an event's token, before any option had its effect.
///
/// - `out_logprob`: gets it, if there is one; or NULL
///
/// Returns: whether there is one: rmlx_generation_options_set_top_logprobs asks for it. False for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_logprob(
    event: Option<&rmlx_event>,
    out_logprob: Option<&mut MaybeUninit<f32>>,
) -> bool {
    give(event.and_then(|event| event.event.logprob), out_logprob)
}

/// How many of the likeliest tokens at its place an event lists, the likeliest first.
///
/// Returns: 0 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_top_logprob_count(event: Option<&rmlx_event>) -> usize {
    event.map_or(0, |event| event.event.top_logprobs.len())
}

/// One of the likeliest tokens at an event's place.
///
/// - `index`: 0 for the likeliest
/// - `out_token`, `out_logprob`: get its id and the natural logarithm of its probability; or NULL
///
/// Returns: whether there are so many; false for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_top_logprob(
    event: Option<&rmlx_event>,
    index: usize,
    out_token: Option<&mut MaybeUninit<u32>>,
    out_logprob: Option<&mut MaybeUninit<f32>>,
) -> bool {
    let top = event.and_then(|event| event.top(index));
    give(top.map(|top| top.token), out_token) && give(top.map(|top| top.logprob), out_logprob)
}

/// The text of one of the likeliest tokens at an event's place, NUL-terminated; bytes that make no
/// whole character are U+FFFD in it.
///
/// - `index`: 0 for the likeliest
///
/// Returns: a text that lives as long as the event; "" for NULL and if there are not so many.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_top_logprob_text(event: Option<&rmlx_event>, index: usize) -> *const c_char {
    let text = event.and_then(|event| event.top_texts.get(index));
    text.map_or(c"".as_ptr(), |text| text.as_ptr().cast())
}

/// How far the evaluation of the prompt is.
///
/// - `out_done`, `out_total`: get its tokens that are evaluated and all of its tokens; or NULL
///
/// Returns: whether this is a PROGRESS event; false for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_progress(
    event: Option<&rmlx_event>,
    out_done: Option<&mut MaybeUninit<usize>>,
    out_total: Option<&mut MaybeUninit<usize>>,
) -> bool {
    let progress = event.and_then(|event| event.event.progress);
    give(progress.map(|(done, _)| done), out_done) && give(progress.map(|(_, total)| total), out_total)
}

/// Why the answer ended.
///
/// Returns: one of RMLX_FINISH_*; RMLX_FINISH_NONE if this is no FINISH event, and for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_finish_reason(event: Option<&rmlx_event>) -> rmlx_finish_reason {
    match event.and_then(|event| event.event.finish) {
        None => RMLX_FINISH_NONE,
        Some(FinishReason::EndOfTurn) => RMLX_FINISH_END_OF_TURN,
        Some(FinishReason::MaxTokens) => RMLX_FINISH_MAX_TOKENS,
        Some(FinishReason::StopString) => RMLX_FINISH_STOP_STRING,
        Some(FinishReason::Cancelled) => RMLX_FINISH_CANCELLED,
        Some(FinishReason::ContextFull) => RMLX_FINISH_CONTEXT_FULL,
        Some(FinishReason::Error) => RMLX_FINISH_ERROR,
        Some(FinishReason::ToolCalls) => RMLX_FINISH_TOOL_CALLS,
        Some(FinishReason::StopToken) => RMLX_FINISH_STOP_TOKEN,
        Some(FinishReason::ConstraintCut) => RMLX_FINISH_CONSTRAINT_CUT,
        Some(FinishReason::Loop) => RMLX_FINISH_LOOP,
        Some(FinishReason::Prefilled) => RMLX_FINISH_PREFILLED,
    }
}

/// What failed, for a FINISH event of RMLX_FINISH_ERROR.
///
/// Returns: an error that belongs to the event (do not release it); NULL for any other event and for
/// NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_error(event: Option<&rmlx_event>) -> Option<&rmlx_error> {
    event.and_then(|event| event.error.as_ref())
}

/// Releases an event. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_event_release(event: Option<Box<rmlx_event>>) {
    value((), || drop(event));
}

/// Writes what there is to where the caller wants it; whether there was any.
fn give<T>(item: Option<T>, out: Option<&mut MaybeUninit<T>>) -> bool {
    match (item, out) {
        (Some(item), Some(out)) => {
            out.write(item);
            true
        }
        (Some(_), None) => true,
        (None, _) => false,
    }
}
