//! Any function from any thread.

use std::sync::{Barrier, Mutex};
use std::thread;

use rmlx::ffi::event::RMLX_FINISH_MAX_TOKENS;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Model, Prompt};
use crate::sound;

const THREADS: usize = 16;
const TOKENS: usize = 8;

#[test]
fn sixteen_sessions_of_one_model_answer_as_each_does_alone() {
    let names = ["text", "one_image", "audio", "long_text"];
    let alone: Vec<_> = names
        .map(|name| {
            let prompt = Case::load(name).prompt();
            let answer = Session::new(fixtures::model()).answer(&prompt, &Options::endless(TOKENS));
            (name, answer.tokens(), answer.text())
        })
        .into();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, (name, tokens, text)) = (&start, &alone[thread % alone.len()]);
            scope.spawn(move || {
                let prompt = Case::load(name).prompt();
                start.wait();
                let session = Session::new(fixtures::model());
                for _ in 0..2 {
                    let answer = session.answer(&prompt, &Options::endless(TOKENS));
                    assert_eq!(&answer.tokens(), tokens, "{name}");
                    assert_eq!(&answer.text(), text, "{name}");
                }
            });
        }
    });
}

#[test]
fn models_may_be_loaded_and_released_on_many_threads_at_once() {
    thread::scope(|scope| {
        for folder in ["unified-bf16-hf", "unified-bf16-mlx", "unified-bf16-hf", "unified-bf16-mlx"] {
            scope.spawn(move || {
                sound::answers_as_ever(&Model::load(fixtures::path(folder)).expect("the snapshot loads"));
            });
        }
    });
    sound::host_is_sound();
}

#[test]
fn one_session_used_by_sixteen_threads_delivers_each_event_once() {
    let session = Session::new(fixtures::model());
    let case = Case::load("text");
    session.submit(&case.prompt(), &Options::endless(15)).expect("an accepted prompt");
    let start = Barrier::new(THREADS);
    let events = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                loop {
                    match session.step() {
                        Ok(event) => events.lock().expect("events").push(event),
                        Err(failure) if failure.code == RMLX_ERROR_BUSY => thread::yield_now(),
                        Err(failure) => {
                            assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
                            break;
                        }
                    }
                }
            });
        }
    });
    let events = events.into_inner().expect("events");
    let mut tokens: Vec<_> = events.iter().filter_map(|event| event.token).collect();
    let mut wanted = case.bf16().greedy_ids[..15].to_vec();
    // The threads note their events in any order.
    tokens.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(tokens, wanted);
    let finishes: Vec<_> = events.iter().filter(|event| event.is_finish()).collect();
    assert_eq!(finishes.len(), 1);
    assert_eq!(finishes[0].finish, RMLX_FINISH_MAX_TOKENS);
    sound::is_usable(&session);
}

#[test]
fn a_submit_before_the_finish_of_the_last_is_busy_and_changes_nothing() {
    let session = Session::new(fixtures::model());
    let case = Case::load("text");
    session.submit(&case.prompt(), &Options::endless(4)).expect("an accepted prompt");
    let mut refusals = 0;
    let mut tokens = vec![];
    loop {
        let failure =
            session.submit(&Prompt::user("Me too"), &Options::greedy(1)).expect_err("it is running");
        assert_eq!(failure.code, RMLX_ERROR_BUSY, "{failure:?}");
        refusals += 1;
        let event = session.step().expect("an event");
        tokens.extend(event.token);
        if event.is_finish() {
            break;
        }
    }
    assert_eq!(refusals, 5);
    assert_eq!(tokens, case.bf16().greedy_ids[..4]);
    assert_eq!(session.prompt_tokens(), Ok(case.prompt_ids.clone()));
    sound::is_usable(&session);
}

#[test]
fn a_call_while_another_runs_on_the_session_is_busy_at_once() {
    let session = Session::new(fixtures::model());
    // Long enough to be still evaluated when the other thread looks; if it was not, look again.
    let long = Prompt::new().tokens(&[300; 2000]);
    let saw_busy = (0..50).any(|_| {
        session.reset().expect("a reset");
        session.submit(&long, &Options::endless(1)).expect("an accepted prompt");
        thread::scope(|scope| {
            let stepping = scope.spawn(|| {
                loop {
                    match session.step() {
                        Ok(event) if event.is_finish() => break,
                        Ok(_) => {}
                        Err(failure) => assert_eq!(failure.code, RMLX_ERROR_BUSY, "{failure:?}"),
                    }
                }
            });
            let mut busy = false;
            while !stepping.is_finished() {
                if let Err(failure) = session.prompt_tokens() {
                    assert_eq!(failure.code, RMLX_ERROR_BUSY, "{failure:?}");
                    busy = true;
                }
                // This one never waits and is never refused.
                assert_eq!(session.stats().prompt_tokens, 2000);
            }
            busy
        })
    });
    assert!(saw_busy);
    sound::is_usable(&session);
}
