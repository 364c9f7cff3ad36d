//! What a session holds, taken back, doubled, and evaluated ahead: each as if the session were new.

use std::thread;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::load_options::rmlx_load_options_set_media_cache;
use rmlx::ffi::memory::rmlx_memory_trim;
use rmlx::ffi::session::rmlx_prompt_add_answer;
use rmlx::ffi::session_options::*;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::around;
use crate::fixtures;
use crate::fresh::{last_turn, same_as_fresh};
use crate::harness::{LoadOptions, Media, Model, Prompt, check};

/// The longest window of a fixture.
const WINDOW: usize = 64;

/// A model that keeps no encoded media: what is not encoded again is held by the session.
fn load(folder: &str) -> Model {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_media_cache(o, 0, e));
    Model::load_with(fixtures::path(folder), &options).expect("the snapshot loads")
}

fn takes(model: &Model, kind: &str) -> bool {
    model.info()["modalities"].as_array().expect("a list").iter().any(|m| m == kind)
}

fn picture(step: usize) -> Media {
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * step % 251) as u8).collect();
    Media::gray(96, 96, &pixels).expect("an image")
}

fn sound() -> Media {
    let samples: Vec<f32> = (0..6400).map(|i| (i as f32 * 0.1).sin()).collect();
    Media::pcm(&samples, 16_000).expect("a sound")
}

/// So many turns, with a picture in the second and a sound in the third where the model takes them; each turn's text
/// begins with its number, or with something else in that of `edited`. The last is the user's.
fn turns(model: &Model, count: usize, edited: Option<usize>) -> Prompt {
    let mut prompt = Prompt::new();
    for turn in 0..count {
        let begin = if edited == Some(turn) { "Another".to_owned() } else { format!("Number {turn}") };
        prompt = prompt
            .message("user")
            .text(&format!("{begin}: what is a window, and how many words fit into it?"));
        prompt = match turn {
            1 if takes(model, "image") => prompt.media(&picture(10)),
            2 if takes(model, "audio") => prompt.media(&sound()),
            _ => prompt,
        };
        if turn + 1 < count {
            prompt = prompt.message("assistant").text("A hole in a wall, and that depends on the words.");
        }
    }
    prompt
}

/// What is behind an edit is evaluated, and not much more.
fn an_edit_of_an_older_turn_evaluates_little_more_than_what_is_behind_it(folder: &str) {
    let model = load(folder);
    let session = Session::new(&model);
    same_as_fresh(&model, &session, &turns(&model, 12, None));
    for edited in [10, 8, 5, 3, 1] {
        let prompt = turns(&model, 12, Some(edited));
        let reused = same_as_fresh(&model, &session, &prompt);
        let total = session.stats().prompt_tokens as usize;
        let before = turns(&model, edited + 1, None);
        let shared = model.count(&before).expect("a count").min(total);
        let (again, behind) = (total - reused, total - shared);
        assert!(again <= 4 * behind + 3 * WINDOW, "{again} again for {behind} behind turn {edited}");
        // Back, so that the next one meets the same.
        same_as_fresh(&model, &session, &turns(&model, 12, None));
    }
}

fn a_session_that_is_cut_back_goes_on_as_if_it_were_new(folder: &str) {
    let model = load(folder);
    let session = Session::new(&model);
    let whole = turns(&model, 8, None);
    same_as_fresh(&model, &session, &whole);
    let held = session.stats().held_tokens as usize;
    assert_eq!(session.truncate(usize::MAX), Ok(held));
    for positions in [held + 1, held, held - 3, held * 4 / 5, held / 2, held / 3, 40, 3, 0] {
        let held = session.stats().held_tokens as usize;
        let kept = session.truncate(positions).expect("a length");
        assert!(kept <= positions.min(held), "{kept} of {positions}");
        assert_eq!(session.stats().held_tokens as usize, kept);
        // The last few come back without a kept state.
        assert!(positions >= held || held - positions > 60 || kept == positions, "{kept} of {positions}");
        assert_eq!(session.truncate(kept), Ok(kept), "nothing more is lost");
        let reused = same_as_fresh(&model, &session, &whole);
        assert_eq!(reused, kept.min(session.stats().prompt_tokens as usize - 1));
    }
}

