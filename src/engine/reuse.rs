//! What a session has evaluated, and how much of a new prompt that covers.

use std::ops::Range;

use crate::media::ContentHash;
use crate::nn::state::{Checkpoint, State};
use crate::prompt::Placed;

/// A session's state, what is in it, and a place to come back to.
pub(super) struct Past {
    pub state: State,
    pub held: Held,
    /// The windows as they were where the model's turn began, if they may wrap after it.
    checkpoint: Option<Checkpoint>,
}

/// How a prompt goes on from what is held: so many rows stay.
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
    pub fn new(state: State) -> Past {
        Past { state, held: Held::default(), checkpoint: None }
    }

    /// One that holds this already; `checkpoints` are of earlier states of it.
    pub fn of(state: State, held: Held, checkpoints: Vec<Checkpoint>) -> Past {
        Past { state, held, checkpoint: checkpoints.into_iter().max_by_key(Checkpoint::len) }
    }

    /// Where it can go back to beside where it can be trimmed to.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.checkpoint.iter()
    }

    /// Rows of `prompt` that need not be evaluated again. Changes nothing.
    pub fn covers(&self, prompt: &Placed) -> usize {
        self.way(prompt).rows()
    }

    /// Goes back to what is shared with `prompt`; the number of rows that stay.
    pub fn resume(&mut self, prompt: &Placed) -> usize {
        let way = self.way(prompt);
        let rows = way.rows();
        match (way, &self.checkpoint) {
            (Resume::Trimmed(_), _) => {
                self.state.trim(rows);
            }
            (Resume::Checkpoint(_), Some(checkpoint)) => self.state.restore(checkpoint),
            _ => self.state.clear(),
        }
        self.held.truncate(rows);
        self.checkpoint = self.checkpoint.take().filter(|c| c.len() <= rows);
        rows
    }

    fn way(&self, prompt: &Placed) -> Resume {
        let shared = self.held.common_prefix(prompt);
        if self.state.can_trim(shared) {
            return Resume::Trimmed(shared);
        }
        match &self.checkpoint {
            Some(checkpoint) if checkpoint.len() <= shared => Resume::Checkpoint(checkpoint.len()),
            _ => Resume::Nothing,
        }
    }

    /// Keeps the windows as they were when `rows` rows were held, if they can still be told and are newer than what is
    /// kept.
    pub fn keep(&mut self, rows: usize) {
        if self.checkpoint.as_ref().is_none_or(|kept| kept.len() < rows)
            && let Some(checkpoint) = self.state.checkpoint_at(rows)
        {
            self.checkpoint = Some(checkpoint);
        }
    }

    pub fn forget(&mut self) {
        self.state.clear();
        self.held.clear();
        self.checkpoint = None;
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
}
