//! Reading JSON files and their keys, with errors that say where.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
pub use crate::files::read_optional_json;

/// Largest of the whole numbers that an `f64` holds without gaps.
const MAX_WHOLE: f64 = (1u64 << 53) as f64;

/// A JSON object of a configuration file and where it is, so that every error can name the file and the key.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    file: &'static str,
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Section<'a> {
    /// The whole of `config.json`.
    pub fn root(config: &'a Value) -> Result<Self> {
        Self::file("config.json", config)
    }

    /// The whole of another file; `file` is its name, for messages.
    pub fn file(file: &'static str, json: &'a Value) -> Result<Self> {
        let map = json.as_object().ok_or_else(|| Error::snapshot(format!("{file} is not a JSON object")))?;
        Ok(Section { file, map, path: String::new() })
    }

    /// A section without keys, for a file that is not there.
    pub fn empty(file: &'static str) -> Section<'static> {
        static NO_KEYS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        Section { file, map: &NO_KEYS, path: String::new() }
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
            Some(Value::Object(map)) => {
                Ok(Some(Section { file: self.file, map, path: format!("{}.", self.name(key)) }))
            }
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

    /// A count: a whole number that fits MLX's dimensions. `3.0` counts as whole.
    pub fn optional_usize(&self, key: &str) -> Result<Option<usize>> {
        let count = |v: &Value| whole(v).filter(|&n| n <= i32::MAX as u64).map(|n| n as usize);
        self.get(key).map(|v| count(v).ok_or_else(|| self.wrong(key, v, "a whole number"))).transpose()
    }

    pub fn usize_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.optional_usize(key)?.unwrap_or(default))
    }

    /// A count that is at least 1: `default` where the key is missing, but not where it is null.
    pub fn positive_or(&self, key: &str, default: usize) -> Result<usize> {
        if self.map.contains_key(key) { self.usize(key) } else { Ok(default) }
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
        Ok(self.optional_bool(key)?.unwrap_or(default))
    }

    pub fn optional_bool(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|v| v.as_bool().ok_or_else(|| self.wrong(key, v, "true or false"))).transpose()
    }

    /// A whole number within `range`, if there is one. `3.0` counts as whole.
    pub fn optional_in_range(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let whole = |v: &Value| whole(v).filter(|n| range.contains(n));
        let needed = || format!("a whole number from {} to {}", range.start(), range.end());
        self.get(key).map(|v| whole(v).ok_or_else(|| self.wrong(key, v, &needed()))).transpose()
    }

    pub fn in_range_or(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64> {
        Ok(self.optional_in_range(key, range)?.unwrap_or(default))
    }

    pub fn f64_or(&self, key: &str, default: f64) -> Result<f64> {
        self.get(key).map_or(Ok(default), |v| v.as_f64().ok_or_else(|| self.wrong(key, v, "a number")))
    }

    /// `N` numbers, or one that counts for all of them; `None` when the key is missing.
    pub fn floats<const N: usize>(&self, key: &str) -> Result<Option<[f64; N]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let found = match value {
            Value::Array(list) => list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>(),
            one => one.as_f64().map(|x| vec![x; N]),
        };
        let found = found.and_then(|list| <[f64; N]>::try_from(list).ok());
        found.map(Some).ok_or_else(|| self.wrong(key, value, &format!("a number or a list of {N}")))
    }

    /// A token id, by itself or as a list of one. Negative ones, which some files have, stand for none.
    pub fn optional_token(&self, key: &str) -> Result<Option<u32>> {
        match (self.tokens(key)?.as_slice(), self.get(key)) {
            ([], _) => Ok(None),
            ([id], _) => Ok(Some(*id)),
            (_, found) => Err(self.wrong(key, found.unwrap_or(&Value::Null), "a token id")),
        }
    }

    /// One token id or a list of them; none when the key is missing, and for negative ones.
    pub fn tokens(&self, key: &str) -> Result<Vec<u32>> {
        let id = |v: &Value| -> Result<Option<u32>> {
            if v.as_f64().is_some_and(|x| x < 0.0) {
                return Ok(None);
            }
            let id = whole(v).and_then(|n| u32::try_from(n).ok());
            id.map(Some).ok_or_else(|| self.wrong(key, v, "a token id or a list of them"))
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().filter_map(|v| id(v).transpose()).collect(),
            Some(one) => Ok(id(one)?.into_iter().collect()),
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
        Error::unsupported(format!("{}: {name} is {found}: {can}", self.file)).with("key", name)
    }

    /// The error for a value that cannot be right.
    pub fn wrong(&self, key: &str, found: &Value, needed: &str) -> Error {
        let (name, found) = (self.name(key), shown(found));
        Error::snapshot(format!("{}: {name} is {found}, but must be {needed}", self.file)).with("key", name)
    }

    fn lacking(&self, key: &str) -> Error {
        let name = self.name(key);
        Error::snapshot(format!("{}: {name} is missing", self.file)).with("key", name)
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }
}

