//! How an answer is generated.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use super::boundary::{c_text, call, required, text, unknown_value, value};
use super::callback::{UserData, rmlx_destroy_callback};
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{
    DryOptions, GenerationOptions, Grammar, GrammarKind, LogitsProcessor, LoopDetection, Speculate,
    ToolChoice,
};
use crate::error::{Code, Error, Result};

/// A host's own processor of logits: changes the row that the next token is drawn from.
///
/// - `ids`, `id_count`: the tokens of the prompt and of the answer so far; those of media stand in their places
/// - `logits`, `logit_count`: the row of the next token as the model gave it, a number for each id of the vocabulary, to
///   be changed in place. -INFINITY forbids a token; NaN and INFINITY, and nothing left to choose, end the answer with
///   INVALID_ARGUMENT. Both arrays are the callback's until it returns.
///
/// Returns: 0; any other number ends the answer with RMLX_FINISH_ERROR and an error of the code CANCELLED that names the
/// number.
///
/// It runs inside of rmlx_session_step and its likes, on the thread that called, once for each token that is drawn: other
/// sessions go on meanwhile. It may call rmlx, also for other sessions; on its own session only rmlx_session_cancel and
/// rmlx_session_stats, the others answer BUSY. Sessions of different threads that were submitted with the same options
/// may be in it at the same time. It must return: no exception or longjmp may leave it.
pub type rmlx_logits_callback = Option<
    unsafe extern "C" fn(
        ids: *const u32,
        id_count: usize,
        logits: *mut f32,
        logit_count: usize,
        user_data: *mut c_void,
    ) -> i32,
>;

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
/// model's own probabilities. Anything below 0.0001 is greedy too.
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

/// Penalizes tokens that would lengthen a repeated run of tokens (DRY, "don't repeat yourself"). Where the last n tokens
/// stand in the prompt or the answer before, n at least `allowed_length`, the token that followed there loses
/// `multiplier * base ^ (n - allowed_length)` of its logit; n counts up to 50, and the longest run counts. A multiplier
/// of 0 is off, which is the default; 0.8, 1.75, 2 and 0 are common.
///
/// - `last_n`: how many of the last tokens are looked at; 0 for all
///
/// Runs do not reach over breakers (rmlx_generation_options_add_dry_breaker).
///
/// Errors: INVALID_ARGUMENT (`multiplier` not between 0 and 100, `base` not between 1 and 100, `allowed_length` 0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_dry(
    options: Option<&mut rmlx_generation_options>,
    multiplier: f32,
    base: f32,
    allowed_length: usize,
    last_n: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.dry = Some(DryOptions { multiplier, base, allowed_length, last_n });
        Ok(())
    })
}

/// Adds a text that the repeated runs of rmlx_generation_options_set_dry do not reach over: the token that it ends with
/// behind a letter. Default: a line feed, a colon, a double quote and an asterisk; the first text that is added takes
/// their place.
///
/// - `utf8`, `len`: the text, copied, and its bytes
///
/// Errors: INVALID_ARGUMENT (empty, or not UTF-8).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_generation_options_add_dry_breaker(
    options: Option<&mut rmlx_generation_options>,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        // SAFETY: the caller passes `len` readable bytes.
        o.dry_breakers.push(unsafe { text(utf8, len, "utf8") }?.to_owned());
        Ok(())
    })
}

/// Forbids every token that would make a run of `n` tokens come twice, in prompt and answer together. 0 is off, which is
/// the default. Where no token is left, also by a constraint, the answer ends with INVALID_ARGUMENT.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_no_repeat_ngram(
    options: Option<&mut rmlx_generation_options>,
    n: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        o.no_repeat_ngram = n;
        Ok(())
    })
}

/// Ends an answer that goes round in a circle, with RMLX_FINISH_LOOP: its last tokens are one run of at most
/// `longest_run` tokens, `repeats` times in a row, and are at least `least_tokens` tokens. Their texts have been handed
/// out by then. `repeats` 0 is off, which is the default, and the other two do not matter then.
///
/// Errors: INVALID_ARGUMENT (`repeats` 1, `longest_run` not between 1 and 4096).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_loop_detection(
    options: Option<&mut rmlx_generation_options>,
    repeats: usize,
    longest_run: usize,
    least_tokens: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        let detection = LoopDetection { repeats, longest: longest_run, least: least_tokens };
        o.loop_detection = (repeats > 0).then_some(detection);
        Ok(())
    })
}

