//! Any row of tokens through the parsers of thoughts and tool calls: nothing lost, nothing twice.

use arbitrary::Unstructured;
use rmlx::dialect::{Dialect, Kind, Mark, Marks, Parser, Segment, Told};

use super::edits::text;

const SPELLINGS: [&str; 9] = [
    "<|channel>",
    "<channel|>",
    "<|tool_call>",
    "<tool_call|>",
    "<|\"|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
];
/// Beginnings and ends of calls and values.
const PIECES: [&str; 20] = [
    "call:",
    "call:f{a:1}",
    "f{a:",
    "}",
    ",b:",
    "[",
    "]",
    "{",
    "true",
    "-1.5e3",
    "\n",
    " ",
    "{\"name\": \"f\"}",
    "{\"name\": \"f\", \"arguments\": {",
    "\"a\": \"",
    "\\u00",
    "\\",
    "\"",
    "}}",
    ": 1, ",
];

pub fn answers(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let dialect = [Dialect::Gemma4, Dialect::Hermes, Dialect::Plain][data.len() % 5 / 2];
    let id_of = |spelling: &str| SPELLINGS.iter().position(|known| *known == spelling).map(|id| id as u32);
    let marks = Marks::resolve(dialect, id_of);
    let mut tokens = Vec::new();
    while let Ok(token) = token(&mut input) {
        tokens.push(token);
    }
    let mark_of = |token: &str| id_of(token).and_then(|id| marks.of(id));
    let mut parser = Parser::new(marks.clone(), &[]);
    let mut segments = Vec::new();
    for token in &tokens {
        segments.push(match mark_of(token) {
            Some(mark) => parser.mark(mark),
            None => parser.text(token.clone()),
        });
    }
    segments.extend(parser.finish());
    assert!(parser.finish().is_none(), "an answer ended twice");
    let all: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(all, expected(dialect, &tokens, mark_of), "{tokens:?}");
    assert_eq!(check_calls(&segments), parser.calls());
}

fn token(input: &mut Unstructured) -> arbitrary::Result<String> {
    if input.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    Ok(match input.int_in_range(0..=7)? {
        0..=2 => SPELLINGS[input.choose_index(SPELLINGS.len())?].to_owned(),
        3..=6 => PIECES[input.choose_index(PIECES.len())?].to_owned(),
        _ => text(input)?,
    })
}

/// What all segments say together: marks around thoughts are not spelled, and neither is the line that names a channel.
fn expected(dialect: Dialect, tokens: &[String], mark_of: impl Fn(&str) -> Option<Mark>) -> String {
    let mut expected = String::new();
    let (mut naming, mut calling) = (false, false);
    for token in tokens {
        let mark = mark_of(token);
        calling = match mark {
            Some(Mark::CallBegins) => true,
            Some(Mark::Quote) | None => calling,
            Some(_) => false,
        };
        match mark {
            Some(Mark::ThoughtBegins | Mark::ThoughtEnds) => {
                naming = mark == Some(Mark::ThoughtBegins) && dialect == Dialect::Gemma4;
            }
            _ if naming && !calling => {
                if let Some((_, rest)) = token.split_once('\n') {
                    naming = false;
                    expected.push_str(rest);
                }
            }
            _ => {
                naming = false;
                expected.push_str(token);
            }
        }
    }
    expected
}

/// Each whole call is an object, and what its drafts added up to. How many there are.
fn check_calls(segments: &[Segment]) -> usize {
    let mut drafts: Vec<(&str, &str, String)> = Vec::new();
    let mut whole = 0;
    for segment in segments {
        let Kind::Call(Told { draft, whole: call }) = &segment.kind else { continue };
        if let Some(draft) = draft {
            match drafts.last_mut().filter(|(id, ..)| *id == draft.id) {
                Some((_, name, added)) => {
                    assert_eq!(*name, draft.name);
                    added.push_str(&draft.added);
                }
                None => drafts.push((&draft.id, &draft.name, draft.added.clone())),
            }
        }
        if let Some(call) = call {
            whole += 1;
            let (id, name, arguments) = drafts.last().expect("a draft of the call");
            assert_eq!((*id, *name, arguments), (&*call.id, &*call.name, &call.arguments));
            let value: serde_json::Value = serde_json::from_str(&call.arguments).expect("arguments are JSON");
            assert!(value.is_object(), "{}", call.arguments);
        }
    }
    whole
}
