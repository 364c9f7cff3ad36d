//! What a session has evaluated, and how much of a new prompt that covers.

use std::ops::Range;
use std::rc::Rc;

use super::checkpoints::{Checkpoints, Kept};
use crate::error::Result;
use crate::media::ContentHash;
use crate::nn::mlx::async_eval;
use crate::nn::state::{Checkpoint, State};
use crate::prompt::Placed;
use crate::system::room;

/// A session's state, what is in it, and places to come back to.
pub(super) struct Past {
    pub state: State,
    pub held: Held,
    /// The windows as they were, of places that they may wrap behind.
    checkpoints: Checkpoints<Rc<Checkpoint>>,
}

impl Kept for Rc<Checkpoint> {
    fn place(&self) -> usize {
        self.len()
    }
}

/// How the state goes back: so many rows stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    Trimmed(usize),
    Checkpoint(usize),
    Nothing,
}

impl Resume {
    fn rows(self) -> usize {
        match self {
            Resume::Trimmed(rows) | Resume::Checkpoint(rows) => rows,
            Resume::Nothing => 0,
        }
    }
}

impl Past {
    /// Of an empty state, with at most so many checkpoints.
    pub fn new(state: State, most: usize) -> Past {
        // Where no window is, nothing wraps.
        let checkpoints = Checkpoints::new(most, state.window().unwrap_or(usize::MAX));
        Past { state, held: Held::default(), checkpoints }
    }

    /// A second past that is the same. No buffer is copied before one of the two is written to.
    pub fn fork(&self) -> Past {
        let (state, held) = (self.state.fork(), self.held.clone());
        Past { state, held, checkpoints: self.checkpoints.clone() }
    }

    /// One that holds this already; `earlier` are of earlier states of it, of which at most so many are kept.
    pub fn of(state: State, held: Held, mut earlier: Vec<Checkpoint>, most: usize) -> Past {
        let mut past = Past { held, ..Past::new(state, most) };
        earlier.sort_by_key(Checkpoint::len);
        past.checkpoints.take_over(earlier.into_iter().map(Rc::new).collect());
        past
    }

    /// Where it can go back to beside where it can be trimmed to.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.checkpoints.iter().map(Rc::as_ref)
    }

    /// Rows of `prompt` that need not be evaluated again. Changes nothing.
    pub fn covers(&self, prompt: &Placed) -> usize {
        self.way(self.held.common_prefix(prompt)).rows()
    }

    /// Goes back to what is shared with `prompt`; the number of rows that stay.
    pub fn resume(&mut self, prompt: &Placed) -> usize {
        self.go_back(self.held.common_prefix(prompt))
    }

    /// Forgets the rows from `rows` on, and as many before them as the nearest place to come back to is further back; the
    /// number of rows that stay. A medium is forgotten as a whole.
    pub fn truncate(&mut self, rows: usize) -> usize {
        self.go_back(self.held.whole_media(rows.min(self.held.len())))
    }

    fn go_back(&mut self, to: usize) -> usize {
        let way = self.way(to);
        let rows = way.rows();
        match (way, self.checkpoints.before(rows)) {
            (Resume::Trimmed(_), _) => {
                self.state.trim(rows);
            }
            (Resume::Checkpoint(_), Some(checkpoint)) => self.state.restore(checkpoint),
            _ => self.state.clear(),
        }
        self.held.truncate(rows);
        self.checkpoints.truncate(rows);
        rows
    }

    fn way(&self, to: usize) -> Resume {
        if self.state.can_trim(to) {
            return Resume::Trimmed(to);
        }
        self.checkpoints.before(to).map_or(Resume::Nothing, |kept| Resume::Checkpoint(kept.len()))
    }

    /// Keeps the windows as they were when `rows` rows were held, if they can still be told and are worth it. The copies
    /// are set to work.
    pub fn keep(&mut self, rows: usize, is_turn: bool) -> Result<()> {
        let bytes = self.state.shapes().map(|shape| shape.checkpoint_bytes(rows)).sum();
        // One that there is no memory for is missed when something is evaluated again, and not before.
        if !self.checkpoints.takes(rows) || room::require(bytes, "a place to come back to").is_err() {
            return Ok(());
        }
        if let Some(checkpoint) = self.state.checkpoint_at(rows)? {
            async_eval(checkpoint.arrays())?;
            self.checkpoints.add(Rc::new(checkpoint), is_turn);
        }
        Ok(())
    }

    /// Keeps the windows as they were when `rows` rows were held, if the last place is so far back that this is worth it.
    pub fn keep_if_due(&mut self, rows: usize) -> Result<()> {
        match self.state.window().is_some() && self.checkpoints.is_due(rows) {
            true => self.keep(rows, false),
            false => Ok(()),
        }
    }

    /// Takes rows behind those that are held out of the state. They have been appended to it last, so that it still holds
    /// the windows before them.
    pub fn drop_drafts(&mut self) {
        if self.state.len() > self.held.len() && !self.state.trim(self.held.len()) {
            self.forget();
        }
    }

    /// How many checkpoints there may be.
    pub fn most_checkpoints(&self) -> usize {
        self.checkpoints.most()
    }

    /// Gives up the places before the last turn.
    pub fn give_up_older(&mut self) {
        self.checkpoints.give_up_older();
    }

    /// Bytes of all checkpoints; forks share them.
    pub fn checkpoint_bytes(&self) -> usize {
        self.checkpoints.iter().map(|kept| kept.bytes()).sum()
    }

    pub fn forget(&mut self) {
        self.state.clear();
        self.held.clear();
        self.checkpoints.clear();
    }
}

