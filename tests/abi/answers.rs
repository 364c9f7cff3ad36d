//! Sessions, what is asked of them, and what they answer.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{ptr, slice, str};

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::session::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::session_saved::*;
use rmlx::ffi::stats::{rmlx_session_stats, rmlx_stats};
use rmlx::ffi::status::{RMLX_ERROR_INVALID_ARGUMENT, RMLX_OK, rmlx_status};

use crate::harness::{
    ErrorOut, Failure, Model, Outcome, Prompt, array, c_text, check, failure, make, make_object,
};

/// How an answer is generated.
pub struct Options {
    raw: Option<Box<rmlx_generation_options>>,
    /// Tokens may have to come that no row of logits belongs to.
    pub forces: bool,
}

impl Options {
    /// The likeliest tokens, up to `max_tokens` of them.
    pub fn greedy(max_tokens: usize) -> Self {
        Self { raw: rmlx_generation_options_new(), forces: false }
            .set(|o, e| rmlx_generation_options_set_temperature(o, 0.0, e))
            .set(|o, e| rmlx_generation_options_set_max_tokens(o, max_tokens, e))
    }

    /// As `greedy`, and past the ends of turns.
    pub fn endless(max_tokens: usize) -> Self {
        Self::greedy(max_tokens).set(|o, e| rmlx_generation_options_set_ignore_eos(o, true, e))
    }

    #[track_caller]
    pub fn set(
        mut self,
        setter: impl FnOnce(Option<&mut rmlx_generation_options>, ErrorOut<'_>) -> rmlx_status,
    ) -> Self {
        check(|error| setter(self.raw.as_deref_mut(), error)).expect("a valid option");
        self
    }

    #[track_caller]
    pub fn constraint(self, kind: rmlx_constraint_kind, text: &str) -> Self {
        let len = text.len();
        // SAFETY: the text is as long as its length says.
        let mut options = self.set(|o, e| unsafe {
            rmlx_generation_options_set_constraint(o, kind, text.as_ptr().cast(), len, e)
        });
        options.forces = true;
        options
    }

    #[track_caller]
    pub fn choice(self, choice: rmlx_tool_choice, name: Option<&CStr>) -> Self {
        let name = name.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the name ends with a NUL, or is NULL.
        let mut options =
            self.set(|o, e| unsafe { rmlx_generation_options_set_tool_choice(o, choice, name, e) });
        options.forces = true;
        options
    }

    /// At a temperature that makes any token likely.
    pub fn hot(self, seed: u64) -> Self {
        self.set(|o, e| rmlx_generation_options_set_temperature(o, 1.5, e))
            .set(|o, e| rmlx_generation_options_set_seed(o, seed, e))
    }

    #[track_caller]
    pub fn stop(self, text: &str) -> Self {
        // SAFETY: the text is as long as its length says.
        self.set(|o, e| unsafe { rmlx_generation_options_add_stop(o, text.as_ptr().cast(), text.len(), e) })
    }

    #[track_caller]
    pub fn bias(self, token: u32, bias: f32) -> Self {
        self.set(|o, e| rmlx_generation_options_add_logit_bias(o, token, bias, e))
    }

    pub fn raw(&self) -> Option<&rmlx_generation_options> {
        self.raw.as_deref()
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        rmlx_generation_options_release(self.raw.take());
    }
}

/// All that an event says.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: rmlx_event_type,
    pub text: String,
    pub token: Option<u32>,
    pub logprob: Option<f32>,
    pub top: Vec<(u32, f32, String)>,
    pub progress: Option<(usize, usize)>,
    pub finish: rmlx_finish_reason,
    /// Id, name and arguments of the call that the event completes.
    pub call: Option<[String; 3]>,
    /// Id and name of the call that the event adds to, and what it adds.
    pub delta: Option<[String; 3]>,
    pub error: Option<Failure>,
}

