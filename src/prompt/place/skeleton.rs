//! What placement looks at in a rendered text: its turns, and the placeholders that the template wrote.

use std::ops::Range;

use super::medium::MediaSet;
use super::turns::{Turn, TurnMarkers};
use crate::prompt::tokenizer::{Plain, TextTokenizer};

pub(super) struct Skeleton {
    pub turns: Vec<Turn>,
    pub written: Vec<Written>,
}

/// A placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub at: Range<usize>,
    /// Index in [`MediaSet::patterns`].
    pub pattern: usize,
}

impl Skeleton {
    /// Of marked text, in which spellings that users typed do not count.
    pub fn of(text: &str, tokenizer: &TextTokenizer, markers: &TurnMarkers, media: &MediaSet) -> Skeleton {
        Skeleton { turns: markers.turns(text), written: placeholders(text, tokenizer, media) }
    }

    /// The turn that an offset lies in.
    pub fn turn_at(&self, at: usize) -> Option<usize> {
        self.turns.partition_point(|turn| turn.start <= at).checked_sub(1)
    }

    /// Whether both have the same turns with the same placeholders in them.
    pub fn fits(&self, other: &Skeleton) -> bool {
        let roles = |s: &Skeleton| s.turns.iter().map(|t| t.role.clone()).collect::<Vec<_>>();
        let written = |s: &Skeleton| -> Vec<(usize, Option<usize>)> {
            s.written.iter().map(|w| (w.pattern, s.turn_at(w.at.start))).collect()
        };
        roles(self) == roles(other) && written(self) == written(other)
    }
}

/// Whole placeholders: the spellings of a pattern's ids with nothing between them.
fn placeholders(text: &str, tokenizer: &TextTokenizer, media: &MediaSet) -> Vec<Written> {
    let Some(longest) = media.patterns.iter().map(Vec::len).max() else { return Vec::new() };
    let hits = tokenizer.control_in(text, &Plain::Broken(&[]));
    let mut written = Vec::new();
    let mut at = 0;
    while at < hits.len() {
        let pairs = hits[at..].windows(2).take(longest);
        let adjacent = 1 + pairs.take_while(|pair| pair[0].end == pair[1].start).count();
        match media.pattern_at(hits[at..at + adjacent].iter().map(|hit| hit.spelled.id)) {
            Some(pattern) => {
                let last = at + media.patterns[pattern].len() - 1;
                written.push(Written { at: hits[at].start..hits[last].end, pattern });
                at = last + 1;
            }
            None => at += 1,
        }
    }
    written
}