/// Token ids by position, and which positions are soft tokens of which medium.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    ids: Vec<u32>,
    media: Vec<(Range<usize>, ContentHash)>,
}

impl Held {
    /// `ids`, and the places of media among them in their order.
    pub fn of(ids: Vec<u32>, media: Vec<(Range<usize>, ContentHash)>) -> Held {
        Held { ids, media }
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn media(&self) -> &[(Range<usize>, ContentHash)] {
        &self.media
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn push(&mut self, id: u32) {
        self.ids.push(id);
    }

    /// Adds positions `range` of a prompt that have just been evaluated.
    pub fn extend(&mut self, prompt: &Placed, range: Range<usize>) {
        self.ids.extend_from_slice(&prompt.ids[range.clone()]);
        for medium in prompt.media.iter().filter(|m| range.contains(&m.tokens.start)) {
            self.media.push((medium.tokens.clone(), *medium.media.hash()));
        }
    }

    pub fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.media.retain(|(range, _)| range.start < len);
    }

    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// So many positions, or fewer where a medium would be cut in two.
    pub fn whole_media(&self, len: usize) -> usize {
        let cut = self.media.iter().find(|(range, _)| range.start < len && len < range.end);
        cut.map_or(len, |(range, _)| range.start)
    }

    /// How many leading positions of `prompt` are held: ids equal, media equal by content.
    ///
    /// At least one position is left over, since its logits are wanted, and a medium is never cut in two: its
    /// soft tokens may see each other.
    pub fn common_prefix(&self, prompt: &Placed) -> usize {
        let mut n = self.ids.iter().zip(&prompt.ids).take_while(|(a, b)| a == b).count();
        n = n.min(prompt.ids.len().saturating_sub(1));
        for (i, medium) in prompt.media.iter().enumerate() {
            let held = self
                .media
                .get(i)
                .is_some_and(|(range, hash)| *range == medium.tokens && hash == medium.media.hash());
            if medium.tokens.start < n && (!held || medium.tokens.end > n) {
                n = medium.tokens.start;
            }
        }
        // A held medium where the prompt has plain tokens of the same ids.
        for (i, (range, _)) in self.media.iter().enumerate() {
            if range.start < n && prompt.media.get(i).is_none_or(|m| m.tokens != *range) {
                n = range.start;
            }
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Audio, Media};
    use crate::prompt::PlacedMedia;
    use std::sync::Arc;

    fn sound(level: f32) -> Arc<Media> {
        Arc::new(Media::Audio(Audio::from_pcm_f32(&[level; 640], 1, 16_000).unwrap()))
    }

    fn placed(ids: &[u32], media: &[(&Arc<Media>, Range<usize>)]) -> Placed {
        let medium = |(media, tokens): &(&Arc<Media>, Range<usize>)| PlacedMedia {
            media: Arc::clone(media),
            tokens: tokens.clone(),
            grid: None,
            together: false,
        };
        Placed { ids: ids.to_vec(), media: media.iter().map(medium).collect(), ..Placed::default() }
    }

    fn holding(prompt: &Placed) -> Held {
        let mut held = Held::default();
        held.extend(prompt, 0..prompt.ids.len());
        held
    }

    #[test]
    fn text_is_shared_up_to_the_first_difference_and_never_whole() {
        let held = holding(&placed(&[1, 2, 3, 4], &[]));
        assert_eq!(held.common_prefix(&placed(&[1, 2, 9, 4], &[])), 2);
        assert_eq!(held.common_prefix(&placed(&[1, 2, 3, 4, 5], &[])), 4);
        assert_eq!(held.common_prefix(&placed(&[1, 2, 3, 4], &[])), 3);
        assert_eq!(held.common_prefix(&placed(&[], &[])), 0);
    }

    #[test]
    fn a_medium_counts_by_content_and_is_never_cut() {
        let (a, b) = (sound(0.1), sound(0.2));
        let prompt = placed(&[1, 8, 8, 8, 2, 3], &[(&a, 1..4)]);
        let held = holding(&prompt);
        assert_eq!(held.common_prefix(&prompt), 5);
        assert_eq!(held.common_prefix(&placed(&[1, 8, 8, 8, 2, 3], &[(&sound(0.1), 1..4)])), 5);
        assert_eq!(held.common_prefix(&placed(&[1, 8, 8, 8, 2, 3], &[(&b, 1..4)])), 1);
        assert_eq!(held.common_prefix(&placed(&[1, 8, 8, 8, 8, 3], &[(&a, 1..5)])), 1);
        assert_eq!(held.common_prefix(&placed(&[1, 8, 8, 8], &[(&a, 1..4)])), 1);
        assert_eq!(held.common_prefix(&placed(&[1, 8, 8, 8, 2, 3], &[])), 1);
    }

    #[test]
    fn truncation_forgets_the_media_behind_it() {
        let a = sound(0.1);
        let prompt = placed(&[1, 8, 8, 2, 3], &[(&a, 1..3)]);
        let mut held = holding(&prompt);
        held.truncate(1);
        assert_eq!((held.len(), held.common_prefix(&prompt)), (1, 1));
    }

    #[test]
    fn a_medium_is_forgotten_as_a_whole() {
        let held = holding(&placed(&[1, 8, 8, 8, 2, 3], &[(&sound(0.1), 1..4)]));
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|len| held.whole_media(len)), [0, 1, 1, 1, 4, 5, 6]);
    }
}