/// Sets a processor of the host's own, which sees each row of logits before all other processors; NULL for none, which
/// is the default. After it come, in this order: the penalties for repetition, presence and frequency, DRY, repeated
/// n-grams, the logit bias and the tokens that the snapshot suppresses, temperature, top-k, top-p, min-p. What a
/// constraint does not allow it cannot allow, and tokens that a constraint or the thinking budget forces come without it.
///
/// The next token is computed only after the processor has seen the row, so an answer with a processor is slower, and
/// goes on only while its session is stepped. rmlx_session_step_timeout and rmlx_session_try_step run it too, and do not
/// cut it short: they give TIMEOUT where its row was all that there was to do. A waker also tells of such rows.
/// rmlx_session_logits gives the row as the model gave it.
///
/// `destroy` (or NULL) is called once with `user_data` when the callback has been replaced or the options have been
/// released, and no answer uses it; not on a thread of rmlx. If the call fails, `destroy` is not called: `user_data` is
/// still yours.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_logits_processor(
    options: Option<&mut rmlx_generation_options>,
    callback: rmlx_logits_callback,
    user_data: *mut c_void,
    destroy: rmlx_destroy_callback,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        let user_data = UserData::new(user_data, destroy);
        o.logits_processor = callback.map(|callback| {
            LogitsProcessor::new(move |ids, row| {
                let (logits, count) = (row.as_mut_ptr(), row.len());
                // SAFETY: the host gave this function for this user data, which lives as long as the closure; both
                // arrays are as long as their counts say.
                match unsafe { callback(ids.as_ptr(), ids.len(), logits, count, user_data.get()) } {
                    0 => Ok(()),
                    number => {
                        let message = format!("the logits processor ended the answer with {number}");
                        Err(Error::new(Code::Cancelled, message).with("returned", number))
                    }
                }
            })
        });
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
/// Errors: INVALID_ARGUMENT (NaN or INFINITY). That the token is outside of the vocabulary, and that all
/// tokens are forbidden, shows at submit.
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

/// How tokens are proposed: one of RMLX_SPECULATION_*.
pub type rmlx_speculation = i32;

/// No tokens are proposed.
pub const RMLX_SPECULATION_NONE: rmlx_speculation = 0;
/// What followed the last time that the last few tokens stood in the prompt or in the answer. It helps where an answer
/// repeats what it was given: a text that is edited, quoted or summed up, code, JSON.
pub const RMLX_SPECULATION_PROMPT_LOOKUP: rmlx_speculation = 1;

/// Proposes the next tokens before the model has said them, and evaluates several in one pass: those that it says
/// then need no pass of their own. Default: RMLX_SPECULATION_NONE.
///
/// The answer is the same, also of a seed, with constraints, penalties and stop strings; only where two tokens are as
/// likely as each other to within rounding may another one come, as rows of one pass are not rounded as those
/// of several. Events come one by one, and a cancel or the end of an answer leaves held what was handed out.
/// How many tokens are proposed at once is what pays, measured on the answer; where nothing does, there are none, and none
/// while several sessions of a model answer at the same time: those share passes already.
/// rmlx_stats.drafted_tokens and accepted_tokens count.
///
/// - `kind`: one of RMLX_SPECULATION_*
/// - `most_tokens`: tokens proposed at once, 8 at most; 0 is 8
///
/// Errors: INVALID_ARGUMENT (an unknown kind, more than 8 tokens).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_generation_options_set_speculation(
    options: Option<&mut rmlx_generation_options>,
    kind: rmlx_speculation,
    most_tokens: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    change(options, error, |o| {
        let most = if most_tokens == 0 { Speculate::MOST } else { most_tokens };
        o.speculate = match kind {
            RMLX_SPECULATION_NONE => None,
            RMLX_SPECULATION_PROMPT_LOOKUP => Some(Speculate::PromptLookup { most }),
            other => return Err(unknown_value(other, "kind")),
        };
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
/// The answer is JSON on one line, with ", " and ": ", and without \u escapes. Its numbers have 31 digits before the
/// point, 30 behind it and 2 of the exponent at most, so that a double holds them.
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
