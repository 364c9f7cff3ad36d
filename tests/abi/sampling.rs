//! What is delivered for each token, and what the options change.

use std::ptr;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::session::rmlx_session_logits;
use rmlx::ffi::status::*;

use crate::answers::{Answer, Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Prompt, check, make};

const SUPPRESSED: [u32; 2] = [723, 724];
const VOCABULARY: u32 = 768;

fn ask(name: &str, options: &Options) -> Answer {
    Session::new(fixtures::model()).answer(&Case::load(name).prompt(), options)
}

/// Forbids tokens that are spelled otherwise in an answer than by themselves: ends of turns and other markers.
fn plain(options: Options) -> Options {
    let model = fixtures::model();
    let special = |id: &u32| {
        let text = |skip| model.detokenize(&[*id], skip).unwrap_or_default();
        text(true) != text(false) || text(true).is_empty()
    };
    (0..VOCABULARY).filter(special).fold(options, |options, id| options.bias(id, f32::NEG_INFINITY))
}

fn argmax(row: &[f32]) -> u32 {
    let likeliest = |(i, x): (usize, &f32)| (!SUPPRESSED.contains(&(i as u32))).then_some((i, *x));
    let best = row.iter().enumerate().filter_map(likeliest).max_by(|a, b| a.1.total_cmp(&b.1));
    best.expect("a row").0 as u32
}

fn sampled(seed: u64) -> Options {
    Options::endless(24)
        .set(|o, e| rmlx_generation_options_set_temperature(o, 1.0, e))
        .set(|o, e| rmlx_generation_options_set_seed(o, seed, e))
}

#[test]
fn each_token_is_one_event_and_then_comes_one_finish() {
    for name in ["text", "one_image", "thinking"] {
        let session = Session::new(fixtures::model());
        let answer = session.answer(&Case::load(name).prompt(), &Options::endless(12));
        let (finish, tokens) = answer.events.split_last().expect("events");
        assert_eq!(tokens.len(), 12);
        for event in tokens {
            assert!([RMLX_EVENT_TEXT, RMLX_EVENT_REASONING].contains(&event.kind), "{event:?}");
            assert!(event.token.is_some() && event.finish == RMLX_FINISH_NONE && event.error.is_none());
            assert_eq!((event.logprob, event.top.len(), event.progress), (None, 0, None));
        }
        assert_eq!((finish.kind, finish.finish), (RMLX_EVENT_FINISH, RMLX_FINISH_MAX_TOKENS));
        assert_eq!(finish.token, None);
        assert_eq!(session.stats().generated_tokens, 12);
    }
}

#[test]
fn the_texts_of_an_answer_together_are_the_text_of_its_tokens() {
    for name in ["text", "one_image", "audio", "multi_turn", "long_text"] {
        for options in [plain(Options::endless(40)), plain(sampled(5))] {
            let answer = ask(name, &options);
            assert_eq!(Ok(answer.text()), fixtures::model().detokenize(&answer.tokens(), true), "{name}");
        }
    }
}

#[test]
fn an_answer_ends_after_as_many_tokens_as_are_allowed() {
    for max in [1, 2, 7] {
        let answer = ask("text", &Options::endless(max));
        assert_eq!(answer.tokens(), Case::load("text").bf16().greedy_ids[..max]);
        assert_eq!(answer.finish(), RMLX_FINISH_MAX_TOKENS);
    }
}

#[test]
fn a_seed_makes_an_answer_repeatable() {
    let tokens = |seed| ask("text", &sampled(seed)).tokens();
    assert_eq!(tokens(7), tokens(7));
    assert_ne!(tokens(7), tokens(8));
}

#[test]
fn what_is_not_set_comes_from_the_snapshots_generation_config() {
    let explicit = sampled(3)
        .set(|o, e| rmlx_generation_options_set_top_k(o, 64, e))
        .set(|o, e| rmlx_generation_options_set_top_p(o, 0.95, e));
    assert_eq!(ask("text", &sampled(3)).tokens(), ask("text", &explicit).tokens());
}

