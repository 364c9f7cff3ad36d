//! What a host writes down: a schema, a regular expression, a grammar, a list.

use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

use super::nesting;
use super::place::{self, Place};
use super::schema::{Fault, fault, prepared};
use crate::error::{Error, Result};
use crate::json;

/// The language of a [`Grammar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarKind {
    /// A JSON schema; the answer is JSON on one line, spelled as Python's `json.dumps`.
    JsonSchema,
    /// A regular expression in the syntax of Rust's `regex`, for the whole answer.
    Regex,
    /// A grammar in llguidance's variant of Lark.
    Lark,
    /// A JSON array of texts, one of which is the answer.
    Choice,
}

/// What an answer is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammar {
    /// Which language `text` is in.
    pub kind: GrammarKind,
    /// What the host wrote.
    pub text: String,
}

impl Grammar {
    fn name(&self) -> &'static str {
        match self.kind {
            GrammarKind::JsonSchema => "JSON schema",
            GrammarKind::Regex => "regular expression",
            GrammarKind::Lark => "Lark grammar",
            GrammarKind::Choice => "list of choices",
        }
    }

    /// The error of a grammar that the compiler refuses; `compile` tries another in its place.
    pub(super) fn refused(
        &self,
        why: &str,
        compile: impl Fn(TopLevelGrammar) -> std::result::Result<(), String>,
    ) -> Error {
        let why = tidy(why);
        match self.kind {
            GrammarKind::JsonSchema => {
                let Ok(schema) = self.json() else { return self.wrong(&why) };
                let try_part = |part: Value| {
                    let part = prepared(&part).map_err(|fault| fault.why)?;
                    compile(json_schema(part)).map_err(|why| tidy(&why))
                };
                self.faulty(&fault(&schema, &why, try_part))
            }
            GrammarKind::Regex => self.at(place::in_regex(&self.text, &why)),
            GrammarKind::Lark => self.at(place::in_lark(&self.text, &why)),
            GrammarKind::Choice => self.wrong(&why),
        }
    }

    fn wrong(&self, why: &str) -> Error {
        Error::invalid_argument(format!("the constraint's {}: {why}", self.name()))
            .with("constraint", self.name())
    }

    /// The error of a grammar that no text follows.
    pub(super) fn unsatisfiable(&self) -> Error {
        self.wrong("no answer can follow it")
    }

    fn at(&self, (place, why): (Option<Place>, String)) -> Error {
        let Some(Place { line, column }) = place else { return self.wrong(&why) };
        self.wrong(&format!("line {line}, column {column}: {why}")).with("line", line).with("column", column)
    }

    fn faulty(&self, Fault { pointer, why }: &Fault) -> Error {
        let text = if pointer.is_empty() { why.clone() } else { format!("at {pointer}: {why}") };
        self.wrong(&text).with("pointer", pointer.as_str())
    }

    fn json(&self) -> Result<Value> {
        json::parse(self.text.as_bytes()).map_err(|e| {
            self.wrong(&format!("not JSON: {e}")).with("line", e.line()).with("column", e.column())
        })
    }

    pub(super) fn top_level(&self) -> Result<TopLevelGrammar> {
        if self.text.trim().is_empty() {
            return Err(self.wrong("it is empty"));
        }
        match self.kind {
            GrammarKind::JsonSchema => Ok(json_schema(self.schema()?)),
            GrammarKind::Regex => Ok(TopLevelGrammar::from_regex(&self.text)),
            GrammarKind::Lark => match nesting::too_deep(&self.text) {
                Some(place) => Err(self.at((Some(place), json::too_deep()))),
                None => Ok(TopLevelGrammar::from_lark(self.text.clone())),
            },
            GrammarKind::Choice => Ok(TopLevelGrammar::from_lark(self.choices()?)),
        }
    }

    fn schema(&self) -> Result<Value> {
        match self.json()? {
            Value::Bool(true) => Ok(json!({})),
            schema @ Value::Object(_) => prepared(&schema).map_err(|fault| self.faulty(&fault)),
            other => {
                let fault = format!("a schema is an object or true, and this is {other}");
                Err(self.wrong(&fault).with("pointer", ""))
            }
        }
    }

    fn choices(&self) -> Result<String> {
        let list = self.json()?;
        let Some(texts) = list.as_array().filter(|texts| !texts.is_empty()) else {
            return Err(self
                .wrong("it has to be a JSON array of texts, of one at least")
                .with("pointer", ""));
        };
        let mut quoted = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match text.as_str() {
                Some(text) if !text.is_empty() => quoted.push(json::literal(text)),
                _ => {
                    let why = format!("it has to be a JSON array of texts, and {text} is none, or empty");
                    return Err(self.faulty(&Fault { pointer: format!("/{index}"), why }));
                }
            }
        }
        Ok(format!("start: {}", quoted.join(" | ")))
    }
}

/// How answers are written that follow a schema, in the words of the compiler.
fn spelling() -> Value {
    json!({
        // Free blanks let a small model write nothing else, and hide what is forced.
        "item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false,
        // A name that is written with \\u escapes would pass for another than the one it is.
        "json_allowed_escapes": "nrbtf\\\"",
    })
}

fn json_schema(mut schema: Value) -> TopLevelGrammar {
    if let Value::Object(schema) = &mut schema {
        schema.entry("x-guidance").or_insert_with(spelling);
    }
    TopLevelGrammar::from_json_schema(schema)
}

/// In the words of a host, who does not see the compiler's options.
fn tidy(why: &str) -> String {
    let why = why.trim_end_matches("\n<non-verbose/>").trim();
    let words = [
        ("oneOf constraints are not supported.", "oneOf: a value may be valid for two of its schemas"),
        ("Only absolute $ref's", "$ref: only what is in the schema itself, by #/…, can be referred to"),
        ("Unimplemented keys:", ""),
    ];
    match words.iter().find(|(theirs, _)| why.starts_with(theirs)) {
        Some((theirs, "")) => format!("keywords that cannot be followed:{}", &why[theirs.len()..]),
        Some((_, ours)) => (*ours).to_owned(),
        None => why.to_owned(),
    }
}
