//! `{"name": "f", "arguments": {…}}`, as Hermes, Qwen and many others.
//!
//! Whether it is JSON shows at its end. Until then a scanner that knows texts from brackets hands the arguments on as
//! they come, without blanks; where the whole is JSON, that is what they are.

use serde_json::{Value, json};

use super::Bit;
use super::grammar::Declared;
use crate::json::{self, MAX_DEPTH, literal};
use crate::log;

/// A call as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Reader {
    text: String,
    /// Brackets that are open.
    depth: usize,
    /// Inside of a text; where it began.
    text_from: Option<usize>,
    escaped: bool,
    /// The member of the call that is being read.
    member: Option<String>,
    name: Option<String>,
    /// The arguments, once they have begun to come as an object.
    out: Option<String>,
    /// Something came twice, or a quote of another dialect: no call.
    broken: bool,
}

impl Reader {
    pub fn push(&mut self, bit: Bit) {
        match bit {
            Bit::Char(c) => self.step(c),
            Bit::Quote => self.broken = true,
        }
    }

    /// Once it is known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !self.broken && !name.trim().is_empty())
    }

    pub fn arguments(&self) -> &str {
        self.out.as_deref().unwrap_or_default()
    }

    /// The name and the arguments, if nothing lacks.
    pub fn whole(&self) -> Option<(String, String)> {
        let call: Value = match json::parse(self.text.as_bytes()) {
            Ok(call) if !self.broken => call,
            Err(e) if self.name().is_some() && self.depth == 0 => {
                unread(&self.text, &e);
                return None;
            }
            _ => return None,
        };
        let name = call.get("name")?.as_str().filter(|name| !name.trim().is_empty())?;
        let arguments = match call.get("arguments").or_else(|| call.get("parameters")) {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::Object(_)) if self.out.is_some() => self.arguments().to_owned(),
            Some(arguments @ Value::Object(_)) => arguments.to_string(),
            // Some models write the arguments as OpenAI's servers do: a text that holds them.
            Some(Value::String(text)) => {
                json::parse::<Value>(text.as_bytes()).ok().filter(Value::is_object)?.to_string()
            }
            Some(_) => return None,
        };
        Some((name.to_owned(), arguments))
    }

    fn step(&mut self, c: char) {
        let at = self.text.len();
        self.text.push(c);
        if let Some(from) = self.text_from {
            self.argument(c);
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => {
                    self.text_from = None;
                    self.text_ended(from);
                }
                _ => {}
            }
            return;
        }
        match c {
            '"' => self.text_from = Some(at),
            '{' | '[' => {
                self.depth += 1;
                self.broken |= self.depth > MAX_DEPTH;
                if c == '{' && self.depth == 2 && self.member.as_deref() == Some("arguments") {
                    self.broken |= self.out.is_some();
                    self.out.get_or_insert_default();
                }
            }
            ',' if self.depth == 1 => self.member = None,
            _ if c.is_whitespace() => return,
            _ => {}
        }
        self.argument(c);
        if matches!(c, '}' | ']') {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    /// Hands on what belongs to the arguments.
    fn argument(&mut self, c: char) {
        if self.depth >= 2 && self.member.as_deref() == Some("arguments") {
            self.out.iter_mut().for_each(|out| out.push(c));
        }
    }

    /// A text of the call itself is the name of a member, or the tool's name.
    fn text_ended(&mut self, from: usize) {
        if self.depth != 1 {
            return;
        }
        let Ok(text) = serde_json::from_str::<String>(&self.text[from..]) else { return };
        match self.member.as_deref() {
            None => self.member = Some(text),
            Some("name") => self.broken |= self.name.replace(text).is_some(),
            Some(_) => {}
        }
    }
}

/// Says why what looks like a call stays a text.
fn unread(text: &str, e: &serde_json::Error) {
    log::warning(&format!(
        "a tool call stays text in the answer, for it cannot be read: {e}: {}",
        text.trim()
    ));
}

