//! Constraints together with everything else that an answer can be asked for.

use std::collections::BTreeSet;
use std::path::Path;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::prompt::rmlx_prompt_set_continue_final_message;
use rmlx::ffi::session::rmlx_prompt_add_answer;
use serde_json::{Value, json};

use crate::answers::{Answer, Event, Options, Session};
use crate::fixtures;
use crate::harness::{Model, Prompt, check};
use crate::judge::fault;

fn demo() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/bf16");
    Model::load(folder).expect("the demo model")
}

fn capital() -> Prompt {
    Prompt::user("What is the capital of France?")
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "sure": {"type": "boolean"}},
        "required": ["city", "sure"],
        "additionalProperties": false,
    })
}

fn held(options: Options) -> Options {
    options.constraint(RMLX_CONSTRAINT_JSON_SCHEMA, &schema().to_string())
}

fn one_of(options: Options, texts: &[&str]) -> Options {
    options.constraint(RMLX_CONSTRAINT_CHOICE, &json!(texts).to_string())
}

fn thinking(options: Options) -> Options {
    options.set(|o, e| rmlx_generation_options_set_thinking(o, true, e))
}

#[track_caller]
fn is_valid(text: &str) {
    let value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(fault(&value, &schema()), None, "{text}");
}

fn thought(answer: &Answer) -> Vec<&Event> {
    answer.events.iter().filter(|event| event.kind == RMLX_EVENT_REASONING).collect()
}

/// That the session goes on with what it holds as one that evaluates everything anew.
#[track_caller]
fn goes_on_as_fresh(model: &Model, session: &Session, prompt: &Prompt) {
    let tokens = session.answer(prompt, &Options::greedy(8)).tokens();
    assert_eq!(tokens, Session::new(model).answer(prompt, &Options::greedy(8)).tokens());
}

#[test]
fn only_the_answer_behind_a_thought_is_held() {
    let model = demo();
    let free = Session::new(&model).answer(&capital(), &thinking(Options::greedy(64)));
    let answer = Session::new(&model).answer(&capital(), &held(thinking(Options::greedy(120))));
    let said = |answer: &Answer| thought(answer).iter().map(|event| event.text.as_str()).collect::<String>();
    assert!(!said(&answer).trim().is_empty());
    assert_eq!(said(&answer), said(&free), "the thought is as it is without a constraint");
    is_valid(&answer.text());
    assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
}

#[test]
fn a_thought_that_its_budget_ends_is_followed_by_a_held_answer() {
    let model = demo();
    for budget in [1, 3, 5] {
        let options = held(thinking(Options::greedy(120)))
            .set(|o, e| rmlx_generation_options_set_thinking_budget(o, budget, e));
        let answer = Session::new(&model).answer(&capital(), &options);
        let most = budget + 1;
        assert!(thought(&answer).len() <= most, "{budget}: {} events", thought(&answer).len());
        is_valid(&answer.text());
        assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
    }
}

#[test]
fn a_stop_string_ends_a_held_answer_also_where_tokens_are_forced() {
    let model = fixtures::model();
    let session = Session::new(model);
    let options = || one_of(Options::greedy(60), &["one, two, three and four"]);
    let answer = session.answer(&Prompt::user("Hello"), &options().stop("three"));
    assert_eq!((answer.text().as_str(), answer.finish()), ("one, two, ", RMLX_FINISH_STOP_STRING));
    let next = Prompt::user("Hello").message("assistant").text("one, two,").message("user").text("And?");
    goes_on_as_fresh(model, &session, &next);
    let digits = Options::greedy(60).constraint(RMLX_CONSTRAINT_REGEX, "[0-9]{20}7[0-9]{20}");
    let answer = session.answer(&Prompt::user("Hello"), &digits.stop("7"));
    assert!(answer.text().len() <= 20 && answer.finish() == RMLX_FINISH_STOP_STRING, "{}", answer.text());
}

#[test]
fn a_stop_token_ends_a_held_answer() {
    let model = fixtures::model();
    let text = "one, two, three and four";
    let ids = model.tokenize(text, false).expect("ids");
    let last = *ids.last().expect("an id");
    let at = ids.iter().position(|id| *id == last).expect("the id");
    let options =
        one_of(Options::greedy(60), &[text]).set(|o, e| rmlx_generation_options_add_stop_token(o, last, e));
    let session = Session::new(model);
    let answer = session.answer(&Prompt::user("Hello"), &options);
    assert_eq!((answer.tokens(), answer.finish()), (ids[..=at].to_vec(), RMLX_FINISH_STOP_TOKEN));
    goes_on_as_fresh(model, &session, &Prompt::user("And?"));
}

