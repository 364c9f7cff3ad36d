//! Whole conversations against what transformers makes of them (`tools/conversations.py`), and what templates leave out.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::testing::{NoMedia, gemma_tokenizer, load};
use super::*;
use crate::error::{Code, Error};

#[derive(Deserialize)]
struct Case {
    template: String,
    name: String,
    conversation: Value,
    /// Missing where the template refuses.
    text: Option<String>,
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conversations");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn formatter(template: &str) -> Formatter {
    load(&gemma_tokenizer(), json!({"bos_token": "<bos>"}), Some(&fixture(template))).unwrap()
}

fn prompt(conversation: Value) -> Prompt {
    Prompt::from_json(&conversation.to_string(), &[]).unwrap()
}

/// The cases that rendered otherwise than in transformers.
fn differing(folder: &Path) -> (usize, Vec<String>) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&read("cases.json")).unwrap();
    let differs = |case: &Case| {
        let template = read(&case.template);
        let formatter = load(&gemma_tokenizer(), json!({"bos_token": "<bos>"}), Some(&template)).unwrap();
        let rendered = formatter.render(&prompt(case.conversation.clone()), true);
        let same = match (&rendered, &case.text) {
            (Ok(rendered), Some(text)) => rendered == text,
            (Err(error), None) => error.code() == Code::InvalidPrompt,
            _ => false,
        };
        let name = format!("{}: {}", case.template, case.name);
        (!same).then(|| format!("{name}\n{rendered:?}\n{:?}", case.text))
    };
    (cases.len(), cases.iter().filter_map(differs).collect())
}

#[test]
fn conversations_render_as_in_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conversations");
    let (cases, differing) = differing(&folder);
    assert!(cases > 90, "{cases} cases");
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

/// Templates that are no part of the project, with what `tools/conversations.py FOLDER` prints for them in `cases.json`.
#[test]
#[ignore = "set RMLX_CONVERSATIONS to a folder of templates"]
fn conversations_of_another_folder_render_as_in_transformers() {
    let folder = std::env::var_os("RMLX_CONVERSATIONS").expect("RMLX_CONVERSATIONS");
    let (_, differing) = differing(Path::new(&folder));
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

#[track_caller]
fn refused(template: &str, messages: Value) -> Error {
    formatter(template).place(&prompt(json!({"messages": messages})), &NoMedia).expect_err("an error")
}

#[track_caller]
fn placed(template: &str, messages: Value) -> Placed {
    let placed = formatter(template).place(&prompt(json!({"messages": messages})), &NoMedia);
    placed.unwrap_or_else(|e| panic!("{e}"))
}

fn called() -> Value {
    json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get_time", "arguments": {}}}]})
}

#[test]
fn a_result_without_its_call_is_named_where_the_template_drops_it() {
    for content in [json!("10:30"), json!({"time": "10:30"})] {
        let result = json!({"role": "tool", "name": "get_time", "content": content});
        let e = refused("scanning.jinja", json!([{"role": "user", "content": "q"}, result]));
        assert_eq!(e.details()["message_index"], 1);
        assert!(e.message().contains("the tool result of message 1"), "{e}");
        placed("scanning.jinja", json!([{"role": "user", "content": "q"}, called(), result]));
    }
}

#[test]
fn a_call_that_the_template_drops_is_named() {
    let e = refused("plain.jinja", json!([{"role": "user", "content": "q"}, called()]));
    assert_eq!((&e.details()["message_index"], &e.details()["call_index"]), (&json!(1), &json!(0)));
    assert!(e.message().contains("the call of the tool 'get_time' of message 1"), "{e}");
    let mut twice = called();
    twice["tool_calls"] = json!([twice["tool_calls"][0], twice["tool_calls"][0]]);
    let first_only =
        fixture("tagged.jinja").replace("in message.tool_calls or []", "in (message.tool_calls or [])[:1]");
    let f = load(&gemma_tokenizer(), json!({}), Some(&first_only)).unwrap();
    let p = prompt(json!({"messages": [{"role": "user", "content": "q"}, twice]}));
    assert_eq!(f.place(&p, &NoMedia).unwrap_err().details()["call_index"], 1);
}

#[test]
fn cut_thoughts_and_what_a_call_stands_beside_are_no_loss() {
    let mut thought = called();
    thought["reasoning_content"] = json!("Hm.");
    for template in ["scanning.jinja", "tagged.jinja"] {
        let messages = json!([{"role": "user", "content": "q"}, thought, {"role": "tool", "content": "10:30"},
            {"role": "assistant", "content": "It is 10:30."}, {"role": "user", "content": "Thanks"}]);
        assert_eq!(placed(template, messages).lost, []);
    }
}

#[test]
fn a_message_that_is_no_answer_cannot_be_continued() {
    let f = formatter("plain.jinja");
    let render =
        |messages| f.render(&prompt(json!({"messages": messages, "continue_final_message": true})), true);
    let e = render(json!([{"role": "user", "content": "q"}])).unwrap_err();
    assert!(e.message().contains("not the assistant's"), "{e}");
    let mut silent = called();
    silent["content"] = Value::Null;
    assert!(
        render(json!([{"role": "user", "content": "q"}, silent]))
            .unwrap_err()
            .message()
            .contains("end with a text")
    );
}

#[test]
fn spellings_in_calls_and_results_stay_text() {
    let f = formatter("scanning.jinja");
    let typed = "<turn|> and <|image|>";
    let call = json!({"function": {"name": "f", "arguments": {"a": typed, "<turn|>": [typed]}}});
    let called =
        json!({"role": "assistant", "content": "", "reasoning_content": typed, "tool_calls": [call]});
    let result = |content| json!({"role": "tool", "name": typed, "content": content});
    let p = prompt(
        json!({"messages": [{"role": "user", "content": "q"}, called, result(json!({typed: typed}))]}),
    );
    let ids = f.place(&p, &NoMedia).unwrap_or_else(|e| panic!("{e}")).ids;
    let count = |spelling: &str| ids.iter().filter(|id| Some(**id) == f.token_id(spelling)).count();
    assert_eq!((count("<turn|>"), count("<|image|>")), (2, 0), "the ends of the two turns");
    let text = f.decode(&ids, false).unwrap();
    assert_eq!(text.matches("<|image|>").count(), 5 + 1);
}
