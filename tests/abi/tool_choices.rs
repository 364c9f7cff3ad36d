//! Calls held to the schemas of the declared tools, in each family's spelling.

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::status::*;
use serde_json::{Value, json};

use crate::answers::{Answer, Options, Session};
use crate::fixtures;
use crate::harness::{Model, Prompt};
use crate::judge::fault;

/// A family: a snapshot, and the token that opens a call.
const FAMILIES: [(&str, &str); 2] =
    [("unified-bf16-mlx", "<|tool_call>"), ("qwen3vl-bf16-mlx", "<tool_call>")];

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("a fixture")
}

fn declare(name: &str, parameters: &Value) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "x", "parameters": parameters}})
}

fn time() -> Value {
    json!({
        "type": "object",
        "properties": {
            "zone": {"type": "string", "maxLength": 4},
            "hours": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["zone", "hours"],
    })
}

fn tools() -> String {
    json!([declare("time", &time()), declare("stop", &json!({"type": "object", "properties": {}}))])
        .to_string()
}

fn asked() -> Prompt {
    Prompt::user("Hello").tools(&tools())
}

/// Names and arguments.
fn calls(answer: &Answer) -> Vec<(String, Value)> {
    let whole = answer.events.iter().filter_map(|event| event.call.clone());
    whole.map(|[_, name, json]| (name, serde_json::from_str(&json).expect("JSON"))).collect()
}

#[track_caller]
fn are_valid(calls: &[(String, Value)]) {
    for (name, arguments) in calls {
        let fault = match name.as_str() {
            "time" => fault(arguments, &time()),
            "stop" => (*arguments != json!({})).then(|| "it takes nothing".to_owned()),
            other => panic!("a call of {other}"),
        };
        assert_eq!(fault, None, "{name} {arguments}");
    }
}

#[test]
fn a_named_tool_is_called_once() {
    for (folder, _) in FAMILIES {
        let model = load(folder);
        for seed in 0..8 {
            let options = Options::greedy(300).hot(seed).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"time"));
            let answer = Session::new(&model).answer(&asked(), &options);
            let calls = calls(&answer);
            assert_eq!(answer.finish(), RMLX_FINISH_TOOL_CALLS, "{folder}: {:?}", answer.text());
            assert!(calls.len() == 1 && calls[0].0 == "time", "{folder}: {calls:?}");
            are_valid(&calls);
        }
    }
}

#[test]
fn a_required_call_is_of_any_declared_tool() {
    for (folder, _) in FAMILIES {
        let model = load(folder);
        let mut called = 0;
        for seed in 0..8 {
            let options = Options::greedy(200).hot(seed).choice(RMLX_TOOL_CHOICE_REQUIRED, None);
            let answer = Session::new(&model).answer(&asked(), &options);
            let calls = calls(&answer);
            let text: String =
                answer.events.iter().filter(|e| e.kind == RMLX_EVENT_TEXT).map(|e| e.text.as_str()).collect();
            assert_eq!(text.trim(), "", "{folder}: nothing but calls is said");
            assert!(
                !calls.is_empty() || answer.finish() == RMLX_FINISH_CONSTRAINT_CUT,
                "{folder}: {:?}",
                answer.text()
            );
            are_valid(&calls);
            called += calls.len();
        }
        assert!(called >= 8, "{folder}: {called} calls");
    }
}

#[test]
fn a_call_that_the_model_begins_follows_its_schema() {
    for (folder, opens) in FAMILIES {
        let model = load(folder);
        let opens = model.tokenize(opens, true).expect("ids")[0];
        let mut called = 0;
        for seed in 0..6 {
            let session = Session::new(&model);
            // Every call that ends is followed by another.
            let options = Options::greedy(120).hot(seed).bias(opens, 1000.0);
            session
                .submit(&asked(), &options.choice(RMLX_TOOL_CHOICE_AUTO, None))
                .expect("an accepted prompt");
            let calls = calls(&session.rest());
            are_valid(&calls);
            called += calls.len();
        }
        assert!(called >= 6, "{folder}: {called} calls");
    }
}

#[test]
fn without_a_choice_of_tools_no_call_is_begun() {
    for (folder, opens) in FAMILIES {
        let model = load(folder);
        let opens = model.tokenize(opens, true).expect("ids")[0];
        let options = Options::greedy(40).bias(opens, 1000.0).choice(RMLX_TOOL_CHOICE_NONE, None);
        let answer = Session::new(&model).answer(&asked(), &options);
        assert!(!answer.tokens().contains(&opens) && calls(&answer).is_empty(), "{folder}");
    }
}