fn forks_and_what_they_were_made_of_go_on_as_if_each_were_new(folder: &str) {
    let model = load(folder);
    let session = Session::new(&model);
    same_as_fresh(&model, &session, &turns(&model, 3, None));
    let held = last_turn(&model, &session);
    let forks: Vec<Session> = (0..3).map(|_| session.fork().expect("a fork")).collect();
    let stats = |session: &Session| (session.stats().held_tokens, session.stats().prompt_tokens);
    assert!(forks.iter().all(|fork| stats(fork) == stats(&session)));
    assert!(forks.iter().all(|fork| fork.logits() == session.logits()));
    let goes_on = |session: &Session, number: usize| {
        let reused = match number {
            // From where the answer began, from an earlier turn, and with what was there before.
            0 => same_as_fresh(&model, session, &turns(&model, 6, None)),
            1 => same_as_fresh(&model, session, &turns(&model, 5, Some(3))),
            2 => same_as_fresh(&model, session, &turns(&model, 4, Some(1))),
            _ => same_as_fresh(&model, session, &turns(&model, 3, None)),
        };
        assert!(number == 2 || reused >= held, "{reused} of {held} in session {number}");
        reused
    };
    // Together, in one pass, and then one after the other.
    thread::scope(|scope| {
        forks.iter().enumerate().for_each(|(i, fork)| drop(scope.spawn(move || goes_on(fork, i))));
        goes_on(&session, 3);
    });
    let fork = forks[0].fork().expect("a fork of a fork");
    drop(session);
    drop(forks);
    same_as_fresh(&model, &fork, &turns(&model, 6, Some(5)));
}

fn what_was_evaluated_ahead_is_not_evaluated_again(folder: &str) {
    let model = load(folder);
    let session = Session::of_chunk(&model, 32);
    let prompt = turns(&model, 4, None);
    for again in 0..2 {
        session.prefill(&prompt, &Options::greedy(4)).expect("an accepted prompt");
        assert_eq!(session.submit(&prompt, &Options::greedy(4)).unwrap_err().code, RMLX_ERROR_BUSY);
        let events = session.rest().events;
        assert_eq!(events.iter().map(|e| e.finish).collect::<Vec<_>>(), [RMLX_FINISH_PREFILLED]);
        let stats = session.stats();
        assert_eq!((stats.held_tokens, stats.generated_tokens), (stats.prompt_tokens, 0));
        assert!(stats.cache_bytes > 0 && stats.prefill_ms > 0.0);
        assert!(again == 0 || stats.reused_tokens + 1 == stats.prompt_tokens);
    }
    let encoded = session.stats().encoded_media;
    assert_eq!(encoded, 0, "the second time");
    let total = session.stats().prompt_tokens as usize;
    assert_eq!(same_as_fresh(&model, &session, &prompt), total - 1);
    // What is written so far, and then the rest of it.
    session.prefill(&turns(&model, 9, None), &Options::greedy(1)).expect("an accepted prompt");
    session.rest();
    let held = last_turn(&model, &session);
    assert!(same_as_fresh(&model, &session, &turns(&model, 10, None)) >= held);
}

macro_rules! kinds {
    ($($kind:ident: $folder:literal,)*) => {
        $(mod $kind {
            #[test]
            fn an_edit_of_an_older_turn_evaluates_little_more_than_what_is_behind_it() {
                super::an_edit_of_an_older_turn_evaluates_little_more_than_what_is_behind_it($folder);
            }

            #[test]
            fn a_session_that_is_cut_back_goes_on_as_if_it_were_new() {
                super::a_session_that_is_cut_back_goes_on_as_if_it_were_new($folder);
            }

            #[test]
            fn forks_and_what_they_were_made_of_go_on_as_if_each_were_new() {
                super::forks_and_what_they_were_made_of_go_on_as_if_each_were_new($folder);
            }

            #[test]
            fn what_was_evaluated_ahead_is_not_evaluated_again() {
                super::what_was_evaluated_ahead_is_not_evaluated_again($folder);
            }
        })*
    };
}

kinds! {
    unified: "unified-bf16-mlx",
    unified_in_mxfp4: "unified-mxfp4",
    per_layer_inputs_and_wide_shared_layers: "e2b-bf16-hf",
    per_layer_inputs_in_nvfp4: "e2b-nvfp4",
    per_layer_inputs_and_shared_layers: "e4b-bf16-hf",
    experts: "moe-bf16-hf",
    experts_in_affine: "moe-affine4",
    dense: "dense31-bf16-hf",
    dense_in_mxfp4: "dense31-mxfp4",
    gemma3: "gemma3-bf16-mlx",
    gemma3_mixed: "gemma3-mixed",
    gemma3_text: "gemma3text-bf16-hf",
    gemma4_text: "gemma4text-bf16-hf",
    qwen3_vl: "qwen3vl-bf16-mlx",
    qwen3_vl_in_mxfp8: "qwen3vl-mxfp8",
    qwen3_vl_tied: "qwen3vltied-bf16-hf",
    qwen3_vl_of_experts: "qwen3vlmoe-bf16-mlx",
}