#[test]
fn samplers_that_leave_one_token_are_greedy() {
    let greedy = ask("text", &Options::endless(12)).tokens();
    let hot = || {
        Options::endless(12)
            .set(|o, e| rmlx_generation_options_set_temperature(o, 5.0, e))
            .set(|o, e| rmlx_generation_options_set_top_k(o, 0, e))
            .set(|o, e| rmlx_generation_options_set_top_p(o, 1.0, e))
    };
    for options in [
        hot().set(|o, e| rmlx_generation_options_set_top_k(o, 1, e)),
        hot().set(|o, e| rmlx_generation_options_set_min_p(o, 1.0, e)),
        hot().set(|o, e| rmlx_generation_options_set_top_p(o, 1e-6, e)),
    ] {
        assert_eq!(ask("text", &options).tokens(), greedy);
    }
}

#[test]
fn a_bias_forces_and_forbids_tokens() {
    let greedy = Case::load("text").bf16().greedy_ids[0];
    let forced = ask("text", &Options::endless(3).bias(400, 1000.0)).tokens();
    assert_eq!(forced, [400; 3]);
    let other = ask("text", &Options::endless(8).bias(greedy, f32::NEG_INFINITY)).tokens();
    assert!(!other.contains(&greedy));
    let none = ask("text", &Options::endless(3).bias(400, 1000.0).bias(400, -1000.0)).tokens();
    assert_eq!(none, Case::load("text").bf16().greedy_ids[..3], "biases of a token add up");
}

#[test]
fn a_penalty_for_presence_keeps_tokens_from_coming_twice() {
    let options = Options::endless(40).set(|o, e| rmlx_generation_options_set_presence_penalty(o, 100.0, e));
    let mut tokens = ask("one_image", &options).tokens();
    tokens.sort_unstable();
    assert!(tokens.windows(2).all(|two| two[0] != two[1]), "{tokens:?}");
}

#[test]
fn suppressed_tokens_are_never_generated() {
    let case = Case::load("one_image");
    let greedy = Session::new(fixtures::model()).answer(&case.prompt(), &Options::endless(16));
    let likeliest = greedy.first_row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("a row").0;
    assert!(SUPPRESSED.contains(&(likeliest as u32)), "the model itself would have it");
    for seed in 0..4 {
        let options = Options::endless(60)
            .set(|o, e| rmlx_generation_options_set_temperature(o, 3.0, e))
            .set(|o, e| rmlx_generation_options_set_top_k(o, 0, e))
            .set(|o, e| rmlx_generation_options_set_seed(o, seed, e));
        let tokens = ask("one_image", &options).tokens();
        assert!(!tokens.iter().any(|token| SUPPRESSED.contains(token)), "{tokens:?}");
    }
}

