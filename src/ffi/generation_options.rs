//! How an answer is generated.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::boundary::{c_text, call, required, text, unknown_value, value};
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{GenerationOptions, Grammar, GrammarKind, ToolChoice};
use crate::error::{Error, Result};

/// How an answer is generated. What is not set comes from the snapshot's generation_config.json, and
/// where that is silent too from the default named here. rmlx_session_submit also takes NULL for it.
///
/// Use it from one thread at a time. A submit takes a copy: changing or releasing the options later has
/// no effect on it.
///
/// Lifetime: yours, until rmlx_generation_options_release.
#[derive(Default)]
pub struct rmlx_generation_options {
    pub(super) options: GenerationOptions,
}

/// Makes generation options in which nothing is set.
///
/// Returns: an object for you to release; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_new() -> Option<Box<rmlx_generation_options>> {
    value(None, || Some(Box::default()))
}

/// Releases generation options. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_release(options: Option<Box<rmlx_generation_options>>) {
    value((), || drop(options));
}

/// Changes the options if they are in range afterwards; whether a token exists is only known at submit.
fn change(
    options: Option<&mut rmlx_generation_options>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
    change: impl FnOnce(&mut GenerationOptions) -> Result<()>,
) -> rmlx_status {
    call(error, || {
        let options = required(options, "options")?;
        let mut changed = options.options.clone();
        change(&mut changed)?;
        changed.validate(usize::MAX)?;
        options.options = changed;
        Ok(())
    })
}

/// Ends the answer after so many tokens, with RMLX_FINISH_MAX_TOKENS. Default: it may fill the context.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_max_tokens(
    options: Option<&mut rmlx_generation_options>,
    max_tokens: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.max_tokens = Some(max_tokens);
        Ok(())
    })
}

/// Sets the sampler's temperature: 0 always takes the likeliest token (greedy), 1 samples by the
/// model's own probabilities.
///
/// Errors: INVALID_ARGUMENT (not between 0 and 100).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_temperature(
    options: Option<&mut rmlx_generation_options>,
    temperature: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.temperature = Some(temperature);
        Ok(())
    })
}

/// Samples among the `top_k` likeliest tokens only; 0 for all of them.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_top_k(
    options: Option<&mut rmlx_generation_options>,
    top_k: u32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.top_k = Some(top_k);
        Ok(())
    })
}

/// Samples among the likeliest tokens whose probabilities together reach `top_p` only; 1 for all of
/// them.
///
/// Errors: INVALID_ARGUMENT (not between 0 and 1).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_top_p(
    options: Option<&mut rmlx_generation_options>,
    top_p: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.top_p = Some(top_p);
        Ok(())
    })
}

/// Drops tokens that are less likely than `min_p` times the likeliest one; 0 drops none.
///
/// Errors: INVALID_ARGUMENT (not between 0 and 1).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_min_p(
    options: Option<&mut rmlx_generation_options>,
    min_p: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.min_p = Some(min_p);
        Ok(())
    })
}

/// Makes tokens that prompt or answer already hold less likely: their logits are divided by `penalty`
/// if positive and multiplied by it if negative. 1 is off.
///
/// Errors: INVALID_ARGUMENT (not between 0.001 and 1000).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_repetition_penalty(
    options: Option<&mut rmlx_generation_options>,
    penalty: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.repetition_penalty = Some(penalty);
        Ok(())
    })
}

/// Subtracts `penalty` from the logit of each token that the answer already holds, once. 0 is off.
///
/// Errors: INVALID_ARGUMENT (not between -100 and 100).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_presence_penalty(
    options: Option<&mut rmlx_generation_options>,
    penalty: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.presence_penalty = Some(penalty);
        Ok(())
    })
}

/// Subtracts `penalty` from the logit of each token that the answer already holds, as often as it holds
/// it. 0 is off.
///
/// Errors: INVALID_ARGUMENT (not between -100 and 100).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_frequency_penalty(
    options: Option<&mut rmlx_generation_options>,
    penalty: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.frequency_penalty = Some(penalty);
        Ok(())
    })
}

/// Seeds the sampler: the same seed, prompt and options give the same answer on the same machine.
/// Default: a new seed each time.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_seed(
    options: Option<&mut rmlx_generation_options>,
    seed: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.seed = Some(seed);
        Ok(())
    })
}

