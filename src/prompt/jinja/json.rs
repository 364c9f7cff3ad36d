//! Python's `json.dumps`, byte for byte, for the `tojson` filter.

use super::error::{Error, Result};
use super::ops::order;
use super::printing::float;
use super::value::{Dict, Value, check_size};
use crate::prompt::escape::is_usual_mark;

/// The keyword arguments of `json.dumps` that templates use.
#[derive(Debug, Default)]
pub(in super::super) struct Options {
    pub ensure_ascii: bool,
    /// What one level is indented by; `None` keeps everything on one line.
    pub indent: Option<String>,
    /// Between items, and between key and value.
    pub separators: Option<(String, String)>,
    pub sort_keys: bool,
}

impl Options {
    /// From the values that a template gives.
    pub(super) fn from_arguments(
        ascii: Option<Value>,
        indent: Option<Value>,
        separators: Option<Value>,
        sort: Option<Value>,
    ) -> Result<Self> {
        let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
        let indent = match indent {
            None | Some(Value::None) => None,
            Some(Value::Str(text)) => Some(text.text.to_string()),
            Some(count) => {
                let count = count.to_index("tojson: indent")?;
                Some(" ".repeat(count.clamp(0, 1024) as usize))
            }
        };
        let separators = match separators {
            None | Some(Value::None) => None,
            Some(Value::List(seq) | Value::Tuple(seq)) => match seq.items.as_slice() {
                [Value::Str(item), Value::Str(key)] => Some((item.text.to_string(), key.text.to_string())),
                _ => return Err(Error::new("tojson: separators must be two strings")),
            },
            Some(_) => return Err(Error::new("tojson: separators must be a pair")),
        };
        Ok(Self { ensure_ascii: is_set(ascii), indent, separators, sort_keys: is_set(sort) })
    }
}

pub(super) fn dumps(value: &Value, options: &Options) -> Result<String> {
    let default_item = if options.indent.is_some() { "," } else { ", " };
    let (item, key) = match &options.separators {
        Some((item, key)) => (item.as_str(), key.as_str()),
        None => (default_item, ": "),
    };
    let mut writer = Writer { out: String::new(), options, item, key };
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// The same of plain JSON with the default settings.
pub(in super::super) fn dumps_json(value: &serde_json::Value) -> String {
    let dumped = Value::from_json(value).and_then(|value| dumps(&value, &Options::default()));
    dumped.unwrap_or_else(|_| value.to_string())
}

struct Writer<'a> {
    out: String,
    options: &'a Options,
    item: &'a str,
    key: &'a str,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Result<()> {
        check_size(self.out.len())?;
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => self.out.push_str(&n.to_string()),
            Value::Float(x) => self.out.push_str(&number(*x)),
            Value::Str(text) => self.string(&text.text),
            Value::List(seq) | Value::Tuple(seq) => self.list(&seq.items, level)?,
            Value::Dict(dict) => self.dict(dict, level)?,
            Value::Undefined | Value::Object(_) => {
                let name = value.type_name();
                return Err(Error::new(format!("Object of type {name} is not JSON serializable")));
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value], level: usize) -> Result<()> {
        if items.is_empty() {
            self.out.push_str("[]");
            return Ok(());
        }
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            self.separate(index, level + 1);
            self.value(item, level + 1)?;
        }
        self.new_line(level);
        self.out.push(']');
        Ok(())
    }

    fn dict(&mut self, dict: &Dict, level: usize) -> Result<()> {
        let mut entries: Vec<&(Value, Value)> = dict.entries.iter().collect();
        if entries.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        if self.options.sort_keys {
            let mut failed = None;
            entries.sort_by(|(a, _), (b, _)| match order(a, b, "<") {
                Ok(order) => order.unwrap_or(std::cmp::Ordering::Equal),
                Err(e) => {
                    failed.get_or_insert(e);
                    std::cmp::Ordering::Equal
                }
            });
            failed.map_or(Ok(()), Err)?;
        }
        self.out.push('{');
        for (index, (key, value)) in entries.into_iter().enumerate() {
            self.separate(index, level + 1);
            self.string(&key_text(key)?);
            self.out.push_str(self.key);
            self.value(value, level + 1)?;
        }
        self.new_line(level);
        self.out.push('}');
        Ok(())
    }

    /// What stands before the item of this index.
    fn separate(&mut self, index: usize, level: usize) {
        if index > 0 {
            self.out.push_str(self.item);
        }
        self.new_line(level);
    }

    fn new_line(&mut self, level: usize) {
        if let Some(indent) = &self.options.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(level));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{C}' => self.out.push_str("\\f"),
                '\0'..='\u{1F}' => self.escaped(c),
                // What marks a user's special spelling has to be found again in the output.
                _ if is_usual_mark(c) => self.out.push(c),
                '\u{7F}'.. if self.options.ensure_ascii => self.escaped(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    /// `\uXXXX`, as a surrogate pair where one is needed.
    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

/// Keys that are no strings are written as Python's JSON does.
fn key_text(key: &Value) -> Result<String> {
    Ok(match key {
        Value::Str(text) => text.text.to_string(),
        Value::None => "null".to_owned(),
        Value::Bool(b) => if *b { "true" } else { "false" }.to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) => number(*x),
        _ => {
            let name = key.type_name();
            return Err(Error::new(format!("keys must be str, int, float, bool or None, not {name}")));
        }
    })
}

fn number(x: f64) -> String {
    match float(x).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dump(value: serde_json::Value, options: Options) -> String {
        dumps(&Value::from_json(&value).unwrap(), &options).unwrap()
    }

    #[test]
    fn equals_python_on_one_line() {
        let value = json!({"z": [1, -2, 1.5, 1e16, 1e-5, 0.0001, 1e15, -0.0, 2.5e-10, 123456789012345680.0],
            "a": {"t": true, "n": null, "e": {}, "l": []}, "s": "<é> & 'q' \"d\" \\ / \n\t\u{1}\u{7f}\u{2028}😀"});
        let expected = "{\"z\": [1, -2, 1.5, 1e+16, 1e-05, 0.0001, 1000000000000000.0, -0.0, 2.5e-10, \
            1.2345678901234568e+17], \"a\": {\"t\": true, \"n\": null, \"e\": {}, \"l\": []}, \
            \"s\": \"<é> & 'q' \\\"d\\\" \\\\ / \\n\\t\\u0001\u{7f}\u{2028}😀\"}";
        assert_eq!(dump(value, Options::default()), expected);
    }

    #[test]
    fn equals_python_with_indent_separators_sorting_and_ascii() {
        let value = json!({"b": [1, {"c": []}], "a": "é😀\u{7f}"});
        let indent = Options { indent: Some("  ".into()), ..Options::default() };
        let expected =
            "{\n  \"b\": [\n    1,\n    {\n      \"c\": []\n    }\n  ],\n  \"a\": \"é😀\u{7f}\"\n}";
        assert_eq!(dump(value.clone(), indent), expected);
        let tight =
            Options { separators: Some((",".into(), ":".into())), sort_keys: true, ..Options::default() };
        assert_eq!(dump(value.clone(), tight), "{\"a\":\"é😀\u{7f}\",\"b\":[1,{\"c\":[]}]}");
        let ascii = Options { ensure_ascii: true, ..Options::default() };
        assert_eq!(dump(value, ascii), "{\"b\": [1, {\"c\": []}], \"a\": \"\\u00e9\\ud83d\\ude00\\u007f\"}");
    }

    #[test]
    fn undefined_is_refused() {
        assert!(dumps(&Value::Undefined, &Options::default()).is_err());
    }
}
