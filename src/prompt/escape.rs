//! Keeps what a user types plain text.
//!
//! A template joins the host's strings with its own markup into one text, and the tokenizer cannot tell
//! `<|image|>` written by the template from `<|image|>` typed by a user. So every control spelling inside the
//! host's strings gets a *mark*, a character that occurs nowhere else in the prompt, after its first character.
//! The template carries it along, it keeps the spelling from matching, and it is taken out before the text
//! reaches the tokenizer or the host. A prompt without such spellings never sees a mark.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::message::{Part, Prompt};
use super::spellings::Spellings;

/// Rare characters that are neither letters nor spaces nor unprintable, so that no filter of a template and no
/// `repr` touches them: the hexagrams of the I Ching; then hieroglyphs, then private ones.
fn candidates() -> impl Iterator<Item = char> {
    ('\u{4DC0}'..='\u{4DFF}').chain('\u{13000}'..='\u{1342E}').chain('\u{F0000}'..='\u{FFFFD}')
}

/// Whether a character is one of the marks that come first.
pub(super) fn is_usual_mark(c: char) -> bool {
    ('\u{4DC0}'..='\u{4DFF}').contains(&c)
}

/// Marks control spellings in the strings of one prompt.
pub(super) struct Escaper<'a> {
    spellings: &'a Spellings,
    mark: char,
}

impl<'a> Escaper<'a> {
    pub fn new(spellings: &'a Spellings, mark: char) -> Self {
        Self { spellings, mark }
    }

    pub fn mark(&self) -> char {
        self.mark
    }

    /// `text` with a mark after the first character of every control spelling, except those that are `kept`.
    ///
    /// An unfinished spelling at the end is marked too: the template may put the rest right after it.
    pub fn text(&self, text: &str, kept: &[&str]) -> String {
        let escaped = |spelling: &str| !kept.contains(&spelling);
        let trimmed = text.trim_end();
        let mut out = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            out.push(c);
            let hit = self.spellings.longest_at(text, at, |m| m.spelled.control && escaped(&text[at..m.end]));
            let open = || trimmed.get(at..).is_some_and(|end| self.spellings.begins_control(end, escaped));
            if hit.is_some() || open() {
                out.push(self.mark);
            }
        }
        out
    }

    /// A JSON value with every string in it marked, keys too.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text, &[])),
            Value::Array(items) => Value::Array(items.iter().map(|v| self.value(v)).collect()),
            Value::Object(map) => Value::Object(self.object(map)),
            other => other.clone(),
        }
    }

    pub fn object(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().map(|(k, v)| (self.text(k, &[]), self.value(v))).collect()
    }

    /// Template variables; those named `…_token` hold special spellings on purpose and stay as they are.
    pub fn vars(&self, vars: &Map<String, Value>) -> Map<String, Value> {
        let escape = |name: &str, value: &Value| match name.ends_with("_token") {
            true => value.clone(),
            false => self.value(value),
        };
        vars.iter().map(|(name, value)| (name.clone(), escape(name, value))).collect()
    }
}

/// `N` characters that occur neither in the prompt nor in `other`.
pub(super) fn unused_chars<const N: usize>(prompt: &Prompt, other: &[&str]) -> [char; N] {
    let mut strings: Vec<&str> = other.to_vec();
    for message in &prompt.messages {
        strings.push(&message.role);
        for part in &message.parts {
            match part {
                Part::Text(text) => strings.push(text),
                Part::Json(value) => collect_strings(value, &mut strings),
                Part::Media(_) => {}
            }
        }
        strings.extend(
            [&message.reasoning, &message.tool_call_id, &message.name]
                .into_iter()
                .flatten()
                .map(String::as_str),
        );
        for call in &message.tool_calls {
            strings.push(&call.name);
            strings.extend(call.id.as_deref());
            collect_members(&call.arguments, &mut strings);
        }
        collect_members(&message.others, &mut strings);
    }
    prompt.tools.iter().for_each(|tools| collect_strings(tools, &mut strings));
    collect_members(&prompt.template_vars, &mut strings);
    let first = '\u{4DC0}';
    let used: HashSet<char> = strings.iter().flat_map(|s| s.chars()).filter(|c| *c >= first).collect();
    let mut free = candidates().filter(|c| !used.contains(c));
    // More than 65,000 candidates do not all occur in a prompt.
    std::array::from_fn(|_| free.next().unwrap_or('\u{10FFFF}'))
}

