//! Where a snapshot keeps its chat template.

use std::path::Path;

use serde_json::Value;

use super::token_config::{TokenConfig, read_json};
use crate::error::{Error, Result};
use crate::files;

/// A template's text and the file it came from (for messages).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub file: String,
    pub text: String,
}

/// Stands for the file of a template that the host gave.
pub(super) const GIVEN: &str = "the chat template of the load options";

/// The template for conversations, and another one for those with tools where the snapshot has one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sources {
    pub default: Option<Source>,
    pub tool_use: Option<Source>,
}

impl Sources {
    /// The host's own template, for everything.
    pub fn given(text: &str) -> Self {
        Self { default: Some(Source { file: GIVEN.into(), text: text.to_owned() }), tool_use: None }
    }

    /// Looks in `chat_template.jinja`, then `chat_template.json`, then `tokenizer_config.json`; and for a template for
    /// tools first in `additional_chat_templates`.
    pub fn find(dir: &Path, config: &TokenConfig) -> Result<Self> {
        let mut sources = Self::conversations(dir, config)?;
        if let Some(tools) = read_template(dir, "additional_chat_templates/tool_use.jinja")? {
            sources.tool_use = Some(tools);
        }
        Ok(sources)
    }

    fn conversations(dir: &Path, config: &TokenConfig) -> Result<Self> {
        if let Some(default) = read_template(dir, "chat_template.jinja")? {
            return Ok(Self { default: Some(default), tool_use: None });
        }
        const JSON: &str = "chat_template.json";
        if let Some(json) = read_json(dir, JSON)? {
            let value = json.get("chat_template").unwrap_or(&json);
            return Self::from_json(JSON, value);
        }
        match config.chat_template() {
            Some(value) if !value.is_null() => Self::from_json("tokenizer_config.json", value),
            _ => Ok(Self::default()),
        }
    }

    /// Of the texts, and of which is which.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        for source in [&self.default, &self.tool_use] {
            let text = source.as_ref().map(|source| source.text.as_str());
            hash.update(&(text.map_or(u64::MAX, |text| text.len() as u64)).to_le_bytes());
            hash.update(text.unwrap_or_default().as_bytes());
        }
        *hash.finalize().as_bytes()
    }

    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.default.iter().chain(&self.tool_use)
    }

    /// One template as a string, several as a list of `{name, template}` or a map from name to template.
    fn from_json(file: &str, value: &Value) -> Result<Self> {
        let source = |text: &str| Source { file: file.to_owned(), text: text.to_owned() };
        if let Some(text) = value.as_str() {
            return Ok(Self { default: Some(source(text)), tool_use: None });
        }
        let mut named: Vec<(&str, &str)> = Vec::new();
        for item in value.as_array().into_iter().flatten() {
            if let (Some(name), Some(text)) = (item["name"].as_str(), item["template"].as_str()) {
                named.push((name, text));
            }
        }
        for (name, text) in value.as_object().into_iter().flatten() {
            named.extend(text.as_str().map(|text| (name.as_str(), text)));
        }
        let get = |wanted: &str| named.iter().find(|(name, _)| *name == wanted).map(|(_, text)| source(text));
        match get("default").or_else(|| named.first().map(|(_, text)| source(text))) {
            Some(default) => Ok(Self { default: Some(default), tool_use: get("tool_use") }),
            None => {
                let text = format!("{file}: chat_template is neither a string nor a list of named templates");
                Err(Error::snapshot(text).with("file", file))
            }
        }
    }
}

/// A template in a file of its own, if there is that file.
fn read_template(dir: &Path, file: &str) -> Result<Option<Source>> {
    let text = files::read_optional_text(&dir.join(file)).map_err(|e| e.with("file", file))?;
    Ok(text.map(|text| Source { file: file.to_owned(), text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(files: &[(&str, &str)]) -> Result<Sources> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Sources::find(dir.path(), &TokenConfig::load(dir.path())?)
    }

    #[test]
    fn the_jinja_file_comes_before_the_json_file_before_the_tokenizer_config() {
        let jinja = ("chat_template.jinja", "J");
        let json = ("chat_template.json", r#"{"chat_template": "S"}"#);
        let config = ("tokenizer_config.json", r#"{"chat_template": "C"}"#);
        let text = |files: &[(&str, &str)]| find(files).unwrap().default.map(|s| s.text);
        assert_eq!(text(&[jinja, json, config]).as_deref(), Some("J"));
        assert_eq!(text(&[json, config]).as_deref(), Some("S"));
        assert_eq!(text(&[config]).as_deref(), Some("C"));
        assert_eq!(text(&[]), None);
    }

    #[test]
    fn named_templates_give_a_default_and_one_for_tools() {
        let list = json!([{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]);
        let sources = Sources::from_json("f", &list).unwrap();
        assert_eq!(sources.default.unwrap().text, "D");
        assert_eq!(sources.tool_use.unwrap().text, "T");
        assert_eq!(Sources::from_json("f", &json!({"default": "M"})).unwrap().default.unwrap().text, "M");
        assert!(Sources::from_json("f", &json!(3)).is_err());
    }

    #[test]
    fn a_file_of_its_own_for_tools_comes_before_a_named_one() {
        let tools = ("additional_chat_templates/tool_use.jinja", "F");
        let named = r#"{"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]}"#;
        for (other, default) in [(("chat_template.jinja", "J"), "J"), (("tokenizer_config.json", named), "D")]
        {
            let sources = find(&[other, tools]).unwrap();
            assert_eq!(sources.default.unwrap().text, default);
            assert_eq!(sources.tool_use.unwrap().text, "F");
        }
        assert_eq!(find(&[("chat_template.jinja", "J")]).unwrap().tool_use, None);
    }

    #[test]
    fn broken_json_names_its_file() {
        let e = find(&[("chat_template.json", "{")]).unwrap_err();
        assert_eq!(e.details()["file"], "chat_template.json");
    }
}
