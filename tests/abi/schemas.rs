//! Answers and calls that are held to schemas which nobody wrote by hand, with a judge of their own.
//!
//! `schemas.json` is made by `python -m schemas --count 40 --seed 40 --plain --write`, and the same tool asks for a thousand.

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use serde_json::{Value, json};

use crate::answers::{Answer, Options, Session};
use crate::fixtures;
use crate::harness::{Model, Prompt};
use crate::judge::fault;

const MOST: usize = 250;

fn schemas() -> Vec<Value> {
    serde_json::from_str(include_str!("schemas.json")).expect("a list of schemas")
}

fn demo() -> Model {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/bf16");
    Model::load(folder).expect("the demo model")
}

/// Whether the answer is whole; then it is valid.
#[track_caller]
fn is_whole(answer: &Answer, text: &str, schema: &Value) -> bool {
    match answer.finish() {
        RMLX_FINISH_CONSTRAINT_CUT => {
            assert_eq!(answer.tokens().len(), MOST, "{text}");
            false
        }
        RMLX_FINISH_END_OF_TURN | RMLX_FINISH_TOOL_CALLS => {
            let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(fault(&value, schema), None, "{text}");
            true
        }
        other => panic!("finish reason {other}: {:?}", answer.events.last()),
    }
}

/// The answers that ended by themselves.
fn whole_answers(model: &Model, options: impl Fn(u64) -> Options) -> usize {
    let session = Session::new(model);
    let ask = |(seed, schema): (usize, &Value)| {
        let options = options(seed as u64).constraint(RMLX_CONSTRAINT_JSON_SCHEMA, &schema.to_string());
        let answer = session.answer(&Prompt::user("Fill this in."), &options);
        is_whole(&answer, &answer.text(), schema)
    };
    schemas().iter().enumerate().map(ask).filter(|whole| *whole).count()
}

#[test]
fn answers_of_a_trained_model_are_valid() {
    let whole = whole_answers(&demo(), |_| Options::greedy(MOST));
    assert!(whole >= 22, "{whole} answers of 40 ended");
}

#[test]
fn answers_of_any_tokens_are_valid() {
    let whole = whole_answers(fixtures::model(), |seed| Options::greedy(MOST).hot(seed));
    assert!(whole >= 30, "{whole} answers of 40 ended");
}

/// The schema as that of a tool's one argument.
fn parameters(schema: &Value) -> Value {
    let mut inner = schema.clone();
    let mut whole = json!({"type": "object", "properties": {}, "required": ["value"]});
    if let Some(definitions) = inner.as_object_mut().and_then(|inner| inner.shift_remove("$defs")) {
        whole["$defs"] = definitions;
    }
    whole["properties"]["value"] = inner;
    whole
}

fn whole_calls(folder: &str) -> usize {
    let model = Model::load(fixtures::path(folder)).expect("a fixture");
    let session = Session::new(&model);
    let call = |(seed, schema): (usize, &Value)| {
        let parameters = parameters(schema);
        let tools = json!([{"type": "function", "function": {"name": "f", "description": "x", "parameters": parameters}}]);
        let options = Options::greedy(MOST).hot(seed as u64).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"f"));
        let answer = session.answer(&Prompt::user("Hello").tools(&tools.to_string()), &options);
        let calls: Vec<&[String; 3]> = answer.events.iter().filter_map(|event| event.call.as_ref()).collect();
        let arguments = calls.first().map_or("", |call| call[2].as_str());
        assert!(calls.len() <= 1 && calls.iter().all(|call| call[1] == "f"), "{calls:?}");
        is_whole(&answer, arguments, &parameters)
    };
    schemas().iter().enumerate().map(call).filter(|whole| *whole).count()
}

#[test]
fn calls_in_gemmas_spelling_are_valid() {
    let whole = whole_calls("unified-bf16-mlx");
    assert!(whole >= 20, "{whole} calls of 40 ended");
}

#[test]
fn calls_in_hermes_spelling_are_valid() {
    let whole = whole_calls("qwen3vl-bf16-mlx");
    assert!(whole >= 20, "{whole} calls of 40 ended");
}
