//! Tags: short runs of characters that occur nowhere in a prompt, one for each text, result and call of the host.
//!
//! A tag stands at the end of a text and, but for the model's own turns, at its beginning too, inside of the blanks
//! there, so that a template that trims writes the same. What is said before a thought is cut off with it, so the
//! model's turns have theirs at the end alone. A call has its tag at the end of the tool's name, a value that a tool
//! returned as one more element. A message of media without any text gets a text that is nothing but a tag.

use serde_json::Value;

use super::medium::MediaSet;
use crate::prompt::content::{Content, Shown};
use crate::prompt::message::{Message, Part, Prompt};
use crate::prompt::pycompat::is_space;

/// How many unused characters tags are made of.
pub(in crate::prompt) const ALPHABET: usize = 17;

/// The character that begins a tag, and the digits of its number.
#[derive(Clone, Copy)]
pub(in crate::prompt) struct Alphabet {
    begin: char,
    digits: [char; ALPHABET - 1],
}

impl Alphabet {
    pub fn new(chars: [char; ALPHABET]) -> Self {
        let [begin, digits @ ..] = chars;
        Self { begin, digits }
    }

    fn holds(&self, c: char) -> bool {
        c == self.begin || self.digits.contains(&c)
    }
}

/// The tags of one prompt.
pub(super) struct Tags {
    alphabet: Alphabet,
    /// Digits of each tag.
    width: usize,
    /// By number.
    owners: Vec<Owner>,
    /// The first number of each message, and behind the last one how many there are.
    first: Vec<usize>,
}

/// What a tag stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Owner {
    pub message: usize,
    pub told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    /// A text or a value: the index of the part.
    Part(usize),
    /// The index among the message's calls.
    Call(usize),
    /// A message that holds media alone.
    Nothing,
}

/// A tag in a rendered text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub start: usize,
    pub end: usize,
    pub number: usize,
}

impl Tags {
    pub fn of(prompt: &Prompt, media: &MediaSet, alphabet: Alphabet) -> Tags {
        let (mut owners, mut first) = (Vec::new(), vec![0]);
        let mut held = vec![false; prompt.messages.len()];
        media.media.iter().for_each(|medium| held[medium.message] = true);
        for (index, message) in prompt.messages.iter().enumerate() {
            let texts = message.parts.iter().enumerate().filter(|(_, part)| is_told(part));
            owners.extend(texts.map(|(part, _)| Owner { message: index, told: Told::Part(part) }));
            let calls = 0..message.tool_calls.len();
            owners.extend(calls.map(|call| Owner { message: index, told: Told::Call(call) }));
            if held[index] && owners.len() == first[index] {
                owners.push(Owner { message: index, told: Told::Nothing });
            }
            first.push(owners.len());
        }
        let mut width = 1;
        while owners.len() > (ALPHABET - 1).pow(width) {
            width += 1;
        }
        Tags { alphabet, width: width as usize, owners, first }
    }

    /// How many texts of a message have a tag.
    pub fn texts_of(&self, message: usize) -> usize {
        let own = &self.owners[self.first[message]..self.first[message + 1]];
        own.iter().filter(|owner| matches!(owner.told, Told::Part(_))).count()
    }

    pub fn owner(&self, number: usize) -> Owner {
        self.owners[number]
    }

    /// Numbers with their owners.
    pub fn owners(&self) -> impl Iterator<Item = (usize, Owner)> {
        self.owners.iter().copied().enumerate()
    }

    fn tag(&self, number: usize) -> String {
        let base = self.alphabet.digits.len();
        let digit = |place: usize| self.alphabet.digits[number / base.pow(place as u32) % base];
        std::iter::once(self.alphabet.begin).chain((0..self.width).rev().map(digit)).collect()
    }

    /// Tags what one message tells.
    pub fn put(&self, index: usize, message: &Message, shown: &mut Shown) {
        for number in self.first[index]..self.first[index + 1] {
            let tag = self.tag(number);
            match self.owners[number].told {
                Told::Part(part) => match shown.parts.get_mut(part) {
                    Some(Content::Text(text)) => tag_text(text, &tag, message.is_model()),
                    Some(Content::Json(value)) => tag_value(value, tag),
                    _ => {}
                },
                Told::Call(call) => {
                    shown.calls.get_mut(call).into_iter().for_each(|call| call.name.push_str(&tag))
                }
                Told::Nothing => tag_end(&mut shown.parts, tag),
            }
        }
    }

    /// Puts tags in the place of what `chosen` says of one message.
    pub fn replace(&self, index: usize, shown: &mut Shown, chosen: impl Fn(usize) -> bool) {
        for number in (self.first[index]..self.first[index + 1]).filter(|number| chosen(*number)) {
            match self.owners[number].told {
                Told::Part(part) => match shown.parts.get_mut(part) {
                    Some(Content::Text(text)) => *text = self.tag(number),
                    Some(Content::Json(value)) => *value = Value::String(self.tag(number)),
                    _ => {}
                },
                Told::Call(call) => {
                    shown.calls.get_mut(call).into_iter().for_each(|call| call.name = self.tag(number));
                }
                Told::Nothing => {}
            }
        }
    }

    /// All whole tags of a text, in order.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        text.match_indices(self.alphabet.begin).filter_map(|(start, _)| self.hit_at(text, start)).collect()
    }

    fn hit_at(&self, text: &str, start: usize) -> Option<Hit> {
        let mut chars = text[start..].char_indices().skip(1);
        let mut number = 0;
        for _ in 0..self.width {
            let (_, c) = chars.next()?;
            number =
                number * self.alphabet.digits.len() + self.alphabet.digits.iter().position(|d| *d == c)?;
        }
        let end = chars.next().map_or(text.len(), |(at, _)| start + at);
        (number < self.owners.len()).then_some(Hit { start, end, number })
    }

    /// A text without tags, and without what may be left of one that was cut.
    pub fn strip(&self, text: &str) -> String {
        text.chars().filter(|c| !self.alphabet.holds(*c)).collect()
    }
}

/// Whether a part has text other than blanks.
fn is_told(part: &Part) -> bool {
    match part {
        Part::Text(text) => !text.chars().all(is_space),
        Part::Json(value) => !value.is_null(),
        Part::Media(_) => false,
    }
}

/// One more member or item; other values become texts.
fn tag_value(value: &mut Value, tag: String) {
    match value {
        Value::Object(members) => drop(members.insert(tag.clone(), Value::String(tag))),
        Value::Array(items) => items.push(Value::String(tag)),
        Value::String(text) => tag_text(text, &tag, false),
        other => *other = Value::String(format!("{other}{tag}")),
    }
}

/// Blanks at the end take the tag in: one text stays one text.
fn tag_end(parts: &mut Vec<Content>, tag: String) {
    match parts.last_mut() {
        Some(Content::Text(blanks)) => blanks.push_str(&tag),
        _ => parts.push(Content::Text(tag)),
    }
}

fn tag_text(text: &mut String, tag: &str, at_end_only: bool) {
    let end = text.trim_end_matches(is_space).len();
    text.insert_str(end, tag);
    if !at_end_only {
        let start = text.len() - text.trim_start_matches(is_space).len();
        text.insert_str(start, tag);
    }
}