impl Event {
    fn read(event: Option<&rmlx_event>) -> Self {
        let given = |there: bool, value| there.then_some(value);
        let (mut token, mut logprob) = (0.into_uninit(), 0.0.into_uninit());
        let (mut done, mut total, mut len) = (0.into_uninit(), 0.into_uninit(), 0.into_uninit());
        let has_token = rmlx_event_token(event, Some(&mut token));
        let has_logprob = rmlx_event_logprob(event, Some(&mut logprob));
        let has_progress = rmlx_event_progress(event, Some(&mut done), Some(&mut total));
        let text = rmlx_event_text(event, Some(&mut len));
        let error = rmlx_event_error(event);
        // SAFETY: all were initialized above.
        let (token, logprob, done, total, len) = unsafe {
            (
                token.assume_init(),
                logprob.assume_init(),
                done.assume_init(),
                total.assume_init(),
                len.assume_init(),
            )
        };
        // A model may generate a NUL, so only the length tells where the text ends.
        // SAFETY: the event lives, and its text has as many bytes as it says and a NUL.
        let text = unsafe { slice::from_raw_parts(text.cast::<u8>(), len + 1) };
        let (nul, text) = text.split_last().expect("a NUL");
        assert_eq!(*nul, 0);
        let text = str::from_utf8(text).expect("UTF-8").to_owned();
        Self {
            kind: rmlx_event_kind(event),
            text,
            token: given(has_token, token),
            logprob: has_logprob.then_some(logprob),
            top: (0..rmlx_event_top_logprob_count(event)).map(|index| top(event, index)).collect(),
            progress: has_progress.then_some((done, total)),
            finish: rmlx_event_finish_reason(event),
            call: call(event),
            delta: delta(event),
            error: error.map(|error| failure(Some(error))),
        }
    }

    pub fn is_finish(&self) -> bool {
        self.kind == RMLX_EVENT_FINISH
    }
}

fn delta(event: Option<&rmlx_event>) -> Option<[String; 3]> {
    let [mut id, mut name] = [MaybeUninit::new(ptr::null()); 2];
    let added = rmlx_event_tool_call_delta(event, Some(&mut id), Some(&mut name));
    // SAFETY: both are initialized.
    let (id, name) = unsafe { (id.assume_init(), name.assume_init()) };
    assert!(id.is_null() == added.is_null() && name.is_null() == added.is_null());
    (!added.is_null()).then(|| [id, name, added].map(c_text))
}

fn call(event: Option<&rmlx_event>) -> Option<[String; 3]> {
    let texts = [
        rmlx_event_tool_call_id(event),
        rmlx_event_tool_call_name(event),
        rmlx_event_tool_call_arguments(event),
    ];
    assert!(texts.iter().all(|text| text.is_null() == texts[0].is_null()));
    (!texts[0].is_null()).then(|| texts.map(c_text))
}

fn top(event: Option<&rmlx_event>, index: usize) -> (u32, f32, String) {
    let (mut token, mut logprob) = (0.into_uninit(), 0.0.into_uninit());
    assert!(rmlx_event_top_logprob(event, index, Some(&mut token), Some(&mut logprob)));
    let text = c_text(rmlx_event_top_logprob_text(event, index));
    // SAFETY: initialized above.
    unsafe { (token.assume_init(), logprob.assume_init(), text) }
}

trait IntoUninit: Sized {
    fn into_uninit(self) -> std::mem::MaybeUninit<Self> {
        std::mem::MaybeUninit::new(self)
    }
}
impl<T> IntoUninit for T {}

/// Everything from a submit to its FINISH.
pub struct Answer {
    pub events: Vec<Event>,
    /// The row that the first token was sampled from; empty where the token had to come, by a constraint or a choice of
    /// tools.
    pub first_row: Vec<f32>,
}

impl Answer {
    pub fn tokens(&self) -> Vec<u32> {
        self.events.iter().filter_map(|event| event.token).collect()
    }