fn collect_strings<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|v| collect_strings(v, into)),
        Value::Object(map) => collect_members(map, into),
        _ => {}
    }
}

/// All names and texts in an object, at any depth.
pub(super) fn collect_members<'v>(map: &'v Map<String, Value>, into: &mut Vec<&'v str>) {
    for (name, value) in map {
        into.push(name);
        collect_strings(value, into);
    }
}

/// Splits marks off: the clean text, and the byte offsets in it where a mark stood (ascending).
pub(super) fn remove_marks(text: &str, mark: char) -> (String, Vec<usize>) {
    let mut pieces = text.split(mark);
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    let mut marks = Vec::new();
    for piece in pieces {
        marks.push(clean.len());
        clean.push_str(piece);
    }
    (clean, marks)
}

#[cfg(test)]
mod tests {
    use super::super::spellings::Spelled;
    use super::*;
    use crate::prompt::Message;
    use serde_json::json;

    fn set() -> Spellings {
        let plain = Spelled { id: 0, control: true, lstrip: false, rstrip: false, single_word: false };
        Spellings::new([
            ("<|image|>".to_owned(), plain.clone()),
            ("<turn|>".to_owned(), plain.clone()),
            ("<table>".to_owned(), Spelled { control: false, ..plain }),
        ])
    }

    #[test]
    fn control_spellings_are_marked_and_ordinary_ones_are_not() {
        let set = set();
        let e = Escaper::new(&set, '!');
        assert_eq!(e.text("a<|image|>b<turn|><table>", &[]), "a<!|image|>b<!turn|><table>");
        assert_eq!(e.text("<<|image|>", &[]), "<<!|image|>");
        assert_eq!(e.text("<|image|>", &["<|image|>"]), "<|image|>");
    }

    #[test]
    fn an_unfinished_spelling_at_the_end_is_marked() {
        let set = set();
        let e = Escaper::new(&set, '!');
        assert_eq!(e.text("a <|im \n", &[]), "a <!|im \n");
        assert_eq!(e.text("a < b", &[]), "a < b");
        assert_eq!(e.text("x <", &[]), "x <!");
    }

    #[test]
    fn json_strings_and_keys_are_marked_but_token_variables_are_not() {
        let set = set();
        let e = Escaper::new(&set, '!');
        assert_eq!(e.value(&json!({"<turn|>": ["<turn|>", 1]})), json!({"<!turn|>": ["<!turn|>", 1]}));
        let vars = json!({"bos_token": "<turn|>", "note": "<turn|>"});
        let vars = e.vars(vars.as_object().unwrap());
        assert_eq!(Value::Object(vars), json!({"bos_token": "<turn|>", "note": "<!turn|>"}));
    }

    #[test]
    fn marks_come_off_and_leave_their_places() {
        assert_eq!(remove_marks("ab", '!'), ("ab".into(), vec![]));
        assert_eq!(remove_marks("a!b!!c", '!'), ("abc".into(), vec![1, 2, 2]));
        assert_eq!(remove_marks("!é!", '!'), ("é".into(), vec![0, 2]));
        assert_eq!(remove_marks("", '!'), (String::new(), vec![]));
    }

    #[test]
    fn the_mark_is_a_character_that_the_prompt_lacks() {
        let text = "\u{4DC0} and \u{4DC2}";
        let prompt = Prompt { messages: vec![Message::text("user", text)], ..Prompt::default() };
        assert_eq!(unused_chars::<2>(&prompt, &["\u{4DC1}"]), ['\u{4DC3}', '\u{4DC4}']);
    }
}