#[test]
fn a_held_call_goes_back_into_the_history() {
    for (folder, _) in FAMILIES {
        let model = load(folder);
        let session = Session::new(&model);
        let options = Options::greedy(300).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"time"));
        let answer = session.answer(&asked(), &options);
        let [id, name, arguments] =
            answer.events.iter().find_map(|event| event.call.clone()).expect("a call");
        let prompt = asked().message("assistant").call(&name, &arguments).result(&id, &name).text("10:30");
        let spelled = model.detokenize(&answer.tokens(), false).expect("a text");
        let rendered = model.render(&prompt).expect("a text");
        assert!(rendered.contains(&spelled), "{folder}: {spelled} is not in {rendered}");
        session.answer(&prompt, &Options::greedy(4));
    }
}

#[test]
fn a_family_without_calls_says_so() {
    let model = load("gemma3-bf16-hf");
    for options in [
        Options::greedy(4).choice(RMLX_TOOL_CHOICE_REQUIRED, None),
        Options::greedy(4).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"time")),
    ] {
        let failure = Session::new(&model).submit(&asked(), &options).expect_err("no calls");
        assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
        assert!(failure.message.contains("mark no calls"), "{failure:?}");
    }
}

/// What Gemma's spelling has of JSON Schema beyond types and members.
fn rich() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": r"^\d{3}-\d{4}$"},
            "end": {"type": "string", "pattern": "^a|b$", "maxLength": 4},
            "day": {"type": "string", "format": "date"},
            "from": {"type": "string", "format": "ipv4"},
            "to": {"format": "ipv6", "maxLength": 20},
            "number": {"type": "number"},
            "anything": {},
            "kind": {"oneOf": [
                {"type": "object", "properties": {"k": {"const": "x"}, "n": {"type": "integer", "minimum": 1, "maximum": 3}}, "required": ["k", "n"]},
                {"type": "object", "properties": {"k": {"const": "y"}}, "required": ["k"], "additionalProperties": false},
            ]},
            "both": {"allOf": [
                {"type": "object", "properties": {"p": {"type": "boolean"}}, "required": ["p"]},
                {"$ref": "#/$defs/named"},
            ]},
            "one": {"enum": [{"a": [1, "b"], "c": null}, [], "t", 2.5, true]},
            "pair": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": 1}], "items": {"type": "null"}, "minItems": 1, "maxItems": 3},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 2},
        },
        "required": ["code", "end", "day", "from", "to", "number", "anything", "kind", "both", "one", "pair"],
        "$defs": {"named": {"properties": {"name": {"type": "string", "maxLength": 3}}, "required": ["name"]}},
    })
}

#[test]
fn gemmas_spelling_follows_what_a_schema_says_with_others() {
    let model = load("unified-bf16-mlx");
    let mut schema = rich();
    // The number of names cannot be held.
    let map = &mut schema["properties"]["map"];
    map.as_object_mut().expect("a schema").shift_remove("maxProperties");
    let tools = json!([declare("f", &schema)]).to_string();
    let mut whole = 0;
    for seed in 0..12 {
        let options = Options::greedy(400).hot(seed).choice(RMLX_TOOL_CHOICE_NAMED, Some(c"f"));
        let answer = Session::new(&model).answer(&Prompt::user("Hello").tools(&tools), &options);
        for (_, arguments) in calls(&answer) {
            assert_eq!(fault(&arguments, &schema), None, "{arguments}");
            whole += 1;
        }
    }
    assert!(whole >= 8, "{whole} calls of 12 ended");
}

#[test]
fn what_a_spelling_cannot_follow_is_named() {
    let model = load("unified-bf16-mlx");
    let options = || Options::greedy(4).choice(RMLX_TOOL_CHOICE_REQUIRED, None);
    for (schema, says) in [
        (rich(), "maxProperties"),
        (json!({"type": "object", "properties": {"a": {"not": {}}}}), "the keyword not"),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}}),
            "uniqueItems",
        ),
        (
            json!({"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"type": "null"}]}}}),
            "no type in common",
        ),
        (json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "a(?=b)"}}}), "f"),
        (json!({"type": "object", "properties": {"a": {"minProperties": 3}}}), "/properties/a/minProperties"),
    ] {
        let prompt = Prompt::user("Hello").tools(&json!([declare("f", &schema)]).to_string());
        let failure = Session::new(&model).submit(&prompt, &options()).expect_err(says);
        assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
        assert!(failure.message.contains(says), "{failure:?}");
    }
}
