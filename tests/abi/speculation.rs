//! Answers whose tokens were proposed by looking them up: each is what it is without, and so is what the session holds.

use std::ffi::c_void;
use std::thread;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;

use crate::answers::{Answer, Event, Options, Session};
use crate::fixtures::{self, Case, distance, path, sigma};
use crate::fresh::same_as_fresh;
use crate::harness::{Model, Prompt};

/// How far rows of one pass may be from those of several, in standard deviations.
const CLOSE: f32 = 1e-4;

/// A snapshot of each family, with a conversation of pictures where it sees.
const FAMILIES: [(&str, &str); 8] = [
    ("unified-bf16-mlx", "two_images"),
    ("e2b-affine4", "e2b/image_and_audio"),
    ("dense31-mxfp4", "dense31/text"),
    ("moe-nvfp4", "moe/text"),
    ("gemma3-mxfp8", "gemma3/two_images"),
    ("gemma4text-affine4", "gemma4text/text"),
    ("qwen3vl-bf16-mlx", "qwen3vl/two_images"),
    ("qwen3vlmoe-affine4", "qwen3vlmoe/text"),
];

fn looked_up(options: Options) -> Options {
    options.set(|o, e| rmlx_generation_options_set_speculation(o, RMLX_SPECULATION_PROMPT_LOOKUP, 0, e))
}

/// Draws from so few tokens that they often repeat.
fn few(options: Options, seed: u64) -> Options {
    [300, 301, 302].into_iter().fold(options.hot(seed), |options, token| options.bias(token, 12.0))
}

/// Says one token again and again: all drafts are right, so that some are however long passes take.
fn one(options: Options) -> Options {
    options.bias(300, 100.0)
}

fn sea() -> Prompt {
    Prompt::user("The sea is wide. The sea is deep. The sea is wide. The sea is")
}

/// All events of an answer, and the row of each token that has one.
fn steps(session: &Session, prompt: &Prompt, options: &Options) -> (Answer, Vec<Option<Vec<f32>>>) {
    session.submit(prompt, options).expect("an accepted prompt");
    let (mut answer, mut rows) = (Answer { events: vec![], first_row: vec![] }, Vec::new());
    while !answer.events.last().is_some_and(Event::is_finish) {
        let event = session.step().expect("an event");
        if event.token.is_some() {
            rows.push(session.logits().ok());
        }
        answer.events.push(event);
    }
    (answer, rows)
}

/// What may differ as rows of one pass are rounded otherwise than those of several is close, and all else is the same.
#[track_caller]
fn same_answer(name: &str, found: &Answer, wanted: &Answer) {
    let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
    let same = |a: &Event, b: &Event| {
        let tops = a.top.iter().zip(&b.top).all(|(a, b)| close(a.1, b.1) && a.0 == b.0);
        let logprobs = a.logprob.zip(b.logprob).is_none_or(|(a, b)| close(a, b));
        let rest = |e: &Event| Event { logprob: None, top: vec![], ..e.clone() };
        tops && logprobs && a.top.len() == b.top.len() && rest(a) == rest(b)
    };
    let pairs = found.events.iter().zip(&wanted.events);
    if let Some((a, b)) = pairs.into_iter().find(|(a, b)| !same(a, b)) {
        panic!("{name}: {a:?} is not {b:?}");
    }
    assert_eq!(found.events.len(), wanted.events.len(), "{name}");
}

