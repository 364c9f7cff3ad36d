//! `{"name": "f", "arguments": {…}}`, as Hermes, Qwen and many others.

use serde_json::{Value, json};

use super::Bit;
use super::grammar::{Declared, literal};

pub(super) fn call(body: &[Bit]) -> Option<(String, String)> {
    let chars = body.iter().map(|bit| match bit {
        Bit::Char(c) => Some(*c),
        Bit::Quote => None,
    });
    let text: String = chars.collect::<Option<_>>()?;
    let call: Value = serde_json::from_str(&text).ok()?;
    let name = call.get("name")?.as_str().filter(|name| !name.trim().is_empty())?;
    let arguments = match call.get("arguments").or_else(|| call.get("parameters")) {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(arguments @ Value::Object(_)) => arguments.to_string(),
        // Some models write the arguments as OpenAI's servers do: a text that holds them.
        Some(Value::String(text)) => {
            serde_json::from_str::<Value>(text).ok().filter(Value::is_object)?.to_string()
        }
        Some(_) => return None,
    };
    Some((name.to_owned(), arguments))
}

/// The rules `tool_0`, `tool_1`, …
pub(super) fn grammar(tools: &[Declared]) -> String {
    let mut rules = String::new();
    for (index, tool) in tools.iter().enumerate() {
        let mut schema = tool.parameters.clone();
        if schema.get("type").is_none() {
            schema["type"] = json!("object");
        }
        // As the templates write them, with Python's `json.dumps`.
        schema["x-guidance"] =
            json!({"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": false});
        let before = literal(&format!("{{\"name\": {}, \"arguments\": ", Value::from(tool.name.as_str())));
        rules += &format!("tool_{index}: {before} args_{index} \"}}\"\nargs_{index}: %json {schema}\n");
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        call(&text.chars().map(Bit::Char).collect::<Vec<_>>())
    }

    #[test]
    fn a_call_is_an_object_with_a_name_and_arguments() {
        let expected = Some(("f".to_owned(), r#"{"a":[1,"é"]}"#.to_owned()));
        assert_eq!(read("\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"é\"]}}\n"), expected);
        assert_eq!(read(r#"{"name": "f", "arguments": "{\"a\": [1, \"é\"]}"}"#), expected);
        assert_eq!(read(r#"{"name": "f", "parameters": {"a": [1, "é"]}}"#), expected);
        assert_eq!(read(r#"{"name": "f"}"#), Some(("f".to_owned(), "{}".to_owned())));
    }

    #[test]
    fn anything_else_is_none() {
        for text in
            ["", "{", "{}", "[]", r#"{"name": ""}"#, r#"{"name": "f", "arguments": 3}"#, r#"{"name": "f"} x"#]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
