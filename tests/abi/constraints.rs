//! Answers held to a schema, an expression, a grammar or a list, and calls held to the tools that are declared.

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::status::*;
use serde_json::{Value, json};

use crate::answers::{Answer, Options, Session};
use crate::fixtures;
use crate::harness::{Model, Outcome, Prompt};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
            "seen": {"type": "boolean"},
            "word": {"type": "string", "maxLength": 5},
        },
        "required": ["colour", "count", "seen", "word"],
        "additionalProperties": false,
    })
}

/// By hand, what the schema says.
fn is_valid(value: &Value) -> bool {
    value.as_object().is_some_and(|object| {
        object.len() == 4
            && ["red", "green"].iter().any(|colour| value["colour"] == *colour)
            && value["count"].as_u64().is_some_and(|count| count < 100)
            && value["seen"].is_boolean()
            && value["word"].as_str().is_some_and(|word| word.chars().count() <= 5)
    })
}

fn ask(model: &Model, options: &Options) -> Answer {
    Session::new(model).answer(&Prompt::user("Hello"), options)
}

fn refused(model: &Model, options: &Options, prompt: &Prompt) -> Outcome<()> {
    Session::new(model).submit(prompt, options)
}

fn tools() -> String {
    let declare = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "description": "x", "parameters": parameters}});
    let time = json!({"type": "object", "properties": {"zone": {"type": "string", "maxLength": 4}, "hours": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["zone", "hours"]});
    json!([declare("time", time), declare("stop", json!({"type": "object", "properties": {}}))]).to_string()
}

#[test]
fn an_answer_follows_its_schema_at_any_temperature() {
    let model = fixtures::model();
    for seed in 0..4 {
        let options = Options::greedy(200).constraint(RMLX_CONSTRAINT_JSON_SCHEMA, &schema().to_string());
        let answer = ask(model, &if seed == 0 { options } else { options.hot(seed) });
        let text = answer.text();
        assert!(serde_json::from_str(&text).is_ok_and(|value| is_valid(&value)), "{text}");
        assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
    }
}

