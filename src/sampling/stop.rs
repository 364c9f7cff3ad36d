//! Stop strings: found across token borders, never handed out.

use std::ops::Range;

/// Watches a stream of text for the first of several strings.
///
/// The stream may have spellings in it that are not handed out, those of special tokens. A stop string is found in what
/// is handed out, and with the spellings between; no stop string has a part of a spelling only.
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: Spelled,
}

/// What may be handed out after a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub text: String,
    pub stopped: bool,
}

/// A text, and which stretches of it are not handed out.
#[derive(Default)]
struct Spelled {
    text: String,
    /// In order, none empty.
    hidden: Vec<Range<usize>>,
}

impl StopMatcher {
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, held: Spelled::default() }
    }

    /// Takes the next piece; what could be the beginning of a stop string is held back.
    pub fn push(&mut self, piece: &str) -> Checked {
        self.held.text.push_str(piece);
        self.check()
    }

    /// Takes a special token, which is not handed out, as it is spelled.
    pub fn push_hidden(&mut self, spelling: &str) -> Checked {
        let begin = self.held.text.len();
        if !self.stops.is_empty() && !spelling.is_empty() {
            self.held.text.push_str(spelling);
            self.held.hidden.push(begin..self.held.text.len());
        }
        self.check()
    }

    /// What is still held back, once nothing more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held).shown()
    }

    fn check(&mut self) -> Checked {
        let held = &self.held;
        let first = self.stops.iter().filter_map(|stop| held.find(stop)).min();
        let stopped = first.is_some();
        let end = first.unwrap_or_else(|| {
            let begin = |stop: &String| held.beginning(stop);
            self.stops.iter().filter_map(begin).min().unwrap_or(held.text.len())
        });
        let tail = self.held.split_off(end);
        let text = std::mem::replace(&mut self.held, tail).shown();
        if stopped {
            self.held = Spelled::default();
        }
        Checked { text, stopped }
    }
}

impl Spelled {
    fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        let mut at = 0;
        for hidden in &self.hidden {
            shown.push_str(&self.text[at..hidden.start]);
            at = hidden.end;
        }
        shown + &self.text[at..]
    }

    /// Where a byte of [`Spelled::shown`] stands.
    fn place(&self, shown: usize) -> usize {
        self.hidden.iter().fold(shown, |at, hidden| if at >= hidden.start { at + hidden.len() } else { at })
    }

    /// Whether a stretch could begin or end here.
    fn is_border(&self, at: usize) -> bool {
        self.text.is_char_boundary(at) && !self.hidden.iter().any(|h| h.start < at && at < h.end)
    }

    /// Where `stop` begins first.
    fn find(&self, stop: &str) -> Option<usize> {
        if self.hidden.is_empty() {
            return self.text.find(stop);
        }
        let is_whole = |at: &usize| self.is_border(*at) && self.is_border(at + stop.len());
        let spelled = self.text.match_indices(stop).map(|(at, _)| at).find(is_whole);
        let shown = self.shown().find(stop).map(|at| self.place(at));
        spelled.into_iter().chain(shown).min()
    }

    /// Where an end of this begins that `stop` begins with, the longest one.
    fn beginning(&self, stop: &str) -> Option<usize> {
        let spelled = beginning(&self.text, stop, |at| self.is_border(at));
        if self.hidden.is_empty() {
            return spelled;
        }
        let shown = beginning(&self.shown(), stop, |_| true).map(|at| self.place(at));
        spelled.into_iter().chain(shown).min()
    }

    /// Cuts off what begins at `at`, which is a border.
    fn split_off(&mut self, at: usize) -> Spelled {
        let text = self.text.split_off(at);
        let (before, after) = std::mem::take(&mut self.hidden).into_iter().partition(|h| h.end <= at);
        self.hidden = before;
        let moved = |h: Range<usize>| h.start - at..h.end - at;
        Spelled { text, hidden: Vec::into_iter(after).map(moved).collect() }
    }
}

fn beginning(text: &str, stop: &str, is_border: impl Fn(usize) -> bool) -> Option<usize> {
    let from = text.len().saturating_sub(stop.len().saturating_sub(1));
    (from..text.len())
        .filter(|&at| text.is_char_boundary(at) && is_border(at))
        .find(|&at| stop.starts_with(&text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces in angle brackets are hidden.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut out = String::new();
        for piece in pieces {
            let hidden = piece.starts_with('<') && piece.ends_with('>');
            let checked = if hidden { matcher.push_hidden(piece) } else { matcher.push(piece) };
            out += &checked.text;
            if checked.stopped {
                assert_eq!(matcher.finish(), "");
                return (out, true);
            }
        }
        out += &matcher.finish();
        (out, false)
    }

    #[test]
    fn a_stop_string_across_pieces_never_leaks() {
        assert_eq!(run(&["STOP"], &["a S", "TO", "P b"]), ("a ".into(), true));
        assert_eq!(run(&["\n\n"], &["line\n", "\nmore"]), ("line".into(), true));
    }

    #[test]
    fn a_false_beginning_is_handed_out_in_the_end() {
        assert_eq!(run(&["STOP"], &["a ST", "ART"]), ("a START".into(), false));
        assert_eq!(run(&["STOP"], &["a ST"]), ("a ST".into(), false));
    }

    #[test]
    fn the_earliest_of_several_wins() {
        assert_eq!(run(&["cd", "bcde"], &["abcdef"]), ("a".into(), true));
        assert_eq!(run(&["ééx", "é"], &["aé"]), ("a".into(), true));
    }

    #[test]
    fn without_stop_strings_text_passes_at_once() {
        let mut matcher = StopMatcher::new(vec![]);
        assert_eq!(matcher.push("abc"), Checked { text: "abc".into(), stopped: false });
        assert_eq!(matcher.push_hidden("<eos>"), Checked { text: String::new(), stopped: false });
    }

    #[test]
    fn a_special_token_counts_as_it_is_spelled() {
        assert_eq!(run(&["foo<eos>"], &["a f", "oo", "<eos>"]), ("a ".into(), true));
        assert_eq!(run(&["<eos>"], &["abc", "<eos>"]), ("abc".into(), true));
        assert_eq!(run(&["<b>\nx"], &["a", "<b>", "\n", "xy"]), ("a".into(), true));
        assert_eq!(run(&["a<b><c>d"], &["xa", "<b>", "<c>", "d"]), ("x".into(), true));
        assert_eq!(run(&["foo<eos>", "<eos>"], &["foo", "<eos>"]), (String::new(), true));
    }

    #[test]
    fn a_special_token_that_ends_no_stop_string_is_not_seen() {
        assert_eq!(run(&["foo<eos>bar"], &["a foo", "<eos>", "baz"]), ("a foobaz".into(), false));
        assert_eq!(run(&["foo<eos>bar"], &["a foo", "<eos>"]), ("a foo".into(), false));
        assert_eq!(run(&["STOP"], &["a S", "<x>", "TOP"]), ("a ".into(), true), "what is handed out has it");
        assert_eq!(run(&["STOP", "P<x>"], &["a S", "<x>", "TOAST"]), ("a STOAST".into(), false));
    }

    #[test]
    fn no_stop_string_has_a_part_of_a_spelling_only() {
        assert_eq!(run(&[">"], &["a", "<eos>", "b"]), ("ab".into(), false));
        assert_eq!(run(&["s>b"], &["a", "<eos>", "b"]), ("ab".into(), false));
        assert_eq!(run(&["a<e"], &["a", "<eos>", "b"]), ("ab".into(), false));
        assert_eq!(run(&["<"], &["a", "<eos>", "<", "b"]), ("a".into(), true));
    }
}
