//! Schemas, expressions, grammars and choices of any text, compiled and followed for some tokens.

use arbitrary::Unstructured;
use rmlx::engine::{Grammar, GrammarKind};
use rmlx::{EventKind, FinishReason, GenerationOptions, Prompt, Session};
use serde_json::{Value, json};

use super::edits::edit;
use super::model::model;
use super::sound;

const KINDS: [GrammarKind; 4] =
    [GrammarKind::JsonSchema, GrammarKind::Regex, GrammarKind::Lark, GrammarKind::Choice];
const REGEXES: [&str; 14] = [
    "a",
    "[a-z]{2,9}",
    "(a|b)*",
    "\\d+",
    "(?i:x)",
    ".{0,99}",
    "^",
    "$",
    "\\b",
    "(?=a)",
    "[^\\n]",
    "{9}",
    "(a{99}){99}",
    "\\p{L}",
];
const LARKS: [&str; 10] = [
    "start: ",
    "\"a\"",
    "A+\n",
    "A: /[a-z]+/\n",
    "start | ",
    "(\"b\" start)?",
    "%import common.INT\n",
    "%json {\"type\": \"null\"}",
    "\n",
    "b: start\n",
];

pub fn constraints(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(grammar) = grammar(&mut input) else { return };
    let session = Session::new(model(), &Default::default()).expect("a session");
    let prompt = Prompt { tokens: Some(vec![2, 300, 301]), ..Prompt::default() };
    let options = GenerationOptions {
        max_tokens: Some(4),
        temperature: Some(1.5),
        seed: Some(data.len() as u64),
        constraint: Some(grammar.clone()),
        ..Default::default()
    };
    if sound(session.submit(&prompt, &options)).is_none() {
        return;
    }
    let mut said = String::new();
    loop {
        let event = session.step().expect("an event");
        said.push_str(&event.text);
        if event.kind == EventKind::Finish {
            if let Some(error) = &event.error {
                assert!(error.code() != rmlx::Code::Panic, "{grammar:?}: {error}");
            } else if event.finish == Some(FinishReason::EndOfTurn) && grammar.kind == GrammarKind::JsonSchema
            {
                let value: Result<Value, _> = serde_json::from_str(&said);
                assert!(value.is_ok(), "{grammar:?}: {said:?}");
            }
            return;
        }
    }
}

fn grammar(input: &mut Unstructured) -> arbitrary::Result<Grammar> {
    let kind = KINDS[input.choose_index(KINDS.len())?];
    let pieces = |input: &mut Unstructured, all: &[&str]| -> arbitrary::Result<String> {
        let mut made = String::new();
        for _ in 0..input.int_in_range(1..=8)? {
            made.push_str(all[input.choose_index(all.len())?]);
        }
        Ok(made)
    };
    let text = match (input.ratio(1, 8)?, kind) {
        (true, _) => String::from_utf8_lossy(input.bytes(input.len().min(200))?).into_owned(),
        (_, GrammarKind::Regex) => pieces(input, &REGEXES)?,
        (_, GrammarKind::Lark) => pieces(input, &LARKS)?,
        (_, GrammarKind::Choice) => edited(json!(["a", "ab", "b c", "1"]), input)?,
        (_, GrammarKind::JsonSchema) => edited(schema(input)?, input)?,
    };
    Ok(Grammar { kind, text })
}

fn edited(mut value: Value, input: &mut Unstructured) -> arbitrary::Result<String> {
    if input.ratio(3, 4)? {
        edit(&mut value, input)?;
    }
    Ok(value.to_string())
}

fn schema(input: &mut Unstructured) -> arbitrary::Result<Value> {
    let deeper = |input: &mut Unstructured| if input.is_empty() { Ok(json!(true)) } else { schema(input) };
    Ok(match input.int_in_range(0..=9)? {
        0 => {
            json!({ "type": "object", "properties": { "a": deeper(input)?, "b": deeper(input)? }, "required": ["b"] })
        }
        1 => {
            json!({ "type": "array", "items": deeper(input)?, "minItems": 1, "maxItems": input.int_in_range(0..=4)? })
        }
        2 => {
            json!({ "type": "integer", "minimum": input.arbitrary::<i8>()?, "maximum": input.arbitrary::<i8>()? })
        }
        3 => json!({ "type": "number", "multipleOf": 0.5 }),
        4 => {
            json!({ "type": "string", "minLength": input.int_in_range(0..=9)?, "maxLength": 9, "pattern": "^a" })
        }
        5 => json!({ "anyOf": [deeper(input)?, deeper(input)?] }),
        6 => json!({ "enum": ["a", 1, null, { "a": [] }] }),
        7 => json!({ "$ref": "#/$defs/a", "$defs": { "a": deeper(input)? } }),
        8 => json!({ "allOf": [deeper(input)?, deeper(input)?] }),
        _ => json!({ "type": ["boolean", "null"] }),
    })
}
