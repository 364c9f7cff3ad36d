//! Renders one prompt, with users' control spellings marked, as a whole or in the variants that planning asks for.

use serde_json::{Map, Value, json};

use super::content::{Content, Forms};
use super::escape::{Escaper, unused_chars};
use super::message::{Message, Part, Prompt};
use super::template::Template;
use super::tokenizer::TextTokenizer;
use crate::error::Result;

/// A template and the forms of content that it takes.
pub(super) struct Chat {
    pub template: Template,
    pub forms: Forms,
    /// Control spellings that stay as they are in the model's own turns.
    pub kept: Vec<String>,
}

/// A variant of the conversation.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// The media that the template gets to see.
    pub shown: Shown,
    /// The message that begins with the tag character.
    pub tagged: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shown {
    All,
    None,
    OfMessage(usize),
}

impl View {
    pub const WHOLE: View = View { shown: Shown::All, tagged: None };
}

/// One prompt on its way through the template.
pub(super) struct Rendering<'a> {
    chat: Option<&'a Chat>,
    variables: Map<String, Value>,
    prompt: &'a Prompt,
    escaper: Escaper<'a>,
    tag: char,
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
        let [mark, tag] = unused_chars(prompt, &[source]);
        let escaper = Escaper::new(tokenizer.spellings(), mark);
        let mut variables = special_variables(tokenizer);
        variables.insert("documents".into(), Value::Null);
        variables.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        variables.extend(escaper.vars(&prompt.template_vars));
        variables.insert("tools".into(), prompt.tools.as_ref().map_or(Value::Null, |t| escaper.value(t)));
        Self { chat, variables, prompt, escaper, tag }
    }

    /// The character that marks control spellings as plain text.
    pub fn mark(&self) -> char {
        self.escaper.mark()
    }

    /// The character that begins a tagged message.
    pub fn tag(&self) -> char {
        self.tag
    }

    /// The marked text of a variant. Without a template: all texts one after the other.
    pub fn text(&self, view: &View) -> Result<String> {
        let Some(chat) = self.chat else {
            let texts = self.prompt.messages.iter().flat_map(|m| &m.parts).filter_map(|part| match part {
                Part::Text(text) => Some(self.escaper.text(text, &[])),
                Part::Media(_) => None,
            });
            return Ok(texts.collect());
        };
        let messages = self.prompt.messages.iter().enumerate();
        let messages: Vec<Value> = messages.map(|(index, m)| self.message(chat, index, m, view)).collect();
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), Value::Array(messages));
        chat.template.render(&variables)
    }

    fn message(&self, chat: &Chat, index: usize, message: &Message, view: &View) -> Value {
        let kept: &[String] = if message.is_model() { &chat.kept } else { &[] };
        let shown = view.shown == Shown::All || view.shown == Shown::OfMessage(index);
        let mut parts: Vec<Content> = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match Content::of(part, |text| self.escaper.text(text, kept)) {
                Content::Media(kind) if !(shown && chat.forms.takes_media(kind)) => {}
                part => parts.push(part),
            }
        }
        if view.tagged == Some(index) {
            self.add_tag(&mut parts);
        }
        let role = self.escaper.text(&message.role, &[]);
        json!({"role": role, "content": chat.forms.content(message, &parts)})
    }

    /// Begins the first text of a message with the tag.
    fn add_tag(&self, parts: &mut Vec<Content>) {
        let text = parts.iter_mut().find_map(|part| match part {
            Content::Text(text) => Some(text),
            Content::Media(_) => None,
        });
        match text {
            Some(text) => text.insert(0, self.tag),
            None => parts.push(Content::Text(self.tag.to_string())),
        }
    }
}

/// `bos_token` and its like, as transformers hands them to templates.
pub(super) fn special_variables(tokenizer: &TextTokenizer) -> Map<String, Value> {
    tokenizer.variables().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
