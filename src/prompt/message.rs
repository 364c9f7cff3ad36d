//! What a host asks: messages made of text and media, tools, and variables for the chat template.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::media::Media;

/// JSON nested deeper than this is refused, so that no recursion over it can exhaust a small stack.
const MAX_DEPTH: usize = 64;

/// Variables that belong to the library and cannot be set through `template_vars`.
const RESERVED: [&str; 2] = ["messages", "tools"];

/// A whole conversation. The caller passes all of it each time.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// The turns in order. With `tokens`, only their media parts are used.
    pub messages: Vec<Message>,
    /// JSON array of tool declarations, handed to the template as it is.
    pub tools: Option<Value>,
    /// Further variables for the template, such as `enable_thinking` (bool).
    pub template_vars: Map<String, Value>,
    /// Raw token ids instead of rendered messages, for experts.
    pub tokens: Option<Vec<u32>>,
}

/// One turn's content: a role (`user`, `assistant`, `system`, `tool`, …) and its parts in order.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub role: String,
    pub parts: Vec<Part>,
}

/// A piece of a message.
#[derive(Clone)]
pub enum Part {
    Text(String),
    Media(Arc<Media>),
}

impl fmt::Debug for Part {
    /// Media show their kind only: pixels and samples are no use in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Part::Media(media) => f.debug_tuple("Media").field(&media.kind()).finish(),
        }
    }
}

impl Message {
    /// A message of one text part.
    pub fn text(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), parts: vec![Part::Text(text.into())] }
    }

    /// Whether this is the model's own turn.
    pub(super) fn is_model(&self) -> bool {
        matches!(self.role.as_str(), "assistant" | "model")
    }
}

/// A medium of a prompt and the message that holds it.
#[derive(Clone)]
pub(super) struct Attached {
    pub media: Arc<Media>,
    pub message: usize,
    /// Index among the parts of the message.
    pub part: usize,
}

impl Prompt {
    /// All media in the order in which they were given.
    pub(super) fn media(&self) -> Vec<Attached> {
        let mut all = Vec::new();
        for (message, turn) in self.messages.iter().enumerate() {
            for (part, content) in turn.parts.iter().enumerate() {
                if let Part::Media(media) = content {
                    all.push(Attached { media: Arc::clone(media), message, part });
                }
            }
        }
        all
    }

    /// Checks everything that can be checked without a template or a model.
    pub(super) fn validate(&self) -> Result<()> {
        match &self.tokens {
            Some(tokens) => self.validate_raw(tokens)?,
            None if self.messages.is_empty() => return Err(Error::prompt("the prompt has no messages")),
            None => {}
        }
        for (index, message) in self.messages.iter().enumerate() {
            message.validate().map_err(|e| e.with("message_index", index))?;
        }
        self.validate_tools()?;
        self.validate_vars()
    }

    /// Raw ids replace the text, so text beside them would be lost without a word.
    fn validate_raw(&self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::prompt("the prompt's token list is empty"));
        }
        let texts = |m: &Message| m.parts.iter().any(|p| matches!(p, Part::Text(_)));
        match self.messages.iter().position(texts) {
            Some(index) => {
                let text =
                    "the prompt has both raw tokens and text; messages beside raw tokens may hold media only";
                Err(Error::prompt(text).with("message_index", index))
            }
            None => Ok(()),
        }
    }

    fn validate_tools(&self) -> Result<()> {
        let Some(tools) = &self.tools else { return Ok(()) };
        let Some(list) = tools.as_array() else {
            return Err(Error::prompt("tools must be a JSON array of objects"));
        };
        if let Some(index) = list.iter().position(|tool| !tool.is_object()) {
            return Err(Error::prompt(format!("tools[{index}] is not a JSON object")));
        }
        check_depth(tools, "tools")
    }

    fn validate_vars(&self) -> Result<()> {
        for (name, value) in &self.template_vars {
            if RESERVED.contains(&name.as_str()) {
                let text =
                    format!("the template variable '{name}' comes from the prompt itself and cannot be set");
                return Err(Error::prompt(text).with("variable", name.as_str()));
            }
            if matches!(name.as_str(), "enable_thinking" | "add_generation_prompt") && !value.is_boolean() {
                let text = format!("the template variable '{name}' must be true or false");
                return Err(Error::prompt(text).with("variable", name.as_str()));
            }
            check_depth(value, name)?;
        }
        Ok(())
    }
}

impl Message {
    fn validate(&self) -> Result<()> {
        if self.role.trim().is_empty() {
            return Err(Error::prompt("a message has an empty role"));
        }
        if self.parts.is_empty() {
            return Err(Error::prompt(format!("the '{}' message has no parts", self.role)));
        }
        Ok(())
    }
}

fn check_depth(value: &Value, what: &str) -> Result<()> {
    fn depth_within(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left > 0 && items.iter().all(|v| depth_within(v, left - 1)),
            Value::Object(map) => left > 0 && map.values().all(|v| depth_within(v, left - 1)),
            _ => true,
        }
    }
    if depth_within(value, MAX_DEPTH) {
        return Ok(());
    }
    Err(Error::prompt(format!("{what} is nested deeper than {MAX_DEPTH} levels")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prompt(messages: Vec<Message>) -> Prompt {
        Prompt { messages, ..Prompt::default() }
    }

    #[test]
    fn a_message_needs_a_role_and_parts_and_the_error_names_it() {
        let e = prompt(vec![Message::text("user", "a"), Message::text(" ", "b")]).validate().unwrap_err();
        assert_eq!(e.details()["message_index"], 1);
        let empty = Message { role: "user".into(), parts: vec![] };
        assert!(prompt(vec![empty]).validate().unwrap_err().message().contains("no parts"));
        assert!(prompt(vec![]).validate().is_err());
    }

    #[test]
    fn template_variables_have_the_types_that_templates_expect() {
        let mut p = prompt(vec![Message::text("user", "a")]);
        p.template_vars.insert("enable_thinking".into(), json!("yes"));
        assert!(p.validate().is_err());
        p.template_vars.insert("enable_thinking".into(), json!(true));
        p.validate().unwrap();
        p.template_vars.insert("messages".into(), json!([]));
        assert!(p.validate().is_err());
    }

    #[test]
    fn tools_are_an_array_of_objects_of_bounded_depth() {
        let mut p = prompt(vec![Message::text("user", "a")]);
        p.tools = Some(json!({"name": "f"}));
        assert!(p.validate().is_err());
        p.tools = Some(json!(["f"]));
        assert!(p.validate().is_err());
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({ "properties": deep });
        }
        p.tools = Some(json!([deep]));
        assert!(p.validate().unwrap_err().message().contains("nested"));
    }

    #[test]
    fn raw_tokens_exclude_text() {
        let mut p = prompt(vec![Message::text("user", "a")]);
        p.tokens = Some(vec![1]);
        assert!(p.validate().is_err());
        p.messages.clear();
        p.validate().unwrap();
        p.tokens = Some(vec![]);
        assert!(p.validate().is_err());
    }
}
