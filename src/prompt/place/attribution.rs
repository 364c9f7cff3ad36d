//! Which message a placeholder was written for, and in which turn a message stands: read off a rendering with tags.

use std::collections::HashMap;

use super::medium::MediaSet;
use super::skeleton::{Skeleton, Written};
use super::tags::{Hit, Tags};

#[derive(Debug)]
pub(super) struct Attribution {
    /// The message of each placeholder, in the order of the text; `None` where it cannot be told.
    pub owners: Vec<Option<usize>>,
    /// The turn of each message that left a tag; `None` before the first turn.
    turns: HashMap<usize, Option<usize>>,
}

impl Attribution {
    /// `None` where the tags made the template write something else than `plain`: then they tell nothing.
    ///
    /// The texts need not be equal (a template may count characters), but turns and placeholders must be.
    pub fn read(
        tagged: &str,
        skeleton: &Skeleton,
        plain: (&str, &Skeleton),
        tags: &Tags,
        media: &MediaSet,
    ) -> Option<Attribution> {
        let same = if plain.1.turns.is_empty() { tags.strip(tagged) == plain.0 } else { true };
        if !same || !skeleton.fits(plain.1) {
            return None;
        }
        let hits = tags.find(tagged);
        let mut turns = HashMap::new();
        for hit in &hits {
            turns.entry(tags.owner(hit.number).message).or_insert_with(|| skeleton.turn_at(hit.start));
        }
        let reader = Reader { skeleton, hits: &hits, tags, media };
        let owners = skeleton.written.iter().map(|written| reader.owner(written)).collect();
        Some(Attribution { owners, turns })
    }

    /// The turn that holds a message. The outer `None`: it left no tag.
    pub fn turn_of(&self, message: usize) -> Option<Option<usize>> {
        self.turns.get(&message).copied()
    }
}

struct Reader<'a> {
    skeleton: &'a Skeleton,
    /// In order.
    hits: &'a [Hit],
    tags: &'a Tags,
    media: &'a MediaSet,
}

impl Reader<'_> {
    /// The message whose tags are on both sides; at the end of one message and the beginning of another, the one that
    /// stands in the placeholder's turn and has such a medium.
    fn owner(&self, written: &Written) -> Option<usize> {
        let next = self.hits.partition_point(|hit| hit.start < written.at.start);
        let after = self.hits.get(next);
        let before = next.checked_sub(1).map(|last| &self.hits[last]);
        let message = |hit: &Hit| self.tags.owner(hit.number).message;
        if let (Some(before), Some(after)) = (before, after)
            && message(before) == message(after)
        {
            return Some(message(before));
        }
        let turn = self.skeleton.turn_at(written.at.start);
        let holds = |hit: &&Hit| {
            self.skeleton.turn_at(hit.start) == turn && self.media.given(message(hit), written.pattern) > 0
        };
        match (before.filter(holds), after.filter(holds)) {
            (Some(one), None) | (None, Some(one)) => Some(message(one)),
            _ => None,
        }
    }
}