#[test]
fn penalties_choose_among_what_is_allowed() {
    let model = fixtures::model();
    let letters = || Options::greedy(60).constraint(RMLX_CONSTRAINT_REGEX, "[a-j]{8}");
    let options = letters().set(|o, e| rmlx_generation_options_set_presence_penalty(o, 100.0, e));
    let answer = Session::new(model).answer(&Prompt::user("Hello"), &options);
    let distinct: BTreeSet<u32> = answer.tokens().into_iter().collect();
    let ended = answer.tokens().len() - usize::from(answer.finish() == RMLX_FINISH_END_OF_TURN);
    assert!(distinct.len() >= ended, "{:?}", answer.tokens());
    assert_eq!(answer.text().len(), 8);
    let options = letters()
        .set(|o, e| rmlx_generation_options_set_frequency_penalty(o, 2.0, e))
        .set(|o, e| rmlx_generation_options_set_repetition_penalty(o, 1.5, e));
    assert_eq!(Session::new(model).answer(&Prompt::user("Hello"), &options).text().len(), 8);
}

#[test]
fn a_bias_chooses_among_what_is_allowed_and_one_against_all_of_it_is_an_error() {
    let model = fixtures::model();
    let letter = |text: &str| model.tokenize(text, false).expect("ids")[0];
    let session = Session::new(model);
    for text in ["x", "y"] {
        let options = one_of(Options::greedy(9), &["x", "y"]).bias(letter(text), 1000.0);
        assert_eq!(session.answer(&Prompt::user("Hello"), &options).text(), text);
    }
    // Whether one token may come or several; a letter is also spelled by the token of its byte.
    let spelled = |text: &str| -> Vec<u32> {
        let is = |id: &u32| model.detokenize(&[*id], false).is_ok_and(|spelling| spelling == text);
        (0..768).filter(is).collect()
    };
    for texts in [&["x"][..], &["x", "y"]] {
        let options = one_of(Options::greedy(9), texts);
        let ids = texts.iter().flat_map(|text| spelled(text));
        let options = ids.fold(options, |options, id| options.bias(id, f32::NEG_INFINITY));
        let answer = session.answer(&Prompt::user("Hello"), &options);
        assert_eq!((answer.finish(), answer.text().as_str()), (RMLX_FINISH_ERROR, ""), "{texts:?}");
    }
    goes_on_as_fresh(model, &session, &Prompt::user("And?"));
}

#[test]
fn a_seed_makes_a_held_answer_repeatable() {
    let model = fixtures::model();
    let ask = |seed| Session::new(model).answer(&capital(), &held(Options::greedy(200).hot(seed))).text();
    assert_eq!(ask(3), ask(3));
    let all: BTreeSet<String> = (0..6).map(ask).collect();
    all.iter().for_each(|text| is_valid(text));
    assert!(all.len() > 3, "{all:?}");
}

#[test]
fn log_probabilities_are_those_of_the_row_before_the_mask() {
    let model = fixtures::model();
    let session = Session::new(model);
    let options =
        held(Options::greedy(200).hot(1)).set(|o, e| rmlx_generation_options_set_top_logprobs(o, 3, e));
    session.submit(&capital(), &options).expect("an accepted prompt");
    let (mut drawn, mut forced) = (0, 0);
    loop {
        let event = session.step().expect("an event");
        let Some(token) = event.token else { break };
        match event.logprob {
            Some(logprob) => {
                let row = session.logits().expect("a row");
                let most = row.iter().copied().fold(f32::MIN, f32::max);
                let total = most + row.iter().map(|x| (x - most).exp()).sum::<f32>().ln();
                assert!((logprob - (row[token as usize] - total)).abs() < 1e-3);
                assert_eq!(event.top.len(), 3);
                drawn += 1;
            }
            None => {
                let failure = session.logits().expect_err("the row of another token");
                assert!(event.top.is_empty() && failure.message.contains("had to come"), "{failure:?}");
                forced += 1;
            }
        }
    }
    assert!(drawn > 3 && forced > 3, "{drawn} drawn, {forced} forced");
}

