//! What a host writes down: a schema, a regular expression, a grammar, a list.

use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

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
    pub kind: GrammarKind,
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

    /// The error of a grammar, as the compiler tells it.
    pub(super) fn wrong(&self, why: &str) -> Error {
        let why = why.trim_end_matches("\n<non-verbose/>").trim();
        Error::invalid_argument(format!("the constraint's {}: {why}", self.name()))
            .with("constraint", self.name())
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
            GrammarKind::JsonSchema => Ok(TopLevelGrammar::from_json_schema(self.schema()?)),
            GrammarKind::Regex => Ok(TopLevelGrammar::from_regex(&self.text)),
            GrammarKind::Lark => Ok(TopLevelGrammar::from_lark(self.text.clone())),
            GrammarKind::Choice => Ok(TopLevelGrammar::from_lark(self.choices()?)),
        }
    }

    fn schema(&self) -> Result<Value> {
        let mut schema = match self.json()? {
            Value::Bool(true) => json!({}),
            schema @ Value::Object(_) => schema,
            other => return Err(self.wrong(&format!("a schema is an object or true, and this is {other}"))),
        };
        if schema.get("x-guidance").is_none() {
            // Free blanks let a small model write nothing else, and hide what is forced.
            schema["x-guidance"] =
                json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false});
        }
        Ok(schema)
    }

    fn choices(&self) -> Result<String> {
        let list = self.json()?;
        let texts: Option<Vec<&str>> =
            list.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        let texts = texts.ok_or_else(|| self.wrong("it has to be a JSON array of texts"))?;
        if texts.is_empty() || texts.contains(&"") {
            return Err(self.wrong("it is empty, or a text in it is"));
        }
        let quoted: Vec<String> = texts.iter().map(|text| Value::from(*text).to_string()).collect();
        Ok(format!("start: {}", quoted.join(" | ")))
    }
}