/// A number without a fraction, however it is written.
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(x));
    value.as_u64().or_else(|| float().map(|x| x as u64))
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
    use crate::error::Code;
    use serde_json::json;

    #[test]
    fn broken_json_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{\n \"a\": 1,\n \"b\" 2\n}").unwrap();
        let error = read_optional_json(&path).unwrap_err();
        assert_eq!(error.code(), Code::InvalidSnapshot);
        assert!(error.message().contains("config.json is not valid JSON, line 3"), "{error}");
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
        assert_eq!(text.usize_or("null", 7).unwrap(), 7);
        assert_eq!(root.tokens("eos").unwrap(), [1, 106]);
        assert!(root.tokens("none").unwrap().is_empty());
        let ids =
            json!({ "pad": -1, "image": [7], "eos": [1, -1, 106.0], "two": [1, 2], "size": 8.0, "no": null });
        let ids = Section::root(&ids).unwrap();
        assert_eq!(
            (ids.optional_token("pad").unwrap(), ids.optional_token("image").unwrap()),
            (None, Some(7))
        );
        assert_eq!((ids.tokens("eos").unwrap(), ids.usize("size").unwrap()), (vec![1, 106], 8));
        assert!(
            ids.optional_token("two").unwrap_err().message().contains("two is [1,2], but must be a token id")
        );
        assert_eq!(ids.positive_or("none", 3).unwrap(), 3);
        assert!(ids.positive_or("no", 3).unwrap_err().message().contains("no is missing"));
    }

    #[test]
    fn other_files_ranges_and_lists() {
        let json = json!({ "image_processor": { "patch": 14.0, "far": 4096, "mean": [0.5, 0, 1], "std": 0.5,
            "two": [1, 2], "words": ["a", "b", "c"], "resample": 0 } });
        let root = Section::file("processor_config.json", &json).unwrap();
        let image = root.required_section("image_processor").unwrap();
        assert_eq!(image.in_range_or("patch", 16, 1..=2048).unwrap(), 14);
        assert_eq!(image.in_range_or("none", 16, 1..=2048).unwrap(), 16);
        let error = image.in_range_or("far", 16, 1..=2048).unwrap_err();
        assert_eq!(
            error.message(),
            "processor_config.json: image_processor.far is 4096, but must be a whole number from 1 to 2048"
        );
        assert_eq!(image.floats::<3>("mean").unwrap(), Some([0.5, 0.0, 1.0]));
        assert_eq!(image.floats::<3>("std").unwrap(), Some([0.5; 3]));
        assert_eq!(image.floats::<3>("none").unwrap(), None);
        for key in ["two", "words"] {
            assert!(image.floats::<3>(key).unwrap_err().message().contains("a number or a list of 3"));
        }
        let error = image.unsupported("resample", "pictures are resized bicubically");
        assert_eq!(
            (error.code(), error.message()),
            (
                Code::Unsupported,
                "processor_config.json: image_processor.resample is 0: pictures are resized bicubically"
            )
        );
        assert_eq!(Section::empty("preprocessor_config.json").keys().count(), 0);
        assert!(Section::file("a.json", &json!([])).unwrap_err().message().contains("a.json is not"));
    }
}
