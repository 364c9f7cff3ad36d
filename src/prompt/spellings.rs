//! A set of token spellings with leftmost-longest search, as the tokenizer's own matching of added tokens.

use std::collections::HashMap;

/// What a spelling stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spelled {
    pub id: u32,
    /// Carries structure (turns, media, tools), so text typed by a user must never become it.
    pub control: bool,
    /// Swallow the whitespace before / after the spelling, or match whole words only (AddedToken's flags).
    pub lstrip: bool,
    pub rstrip: bool,
    pub single_word: bool,
}

/// Spellings by their text, with the lengths that occur for each first byte.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    lengths: HashMap<u8, Vec<usize>>,
    entries: HashMap<String, Spelled>,
    /// The control spellings, sorted, to find those that begin with a given text.
    control: Vec<String>,
    /// Bytes of the longest of them.
    longest_control: usize,
}

/// A spelling found at `start..end` of a text.
pub(super) struct Match<'a> {
    pub start: usize,
    pub end: usize,
    pub spelled: &'a Spelled,
}

impl Spellings {
    pub fn new(entries: impl IntoIterator<Item = (String, Spelled)>) -> Self {
        let entries: HashMap<String, Spelled> = entries.into_iter().filter(|(s, _)| !s.is_empty()).collect();
        let mut lengths: HashMap<u8, Vec<usize>> = HashMap::new();
        for text in entries.keys() {
            let list = lengths.entry(text.as_bytes()[0]).or_default();
            if !list.contains(&text.len()) {
                list.push(text.len());
            }
        }
        lengths.values_mut().for_each(|list| list.sort_unstable_by(|a, b| b.cmp(a)));
        let mut control: Vec<String> =
            entries.iter().filter(|(_, s)| s.control).map(|(t, _)| t.clone()).collect();
        control.sort_unstable();
        let longest_control = control.iter().map(String::len).max().unwrap_or(0);
        Self { lengths, entries, control, longest_control }
    }

    pub fn get(&self, text: &str) -> Option<&Spelled> {
        self.entries.get(text)
    }

    pub fn control(&self) -> &[String] {
        &self.control
    }

    /// The longest spelling that starts at byte `at` and that `accept` does not refuse.
    pub fn longest_at(&self, text: &str, at: usize, accept: impl Fn(&Match) -> bool) -> Option<Match<'_>> {
        let lengths = self.lengths.get(text.as_bytes().get(at)?)?;
        lengths.iter().find_map(|&len| {
            let spelled = self.entries.get(text.get(at..at + len)?)?;
            let found = Match { start: at, end: at + len, spelled };
            accept(&found).then_some(found)
        })
    }

    /// Whether `text` is the beginning, but not the whole, of a control spelling that `counts`.
    pub fn begins_control(&self, text: &str, counts: impl Fn(&str) -> bool) -> bool {
        if text.is_empty() || text.len() >= self.longest_control {
            return false;
        }
        let from = self.control.partition_point(|s| s.as_str() < text);
        self.control[from..]
            .iter()
            .take_while(|s| s.starts_with(text))
            .any(|s| s.len() > text.len() && counts(s))
    }

    /// Non-overlapping matches from left to right, the longest at each place, as in
    /// `tokenizers::AddedVocabulary`; the spans include swallowed whitespace.
    pub fn find_all(&self, text: &str, accept: impl Fn(&Match) -> bool) -> Vec<Match<'_>> {
        let mut found: Vec<Match<'_>> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let Some(hit) = self.longest_at(text, at, &accept) else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            at = hit.end;
            if hit.spelled.single_word && !is_single_word(text, &hit) {
                continue;
            }
            let floor = found.last().map_or(0, |m| m.end);
            let hit = swallow_whitespace(text, hit, floor);
            at = at.max(hit.end);
            found.push(hit);
        }
        found
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_single_word(text: &str, hit: &Match) -> bool {
    let before = text[..hit.start].chars().next_back();
    let after = text[hit.end..].chars().next();
    !before.is_some_and(is_word) && !after.is_some_and(is_word)
}

fn swallow_whitespace<'a>(text: &str, hit: Match<'a>, floor: usize) -> Match<'a> {
    let start = match hit.spelled.lstrip {
        true => text[..hit.start].trim_end().len().max(floor),
        false => hit.start,
    };
    let rest = &text[hit.end..];
    let end = hit.end + if hit.spelled.rstrip { rest.len() - rest.trim_start().len() } else { 0 };
    Match { start, end, spelled: hit.spelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(id: u32) -> Spelled {
        Spelled { id, control: true, lstrip: false, rstrip: false, single_word: false }
    }

    fn set(list: &[&str]) -> Spellings {
        Spellings::new(list.iter().enumerate().map(|(i, s)| (s.to_string(), spelled(i as u32))))
    }

    fn spans(found: Vec<Match>) -> Vec<(usize, usize, u32)> {
        found.iter().map(|m| (m.start, m.end, m.spelled.id)).collect()
    }

    #[test]
    fn the_longest_spelling_at_the_leftmost_place_wins() {
        let s = set(&["<a>", "<a><b>", "<b>", "é<"]);
        assert_eq!(spans(s.find_all("x<a><b><a>", |_| true)), [(1, 7, 1), (7, 10, 0)]);
        assert_eq!(spans(s.find_all("é<a>", |_| true)), [(0, 3, 3)]);
        assert_eq!(spans(s.find_all("x<a><b>", |m| m.spelled.id != 1)), [(1, 4, 0), (4, 7, 2)]);
    }

    #[test]
    fn flags_swallow_whitespace_and_demand_words() {
        let s = Spellings::new([
            ("<m>".to_owned(), Spelled { lstrip: true, rstrip: true, ..spelled(7) }),
            ("ab".to_owned(), Spelled { single_word: true, ..spelled(8) }),
        ]);
        assert_eq!(spans(s.find_all("a  <m> \n<m>b", |_| true)), [(1, 8, 7), (8, 11, 7)]);
        assert_eq!(spans(s.find_all("xab ab", |_| true)), [(4, 6, 8)]);
    }

    #[test]
    fn a_beginning_of_a_control_spelling_is_known() {
        let s = set(&["<|image|>", "<turn|>"]);
        assert!(s.begins_control("<", |_| true));
        assert!(s.begins_control("<|im", |_| true));
        assert!(!s.begins_control("<|image|>", |_| true));
        assert!(!s.begins_control("<x", |_| true));
        assert!(!s.begins_control("<t", |s| s != "<turn|>"));
    }
}