#[test]
fn expressions_grammars_and_lists_hold_too() {
    let model = fixtures::model();
    let only = |kind, text: &str| ask(model, &Options::greedy(60).hot(3).constraint(kind, text)).text();
    let digits = only(RMLX_CONSTRAINT_REGEX, "[0-9]{3}-[0-9]{2}");
    assert!(digits.len() == 6 && digits.as_bytes()[3] == b'-', "{digits}");
    assert!(["yes", "no", "maybe"].contains(&&*only(RMLX_CONSTRAINT_CHOICE, r#"["yes", "no", "maybe"]"#)));
    let lark = only(RMLX_CONSTRAINT_LARK, "start: \"<\" WORD \">\"\nWORD: /[a-c]{1,4}/");
    assert!(lark.starts_with('<') && lark.ends_with('>') && lark.len() <= 6, "{lark}");
}

#[test]
fn what_has_to_come_has_no_logits_row_and_counts_as_tokens() {
    let model = fixtures::model();
    let fixed = "Once upon a time, \"there\" was 1 only.";
    let session = Session::new(model);
    let options = Options::greedy(100)
        .constraint(RMLX_CONSTRAINT_CHOICE, &json!([fixed]).to_string())
        .set(|o, e| rmlx_generation_options_set_top_logprobs(o, 2, e));
    session.submit(&Prompt::user("Hello"), &options).expect("an accepted prompt");
    let first = session.step().expect("an event");
    assert!(first.token.is_some() && first.logprob.is_none() && first.top.is_empty());
    assert_eq!(session.logits().expect_err("no row").code, RMLX_ERROR_INVALID_ARGUMENT);
    let rest = session.rest();
    assert_eq!(first.text + &rest.text(), fixed);
    assert_eq!(rest.finish(), RMLX_FINISH_END_OF_TURN);
    // The session goes on with what it holds as with what it would evaluate.
    let next = Prompt::user("Hello").message("assistant").text(fixed).message("user").text("And?");
    let held = session.answer(&next, &Options::greedy(6)).tokens();
    assert_eq!(held, Session::new(model).answer(&next, &Options::greedy(6)).tokens());
}

#[test]
fn an_answer_that_a_limit_cuts_says_so() {
    let model = fixtures::model();
    let options = Options::greedy(5).constraint(RMLX_CONSTRAINT_JSON_SCHEMA, &schema().to_string());
    let answer = ask(model, &options);
    assert_eq!((answer.tokens().len(), answer.finish()), (5, RMLX_FINISH_CONSTRAINT_CUT));
    // Where it may end, the limit is a limit.
    let answer = ask(model, &Options::endless(5).constraint(RMLX_CONSTRAINT_REGEX, "[a-z]*"));
    assert_eq!((answer.tokens().len(), answer.finish()), (5, RMLX_FINISH_MAX_TOKENS));
}

#[test]
fn held_answers_share_steps_with_free_ones() {
    let model = fixtures::model();
    let free = || Options::endless(24);
    let held =
        |seed| Options::greedy(200).hot(seed).constraint(RMLX_CONSTRAINT_JSON_SCHEMA, &schema().to_string());
    let alone: Vec<Vec<u32>> =
        [free(), held(1), held(2)].iter().map(|options| ask(model, options).tokens()).collect();
    let sessions: Vec<Session> = (0..3).map(|_| Session::new(model)).collect();
    for (session, options) in sessions.iter().zip([free(), held(1), held(2)]) {
        session.submit(&Prompt::user("Hello"), &options).expect("an accepted prompt");
    }
    std::thread::scope(|scope| {
        for (index, (session, alone)) in sessions.iter().zip(&alone).enumerate() {
            scope.spawn(move || {
                let answer = session.rest();
                if index == 0 {
                    assert_eq!(answer.tokens(), *alone);
                } else {
                    let text = answer.text();
                    assert!(serde_json::from_str(&text).is_ok_and(|value| is_valid(&value)), "{text}");
                }
            });
        }
    });
}

#[test]
fn a_grammar_that_is_wrong_is_refused_at_submit_and_the_session_lives() {
    let model = fixtures::model();
    for (kind, text, says) in [
        (RMLX_CONSTRAINT_JSON_SCHEMA, "{\"type\": ", "line 1"),
        (RMLX_CONSTRAINT_JSON_SCHEMA, "{\"type\": \"strange\"}", "strange"),
        (RMLX_CONSTRAINT_REGEX, "a(", "unclosed"),
        (RMLX_CONSTRAINT_LARK, "start: other", "other"),
        (RMLX_CONSTRAINT_CHOICE, "{}", "array of texts"),
    ] {
        let options = Options::greedy(4).constraint(kind, text);
        let failure = refused(model, &options, &Prompt::user("Hello")).expect_err(text);
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT);
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let session = Session::new(model);
    let long = Options::endless(400).constraint(RMLX_CONSTRAINT_REGEX, "[a-z]*");
    session.submit(&Prompt::user("Hello"), &long).expect("an accepted prompt");
    session.step().expect("an event");
    session.cancel();
    assert_eq!(session.rest().finish(), RMLX_FINISH_CANCELLED);
}

#[test]
fn a_bias_against_all_that_is_allowed_is_an_error_and_no_wrong_answer() {
    let model = fixtures::model();
    // The padding token, which no grammar allows, is left.
    let options = (1..768).fold(Options::greedy(8), |options, id| options.bias(id, f32::NEG_INFINITY));
    let answer = ask(model, &options.constraint(RMLX_CONSTRAINT_REGEX, "[a-z]+"));
    assert_eq!((answer.finish(), answer.tokens().len()), (RMLX_FINISH_ERROR, 0));
    let error = answer.events.last().and_then(|event| event.error.clone()).expect("an error");
    assert_eq!(error.code, RMLX_ERROR_INVALID_ARGUMENT, "{error:?}");
    assert!(error.message.contains("forbids every token"), "{error:?}");
}

#[test]
fn a_required_call_is_one_of_the_declared_tools() {
    let model = fixtures::model();
    let prompt = Prompt::user("Hello").tools(&tools());
    for seed in 0..4 {
        let named = Options::greedy(300).hot(seed).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"time"));
        let answer = Session::new(model).answer(&prompt, &named);
        assert_eq!(answer.finish(), RMLX_FINISH_TOOL_CALLS, "{:?}", answer.text());
        let calls: Vec<[String; 3]> = answer.events.iter().filter_map(|event| event.call.clone()).collect();
        let [[_, name, arguments]] = &calls[..] else { panic!("{calls:?}") };
        let arguments: Value = serde_json::from_str(arguments).expect("JSON");
        assert_eq!(name, "time");
        assert!(arguments["zone"].as_str().is_some_and(|zone| zone.chars().count() <= 4), "{arguments}");
        assert!(arguments["hours"].as_u64().is_some_and(|hours| hours < 10), "{arguments}");
        let required = Options::greedy(64).hot(seed).choice(RMLX_TOOL_CHOICE_REQUIRED, None);
        let answer = Session::new(model).answer(&prompt, &required);
        assert!(answer.events.iter().any(|event| event.call.is_some()), "{:?}", answer.text());
    }
}

#[test]
fn a_call_that_the_model_begins_follows_the_schema_and_none_forbids_it() {
    let model = fixtures::model();
    let prompt = Prompt::user("Hello").tools(&tools());
    let begins = model.tokenize("<|tool_call>", true).expect("ids")[0];
    // The first token is a call's, and calls are not asked for again.
    let pushed = |choice| Options::greedy(120).bias(begins, 1000.0).choice(choice, None);
    let session = Session::new(model);
    session.submit(&prompt, &pushed(RMLX_TOOL_CHOICE_AUTO)).expect("an accepted prompt");
    let mut call = None;
    while call.is_none() {
        let event = session.step().expect("an event");
        assert!(!event.is_finish(), "no call");
        call = event.call;
    }
    assert!(["time", "stop"].contains(&&*call.expect("a call")[1]));
    session.cancel();
    session.rest();
    let answer = Session::new(model).answer(&prompt, &pushed(RMLX_TOOL_CHOICE_NONE));
    assert!(!answer.tokens().contains(&begins));
}

#[test]
fn choices_that_cannot_be_kept_are_refused() {
    let model = fixtures::model();
    let required = || Options::greedy(4).choice(RMLX_TOOL_CHOICE_REQUIRED, None);
    let failure = refused(model, &required(), &Prompt::user("Hello")).expect_err("no tools");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT);
    let named = Options::greedy(4).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"missing"));
    let failure = refused(model, &named, &Prompt::user("Hello").tools(&tools())).expect_err("no such tool");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT);
    let odd = json!([{"type": "function", "function": {"name": "f", "description": "x", "parameters": {
        "type": "object", "properties": {"a": {"not": {"const": "x"}}}}}}]);
    let failure = refused(model, &required(), &Prompt::user("Hello").tools(&odd.to_string()))
        .expect_err("a schema with not");
    assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED);
    assert!(failure.message.contains("the keyword not"), "{failure:?}");
}