/// Arguments that nobody declared are not written, unless the schema speaks of them.
fn close(schema: &mut Value) {
    let speaks = [
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "$ref",
    ];
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.contains_key("properties") && !speaks.iter().any(|key| schema.contains_key(*key)) {
        schema.insert("additionalProperties".into(), false.into());
    }
    if let Some(items) = schema.get_mut("items") {
        close(items);
    }
    for member in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        close(member.1);
    }
}

/// The rules `tool_0`, `tool_1`, …
pub(super) fn grammar(tools: &[Declared]) -> String {
    let mut rules = String::new();
    for (index, tool) in tools.iter().enumerate() {
        let mut schema = tool.parameters.clone();
        if schema.get("type").is_none() {
            schema["type"] = json!("object");
        }
        close(&mut schema);
        // As the templates write them, with Python's `json.dumps`.
        schema["x-guidance"] = json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false,
                // An escape would let a name pass for another.
                "json_allowed_escapes": "nrbtf\\\""});
        let before = literal(&format!("{{\"name\": {}, \"arguments\": ", Value::from(tool.name.as_str())));
        rules += &format!("tool_{index}: {before} args_{index} \"}}\"\nargs_{index}: %json {schema}\n");
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        let mut reader = Reader::default();
        for c in text.chars() {
            let before = reader.arguments().to_owned();
            reader.push(Bit::Char(c));
            assert!(reader.arguments().starts_with(&before), "{text}: what was written is taken back");
        }
        let whole = reader.whole();
        if let Some((name, arguments)) = &whole {
            assert!(reader.name() == Some(name), "{text}");
            assert!(arguments.starts_with(reader.arguments()), "{text}");
            assert!(serde_json::from_str::<Value>(arguments).unwrap().is_object(), "{text}");
        }
        whole
    }

    #[test]
    fn a_call_is_an_object_with_a_name_and_arguments() {
        let expected = Some(("f".to_owned(), r#"{"a":[1,"é"]}"#.to_owned()));
        assert_eq!(read("\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"é\"]}}\n"), expected);
        assert_eq!(read(r#"{"name": "f", "arguments": "{\"a\": [1, \"é\"]}"}"#), expected);
        assert_eq!(read(r#"{"name": "f", "parameters": {"a": [1, "é"]}}"#), expected);
        assert_eq!(read(r#"{"name": "f"}"#), Some(("f".to_owned(), "{}".to_owned())));
        let odd = r#" {"id": [{"name": 1}], "arguments": {"a \" }": {"name": " x "}, "b": [1, {}]}, "n\u0061me": "g"} "#;
        let arguments = r#"{"a \" }":{"name":" x "},"b":[1,{}]}"#;
        assert_eq!(read(odd), Some(("g".to_owned(), arguments.to_owned())));
    }

    #[test]
    fn arguments_are_written_as_they_come() {
        let mut reader = Reader::default();
        let mut written = String::new();
        for c in r#"{"name": "f", "arguments": {"a": "x y"#.chars() {
            reader.push(Bit::Char(c));
            written.push(if reader.name().is_some() { 'n' } else { '-' });
        }
        assert_eq!(reader.arguments(), r#"{"a":"x y"#);
        assert_eq!(written.find('n'), Some(11));
    }

    #[test]
    fn what_nobody_declared_is_not_written() {
        let list = json!({"type": "array", "items": {"properties": {"c": {}}}});
        let mut schema = json!({"properties": {"a": list, "b": {"properties": {}, "allOf": []}, "d": {"properties": {}, "additionalProperties": true}}});
        close(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["items"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["b"].get("additionalProperties"), None);
        assert_eq!(schema["properties"]["d"]["additionalProperties"], true);
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"name": ""}"#,
            r#"{"name": "f", "arguments": 3}"#,
            r#"{"name": "f"} x"#,
            r#"{"name": "f", "name": "g"}"#,
            r#"{"name": "f", "arguments": {}, "arguments": {"a": 1}}"#,
            r#"{"name": "f", "arguments": {"a": 1]}"#,
            r#"{"name": "f", "arguments": {"a": 1e999}}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
