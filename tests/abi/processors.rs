//! Rows that nothing can be drawn from, and a host's own processor of rows.

use std::ffi::c_void;
use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::session::rmlx_session_submit;
use rmlx::ffi::status::*;
use serde_json::{Map, Value};

use crate::answers::{Answer, Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Failure, Model, Prompt, check};
use crate::scratch::Scratch;

const NAN: [u8; 2] = [0xC0, 0x7F];
const INFINITY: [u8; 2] = [0x80, 0x7F];

/// Writes `value` over the rows of a bf16 tensor.
fn spoil(
    header: &Map<String, Value>,
    data: &mut [u8],
    tensor: &str,
    rows: std::ops::Range<usize>,
    value: [u8; 2],
) {
    let tensor = &header[tensor];
    let numbers = |key: &str| -> Vec<usize> { serde_json::from_value(tensor[key].clone()).expect("numbers") };
    let (begin, width) = (numbers("data_offsets")[0], numbers("shape").last().copied().expect("a shape") * 2);
    for pair in data[begin + rows.start * width..begin + rows.end * width].chunks_exact_mut(2) {
        pair.copy_from_slice(&value);
    }
}

#[track_caller]
fn error_of(answer: &Answer) -> Failure {
    let finish = answer.events.last().expect("a FINISH");
    assert_eq!(finish.finish, RMLX_FINISH_ERROR, "{finish:?}");
    finish.error.clone().expect("an error")
}

fn samplers() -> Vec<Options> {
    let hot = || Options::endless(5).set(|o, e| rmlx_generation_options_set_temperature(o, 1.0, e));
    vec![
        Options::endless(5),
        hot(),
        hot().set(|o, e| rmlx_generation_options_set_top_k(o, 4, e)),
        hot().set(|o, e| rmlx_generation_options_set_top_p(o, 0.9, e)),
        hot().set(|o, e| rmlx_generation_options_set_min_p(o, 0.1, e)),
        Options::endless(5).bias(400, 10.0),
        Options::endless(5).set(|o, e| rmlx_generation_options_set_repetition_penalty(o, 1.2, e)),
        Options::endless(5).set(|o, e| rmlx_generation_options_set_presence_penalty(o, 1.0, e)),
        Options::endless(5).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 2, e)),
        // The end of the options counts in it.
        processed(Options::endless(5), unchanged, Box::leak(Box::<Record>::default())),
    ]
}

#[test]
fn logits_that_are_no_numbers_end_the_answer_with_an_error_in_every_sampler() {
    for value in [NAN, INFINITY] {
        let broken = Scratch::dense()
            .weights(|header, data| spoil(header, data, "language_model.model.norm.weight", 0..1, value));
        let model = Model::load(broken.path()).expect("the snapshot loads");
        for (i, options) in samplers().iter().enumerate() {
            let session = Session::new(&model);
            session.submit(&Prompt::user("Hello"), options).expect("an accepted prompt");
            let finish = session.step().expect("an event");
            assert_eq!((finish.kind, finish.finish), (RMLX_EVENT_FINISH, RMLX_FINISH_ERROR), "sampler {i}");
            let error = finish.error.expect("an error");
            assert_eq!((error.code, &error.details["generated_token"]), (RMLX_ERROR_BACKEND, &1.into()));
            assert!(error.message.contains("generated token 1 "), "{}", error.message);
        }
        assert_eq!(model.probe()["verdict"], "BrokenNan");
    }
}

#[test]
fn logits_that_break_later_are_told_where_they_break() {
    let prompt = Prompt::user("Hello");
    let whole = Model::load(fixtures::path("qwen3vl-bf16-mlx")).expect("the snapshot loads");
    let session = Session::new(&whole);
    let tokens = session.answer(&prompt, &Options::endless(8)).tokens();
    let seen = session.prompt_tokens().expect("ids");
    let fresh = |at: &usize| !seen.contains(&tokens[*at]) && !tokens[..*at].contains(&tokens[*at]);
    let at = (1..7).find(fresh).expect("a token that is new");
    let row = tokens[at] as usize;
    let broken = Scratch::of("qwen3vl-bf16-mlx").weights(|header, data| {
        spoil(header, data, "language_model.model.embed_tokens.weight", row..row + 1, NAN);
    });
    let session = Session::new(&Model::load(broken.path()).expect("the snapshot loads"));
    let ngram = Options::endless(8).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 8, e));
    for options in [Options::endless(8), ngram] {
        let answer = session.answer(&prompt, &options);
        assert_eq!(answer.tokens(), tokens[..=at]);
        let error = error_of(&answer);
        assert_eq!((error.code, &error.details["generated_token"]), (RMLX_ERROR_BACKEND, &(at + 2).into()));
    }
}

/// What a processor of the tests has seen.
#[derive(Default)]
struct Record {
    ids: Mutex<Vec<Vec<u32>>>,
    threads: Mutex<Vec<ThreadId>>,
    first_row: Mutex<Vec<f32>>,
    destroyed: AtomicUsize,
}

type Callback = unsafe extern "C" fn(*const u32, usize, *mut f32, usize, *mut c_void) -> i32;

