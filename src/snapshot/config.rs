//! Reading JSON files and their keys, with errors that say where.

use std::path::Path;

use serde_json::{Map, Value};

use super::file_name;
use crate::error::{Code, Error, Result};

/// No configuration file is anywhere near this; a larger one is a mistake, and is not read.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Parses `path`, which must exist.
pub fn read_json(path: &Path) -> Result<Value> {
    read_optional_json(path)?.ok_or_else(|| {
        let message =
            format!("{} is missing in {}", file_name(path), path.parent().unwrap_or(path).display());
        Error::new(Code::NotFound, message).with("file", path.display().to_string())
    })
}

/// Parses `path`, if it exists.
pub fn read_optional_json(path: &Path) -> Result<Option<Value>> {
    let unreadable = |e: std::io::Error| {
        Error::snapshot(format!("{} cannot be read: {e}", path.display()))
            .with("file", path.display().to_string())
    };
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    if size > MAX_JSON_BYTES {
        let message = format!("{} has {size} bytes, more than any configuration has", file_name(path));
        return Err(Error::snapshot(message).with("file", path.display().to_string()));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    serde_json::from_slice(&text).map(Some).map_err(|e| {
        let message =
            format!("{} is not valid JSON, line {}, column {}: {e}", file_name(path), e.line(), e.column());
        Error::snapshot(message)
            .with("file", path.display().to_string())
            .with("line", e.line())
            .with("column", e.column())
    })
}

/// A JSON object of `config.json` and where it is, so that every error can name the key.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Section<'a> {
    /// The whole of `config.json`.
    pub fn root(config: &'a Value) -> Result<Self> {
        let map = config.as_object().ok_or_else(|| Error::snapshot("config.json is not a JSON object"))?;
        Ok(Section { map, path: String::new() })
    }

    /// The value of a key that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// Whether the key is there, and null.
    pub fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// All keys that are there and not null.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.as_str())
    }

    /// The object under `key`, if there is one.
    pub fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Section { map, path: format!("{}.", self.name(key)) })),
            Some(other) => Err(self.wrong(key, other, "an object")),
        }
    }

    pub fn required_section(&self, key: &str) -> Result<Section<'a>> {
        self.section(key)?.ok_or_else(|| self.lacking(key))
    }

    pub fn str(&self, key: &str) -> Result<&'a str> {
        self.optional_str(key)?.ok_or_else(|| self.lacking(key))
    }

    pub fn optional_str(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| self.wrong(key, v, "a string"))).transpose()
    }

    /// A count: a whole number that fits MLX's dimensions.
    pub fn optional_usize(&self, key: &str) -> Result<Option<usize>> {
        let count = |v: &Value| v.as_u64().filter(|&n| n <= i32::MAX as u64).map(|n| n as usize);
        self.get(key).map(|v| count(v).ok_or_else(|| self.wrong(key, v, "a whole number"))).transpose()
    }

    pub fn usize_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.optional_usize(key)?.unwrap_or(default))
    }

    /// A count that must be there and at least 1.
    pub fn usize(&self, key: &str) -> Result<usize> {
        match self.optional_usize(key)? {
            None => Err(self.lacking(key)),
            Some(0) => Err(self.wrong(key, &Value::from(0), "at least 1")),
            Some(n) => Ok(n),
        }
    }

    pub fn f32_or(&self, key: &str, default: f32) -> Result<f32> {
        Ok(self.optional_f32(key)?.unwrap_or(default))
    }

    pub fn optional_f32(&self, key: &str) -> Result<Option<f32>> {
        self.get(key)
            .map(|v| v.as_f64().map(|x| x as f32).ok_or_else(|| self.wrong(key, v, "a number")))
            .transpose()
    }

    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        self.get(key).map_or(Ok(default), |v| v.as_bool().ok_or_else(|| self.wrong(key, v, "true or false")))
    }

    pub fn optional_token(&self, key: &str) -> Result<Option<u32>> {
        Ok(self.optional_usize(key)?.map(|n| n as u32))
    }

    /// One token id or a list of them; none when the key is missing.
    pub fn tokens(&self, key: &str) -> Result<Vec<u32>> {
        let id = |v: &Value| {
            v.as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| self.wrong(key, v, "a token id or a list of them"))
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(id).collect(),
            Some(one) => Ok(vec![id(one)?]),
        }
    }

    /// A list of strings; `None` when the key is missing.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect())
            .map(Some)
            .ok_or_else(|| self.wrong(key, value, "a list of strings"))
    }

    /// The error for a value that may be right, but asks for what is not done here; `can` says what is.
    pub fn unsupported(&self, key: &str, can: &str) -> Error {
        let (name, found) = (self.name(key), shown(self.map.get(key).unwrap_or(&Value::Null)));
        Error::unsupported(format!("config.json: {name} is {found}: {can}")).with("key", name)
    }

    /// The error for a value that cannot be right.
    pub fn wrong(&self, key: &str, found: &Value, needed: &str) -> Error {
        let (name, found) = (self.name(key), shown(found));
        Error::snapshot(format!("config.json: {name} is {found}, but must be {needed}")).with("key", name)
    }

    fn lacking(&self, key: &str) -> Error {
        let name = self.name(key);
        Error::snapshot(format!("config.json: {name} is missing")).with("key", name)
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }
}

/// A value for a message, cut off where it is long.
fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((at, _)) = text.char_indices().nth(60) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn broken_json_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{\n \"a\": 1,\n \"b\" 2\n}").unwrap();
        let error = read_json(&path).unwrap_err();
        assert_eq!(error.code(), Code::InvalidSnapshot);
        assert!(error.message().contains("config.json is not valid JSON, line 3"), "{error}");
        assert_eq!(read_json(&dir.path().join("other.json")).unwrap_err().code(), Code::NotFound);
        assert_eq!(read_optional_json(&dir.path().join("other.json")).unwrap(), None);
    }

    #[test]
    fn errors_name_the_key() {
        let config =
            json!({ "text_config": { "hidden_size": "wide", "layers": 0, "null": null }, "eos": [1, 106] });
        let root = Section::root(&config).unwrap();
        let text = root.required_section("text_config").unwrap();
        let message = |e: Error| e.message().to_owned();
        assert_eq!(
            message(text.usize("hidden_size").unwrap_err()),
            "config.json: text_config.hidden_size is \"wide\", but must be a whole number"
        );
        assert_eq!(
            message(text.usize("layers").unwrap_err()),
            "config.json: text_config.layers is 0, but must be at least 1"
        );
        assert_eq!(message(text.usize("heads").unwrap_err()), "config.json: text_config.heads is missing");
        let error = text.unsupported("layers", "only more are run");
        assert_eq!(
            (error.code(), error.message()),
            (Code::Unsupported, "config.json: text_config.layers is 0: only more are run")
        );
        assert_eq!(text.usize_or("null", 7).unwrap(), 7);
        assert_eq!(root.tokens("eos").unwrap(), [1, 106]);
        assert!(root.tokens("none").unwrap().is_empty());
    }
}
