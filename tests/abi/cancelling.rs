//! A cancel ends an answer with one FINISH, whenever it comes, and leaves the session usable.

use std::hint;
use std::thread;

use rmlx::ffi::event::*;

use crate::answers::{Answer, Options, Session};
use crate::around::beside;
use crate::fixtures::{self, Case, TOLERANCE, distance};
use crate::harness::Prompt;
use crate::sound;

/// The answer may have been done before the cancel came.
#[track_caller]
fn ended_once(answer: &Answer) {
    assert_eq!(answer.events.iter().filter(|event| event.is_finish()).count(), 1);
    assert!(
        [RMLX_FINISH_CANCELLED, RMLX_FINISH_MAX_TOKENS].contains(&answer.finish()),
        "{:?}",
        answer.events
    );
}

#[test]
fn a_cancel_between_any_two_events_ends_the_answer() {
    let case = Case::load("image_and_audio");
    let session = Session::of_chunk(fixtures::model(), 16);
    for events in 0..6 {
        session.submit(&case.prompt(), &Options::endless(1000)).expect("an accepted prompt");
        for _ in 0..events {
            assert!(!session.step().expect("an event").is_finish());
        }
        session.cancel();
        let rest = session.rest();
        assert_eq!(rest.finish(), RMLX_FINISH_CANCELLED);
        assert!(rest.events.len() <= 3, "{} events after the cancel", rest.events.len());
        sound::is_usable(&session);
    }
}

#[test]
fn a_cancel_from_another_thread_at_any_moment_ends_the_answer_once() {
    let case = Case::load("image_and_audio");
    let session = Session::of_chunk(fixtures::model(), 16);
    let mut cancelled = 0;
    let mut spins: u64 = 1;
    for _ in 0..24 {
        let answer = thread::scope(|scope| {
            session.submit(&case.prompt(), &Options::endless(12)).expect("an accepted prompt");
            scope.spawn(|| {
                (0..spins).for_each(|_| hint::spin_loop());
                session.cancel();
            });
            session.rest()
        });
        ended_once(&answer);
        cancelled += usize::from(answer.finish() == RMLX_FINISH_CANCELLED);
        spins = spins * 2 % 8_388_593 + 1;
        sound::is_usable(&session);
    }
    assert!(cancelled > 0, "the shortest waits come before the answer is done");
}

#[test]
fn cancels_without_end_harm_nothing() {
    let session = Session::new(fixtures::model());
    let answer = || session.answer(&Prompt::user("Hello"), &Options::endless(3));
    beside(|| session.cancel(), || (0..20).for_each(|_| ended_once(&answer())));
    sound::is_usable(&session);
}

#[test]
fn a_cancel_without_an_answer_does_nothing() {
    let session = Session::new(fixtures::model());
    session.cancel();
    sound::is_usable(&session);
    session.cancel();
    session.cancel();
    sound::is_usable(&session);
}

#[test]
fn what_a_cancelled_prompt_left_behind_is_right() {
    let case = Case::load("interleaved");
    let session = Session::of_chunk(fixtures::model(), 16);
    let progress = Options::endless(4)
        .set(|o, e| rmlx::ffi::generation_options::rmlx_generation_options_set_progress_events(o, true, e));
    for events in [1, 3, 5, 8] {
        session.reset().expect("a reset");
        session.submit(&case.prompt(), &progress).expect("an accepted prompt");
        for _ in 0..events {
            session.step().expect("an event");
        }
        session.cancel();
        session.rest();
        let answer = session.answer(&case.prompt(), &Options::endless(4));
        let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
        assert!(off <= TOLERANCE, "off by {off} after {events} events");
        assert_eq!(answer.tokens(), case.bf16().greedy_ids[..4]);
    }
}

#[test]
fn a_reset_in_the_middle_of_an_answer_drops_it() {
    let case = Case::load("text");
    let session = Session::new(fixtures::model());
    for events in 0..3 {
        session.submit(&case.prompt(), &Options::endless(1000)).expect("an accepted prompt");
        for _ in 0..events {
            session.step().expect("an event");
        }
        session.reset().expect("a reset");
        assert!(session.step().is_err(), "no event follows");
        sound::is_usable(&session);
    }
}
