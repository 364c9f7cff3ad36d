//! Conversations that do not fit, shortened by their oldest turns where the host wants that.

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::fresh::same_as_fresh;
use crate::harness::{Media, Model, Prompt, check};

const CONTEXT: usize = 400;

/// A session of [`CONTEXT`] positions that keeps at least so many turns.
fn keeping(model: &Model, turns: usize) -> Session {
    Session::with(model, |options| {
        let mut options = options;
        check(|e| rmlx_session_options_set_context_length(options.as_deref_mut(), CONTEXT, e))
            .expect("a length");
        rmlx_session_options_set_keep_turns(options, turns, None)
    })
}

/// What the turns from `begin` on are, behind a system's message.
fn turns(begin: usize, count: usize) -> Prompt {
    let mut prompt = Prompt::new().message("system").text("Answer in a few words.");
    for turn in begin..count {
        prompt = prompt.message("user").text(&format!("Turn {turn}: how many words are in this question?"));
        if turn + 1 < count {
            prompt = prompt.message("assistant").text("Eight, I think.");
        }
    }
    prompt
}

fn dropped(session: &Session) -> usize {
    session.stats().dropped_messages as usize
}

#[test]
fn without_the_wish_a_conversation_that_does_not_fit_is_refused() {
    let session = Session::of_context(fixtures::model(), CONTEXT);
    let refused = session.submit(&turns(0, 60), &Options::greedy(4)).unwrap_err();
    assert_eq!(refused.code, RMLX_ERROR_CONTEXT_FULL);
    let zero =
        check(|e| rmlx_session_options_set_keep_turns(rmlx_session_options_new().as_deref_mut(), 0, e));
    assert_eq!(zero.unwrap_err().code, RMLX_ERROR_INVALID_ARGUMENT);
}

/// The tokens are those of the shortened conversation, and most of them are held from the turn before.
#[test]
fn a_growing_conversation_loses_its_oldest_turns_now_and_then() {
    let model = fixtures::model();
    let session = keeping(model, 1);
    let (mut cuts, mut before) = (0, 0);
    for count in 1..40 {
        let whole = turns(0, count);
        let fits = model.count(&whole).expect("a count") + 4 <= CONTEXT;
        let answer = session.answer(&whole, &Options::endless(4));
        assert_eq!(answer.finish(), RMLX_FINISH_MAX_TOKENS, "with room for the whole answer");
        let now = dropped(&session);
        assert_eq!(now == 0, fits, "turn {count}");
        assert_eq!(now % 2, 0, "whole turns");
        let fresh = Session::new(model);
        let shortened = fresh.answer(&turns(now / 2, count), &Options::endless(4));
        assert_eq!(session.prompt_tokens(), fresh.prompt_tokens(), "turn {count}");
        assert_eq!(answer.tokens(), shortened.tokens(), "turn {count}");
        if now != before {
            cuts += 1;
            assert!(session.stats().prompt_tokens as usize <= CONTEXT / 2, "half of it is free");
        } else if count > 1 {
            let (held, total) = (session.stats().reused_tokens, session.stats().prompt_tokens);
            assert!(held + 100 > total, "{held} of {total} are held in turn {count}");
        }
        before = now;
    }
    assert!((2..16).contains(&cuts), "{cuts} cuts of 39 turns");
    // A conversation that fits is whole again.
    session.answer(&turns(0, 3), &Options::endless(1));
    assert_eq!(dropped(&session), 0);
}

#[test]
fn so_many_turns_stay_and_what_they_do_not_fit_into_is_full() {
    let session = keeping(fixtures::model(), 4);
    session.answer(&turns(0, 40), &Options::endless(4));
    assert!(dropped(&session) <= 2 * 36 && dropped(&session) > 0);
    let refused = keeping(fixtures::model(), 39).submit(&turns(0, 40), &Options::greedy(4)).unwrap_err();
    assert_eq!(refused.code, RMLX_ERROR_CONTEXT_FULL);
    // The last turn alone does not fit: no cut helps, and none is made inside of it.
    let long = "How many words? ".repeat(400);
    let prompt = turns(0, 3).message("assistant").text("Eight.").message("user").text(&long);
    let session = keeping(fixtures::model(), 1);
    assert_eq!(session.submit(&prompt, &Options::greedy(4)).unwrap_err().code, RMLX_ERROR_CONTEXT_FULL);
    assert_eq!(session.stats().prompt_tokens, 0, "nothing has begun");
    // Tokens are the host's own.
    let tokens = Prompt::new().tokens(&[300; 500]);
    assert_eq!(session.submit(&tokens, &Options::greedy(4)).unwrap_err().code, RMLX_ERROR_CONTEXT_FULL);
}

#[test]
fn media_of_turns_that_are_left_out_go_with_them() {
    let model = fixtures::model();
    let session = keeping(model, 1);
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * 10 % 251) as u8).collect();
    let image = Media::gray(96, 96, &pixels).expect("an image");
    let mut prompt = Prompt::new().message("user").media(&image).text("What is it?");
    for turn in 0..30 {
        prompt =
            prompt.message("assistant").text("A strip.").message("user").text(&format!("Why? {turn} words."));
    }
    session.answer(&prompt, &Options::endless(4));
    assert!(dropped(&session) > 0);
    assert_eq!((session.stats().media_tokens, session.stats().encoded_media), (0, 0));
    session.prefill(&prompt, &Options::endless(4)).expect("an accepted prompt");
    assert_eq!(session.rest().finish(), RMLX_FINISH_PREFILLED);
    assert!(dropped(&session) > 0, "the same for what is evaluated ahead");
}

#[test]
fn a_call_stays_with_its_result_and_an_exact_history_is_the_templates_then() {
    let model = fixtures::model();
    let tools = r#"[{"type": "function", "function": {"name": "f", "description": "A tool.",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer", "description": "A number."}}}}}]"#;
    let from = |begin: usize| {
        let mut prompt = Prompt::new();
        for turn in begin..12 {
            prompt = prompt.message("user").text(&format!("Turn {turn}: call it, and say what it told."));
            prompt = prompt.message("assistant").call("f", &format!("{{\"n\": {turn}}}"));
            prompt = prompt.result("", "f").text(&format!("It told {turn}."));
            prompt = prompt.message("assistant").text(&format!("It is {turn}."));
        }
        prompt.message("user").text("And now?").tools(tools)
    };
    let session = keeping(model, 2);
    let exact = Options::endless(4).set(|o, e| rmlx_generation_options_set_exact_history(o, true, e));
    session.answer(&from(0), &exact);
    let messages = dropped(&session);
    assert!(messages > 0 && messages.is_multiple_of(4), "{messages}");
    let fresh = Session::new(model);
    same_as_fresh(model, &fresh, &from(messages / 4));
    assert_eq!(session.prompt_tokens(), fresh.prompt_tokens());
    let fork = session.fork().expect("a fork");
    fork.answer(&from(0), &exact);
    assert_eq!(fork.prompt_tokens(), session.prompt_tokens(), "a fork begins where its parent did");
}