#[test]
fn logprobs_are_those_of_the_row_before_any_option() {
    let session = Session::new(fixtures::model());
    let options = Options::endless(4)
        .bias(400, 1000.0)
        .set(|o, e| rmlx_generation_options_set_top_logprobs(o, VOCABULARY as usize, e));
    session.submit(&Case::load("text").prompt(), &options).expect("an accepted prompt");
    for _ in 0..4 {
        let event = session.step().expect("an event");
        let row = session.logits().expect("a row");
        let most = row.iter().copied().fold(f32::MIN, f32::max);
        let total = most + row.iter().map(|x| (x - most).exp()).sum::<f32>().ln();
        let close = |logprob: f32, token: u32| (logprob - (row[token as usize] - total)).abs() < 1e-3;
        assert_eq!(event.top.len(), VOCABULARY as usize);
        assert_eq!(event.top[0].1, event.top.iter().map(|top| top.1).fold(f32::MIN, f32::max));
        assert!(event.top.windows(2).all(|two| two[0].1 >= two[1].1), "the likeliest come first");
        assert!(event.top.iter().all(|(token, logprob, _)| close(*logprob, *token)));
        let sum: f32 = event.top.iter().map(|top| top.1.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
        assert_eq!(event.token, Some(400));
        assert!(close(event.logprob.expect("a logprob"), 400));
    }
    session.cancel();
    session.rest();
}

#[test]
fn the_logits_are_those_of_the_token_in_hand() {
    let session = Session::new(fixtures::model());
    session.submit(&Case::load("text").prompt(), &Options::endless(12)).expect("an accepted prompt");
    assert_eq!(session.logits().expect_err("no token yet").code, RMLX_ERROR_INVALID_ARGUMENT);
    let mut last = vec![];
    for token in &Case::load("text").bf16().greedy_ids[..12] {
        assert_eq!(session.step().expect("an event").token, Some(*token));
        last = session.logits().expect("a row");
        assert_eq!(last.len(), VOCABULARY as usize);
        assert_eq!(argmax(&last), *token);
        assert_eq!(session.logits().expect("a row"), last, "asking again gives the same");
    }
    session.rest();
    assert_eq!(session.logits().expect("the last row"), last);
}

#[test]
fn too_little_room_says_how_much_it_takes() {
    let session = Session::new(fixtures::model());
    session.answer(&Prompt::user("Hello"), &Options::greedy(1));
    let mut few = [0.0; 10];
    let mut count = std::mem::MaybeUninit::new(0);
    // SAFETY: there is as much room as is said.
    let failure = check(|error| unsafe {
        rmlx_session_logits(session.raw(), few.as_mut_ptr(), few.len(), Some(&mut count), error)
    });
    assert_eq!(failure.expect_err("too little").code, RMLX_ERROR_INVALID_ARGUMENT);
    // SAFETY: initialized above.
    assert_eq!(unsafe { count.assume_init() }, VOCABULARY as usize);
    assert_eq!(few, [0.0; 10], "nothing was copied");
    // SAFETY: with no room, nothing is written to NULL.
    let count =
        make(0, |out, error| unsafe { rmlx_session_logits(session.raw(), ptr::null_mut(), 0, out, error) });
    assert_eq!(count, Ok(VOCABULARY as usize));
}

#[test]
fn the_lowest_temperatures_are_greedy() {
    let greedy = ask("text", &Options::endless(12)).tokens();
    for temperature in [f32::MIN_POSITIVE, 1e-30, 9e-5] {
        let options = sampled(3).set(|o, e| rmlx_generation_options_set_temperature(o, temperature, e));
        assert_eq!(ask("text", &options).tokens()[..12], greedy, "{temperature}");
    }
}

#[test]
fn no_run_of_n_tokens_comes_twice_where_that_is_asked_for() {
    let session = Session::new(fixtures::model());
    let options =
        plain(Options::endless(60)).set(|o, e| rmlx_generation_options_set_no_repeat_ngram(o, 2, e));
    let answer = session.answer(&Case::load("text").prompt(), &options).tokens();
    let ids = [session.prompt_tokens().expect("ids"), answer.clone()].concat();
    assert_eq!(answer.len(), 60);
    for end in ids.len() - 60..ids.len() {
        let run = &ids[end - 1..=end];
        assert!(!ids[..end].windows(2).any(|earlier| earlier == run), "{run:?} comes twice");
    }
}

/// An answer that would say one token for ever.
fn stuck(max: usize) -> Options {
    Options::endless(max).bias(400, 50.0)
}

#[test]
fn dry_leaves_a_run_that_goes_on_and_on_unless_it_is_broken() {
    let dry = |options: Options| options.set(|o, e| rmlx_generation_options_set_dry(o, 5.0, 1.75, 2, 0, e));
    let tokens = ask("text", &dry(stuck(30))).tokens();
    assert!(
        tokens.windows(2).any(|two| two == [400, 400]) && tokens.iter().any(|id| *id != 400),
        "{tokens:?}"
    );
    let spelled = fixtures::model().detokenize(&[400], false).expect("text");
    let ends_with = fixtures::model().tokenize(&format!("a{spelled}"), false).expect("ids");
    assert_eq!(ends_with.last(), Some(&400), "the fixture's token is one behind a letter");
    let (utf8, len) = (spelled.as_ptr().cast(), spelled.len());
    // SAFETY: the text is as long as its length says.
    let broken =
        dry(stuck(30)).set(|o, e| unsafe { rmlx_generation_options_add_dry_breaker(o, utf8, len, e) });
    assert_eq!(ask("text", &broken).tokens(), [400; 30]);
}

#[test]
fn an_answer_that_goes_round_ends_where_that_is_asked_for() {
    let loops = |repeats, least| {
        stuck(30).set(|o, e| rmlx_generation_options_set_loop_detection(o, repeats, 8, least, e))
    };
    for (options, tokens, finish) in [
        (loops(4, 0), 4, RMLX_FINISH_LOOP),
        (loops(4, 10), 10, RMLX_FINISH_LOOP),
        (loops(0, 0), 30, RMLX_FINISH_MAX_TOKENS),
    ] {
        let answer = ask("text", &options);
        assert_eq!((answer.tokens().len(), answer.finish()), (tokens, finish));
        assert_eq!(Ok(answer.text()), fixtures::model().detokenize(&answer.tokens(), true));
    }
}