/// SAFETY: as the header says of the callback's arguments.
unsafe fn seen<'a>(
    ids: *const u32,
    count: usize,
    row: *mut f32,
    len: usize,
    data: *mut c_void,
) -> &'a mut [f32] {
    let record = unsafe { &*data.cast::<Record>() };
    let (ids, row) = unsafe { (slice::from_raw_parts(ids, count), slice::from_raw_parts_mut(row, len)) };
    record.ids.lock().expect("a record").push(ids.to_vec());
    record.threads.lock().expect("a record").push(thread::current().id());
    let mut first = record.first_row.lock().expect("a record");
    if first.is_empty() {
        *first = row.to_vec();
    }
    row
}

unsafe extern "C" fn unchanged(i: *const u32, c: usize, r: *mut f32, l: usize, d: *mut c_void) -> i32 {
    unsafe { seen(i, c, r, l, d) };
    0
}

/// Leaves token 400 only.
unsafe extern "C" fn only_400(i: *const u32, c: usize, r: *mut f32, l: usize, d: *mut c_void) -> i32 {
    let row = unsafe { seen(i, c, r, l, d) };
    row.fill(f32::NEG_INFINITY);
    row[400] = -3.0;
    0
}

unsafe extern "C" fn nothing_left(i: *const u32, c: usize, r: *mut f32, l: usize, d: *mut c_void) -> i32 {
    let row = unsafe { seen(i, c, r, l, d) };
    row.fill(f32::NEG_INFINITY);
    0
}

unsafe extern "C" fn no_number(i: *const u32, c: usize, r: *mut f32, l: usize, d: *mut c_void) -> i32 {
    let row = unsafe { seen(i, c, r, l, d) };
    row[5] = f32::NAN;
    0
}

/// Gives up with the third token.
unsafe extern "C" fn gives_up(i: *const u32, c: usize, r: *mut f32, l: usize, d: *mut c_void) -> i32 {
    unsafe { seen(i, c, r, l, d) };
    let calls = unsafe { &*d.cast::<Record>() }.ids.lock().expect("a record").len();
    if calls == 3 { 77 } else { 0 }
}

unsafe extern "C" fn destroy(data: *mut c_void) {
    unsafe { &*data.cast::<Record>() }.destroyed.fetch_add(1, Ordering::SeqCst);
}

/// The record must outlive what is submitted with the options.
fn processed(options: Options, callback: Callback, record: &Record) -> Options {
    let data = std::ptr::from_ref(record).cast_mut().cast();
    options
        .set(|o, e| rmlx_generation_options_set_logits_processor(o, Some(callback), data, Some(destroy), e))
}

#[test]
fn a_processor_sees_each_row_and_all_ids_on_the_thread_that_steps() {
    let session = Session::new(fixtures::model());
    let case = Case::load("text");
    let plain = session.answer(&case.prompt(), &Options::endless(6));
    session.reset().expect("a reset");
    let record = Record::default();
    let answer = session.answer(&case.prompt(), &processed(Options::endless(6), unchanged, &record));
    assert_eq!(answer.tokens(), plain.tokens());
    assert_eq!(*record.first_row.lock().expect("a record"), plain.first_row);
    let ids = record.ids.lock().expect("a record");
    let expected = (0..6).map(|n| [&session.prompt_tokens().expect("ids"), &plain.tokens()[..n]].concat());
    assert_eq!(*ids, expected.collect::<Vec<_>>());
    assert!(record.threads.lock().expect("a record").iter().all(|id| *id == thread::current().id()));
    assert_eq!(record.destroyed.load(Ordering::SeqCst), 1, "the options and the answer are gone");
}

#[test]
fn what_a_processor_leaves_is_what_is_drawn_from_and_the_bias_comes_after_it() {
    let session = Session::new(fixtures::model());
    let record = Record::default();
    let options = processed(Options::endless(3), only_400, &record);
    let answer = session.answer(&Prompt::user("Hello"), &options);
    assert_eq!(answer.tokens(), [400; 3]);
    assert!(answer.first_row.iter().all(|l| l.is_finite()), "the row is told as the model gave it");
    let away = processed(Options::endless(3), only_400, &record).bias(400, f32::NEG_INFINITY);
    let error = error_of(&session.answer(&Prompt::user("Hello"), &away));
    assert_eq!((error.code, &error.details["generated_token"]), (RMLX_ERROR_INVALID_ARGUMENT, &1.into()));
}

#[test]
fn what_a_processor_may_not_do_ends_the_answer_and_not_the_session() {
    let session = Session::new(fixtures::model());
    let cases: [(Callback, rmlx_status, &str, usize); 3] = [
        (nothing_left, RMLX_ERROR_INVALID_ARGUMENT, "no token to choose", 0),
        (no_number, RMLX_ERROR_INVALID_ARGUMENT, "token 5", 0),
        (gives_up, RMLX_ERROR_CANCELLED, "77", 2),
    ];
    for (callback, code, says, tokens) in cases {
        let record = Record::default();
        let answer =
            session.answer(&Prompt::user("Hello"), &processed(Options::endless(6), callback, &record));
        let error = error_of(&answer);
        assert_eq!((error.code, answer.tokens().len()), (code, tokens), "{error:?}");
        assert!(error.message.contains(says), "{error:?}");
        assert_eq!(record.destroyed.load(Ordering::SeqCst), 1);
    }
    assert_eq!(session.answer(&Prompt::user("Hello"), &Options::endless(4)).tokens().len(), 4);
}

