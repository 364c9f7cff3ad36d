//! Answers that stay as they were generated.
//!
//! A template writes an answer in its own way: it may trim it, drop its thoughts, spell a call's arguments anew. Where a
//! host wants none of that, the prompt that was answered and the tokens of the answer are kept with the answer's
//! message, and a later prompt begins with them, as long as the conversation up to there says the same.

use std::sync::Arc;

use serde_json::Value;

use super::message::{Part, Prompt};
use super::place::{Placed, PlacedMedia};

/// What else the tokens of a prompt depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose tokens they are.
    pub model: u64,
    /// What the template was told beside the prompt's own variables.
    pub thinking: Option<bool>,
}

/// A prompt that was submitted.
#[derive(Clone, Debug)]
pub struct Asked {
    setting: Setting,
    said: [u8; 32],
    placed: Arc<Placed>,
}

impl Asked {
    /// A prompt as it was placed, for the answer to come.
    pub fn new(prompt: &Prompt, setting: Setting, placed: &Arc<Placed>) -> Self {
        let said = digest(prompt, prompt.messages.len());
        Self { setting, said, placed: Arc::clone(placed) }
    }

    /// Whether a prompt says what was submitted.
    pub fn is(&self, prompt: &Prompt) -> bool {
        digest(prompt, prompt.messages.len()) == self.said
    }

    /// Keeps the tokens of the answer with the last message of the prompt, which is the answer.
    pub fn keep(&self, prompt: &mut Prompt, answer: &[u32]) {
        let said = digest(prompt, prompt.messages.len());
        let ids = [&self.placed.ids, answer].concat();
        let kept = Generated { setting: self.setting, said, ids, media: self.placed.media.clone() };
        if let Some(message) = prompt.messages.last_mut() {
            message.generated = Some(Arc::new(kept));
        }
    }
}

/// The tokens of a conversation up to the end of a generated answer.
#[derive(Clone, Debug)]
pub struct Generated {
    setting: Setting,
    said: [u8; 32],
    pub(super) ids: Vec<u32>,
    pub(super) media: Vec<PlacedMedia>,
}

impl Prompt {
    /// A digest of what the first `count` messages say.
    pub(crate) fn said(&self, count: usize) -> [u8; 32] {
        digest(self, count)
    }

    /// The last answer that may stay as it was generated, and the index of its message.
    pub(crate) fn generated(&self, setting: Setting) -> Option<(usize, &Generated)> {
        let messages = self.messages.iter().enumerate().rev();
        let mut all = messages.filter_map(|(index, message)| Some((index, message.generated.as_deref()?)));
        all.find(|(index, kept)| kept.setting == setting && kept.said == digest(self, index + 1))
    }
}

/// Of all that a template is shown of the first `count` messages.
fn digest(prompt: &Prompt, count: usize) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    // A length before each text, so that no two conversations are one text.
    let mut text = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    let optional = |value: &Option<String>| Value::from(value.clone()).to_string();
    text(&prompt.tools.as_ref().map(Value::to_string).unwrap_or_default());
    text(&Value::Object(prompt.template_vars.clone()).to_string());
    for message in prompt.messages.iter().take(count) {
        text(&message.role);
        text(&message.parts.len().to_string());
        for part in &message.parts {
            match part {
                Part::Text(said) => text(&Value::from(said.as_str()).to_string()),
                Part::Json(value) => text(&format!("json {value}")),
                Part::Media(media) => text(&format!("media {:?}", media.hash())),
            }
        }
        text(&message.tool_calls.len().to_string());
        for call in &message.tool_calls {
            text(&optional(&call.id));
            text(&call.name);
            text(&Value::Object(call.arguments.clone()).to_string());
        }
        for member in [&message.reasoning, &message.tool_call_id, &message.name] {
            text(&optional(member));
        }
        text(&Value::Object(message.others.clone()).to_string());
    }
    *hash.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Message;
    use serde_json::json;

    const SETTING: Setting = Setting { model: 1, thinking: None };

    fn answered() -> Prompt {
        let mut prompt = Prompt { messages: vec![Message::text("user", "x")], ..Prompt::default() };
        let placed = Arc::new(Placed { ids: vec![1, 2], ..Placed::default() });
        let asked = Asked::new(&prompt, SETTING, &placed);
        assert!(asked.is(&prompt));
        prompt.messages.push(Message::text("assistant", "y"));
        assert!(!asked.is(&prompt));
        asked.keep(&mut prompt, &[3]);
        prompt
    }

    #[test]
    fn an_answer_is_kept_as_long_as_the_conversation_up_to_it_says_the_same() {
        let mut prompt = answered();
        prompt.messages.push(Message::text("user", "z"));
        let (index, kept) = prompt.generated(SETTING).unwrap();
        assert_eq!((index, &kept.ids), (1, &vec![1, 2, 3]));
        let changes: [fn(&mut Prompt); 5] = [
            |p| p.messages[0] = Message::text("user", "other"),
            |p| p.messages[1].parts = vec![Part::Text("other".into())],
            |p| p.messages[0].reasoning = Some(String::new()),
            |p| p.tools = Some(json!([{}])),
            |p| drop(p.template_vars.insert("a".into(), json!(1))),
        ];
        for change in changes {
            let mut changed = prompt.clone();
            change(&mut changed);
            assert!(changed.generated(SETTING).is_none());
        }
        assert!(prompt.generated(Setting { model: 2, ..SETTING }).is_none());
        assert!(prompt.generated(Setting { thinking: Some(true), ..SETTING }).is_none());
    }
}