/// Adds a stop string: the answer ends before the first one that appears in it, with
/// RMLX_FINISH_STOP_STRING. No part of it is handed out.
///
/// - `utf8`, `len`: the string, copied, and its bytes
///
/// Errors: INVALID_ARGUMENT (empty, or not UTF-8).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_generation_options_add_stop(
    options: Option<&mut rmlx_generation_options>,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        // SAFETY: the caller passes `len` readable bytes.
        o.stop.push(unsafe { text(utf8, len, "utf8") }?.to_owned());
        Ok(())
    })
}

/// Ends the answer with a token, with RMLX_FINISH_STOP_TOKEN; its text is not handed out. May be called
/// several times.
///
/// Errors: none of its own. That the token is outside of the vocabulary shows at submit.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_add_stop_token(
    options: Option<&mut rmlx_generation_options>,
    token: u32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.stop_tokens.push(token);
        Ok(())
    })
}

/// Adds `bias` to the logit of a token at every step; -INFINITY forbids the token. Biases of the same
/// token add up.
///
/// Errors: INVALID_ARGUMENT (NaN). That the token is outside of the vocabulary shows at submit.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_add_logit_bias(
    options: Option<&mut rmlx_generation_options>,
    token: u32,
    bias: f32,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.logit_bias.push((token, bias));
        Ok(())
    })
}

/// Gives every token's event its log-probability, and the `count` likeliest tokens at its place with
/// theirs (rmlx_event_logprob, rmlx_event_top_logprob_count). 0 is off, which is the default.
///
/// Errors: none of its own. That the vocabulary has fewer tokens shows at submit.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_top_logprobs(
    options: Option<&mut rmlx_generation_options>,
    count: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.top_logprobs = count;
        Ok(())
    })
}

/// Asks the model to think before it answers, or not to, if its chat template knows `enable_thinking`.
/// Default: what the template does by itself.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_thinking(
    options: Option<&mut rmlx_generation_options>,
    thinking: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.thinking = Some(thinking);
        Ok(())
    })
}

/// Ends the model's thought after so many tokens, so that the answer begins. Default: no bound.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_thinking_budget(
    options: Option<&mut rmlx_generation_options>,
    tokens: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.thinking_budget = Some(tokens);
        Ok(())
    })
}

/// Keeps answers that rmlx_prompt_add_answer adds as they were generated, token by token, so that nothing
/// but what is new is evaluated in the next submit. Otherwise the history is what the chat template makes
/// of it, as in transformers: it may drop thoughts or spell a call anew, and from there on it is evaluated
/// again. Default: false.
///
/// An answer is kept where both its own submit and the later one say so, with the same model and the same
/// wish to think, and the conversation up to it says the same as then. Where the template leaves no place
/// for it, the log says so (RMLX_LOG_INFO), and the template's own is taken.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_exact_history(
    options: Option<&mut rmlx_generation_options>,
    exact_history: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.exact_history = exact_history;
        Ok(())
    })
}

/// Goes on after tokens that end the model's turn, for benchmarks. Default: false.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_ignore_eos(
    options: Option<&mut rmlx_generation_options>,
    ignore_eos: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.ignore_eos = ignore_eos;
        Ok(())
    })
}

/// Asks for RMLX_EVENT_PROGRESS events while the prompt is evaluated. Default: false.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_progress_events(
    options: Option<&mut rmlx_generation_options>,
    progress_events: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.progress_events = progress_events;
        Ok(())
    })
}

/// The language of a constraint: one of RMLX_CONSTRAINT_*.
pub type rmlx_constraint_kind = i32;

/// A JSON schema (draft 2020-12; what it says of types, properties, items, enums, ranges, lengths, patterns,
/// formats, $ref inside of the text, anyOf, allOf, and oneOf where no value can be of two of its schemas).
/// The answer is JSON on one line, with ", " and ": ", and without \u escapes.
pub const RMLX_CONSTRAINT_JSON_SCHEMA: rmlx_constraint_kind = 1;
/// A regular expression that the whole answer matches: Rust's syntax, without look-around and back-references.
pub const RMLX_CONSTRAINT_REGEX: rmlx_constraint_kind = 2;
/// A grammar in the variant of Lark that llguidance reads, from its rule `start` on. Control tokens are
/// written as they are spelled, `<|name|>`, or by their number, `<[107]>`.
pub const RMLX_CONSTRAINT_LARK: rmlx_constraint_kind = 3;
/// A JSON array of texts, one of which is the answer.
pub const RMLX_CONSTRAINT_CHOICE: rmlx_constraint_kind = 4;