/// Answers with and without; how many tokens were drafts.
#[track_caller]
fn same_as_plain(name: &str, model: &Model, prompt: &Prompt, options: impl Fn() -> Options) -> u64 {
    let (plain, session) = (Session::new(model), Session::new(model));
    let (wanted, wanted_rows) = steps(&plain, prompt, &options());
    let (found, rows) = steps(&session, prompt, &looked_up(options()));
    same_answer(name, &found, &wanted);
    for (i, (row, wanted)) in rows.iter().zip(&wanted_rows).enumerate() {
        let off = match (row, wanted) {
            (Some(row), Some(wanted)) => distance(row, wanted, sigma(wanted)),
            (row, wanted) => f32::from(u8::from(row.is_some() != wanted.is_some())),
        };
        assert!(off <= CLOSE, "{name}: row {i} is off by {off}");
    }
    let (stats, wanted) = (session.stats(), plain.stats());
    assert_eq!(stats.held_tokens, wanted.held_tokens, "{name}");
    assert_eq!((wanted.drafted_tokens, wanted.accepted_tokens), (0, 0), "{name}");
    assert!(stats.accepted_tokens <= stats.drafted_tokens && stats.accepted_tokens < stats.generated_tokens);
    // What drafts left in the state would show in what comes next.
    let next = Prompt::user("And now?");
    let answers = [&session, &plain].map(|session| session.answer(&next, &Options::endless(4)));
    same_answer(&format!("{name}, the next turn"), &answers[0], &answers[1]);
    assert_eq!(session.stats().reused_tokens, plain.stats().reused_tokens, "{name}");
    stats.accepted_tokens
}

#[test]
fn every_family_answers_as_without() {
    for (folder, case) in FAMILIES {
        let model = Model::load(path(folder)).expect("the snapshot loads");
        for prompt in [sea(), Case::load(case).prompt()] {
            // Longer than the windows of the snapshots.
            same_as_plain(&format!("{folder}, greedy"), &model, &prompt, || Options::endless(70));
            same_as_plain(&format!("{folder}, hot"), &model, &prompt, || few(Options::endless(40), 1));
        }
        let accepted = same_as_plain(folder, &model, &sea(), || one(Options::endless(30)));
        assert!(accepted > 0, "{folder}: no draft was right");
    }
}

/// Forbids the token that came last; a draft that repeats it is wrong.
unsafe extern "C" fn no_twins(
    ids: *const u32,
    count: usize,
    row: *mut f32,
    len: usize,
    _: *mut c_void,
) -> i32 {
    // SAFETY: both arrays are as long as they say, and not empty.
    let (ids, row) =
        unsafe { (std::slice::from_raw_parts(ids, count), std::slice::from_raw_parts_mut(row, len)) };
    row[ids[count - 1] as usize] = f32::NEG_INFINITY;
    0
}

#[test]
fn what_looks_at_tokens_sees_the_same_ones() {
    let model = fixtures::model();
    let endless = || Options::endless(60);
    let variants: [(&str, &dyn Fn() -> Options); 12] = [
        ("a regular expression", &|| {
            few(Options::greedy(60), 3).constraint(RMLX_CONSTRAINT_REGEX, "(ab|a)[ab]{40}c")
        }),
        ("what has to come", &|| {
            Options::greedy(60).constraint(RMLX_CONSTRAINT_REGEX, "(The sea is (wide|deep)\\. ){6}")
        }),
        ("a schema", &|| {
            let schema = r#"{"type": "array", "items": {"type": "object", "properties": {"name": {"enum": ["a", "b"]},
                "size": {"enum": [1, 2]}}, "required": ["name", "size"]}, "minItems": 4, "maxItems": 4}"#;
            Options::greedy(120).hot(5).constraint(RMLX_CONSTRAINT_JSON_SCHEMA, schema)
        }),
        ("DRY", &|| few(endless(), 1).set(|o, e| rmlx_generation_options_set_dry(o, 3.0, 1.75, 2, 0, e))),
        ("no run twice", &|| {
            few(endless(), 1).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 4, e))
        }),
        ("penalties", &|| {
            few(endless(), 2)
                .set(|o, e| rmlx_generation_options_set_repetition_penalty(o, 1.3, e))
                .set(|o, e| rmlx_generation_options_set_frequency_penalty(o, 0.4, e))
        }),
        ("top-k, top-p and min-p", &|| {
            few(endless(), 4)
                .set(|o, e| rmlx_generation_options_set_top_k(o, 3, e))
                .set(|o, e| rmlx_generation_options_set_top_p(o, 0.9, e))
                .set(|o, e| rmlx_generation_options_set_min_p(o, 0.05, e))
        }),
        ("a loop", &|| endless().set(|o, e| rmlx_generation_options_set_loop_detection(o, 3, 30, 20, e))),
        ("log-probabilities", &|| {
            few(endless(), 6).set(|o, e| rmlx_generation_options_set_top_logprobs(o, 3, e))
        }),
        ("a stop token", &|| few(endless(), 7).set(|o, e| rmlx_generation_options_add_stop_token(o, 302, e))),
        ("a thinking budget", &|| {
            few(endless(), 8)
                .set(|o, e| rmlx_generation_options_set_thinking(o, true, e))
                .set(|o, e| rmlx_generation_options_set_thinking_budget(o, 9, e))
        }),
        ("a processor", &|| {
            few(endless(), 9).set(|o, e| {
                rmlx_generation_options_set_logits_processor(o, Some(no_twins), std::ptr::null_mut(), None, e)
            })
        }),
    ];
    let mut accepted = 0;
    for (name, options) in variants {
        accepted += same_as_plain(name, model, &sea(), options);
    }
    assert!(accepted > 0, "no draft was right");
    let said = Session::new(model).answer(&sea(), &few(endless(), 10)).text();
    for end in [15, 16, 17, 40] {
        let stop: String = said.chars().skip(end).take(3).collect();
        if !stop.is_empty() {
            same_as_plain(&stop, model, &sea(), || few(endless(), 10).stop(&stop));
        }
    }
}

