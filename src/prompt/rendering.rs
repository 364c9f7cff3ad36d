//! Renders one prompt, with users' control spellings marked, as it is or with its texts changed.

use serde_json::{Map, Value, json};

use super::content::{Content, Forms};
use super::escape::{Escaper, unused_chars};
use super::message::{Message, Part, Prompt};
use super::place::{ALPHABET, Alphabet};
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

/// One prompt on its way through the template.
pub(super) struct Rendering<'a> {
    chat: Option<&'a Chat>,
    variables: Map<String, Value>,
    prompt: &'a Prompt,
    escaper: Escaper<'a>,
    /// Control spellings that stay as they are in the model's own turns.
    kept: Vec<&'a str>,
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
        let [mark, alphabet @ ..]: [char; ALPHABET + 1] = unused_chars(prompt, &[source]);
        let escaper = Escaper::new(tokenizer.spellings(), mark);
        let mut variables = special_variables(tokenizer);
        variables.insert("documents".into(), Value::Null);
        variables.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        variables.extend(escaper.vars(&prompt.template_vars));
        variables.insert("tools".into(), prompt.tools.as_ref().map_or(Value::Null, |t| escaper.value(t)));
        let kept = chat.iter().flat_map(|chat| &chat.kept).map(String::as_str).collect();
        Self { chat, variables, prompt, escaper, kept, alphabet: Alphabet::new(alphabet) }
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

    /// The same, with the parts of every message changed first. `edit` gets the index of the message, too; its parts
    /// are the host's, one by one.
    pub fn edited(&self, edit: impl Fn(usize, &Message, &mut Vec<Content>)) -> Result<String> {
        let Some(chat) = self.chat else {
            let texts = self.prompt.messages.iter().flat_map(|m| &m.parts).filter_map(|part| match part {
                Part::Text(text) => Some(self.escaper.text(text, &[])),
                Part::Media(_) => None,
            });
            return Ok(texts.collect());
        };
        let messages = self.prompt.messages.iter().enumerate().map(|(index, message)| {
            let kept: &[&str] = if message.is_model() { &self.kept } else { &[] };
            let escaped = |part| Content::of(part, |text| self.escaper.text(text, kept));
            let mut parts: Vec<Content> = message.parts.iter().map(escaped).collect();
            edit(index, message, &mut parts);
            parts.retain(|part| !matches!(part, Content::Media(kind) if !chat.forms.takes_media(*kind)));
            let role = self.escaper.text(&message.role, &[]);
            json!({"role": role, "content": chat.forms.content(message, &parts)})
        });
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), messages.collect());
        chat.template.render(&variables)
    }
}

/// `bos_token` and its like, as transformers hands them to templates.
pub(super) fn special_variables(tokenizer: &TextTokenizer) -> Map<String, Value> {
    tokenizer.variables().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