/// Holds the answer to a grammar: only tokens that it allows are sampled, the model may end its turn only
/// where the answer is complete, and where nothing can follow the answer ends with
/// RMLX_FINISH_END_OF_TURN. What the model thinks before is free. Tokens that have to come are taken
/// without asking the model; they have no logits row and no log-probability. An answer that a limit cuts
/// ends with RMLX_FINISH_CONSTRAINT_CUT.
///
/// - `kind`: one of RMLX_CONSTRAINT_*
/// - `utf8`, `len`: the schema, expression, grammar or list, copied, and its bytes; NULL and 0 take the
///   constraint back
///
/// Errors: INVALID_ARGUMENT (an unknown kind, not UTF-8, together with a call that is required). What is
/// wrong with the grammar itself shows at submit: INVALID_ARGUMENT, with where it is wrong: the details have
/// "line" and "column" in the text, or "pointer", a JSON pointer into the schema or list. A tokenizer that
/// does not say what its tokens write is UNSUPPORTED there.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_generation_options_set_constraint(
    options: Option<&mut rmlx_generation_options>,
    kind: rmlx_constraint_kind,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        if utf8.is_null() && len == 0 {
            o.constraint = None;
            return Ok(());
        }
        let kind = match kind {
            RMLX_CONSTRAINT_JSON_SCHEMA => GrammarKind::JsonSchema,
            RMLX_CONSTRAINT_REGEX => GrammarKind::Regex,
            RMLX_CONSTRAINT_LARK => GrammarKind::Lark,
            RMLX_CONSTRAINT_CHOICE => GrammarKind::Choice,
            other => return Err(unknown_value(other, "kind")),
        };
        // SAFETY: the caller passes `len` readable bytes.
        let text = unsafe { text(utf8, len, "utf8") }?.to_owned();
        o.constraint = Some(Grammar { kind, text });
        Ok(())
    })
}

/// Which tools the model may call: one of RMLX_TOOL_CHOICE_*.
pub type rmlx_tool_choice = i32;

/// The model decides. Where its family marks calls, a call that it begins follows the schemas of the
/// prompt's tools; a schema that cannot be followed leaves it free, with a warning in the log.
pub const RMLX_TOOL_CHOICE_AUTO: rmlx_tool_choice = 0;
/// No call: the token that opens one is never sampled.
pub const RMLX_TOOL_CHOICE_NONE: rmlx_tool_choice = 1;
/// At least one call of any of the prompt's tools, and no text.
pub const RMLX_TOOL_CHOICE_REQUIRED: rmlx_tool_choice = 2;
/// One call of the tool that is named, and no text.
pub const RMLX_TOOL_CHOICE_NAMED: rmlx_tool_choice = 3;

/// Says which tools the model may call. Default: RMLX_TOOL_CHOICE_AUTO.
///
/// - `name`: the tool, NUL-terminated; NULL unless the choice is RMLX_TOOL_CHOICE_NAMED
///
/// Errors: INVALID_ARGUMENT (an unknown choice, a name that is missing, empty or too much, a call that is
/// required together with a constraint). At submit, for a call that is required: INVALID_ARGUMENT (the
/// prompt declares no such tool), UNSUPPORTED (the family marks no calls, or a schema cannot be followed).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_generation_options_set_tool_choice(
    options: Option<&mut rmlx_generation_options>,
    choice: rmlx_tool_choice,
    name: *const c_char,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        let name = match name.is_null() {
            true => None,
            // SAFETY: the caller passes a text that ends with a NUL.
            false => Some(unsafe { c_text(name, "name") }?),
        };
        o.tool_choice = match (choice, name) {
            (RMLX_TOOL_CHOICE_AUTO, None) => ToolChoice::Auto,
            (RMLX_TOOL_CHOICE_NONE, None) => ToolChoice::None,
            (RMLX_TOOL_CHOICE_REQUIRED, None) => ToolChoice::Required,
            (RMLX_TOOL_CHOICE_NAMED, Some(name)) if !name.is_empty() => ToolChoice::Named(name.to_owned()),
            _ => {
                return Err(Error::invalid_argument(format!(
                    "tool choice {choice}: it must be one of RMLX_TOOL_CHOICE_*, with a name for NAMED only"
                )));
            }
        };
        Ok(())
    })
}
