//! Renders one prompt, with users' control spellings marked, as it is or with its texts changed.

use serde_json::{Map, Value, json};

use super::content::{Content, Forms, Shown};
use super::escape::{Escaper, collect_members, unused_chars};
use super::message::{Message, Part, Prompt, ToolCall};
use super::place::{ALPHABET, Alphabet};
use super::pycompat::is_space;
use super::template::Template;
use super::tokenizer::TextTokenizer;
use crate::error::{Error, Result};

/// A template and the forms of content that it takes.
pub(super) struct Chat {
    pub template: Template,
    pub forms: Forms,
    /// Control spellings that stay as they are in the model's own turns.
    pub kept: Vec<String>,
}

/// One prompt on its way through the template.
pub(super) struct Rendering<'a> {
    chat: Option<&'a Chat>,
    variables: Map<String, Value>,
    prompt: &'a Prompt,
    escaper: Escaper<'a>,
    /// Control spellings that stay as they are in the model's own turns.
    kept: Vec<&'a str>,
    /// Stands where the text of a last message ends that the model goes on with.
    end: char,
    alphabet: Alphabet,
}

impl<'a> Rendering<'a> {
    /// `chat` is `None` for a snapshot without a template.
    pub fn new(
        chat: Option<&'a Chat>,
        tokenizer: &'a TextTokenizer,
        prompt: &'a Prompt,
        add_generation_prompt: bool,
    ) -> Self {
        let source = chat.map_or("", |chat| chat.template.source().text.as_str());
        let [mark, end, alphabet @ ..]: [char; ALPHABET + 2] = unused_chars(prompt, &[source]);
        let escaper = Escaper::new(tokenizer.spellings(), mark);
        let mut variables = special_variables(tokenizer);
        variables.insert("documents".into(), Value::Null);
        variables.insert(
            "add_generation_prompt".into(),
            json!(add_generation_prompt && !prompt.continue_final_message),
        );
        variables.extend(escaper.vars(&prompt.template_vars));
        variables.insert("tools".into(), prompt.tools.as_ref().map_or(Value::Null, |t| escaper.value(t)));
        let kept = chat.iter().flat_map(|chat| &chat.kept).map(String::as_str).collect();
        Self { chat, variables, prompt, escaper, kept, end, alphabet: Alphabet::new(alphabet) }
    }

    /// With these spellings plain text in the model's own turns, too: those of media.
    pub fn escaping(mut self, spellings: &[String]) -> Self {
        self.kept.retain(|kept| !spellings.iter().any(|spelling| spelling == kept));
        self
    }

    pub fn prompt(&self) -> &'a Prompt {
        self.prompt
    }

    /// The character that marks control spellings as plain text.
    pub fn mark(&self) -> char {
        self.escaper.mark()
    }

    /// Characters that are in no text, for tags.
    pub fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// A text of our own with its control spellings marked.
    pub fn escape(&self, text: &str) -> String {
        self.escaper.text(text, &[])
    }

    /// The marked text of the conversation as the host gave it. Without a template: all texts one after the other.
    pub fn plain(&self) -> Result<String> {
        self.edited(|_, _, _| {})
    }

    /// The same, with what is shown of every message changed first. `edit` gets the index of the message, too; its
    /// parts and calls are the host's, one by one.
    pub fn edited(&self, edit: impl Fn(usize, &Message, &mut Shown)) -> Result<String> {
        let Some(chat) = self.chat else {
            let texts = self.prompt.messages.iter().flat_map(|m| &m.parts).filter_map(|part| match part {
                Part::Text(text) => Some(self.escaper.text(text, &[])),
                Part::Json(value) => Some(self.escaper.text(&value.to_string(), &[])),
                Part::Media(_) => None,
            });
            return Ok(texts.collect());
        };
        let messages = self.prompt.messages.iter().enumerate().map(|(index, message)| {
            let mut shown = self.shown(message);
            edit(index, message, &mut shown);
            if self.prompt.continue_final_message && index + 1 == self.prompt.messages.len() {
                self.mark_end(&mut shown);
            }
            shown
                .parts
                .retain(|part| !matches!(part, Content::Media(kind) if !chat.forms.takes_media(*kind)));
            let content = chat.forms.content(message, &shown.parts);
            Value::Object(self.members(message, content, shown))
        });
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), messages.collect());
        self.up_to_end(chat.template.render(&variables)?)
    }

    /// As transformers does: after the text a mark and a blank, which tells whether the template trims the text.
    fn mark_end(&self, shown: &mut Shown) {
        if let Some(Content::Text(text)) = shown.parts.last_mut() {
            text.extend([self.end, ' ']);
        }
    }

    /// What stands before the end of the text that is to go on.
    fn up_to_end(&self, mut text: String) -> Result<String> {
        if !self.prompt.continue_final_message {
            return Ok(text);
        }
        let Some(at) = text.rfind(self.end) else {
            let index = self.prompt.messages.len() - 1;
            let why = "the last message cannot be continued: the template leaves out the end of its text";
            return Err(Error::prompt(why).with("message_index", index));
        };
        let trimmed = !text[at + self.end.len_utf8()..].starts_with(' ');
        text.truncate(at);
        if trimmed {
            text.truncate(text.trim_end_matches(is_space).len());
        }
        Ok(text)
    }
}

impl Rendering<'_> {
    /// Marked texts that the template could write without a message: its own, tools and variables.
    pub fn other_texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> =
            self.chat.iter().map(|chat| chat.template.source().text.as_str()).collect();
        collect_members(&self.variables, &mut texts);
        texts
    }

    /// What the template is shown of one message, before any change.
    pub fn shown(&self, message: &Message) -> Shown {
        let kept: &[&str] = if message.is_model() { &self.kept } else { &[] };
        let part = |part: &Part| match part {
            Part::Text(text) => Content::Text(self.escaper.text(text, kept)),
            Part::Media(media) => Content::Media(media.kind()),
            Part::Json(value) => Content::Json(self.escaper.value(value)),
        };
        let text = |text: &String| self.escaper.text(text, &[]);
        let call = |call: &ToolCall| ToolCall {
            id: call.id.as_ref().map(text),
            name: text(&call.name),
            arguments: self.escaper.object(&call.arguments),
        };
        Shown {
            parts: message.parts.iter().map(part).collect(),
            reasoning: message.reasoning.as_ref().map(text),
            calls: message.tool_calls.iter().map(call).collect(),
        }
    }

    /// A message under the names that transformers' templates read.
    fn members(&self, message: &Message, content: Value, shown: Shown) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("role".into(), json!(self.escaper.text(&message.role, &[])));
        members.insert("content".into(), content);
        if let Some(reasoning) = shown.reasoning {
            members.insert("reasoning_content".into(), json!(reasoning));
        }
        if !shown.calls.is_empty() {
            members.insert("tool_calls".into(), shown.calls.into_iter().map(call_members).collect());
        }
        for (name, value) in [("tool_call_id", &message.tool_call_id), ("name", &message.name)] {
            if let Some(value) = value {
                members.insert(name.into(), json!(self.escaper.text(value, &[])));
            }
        }
        members.extend(self.escaper.object(&message.others));
        members
    }
}

fn call_members(call: ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    match call.id {
        Some(id) => json!({"type": "function", "id": id, "function": function}),
        None => json!({"type": "function", "function": function}),
    }
}

/// `bos_token` and its like, as transformers hands them to templates.
pub(super) fn special_variables(tokenizer: &TextTokenizer) -> Map<String, Value> {
    tokenizer.variables().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
