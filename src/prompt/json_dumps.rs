//! Python's `json.dumps`, byte for byte, for the `tojson` filter.

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::escape::is_usual_mark;
use super::pycompat::{check, float, is_no_list, sort_keys};

/// Deeper values are refused: templates can build values that hold themselves many times over.
const MAX_DEPTH: usize = 96;

/// The keyword arguments of `json.dumps` that templates use.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub ensure_ascii: bool,
    /// What one level is indented by; `None` keeps everything on one line.
    pub indent: Option<String>,
    /// Between items, and between key and value.
    pub separators: Option<(String, String)>,
    pub sort_keys: bool,
}

pub(super) fn dumps(value: &Value, options: &Options) -> Result<String, Error> {
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
pub(super) fn dumps_json(value: &serde_json::Value) -> String {
    dumps(&Value::from(Serde(value)), &Options::default()).unwrap_or_else(|_| value.to_string())
}

struct Writer<'a> {
    out: String,
    options: &'a Options,
    item: &'a str,
    key: &'a str,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::BadSerialization, "the value is nested too deeply for JSON"));
        }
        check(self.out.len())?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable if value.len().is_some() && !is_no_list(value) => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(&items, depth)?;
            }
            ValueKind::Map => self.map(value, depth)?,
            other => {
                let text = format!("Object of type {other} is not JSON serializable");
                return Err(Error::new(ErrorKind::BadSerialization, text));
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value], depth: usize) -> Result<(), Error> {
        if items.is_empty() {
            self.out.push_str("[]");
            return Ok(());
        }
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            self.separate(index, depth + 1);
            self.value(item, depth + 1)?;
        }
        self.new_line(depth);
        self.out.push(']');
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if keys.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        if self.options.sort_keys {
            sort_keys(&mut keys)?;
        }
        self.out.push('{');
        for (index, key) in keys.iter().enumerate() {
            self.separate(index, depth + 1);
            self.string(&key_text(key)?)?;
            self.out.push_str(self.key);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.new_line(depth);
        self.out.push('}');
        Ok(())
    }

    /// What stands before the item of this index.
    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push_str(self.item);
        }
        self.new_line(depth);
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = &self.options.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        check(self.out.len().saturating_add(text.len()))?;
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
                '\0'..='\u{1F}' => {
                    self.escaped(c);
                    check(self.out.len())?;
                }
                // What marks a user's special spelling has to be found again in the output.
                _ if is_usual_mark(c) => self.out.push(c),
                '\u{7F}'.. if self.options.ensure_ascii => self.escaped(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    /// `\uXXXX`, as a surrogate pair where one is needed.
    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

/// Keys that are no strings are written as Python's JSON does.
fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.to_owned(),
        ValueKind::Number => number(key),
        ValueKind::String => key.to_string(),
        other => {
            let text = format!("keys must be strings, numbers or none, not {other}");
            return Err(Error::new(ErrorKind::BadSerialization, text));
        }
    })
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(x) if x.is_nan() => "NaN".to_owned(),
        Ok(x) if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Ok(x) => float(x),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dump(value: serde_json::Value, options: Options) -> String {
        dumps(&Value::from(minijinja::value::Serde(value)), &options).unwrap()
    }

    /// The right-hand sides were printed by CPython 3.11's json.dumps(…, ensure_ascii=False).
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
        assert!(dumps(&Value::UNDEFINED, &Options::default()).is_err());
    }
}
