//! The turns of a rendered conversation, found by the markers that published templates write.

use crate::prompt::tokenizer::TextTokenizer;

/// What opens a turn, before the role and a newline.
const STARTS: [&str; 3] = ["<|turn>", "<|im_start|>", "<start_of_turn>"];
/// What ends a turn.
const ENDS: [&str; 3] = ["<end_of_turn>", "<turn|>", "<|im_end|>"];

/// The markers that this tokenizer has as one token each.
#[derive(Debug)]
pub(in crate::prompt) struct TurnMarkers {
    starts: Vec<(&'static str, u32)>,
    ends: Vec<(&'static str, u32)>,
}

/// One turn, as byte offsets in the rendered text.
#[derive(Debug, PartialEq)]
pub(super) struct Turn {
    /// Where its opening marker begins.
    pub start: usize,
    pub role: String,
    /// Right after the opener, which ends with the first newline.
    pub body: usize,
    /// Where its end marker begins; the turn that the model is to write has none.
    pub end: Option<usize>,
}

impl Turn {
    pub fn is_model(&self) -> bool {
        matches!(self.role.as_str(), "model" | "assistant")
    }
}

impl TurnMarkers {
    pub fn resolve(tokenizer: &TextTokenizer) -> Self {
        let known = |list: [&'static str; 3]| {
            list.into_iter().filter_map(|s| Some((s, tokenizer.control_id(s)?))).collect()
        };
        Self { starts: known(STARTS), ends: known(ENDS) }
    }

    pub fn is_marker(&self, spelling: &str) -> bool {
        self.starts.iter().chain(&self.ends).any(|(s, _)| *s == spelling)
    }

    /// Whether a text has any marker at all.
    pub fn occur_in(&self, text: &str) -> bool {
        self.starts.iter().chain(&self.ends).any(|(s, _)| text.contains(s))
    }

    /// The same for ids.
    pub fn occur_in_ids(&self, ids: &[u32]) -> bool {
        self.starts.iter().chain(&self.ends).any(|(_, id)| ids.contains(id))
    }

    /// Where the turns of a prompt begin; the last is the model's own, as prompts end.
    pub fn starts(&self, ids: &[u32]) -> Vec<usize> {
        let is_start = |(_, id): &(usize, &u32)| self.starts.iter().any(|(_, start)| start == *id);
        ids.iter().enumerate().filter(is_start).map(|(at, _)| at).collect()
    }

    /// The spellings that end turns.
    pub fn ends(&self) -> impl Iterator<Item = &'static str> {
        self.ends.iter().map(|(spelling, _)| *spelling)
    }

    /// The end markers, for messages to people.
    pub fn end_spellings(&self) -> String {
        self.ends.iter().map(|(s, _)| *s).collect::<Vec<_>>().join(" or ")
    }

    /// All turns in order. Marked spellings of users do not count: the mark stands inside them.
    pub(super) fn turns(&self, text: &str) -> Vec<Turn> {
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for (marker, _) in &self.starts {
            starts.extend(text.match_indices(marker).map(|(at, m)| (at, at + m.len())));
        }
        starts.sort_unstable();
        let next = |index: usize| starts.get(index + 1).map_or(text.len(), |(at, _)| *at);
        let turn = |(index, &(start, after)): (usize, &(usize, usize))| {
            let rest = &text[after..next(index)];
            let line = rest.find('\n').unwrap_or(rest.len());
            let body = after + (line + 1).min(rest.len());
            let content = &text[body..next(index)];
            let end = self.ends.iter().filter_map(|(s, _)| content.find(s)).min().map(|at| body + at);
            Turn { start, role: rest[..line].trim().to_owned(), body, end }
        };
        starts.iter().enumerate().map(turn).collect()
    }
}
