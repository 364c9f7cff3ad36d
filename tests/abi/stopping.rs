//! Stop strings end an answer and no part of them is handed out.

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::rmlx_generation_options_set_ignore_eos;

use crate::answers::{Answer, Options, Session};
use crate::fixtures;
use crate::harness::Prompt;

const TOKENS: usize = 16;

/// Ids of everyday text, so that pieces of answers have characters to stop at.
fn options() -> Options {
    (600..768).chain(0..300).fold(Options::endless(TOKENS), |options, id| options.bias(id, f32::NEG_INFINITY))
}

fn ask(options: &Options) -> Answer {
    Session::new(fixtures::model()).answer(&Prompt::user("Hello"), options)
}

/// Byte ranges of all substrings of `text` up to `longest` characters.
fn substrings(text: &str, longest: usize) -> Vec<&str> {
    let borders: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let end = |begin: usize| (begin + longest).min(borders.len() - 1);
    (0..borders.len())
        .flat_map(|begin| (begin + 1..=end(begin)).map(move |end| (begin, end)))
        .map(|(begin, end)| &text[borders[begin]..borders[end]])
        .collect()
}

#[test]
fn the_answer_ends_before_the_first_stop_string_wherever_it_lies() {
    let whole = ask(&options());
    let text = whole.text();
    assert!(text.chars().count() >= TOKENS, "{text:?}");
    let pieces: Vec<&str> = whole.events.iter().map(|event| event.text.as_str()).collect();
    assert!(pieces.iter().any(|piece| piece.chars().count() > 1), "some border lies inside a stop string");
    for stop in substrings(&text, 5).into_iter().step_by(3) {
        let answer = ask(&options().stop(stop));
        let before = &text[..text.find(stop).expect("it is a part of the text")];
        assert_eq!(answer.text(), before, "stopped at {stop:?}");
        assert_eq!(answer.finish(), RMLX_FINISH_STOP_STRING);
        let tokens = answer.tokens();
        assert_eq!(tokens, whole.tokens()[..tokens.len()], "one event for each token");
    }
}

#[test]
fn of_several_stop_strings_the_first_to_appear_counts() {
    let text = ask(&options()).text();
    let borders: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
    let (late, early) = (&text[borders[10]..borders[13]], &text[borders[4]..borders[6]]);
    let answer = ask(&options().stop("nowhere at all").stop(late).stop(early));
    let first = text.find(late).expect("late").min(text.find(early).expect("early"));
    assert_eq!(answer.text(), text[..first]);
}

#[test]
fn what_only_began_like_a_stop_string_is_delivered() {
    let text = ask(&options()).text();
    for begin in substrings(&text, 4).into_iter().step_by(5) {
        let answer = ask(&options().stop(&format!("{begin}\u{1f600}")));
        assert_eq!(answer.text(), text, "{begin:?} and no more");
        assert_eq!(answer.finish(), RMLX_FINISH_MAX_TOKENS);
    }
}

#[test]
fn the_end_of_a_turn_releases_what_was_held_back() {
    let text = ask(&options()).text();
    let first: String = text.chars().take(1).collect();
    let held = format!("{first}\u{1f600}");
    let session = Session::new(fixtures::model());
    session.submit(&Prompt::user("Hello"), &options().stop(&held)).expect("an accepted prompt");
    let event = session.step().expect("an event");
    session.cancel();
    let rest = session.rest();
    let all: String = [event.text, rest.text()].concat();
    assert!(text.starts_with(&all) && !all.is_empty(), "{all:?} of {text:?}");
}

/// An answer of nothing but ends of turns, spelled `<turn|>`, which end it or not.
fn turn_ends_after(stop: &str, ends: bool) -> Answer {
    let options = Options::endless(TOKENS).stop(stop).bias(16, 1000.0);
    ask(&options.set(|o, e| rmlx_generation_options_set_ignore_eos(o, !ends, e)))
}

#[test]
fn a_stop_string_may_be_spelled_with_special_tokens() {
    for ends in [true, false] {
        let answer = turn_ends_after("<turn|>", ends);
        assert_eq!((answer.finish(), answer.tokens()), (RMLX_FINISH_STOP_STRING, vec![16]));
    }
    let answer = turn_ends_after("<turn|><turn|><turn|>", false);
    assert_eq!((answer.finish(), answer.tokens()), (RMLX_FINISH_STOP_STRING, vec![16; 3]));
    assert_eq!(turn_ends_after("<turn|>x", true).finish(), RMLX_FINISH_END_OF_TURN);
    assert_eq!(turn_ends_after("n|>", true).finish(), RMLX_FINISH_END_OF_TURN, "not by a part of a spelling");
}