#[test]
fn while_an_answer_is_made_nothing_is_forked_or_cut() {
    let session = Session::new(fixtures::model());
    session.submit(&Prompt::user("Hello"), &Options::endless(8)).expect("an accepted prompt");
    assert_eq!(session.fork().err().map(|e| e.code), Some(RMLX_ERROR_BUSY));
    assert_eq!(session.truncate(0).map_err(|e| e.code), Err(RMLX_ERROR_BUSY));
    assert_eq!(
        session.prefill(&Prompt::user("Hello"), &Options::greedy(1)).unwrap_err().code,
        RMLX_ERROR_BUSY
    );
    session.rest();
    assert_eq!(session.fork().expect("a fork").truncate(3), Ok(3));
    assert!(session.stats().held_tokens > 3);
}

#[test]
fn a_fork_has_the_answer_and_says_it_to_its_own_conversation() {
    let session = Session::new(fixtures::model());
    let options = Options::endless(6).set(|o, e| rmlx_generation_options_set_exact_history(o, true, e));
    let ask = || Prompt::user("Hello");
    session.answer(&ask(), &options);
    let fork = session.fork().expect("a fork");
    let add = |session: &Session, mut prompt: Prompt| {
        // SAFETY: the session lives.
        check(|e| unsafe { rmlx_prompt_add_answer(prompt.raw_mut(), session.raw(), e) }).map(|()| prompt)
    };
    let next = |session: &Session| {
        let prompt = add(session, ask()).expect("an answer").message("user").text("And?");
        session.answer(&prompt, &options);
        (session.prompt_tokens(), session.stats().reused_tokens)
    };
    assert_eq!(next(&session), next(&fork));
    fork.prefill(&ask(), &options).expect("an accepted prompt");
    fork.rest();
    assert_eq!(add(&fork, ask()).err().map(|e| e.code), Some(RMLX_ERROR_INVALID_ARGUMENT), "no answer");
    assert_eq!(Session::new(fixtures::model()).fork().expect("of nothing").truncate(7), Ok(0));
}

#[test]
fn an_evaluation_can_be_cancelled_and_what_it_has_done_stays() {
    let model = fixtures::model();
    let session = Session::of_chunk(model, 16);
    let options = Options::greedy(1).set(|o, e| rmlx_generation_options_set_progress_events(o, true, e));
    let prompt = turns(model, 8, None);
    session.prefill(&prompt, &options).expect("an accepted prompt");
    let (done, _) = session.step().expect("an event").progress.expect("how far it is");
    session.cancel();
    assert_eq!(session.rest().finish(), RMLX_FINISH_CANCELLED);
    assert!(same_as_fresh(model, &session, &prompt) >= done);
}

/// Of an answer far longer than the window.
#[test]
fn a_long_answer_is_taken_back_to_near_where_it_is_changed() {
    let model = fixtures::model();
    let session = Session::new(model);
    let ids: Vec<u32> = (0..100).map(|i| 300 + i % 200).collect();
    let answer = session.answer(&Prompt::new().tokens(&ids), &Options::endless(1200)).tokens();
    for shared in [1150, 1000, 700, 300, 100] {
        let prompt = Prompt::new().tokens(&[&ids[..], &answer[..shared], &[299, 298]].concat());
        let reused = same_as_fresh(model, &session.fork().expect("a fork"), &prompt);
        let (again, behind) = (100 + shared - reused, 1200 - shared);
        assert!(again <= 3 * behind + 2 * WINDOW, "{again} again for {behind} behind {shared}");
    }
}

/// Bytes of windows are those of all sliding layers.
#[test]
fn kept_states_are_counted_bounded_given_up_and_can_be_none() {
    around::alone("past::kept_states_are_counted_bounded_given_up_and_can_be_none", || {
        let model = fixtures::model();
        let of = |count| Session::with(model, |o| rmlx_session_options_set_checkpoints(o, count, None));
        let one = 4 * (2 * 2 * 32 * 4) * 47;
        let kept = |session: &Session| {
            session.answer(&turns(model, 30, None), &Options::endless(2));
            session.stats().checkpoint_bytes
        };
        assert_eq!((kept(&of(0)), kept(&of(1)), kept(&of(2))), (0, one, 2 * one));
        let session = Session::new(model);
        let all = kept(&session);
        assert!(all > 3 * one && all <= 8 * one, "{all}");
        check(|e| rmlx_memory_trim(e)).expect("a trim");
        assert_eq!(session.stats().checkpoint_bytes, one, "the last turn's stays");
        let held = last_turn(model, &session);
        assert!(same_as_fresh(model, &session, &turns(model, 31, None)) >= held);
        // Without one, all is evaluated again once the window has moved on.
        let none = of(0);
        none.answer(&turns(model, 30, None), &Options::endless(500));
        assert_eq!(same_as_fresh(model, &none, &turns(model, 31, None)), 0);
        session.reset().expect("a reset");
        assert_eq!(session.stats().checkpoint_bytes, 0);
    });
}