#[test]
fn an_answer_ends_where_it_does_without() {
    let model = fixtures::model();
    for tokens in 1..22 {
        same_as_plain(&format!("{tokens} tokens"), model, &sea(), || few(Options::endless(tokens), 2));
    }
    for positions in 60..70 {
        let ends = |options: Options| {
            let session = Session::of_context(model, positions);
            let answer = session.answer(&sea(), &options);
            (answer.tokens(), answer.finish(), session.stats().held_tokens)
        };
        let options = || few(Options::endless(90), 2);
        assert_eq!(ends(looked_up(options())), ends(options()), "{positions} positions");
    }
}

#[test]
fn after_a_cancel_a_session_holds_what_was_handed_out() {
    for folder in ["unified-bf16-mlx", "qwen3vl-bf16-mlx"] {
        let model = Model::load(path(folder)).expect("the snapshot loads");
        let mut accepted = 0;
        for after in 4..20 {
            let session = Session::new(&model);
            session.submit(&sea(), &looked_up(one(Options::endless(200)))).expect("an accepted prompt");
            for _ in 0..after {
                session.step().expect("an event");
            }
            session.cancel();
            let rest = session.rest();
            assert!(rest.tokens().len() <= 1, "more than was ready already");
            assert_eq!(rest.finish(), RMLX_FINISH_CANCELLED);
            let stats = session.stats();
            let held = stats.prompt_tokens + (after + rest.tokens().len()) as u64;
            assert_eq!(stats.held_tokens, held, "after {after}");
            accepted += stats.accepted_tokens;
            let fork = session.fork().expect("a fork");
            same_as_fresh(&model, &fork, &sea());
            if after == 11 {
                let saved = Session::load_bytes(&model, &session.saved().expect("bytes")).expect("a session");
                assert_eq!(saved.stats().held_tokens, held);
                same_as_fresh(&model, &saved, &sea());
            }
        }
        assert!(accepted > 0);
    }
}

#[test]
fn sessions_that_answer_together_are_answered_as_alone() {
    let model = fixtures::model();
    let options = |seed| few(Options::endless(80), seed);
    let wanted: Vec<Vec<u32>> =
        (0..3).map(|seed| Session::new(model).answer(&sea(), &options(seed)).tokens()).collect();
    let answered = |seed| Session::new(model).answer(&sea(), &looked_up(options(seed))).tokens();
    for _ in 0..3 {
        let found: Vec<Vec<u32>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|seed| scope.spawn(move || answered(seed))).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert_eq!(found, wanted);
    }
}
