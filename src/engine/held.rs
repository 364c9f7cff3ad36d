//! What a session's KV cache holds, and how much of a new prompt it already covers.

use std::ops::Range;

use crate::media::ContentHash;
use crate::prompt::Placed;

/// Token ids by position, and which positions are soft tokens of which medium.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    ids: Vec<u32>,
    media: Vec<(Range<usize>, ContentHash)>,
}

impl Held {
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