#[test]
fn sessions_with_constraints_of_their_own_share_steps() {
    let model = fixtures::model();
    let kinds: [(rmlx_constraint_kind, String); 4] = [
        (RMLX_CONSTRAINT_JSON_SCHEMA, schema().to_string()),
        (RMLX_CONSTRAINT_REGEX, "[0-9]{12}(-[0-9]{3}){4}".into()),
        (RMLX_CONSTRAINT_LARK, "start: (\"<\" WORD \">\"){6}\nWORD: /[a-f]{1,4}/".into()),
        (RMLX_CONSTRAINT_CHOICE, json!(["a long text that is the one", "another"]).to_string()),
    ];
    let fits = |kind: usize, text: &str| match kind {
        0 => is_valid(text),
        1 => assert!(text.len() == 28 && text.bytes().all(|b| b == b'-' || b.is_ascii_digit()), "{text}"),
        2 => assert!(text.matches('<').count() == 6 && text.ends_with('>') && text.len() <= 36, "{text}"),
        _ => assert!(["a long text that is the one", "another"].contains(&text), "{text}"),
    };
    for seed in 0..3 {
        let sessions: Vec<Session> = kinds.iter().map(|_| Session::new(model)).collect();
        for (session, (kind, text)) in sessions.iter().zip(&kinds) {
            let options = Options::greedy(200).hot(seed).constraint(*kind, text);
            session.submit(&Prompt::user("Hello"), &options).expect("an accepted prompt");
        }
        std::thread::scope(|scope| {
            for (kind, session) in sessions.iter().enumerate() {
                scope.spawn(move || {
                    let answer = session.rest();
                    assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
                    fits(kind, &answer.text());
                });
            }
        });
    }
}

#[test]
fn a_held_answer_can_be_cancelled_anywhere() {
    let model = fixtures::model();
    let session = Session::new(model);
    for steps in 0..12 {
        session.submit(&capital(), &held(Options::greedy(200).hot(steps))).expect("an accepted prompt");
        for _ in 0..steps {
            session.step().expect("an event");
        }
        session.cancel();
        let finish = session.rest().finish();
        assert!([RMLX_FINISH_CANCELLED, RMLX_FINISH_END_OF_TURN].contains(&finish), "{finish}");
        goes_on_as_fresh(model, &session, &Prompt::user("And?"));
    }
}

#[test]
fn every_limit_cuts_where_it_says() {
    let model = fixtures::model();
    let whole = Session::new(model).answer(&capital(), &held(Options::greedy(200)));
    is_valid(&whole.text());
    let ids = whole.tokens();
    let said = ids.len() - usize::from(whole.events[ids.len() - 1].text.is_empty());
    for most in 1..said {
        let answer = Session::new(model).answer(&capital(), &held(Options::greedy(most)));
        assert_eq!(answer.finish(), RMLX_FINISH_CONSTRAINT_CUT, "{most} of {said}");
        assert_eq!(answer.tokens(), ids[..most], "{most}");
        assert!(serde_json::from_str::<Value>(&answer.text()).is_err());
    }
    let answer = Session::new(model).answer(&capital(), &held(Options::greedy(said)));
    assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
    is_valid(&answer.text());
}

#[test]
fn an_answer_that_was_begun_is_held_from_there_on() {
    let model = demo();
    let begun = "{\"city\": ";
    let mut prompt = capital().message("assistant").text(begun);
    check(|error| rmlx_prompt_set_continue_final_message(prompt.raw_mut(), true, error)).expect("a flag");
    let rest = r#""[a-zA-Z]{1,10}", "sure": (true|false)\}"#;
    let options = Options::greedy(60).constraint(RMLX_CONSTRAINT_REGEX, rest);
    let answer = Session::new(&model).answer(&prompt, &options);
    assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
    is_valid(&(begun.to_owned() + &answer.text()));
}

#[test]
fn a_held_answer_stays_as_it_was_generated() {
    let model = demo();
    let exact = |options: Options| options.set(|o, e| rmlx_generation_options_set_exact_history(o, true, e));
    let session = Session::new(&model);
    let mut prompt = capital();
    let answer = session.answer(&prompt, &exact(held(Options::greedy(120).hot(2))));
    is_valid(&answer.text());
    let before = [session.prompt_tokens().expect("ids"), answer.tokens()].concat();
    // SAFETY: the session lives.
    check(|error| unsafe { rmlx_prompt_add_answer(prompt.raw_mut(), session.raw(), error) })
        .expect("an answer");
    let prompt = prompt.message("user").text("And of Italy?");
    session.answer(&prompt, &exact(held(Options::greedy(120))));
    let ids = session.prompt_tokens().expect("ids");
    assert!(ids.starts_with(&before), "the answer is kept");
    // What had to come at its end was not evaluated.
    let reused = session.stats().reused_tokens as usize;
    assert!(reused + 8 >= before.len(), "{reused} of {} are reused", before.len());
}