    pub fn text(&self) -> String {
        self.events.iter().filter(|e| e.kind != RMLX_EVENT_REASONING).map(|e| e.text.as_str()).collect()
    }

    pub fn finish(&self) -> rmlx_finish_reason {
        self.events.last().expect("a FINISH").finish
    }
}

/// A session, and whether its last submit may force tokens.
pub struct Session(NonNull<rmlx_session>, AtomicBool);

// SAFETY: the header says that any thread may call any function on a session.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    pub fn new(model: &Model) -> Self {
        Self::with(model, |_| RMLX_OK)
    }

    /// A session of options that `setter` sets.
    #[track_caller]
    pub fn with(
        model: &Model,
        setter: impl FnOnce(Option<&mut rmlx_session_options>) -> rmlx_status,
    ) -> Self {
        let mut options = rmlx_session_options_new();
        assert_eq!(setter(options.as_deref_mut()), RMLX_OK);
        let session = make_object(|out, error| rmlx_session_new(model.raw(), options.as_deref(), out, error));
        rmlx_session_options_release(options);
        Self::of(session.expect("a session"))
    }

    fn of(raw: NonNull<rmlx_session>) -> Self {
        Self(raw, AtomicBool::new(false))
    }

    pub fn of_context(model: &Model, positions: usize) -> Self {
        Self::with(model, |o| rmlx_session_options_set_context_length(o, positions, None))
    }

    pub fn of_chunk(model: &Model, tokens: usize) -> Self {
        Self::with(model, |o| rmlx_session_options_set_prefill_chunk(o, tokens, None))
    }

    pub fn save(&self, path: &Path) -> Outcome<()> {
        let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: the session lives as long as `self`, and the path ends with a NUL.
        check(|error| unsafe { rmlx_session_save(self.raw(), path.as_ptr(), error) })
    }

    pub fn saved(&self) -> Outcome<Vec<u8>> {
        // SAFETY: the session lives as long as `self`, and `out` is as long as its capacity says.
        array(|out, capacity, count, error| unsafe {
            rmlx_session_save_to_buffer(self.raw(), out, capacity, count, error)
        })
    }

    pub fn load(model: &Model, path: &Path) -> Outcome<Self> {
        let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: the path ends with a NUL.
        make_object(|out, error| unsafe { rmlx_session_load(model.raw(), None, path.as_ptr(), out, error) })
            .map(Self::of)
    }

    pub fn load_bytes(model: &Model, bytes: &[u8]) -> Outcome<Self> {
        Self::load_bytes_with(model, bytes, |_| RMLX_OK)
    }

    /// A session of options that `setter` sets.
    pub fn load_bytes_with(
        model: &Model,
        bytes: &[u8],
        setter: impl FnOnce(Option<&mut rmlx_session_options>) -> rmlx_status,
    ) -> Outcome<Self> {
        let mut options = rmlx_session_options_new();
        assert_eq!(setter(options.as_deref_mut()), RMLX_OK);
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the bytes are as many as their length says.
        let session = make_object(|out, error| unsafe {
            rmlx_session_load_from_buffer(model.raw(), options.as_deref(), data, len, out, error)
        });
        rmlx_session_options_release(options);
        session.map(Self::of)
    }

    pub fn raw(&self) -> Option<NonNull<rmlx_session>> {
        Some(self.0)
    }

    pub fn submit(&self, prompt: &Prompt, options: &Options) -> Outcome<()> {
        self.1.store(options.forces, Ordering::Relaxed);
        // SAFETY: the session lives as long as `self`.
        check(|error| unsafe { rmlx_session_submit(self.raw(), prompt.raw(), options.raw(), error) })
    }

    pub fn step(&self) -> Outcome<Event> {
        // SAFETY: as above.
        let event = make_object(|out, error| unsafe { rmlx_session_step(self.raw(), out, error) })?;
        // SAFETY: the event is ours until it is released, here.
        let read = Event::read(Some(unsafe { event.as_ref() }));
        rmlx_event_release(Some(unsafe { Box::from_raw(event.as_ptr()) }));
        Ok(read)
    }

    pub fn prefill(&self, prompt: &Prompt, options: &Options) -> Outcome<()> {
        // SAFETY: as above.
        check(|error| unsafe { rmlx_session_prefill(self.raw(), prompt.raw(), options.raw(), error) })
    }

    pub fn fork(&self) -> Outcome<Session> {
        // SAFETY: as above.
        make_object(|out, error| unsafe { rmlx_session_fork(self.raw(), out, error) }).map(Self::of)
    }

    pub fn truncate(&self, positions: usize) -> Outcome<usize> {
        // SAFETY: as above.
        make(usize::MAX, |out, error| unsafe { rmlx_session_truncate(self.raw(), positions, out, error) })
    }

    pub fn cancel(&self) {
        // SAFETY: as above.
        unsafe { rmlx_session_cancel(self.raw()) };
    }

    pub fn reset(&self) -> Outcome<()> {
        // SAFETY: as above.
        check(|error| unsafe { rmlx_session_reset(self.raw(), error) })
    }

    pub fn logits(&self) -> Outcome<Vec<f32>> {
        // SAFETY: as above, and `out` is as long as its capacity says.
        array(|out, capacity, count, error| unsafe {
            rmlx_session_logits(self.raw(), out, capacity, count, error)
        })
    }

    pub fn prompt_tokens(&self) -> Outcome<Vec<u32>> {
        // SAFETY: as above.
        array(|out, capacity, count, error| unsafe {
            rmlx_session_prompt_tokens(self.raw(), out, capacity, count, error)
        })
    }

    pub fn stats(&self) -> rmlx_stats {
        let mut stats = rmlx_stats { struct_size: size_of::<rmlx_stats>(), ..NO_STATS };
        // SAFETY: as above, and the structure is as large as it says.
        check(|error| unsafe { rmlx_session_stats(self.raw(), &mut stats, error) }).expect("stats");
        stats
    }

    /// Steps to the FINISH, which must be the last event.
    #[track_caller]
    pub fn rest(&self) -> Answer {
        let mut answer = Answer { events: vec![], first_row: vec![] };
        loop {
            let event = self.step().expect("an event");
            if event.token.is_some() && answer.tokens().is_empty() {
                answer.first_row = self.logits().unwrap_or_else(|failure| {
                    assert!(
                        self.1.load(Ordering::Relaxed) && failure.message.contains("had to come"),
                        "{failure:?}"
                    );
                    Vec::new()
                });
            }
            let done = event.is_finish();
            answer.events.push(event);
            if done {
                break;
            }
        }
        assert_eq!(self.step().expect_err("nothing follows the FINISH").code, RMLX_ERROR_INVALID_ARGUMENT);
        answer
    }

    #[track_caller]
    pub fn answer(&self, prompt: &Prompt, options: &Options) -> Answer {
        self.submit(prompt, options).expect("an accepted prompt");
        self.rest()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: no other function runs on the session any more.
        rmlx_session_release(Some(unsafe { Box::from_raw(self.0.as_ptr()) }));
    }
}

const NO_STATS: rmlx_stats = rmlx_stats {
    struct_size: 0,
    prompt_tokens: 0,
    reused_tokens: 0,
    generated_tokens: 0,
    media_tokens: 0,
    held_tokens: 0,
    cache_bytes: 0,
    prepare_ms: 0.0,
    encode_ms: 0.0,
    prefill_ms: 0.0,
    first_token_ms: 0.0,
    decode_ms: 0.0,
    encoded_media: 0,
    checkpoint_bytes: 0,
    dropped_messages: 0,
    drafted_tokens: 0,
    accepted_tokens: 0,
};
