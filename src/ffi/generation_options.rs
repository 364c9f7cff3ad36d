//! How an answer is generated.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use super::boundary::{call, required, text, value};
use super::callback::{UserData, rmlx_destroy_callback};
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{DryOptions, GenerationOptions, LogitsProcessor, LoopDetection};
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
/// It runs inside of rmlx_session_step, on the thread that called it, once for each token that is drawn: other sessions
/// go on meanwhile. It may call rmlx, also for other sessions; on its own session only rmlx_session_cancel and
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
/// the default.
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
/// n-grams, the logit bias and the tokens that the snapshot suppresses, temperature, top-k, top-p, min-p.
///
/// The next token is computed only after the processor has seen the row, so an answer with a processor is slower, and
/// goes on only while its session is stepped. rmlx_session_logits gives the row as the model gave it.
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