#[test]
fn an_answer_that_nobody_steps_keeps_no_other_waiting_and_can_be_cancelled() {
    let (waiting, other) = (Session::new(fixtures::model()), Session::new(fixtures::model()));
    let record = Record::default();
    waiting
        .submit(&Prompt::user("Hello"), &processed(Options::endless(50), unchanged, &record))
        .expect("an accepted prompt");
    assert_eq!(other.answer(&Prompt::user("Hi"), &Options::endless(20)).tokens().len(), 20);
    waiting.step().expect("a token");
    waiting.cancel();
    assert_eq!(waiting.rest().finish(), RMLX_FINISH_CANCELLED);
    assert_eq!(record.destroyed.load(Ordering::SeqCst), 1);
    let again = Session::new(fixtures::model());
    again
        .submit(&Prompt::user("Hello"), &processed(Options::endless(50), unchanged, &record))
        .expect("an accepted prompt");
    drop(again);
    assert_eq!(record.destroyed.load(Ordering::SeqCst), 2, "with its session");
}

/// Held to a text of which most tokens are forced.
fn held(options: Options) -> Options {
    let regex = "(red|green), once upon a time, [a-z]{4}\\.";
    // SAFETY: the text is as long as its length says.
    options.set(|o, e| unsafe {
        let (text, len) = (regex.as_ptr().cast(), regex.len());
        rmlx_generation_options_set_constraint(o, RMLX_CONSTRAINT_REGEX, text, len, e)
    })
}

#[test]
fn a_processor_sees_what_a_constraint_leaves_open_and_cannot_open_more() {
    let session = Session::new(fixtures::model());
    let prompt = Prompt::user("Hello");
    let plain = session.answer(&prompt, &held(Options::greedy(60)));
    let record = Record::default();
    let answer = session.answer(&prompt, &processed(held(Options::greedy(60)), unchanged, &record));
    assert_eq!((answer.tokens(), answer.finish()), (plain.tokens(), RMLX_FINISH_END_OF_TURN));
    {
        let seen = record.ids.lock().expect("a record");
        assert!(!seen.is_empty() && seen.len() < plain.tokens().len(), "forced tokens have no row");
        let all = [session.prompt_tokens().expect("ids"), plain.tokens()].concat();
        assert!(seen.iter().all(|ids| all.starts_with(ids)));
    }
    let other = Record::default();
    let error = error_of(&session.answer(&prompt, &processed(held(Options::greedy(60)), only_400, &other)));
    assert_eq!(error.code, RMLX_ERROR_INVALID_ARGUMENT);
    assert!(error.message.contains("no token to choose"), "{error:?}");
}

#[test]
fn answers_of_all_kinds_share_steps_and_stay_what_they_are_alone() {
    let model = fixtures::model();
    let prompt = Case::load("text").prompt();
    let record = Record::default();
    let kinds = || -> Vec<Options> {
        let hot = Options::endless(20)
            .set(|o, e| rmlx_generation_options_set_temperature(o, 1.0, e))
            .set(|o, e| rmlx_generation_options_set_seed(o, 5, e));
        vec![
            Options::endless(20),
            Options::endless(20).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 2, e)),
            Options::endless(20)
                .bias(400, 50.0)
                .set(|o, e| rmlx_generation_options_set_dry(o, 5.0, 1.75, 2, 0, e)),
            processed(hot, unchanged, &record),
            processed(
                Options::endless(20).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 3, e)),
                unchanged,
                &record,
            ),
            held(Options::greedy(60)),
        ]
    };
    let alone: Vec<Vec<u32>> =
        kinds().iter().map(|options| Session::new(model).answer(&prompt, options).tokens()).collect();
    let sessions: Vec<Session> = kinds()
        .iter()
        .map(|options| {
            let session = Session::new(model);
            session.submit(&prompt, options).expect("an accepted prompt");
            session
        })
        .collect();
    thread::scope(|scope| {
        for (session, alone) in sessions.iter().zip(&alone) {
            scope.spawn(move || assert_eq!(session.rest().tokens(), *alone));
        }
    });
}

#[test]
fn all_tokens_forbidden_is_refused_at_submit() {
    let options = (0..768).fold(Options::endless(3), |options, id| options.bias(id, f32::NEG_INFINITY));
    let session = Session::new(fixtures::model());
    let prompt = Prompt::user("Hello");
    // SAFETY: the session lives.
    let refused =
        check(|error| unsafe { rmlx_session_submit(session.raw(), prompt.raw(), options.raw(), error) });
    assert_eq!(refused.expect_err("no token").code, RMLX_ERROR_INVALID_ARGUMENT);
    session.answer(&prompt, &Options::endless(1));
}
