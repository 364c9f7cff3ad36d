//! Stop strings: found across token borders, never handed out.

/// Watches a stream of text for the first of several strings.
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// What may be handed out after a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub text: String,
    pub stopped: bool,
}

impl StopMatcher {
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes the next piece; what could be the beginning of a stop string is held back.
    pub fn push(&mut self, piece: &str) -> Checked {
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Checked { text: std::mem::take(&mut self.held), stopped: true };
        }
        let keep = self.longest_beginning();
        let tail = self.held.split_off(self.held.len() - keep);
        Checked { text: std::mem::replace(&mut self.held, tail), stopped: false }
    }

    /// What is still held back, once nothing more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Bytes at the end of `held` that begin a stop string.
    fn longest_beginning(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(1);
        let from = self.held.len().saturating_sub(longest - 1);
        (from..self.held.len())
            .filter(|&at| self.held.is_char_boundary(at))
            .find(|&at| self.stops.iter().any(|stop| stop.starts_with(&self.held[at..])))
            .map_or(0, |at| self.held.len() - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut out = String::new();
        for piece in pieces {
            let checked = matcher.push(piece);
            out += &checked.text;
            if checked.stopped {
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
    }
}
