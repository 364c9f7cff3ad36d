//! What a host asks: messages made of text, media, thoughts, tool calls and their results, tools, and variables for the
//! chat template.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::exact::Generated;
use crate::error::{Error, Result};
use crate::json::MAX_DEPTH;
use crate::media::Media;

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
    /// The last message is the assistant's and unfinished: the model goes on with its text, and no new turn begins.
    pub continue_final_message: bool,
    /// Raw token ids instead of rendered messages, for experts.
    pub tokens: Option<Vec<u32>>,
}

/// One turn's content: a role (`user`, `assistant`, `system`, `tool`, …) and its parts in order.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `user`, `assistant`, `system`, `tool`, or another that the template knows.
    pub role: String,
    /// Texts and media in the order in which they are read.
    pub parts: Vec<Part>,
    /// What the model thought before it answered; of the model's messages only. The template sees it as
    /// `reasoning_content`.
    pub reasoning: Option<String>,
    /// Tools that the model called; of the model's messages only.
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool's message answers.
    pub tool_call_id: Option<String>,
    /// Who speaks: of a tool's message, the tool.
    pub name: Option<String>,
    /// Further members that the template sees of the message.
    pub others: Map<String, Value>,
    /// Of an answer that a session added: the tokens that it was generated with.
    pub generated: Option<Arc<Generated>>,
}

/// A tool that the model called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// What a tool's message says that it answers.
    pub id: Option<String>,
    /// The tool's.
    pub name: String,
    /// By name, as the tool's schema has them.
    pub arguments: Map<String, Value>,
}

/// Members of a message that have a field of their own.
pub(super) const MEMBERS: [&str; 6] =
    ["role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name"];

/// A piece of a message.
#[derive(Clone)]
pub enum Part {
    /// What was written.
    Text(String),
    /// What was shown or played.
    Media(Arc<Media>),
    /// What a tool returned, the one part of its message. A template that takes no such values gets its text.
    Json(Value),
}

impl fmt::Debug for Part {
    /// Media show their kind only: pixels and samples are no use in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Part::Media(media) => f.debug_tuple("Media").field(&media.kind()).finish(),
            Part::Json(value) => f.debug_tuple("Json").field(value).finish(),
        }
    }
}

impl Message {
    /// A message of one text part.
    pub fn text(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(role, vec![Part::Text(text.into())])
    }

    /// A message of these parts, and nothing else.
    pub fn new(role: impl Into<String>, parts: Vec<Part>) -> Self {
        Self { role: role.into(), parts, ..Self::default() }
    }

    /// Whether this is the model's own turn.
    pub(crate) fn is_model(&self) -> bool {
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
        self.validate_continued()?;
        self.validate_tools()?;
        self.validate_vars()
    }

    fn validate_continued(&self) -> Result<()> {
        let Some((index, last)) =
            self.messages.iter().enumerate().next_back().filter(|_| self.continue_final_message)
        else {
            return Ok(());
        };
        let why = match last.parts.last() {
            _ if !last.is_model() => format!("it is a '{}' message, not the assistant's", last.role),
            Some(Part::Text(_)) => return Ok(()),
            _ => "it does not end with a text".to_owned(),
        };
        Err(Error::prompt(format!("the last message cannot be continued: {why}"))
            .with("message_index", index))
    }

    /// Raw ids replace the text, so text beside them would be lost without a word.
    fn validate_raw(&self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::prompt("the prompt's token list is empty"));
        }
        let texts = |m: &Message| m.says() || m.parts.iter().any(|p| !matches!(p, Part::Media(_)));
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
    /// Whether there is a thought or a call.
    fn says(&self) -> bool {
        self.reasoning.is_some() || !self.tool_calls.is_empty()
    }

    fn validate(&self) -> Result<()> {
        if self.role.trim().is_empty() {
            return Err(Error::prompt("a message has an empty role"));
        }
        let says = self.says();
        if self.parts.is_empty() && !says {
            return Err(Error::prompt(format!("the '{}' message has no parts", self.role)));
        }
        if says && !self.is_model() {
            let text = format!(
                "reasoning and tool calls are the assistant's, and this is a '{}' message",
                self.role
            );
            return Err(Error::prompt(text));
        }
        let json =
            self.parts.iter().find_map(|part| if let Part::Json(value) = part { Some(value) } else { None });
        if let Some(value) = json {
            if self.role != "tool" || self.parts.len() > 1 {
                return Err(Error::prompt(
                    "a JSON value is the one part of a 'tool' message, and stands nowhere else",
                ));
            }
            check_depth(value, "a tool's result")?;
        }
        for call in &self.tool_calls {
            if call.name.trim().is_empty() {
                return Err(Error::prompt("a tool call has no name"));
            }
            call.arguments.values().try_for_each(|value| check_depth(value, "an argument of a tool call"))?;
        }
        if let Some(member) = MEMBERS.iter().find(|member| self.others.contains_key(**member)) {
            return Err(Error::prompt(format!("'{member}' is not a further member of a message")));
        }
        self.others.iter().try_for_each(|(name, value)| check_depth(value, name))
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
        let empty = Message::new("user", vec![]);
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
    fn calls_and_thoughts_are_the_models_and_values_are_the_tools() {
        let call = ToolCall { name: "f".into(), ..ToolCall::default() };
        let calling = Message { tool_calls: vec![call], ..Message::new("assistant", vec![]) };
        prompt(vec![calling.clone()]).validate().unwrap();
        let e = prompt(vec![Message { role: "user".into(), ..calling.clone() }]).validate().unwrap_err();
        assert!(e.message().contains("the assistant's"), "{e}");
        let nameless = Message { tool_calls: vec![ToolCall::default()], ..calling };
        assert!(prompt(vec![nameless]).validate().unwrap_err().message().contains("no name"));
        let value = || Part::Json(json!({"a": 1}));
        prompt(vec![Message::new("tool", vec![value()])]).validate().unwrap();
        assert!(prompt(vec![Message::new("user", vec![value()])]).validate().is_err());
        assert!(prompt(vec![Message::new("tool", vec![value(), value()])]).validate().is_err());
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
