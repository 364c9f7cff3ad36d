//! Finds each medium's spot in a rendered conversation.

use super::attribution::Attribution;
use super::medium::MediaSet;
use super::skeleton::{Skeleton, Written};
use super::turns::TurnMarkers;
use crate::error::{Error, Result};
use crate::media::MediaKind;

/// Where a medium's blocks go, in a text or in a row of ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub at: usize,
    /// What they replace; what is put in at the same offset comes before a placeholder.
    pub len: usize,
    /// In a turn without text, where it begins is where it ends: images first there.
    pub ends_turn: bool,
    pub medium: usize,
}

/// The spots of the media that have one in the text, in order, and the media for a prompt without turns.
#[derive(Debug, Default)]
pub(super) struct Spots {
    pub list: Vec<Spot>,
    pub without_turns: Vec<usize>,
}

/// What the search looks at.
pub(super) struct Finder<'a> {
    pub media: &'a MediaSet,
    pub markers: &'a TurnMarkers,
    /// Of the text itself.
    pub skeleton: &'a Skeleton,
    pub attribution: Option<&'a Attribution>,
    /// How many placeholders of a pattern the template writes when it is shown the media of one message, or none.
    pub count: &'a dyn Fn(usize, Option<usize>) -> Result<usize>,
}

/// A conversation with more messages than this is not rendered once for each of them.
const MOST_COUNTED: usize = 32;

impl Finder<'_> {
    pub fn find(&self, text: &str) -> Result<Spots> {
        let mut spots = Spots::default();
        let mut dropped = Vec::new();
        for pattern in 0..self.media.patterns.len() {
            self.match_placeholders(pattern, &mut spots.list, &mut dropped)?;
        }
        dropped.sort_unstable();
        if !self.markers.occur_in(text) {
            spots.without_turns = dropped;
        } else {
            for medium in dropped {
                spots.list.push(self.spot_in_turn(medium)?);
            }
        }
        spots.list.sort_unstable();
        Ok(spots)
    }

    /// Pairs the template's placeholders of one pattern with the media that it wrote them for.
    fn match_placeholders(
        &self,
        pattern: usize,
        spots: &mut Vec<Spot>,
        dropped: &mut Vec<usize>,
    ) -> Result<()> {
        let wanted = self.media.of_pattern(pattern);
        let all = self.skeleton.written.iter().enumerate();
        let written: Vec<(usize, &Written)> = all.filter(|(_, w)| w.pattern == pattern).collect();
        let (written, kept) = match self.attributed(pattern, &written, &wanted) {
            _ if written.is_empty() => (Vec::new(), Vec::new()),
            Some(pairs) => pairs,
            None => {
                let kept = self.counted(pattern, &wanted, written.len())?;
                (written.into_iter().map(|(_, w)| w).collect(), kept)
            }
        };
        dropped.extend(wanted.into_iter().filter(|medium| kept.binary_search(medium).is_err()));
        spots.extend(written.into_iter().zip(kept).map(|(w, medium)| Spot {
            at: w.at.start,
            len: w.at.len(),
            ends_turn: false,
            medium,
        }));
        Ok(())
    }

    /// The placeholders and their media by message, if all are known and no message has some of its media only.
    fn attributed<'w>(
        &self,
        pattern: usize,
        written: &[(usize, &'w Written)],
        wanted: &[usize],
    ) -> Option<(Vec<&'w Written>, Vec<usize>)> {
        let attribution = self.attribution?;
        let owner = |(index, w): &(usize, &'w Written)| Some((attribution.owners[*index]?, *w));
        let mut owned: Vec<(usize, &Written)> = written.iter().map(owner).collect::<Option<_>>()?;
        // A stable sort: within a message, placeholders and media are in order.
        owned.sort_by_key(|(message, _)| *message);
        let mut messages = owned.chunk_by(|a, b| a.0 == b.0);
        if !messages.all(|run| run.len() == self.media.given(run[0].0, pattern)) {
            return None;
        }
        let has_some = |medium: &usize| {
            owned.binary_search_by_key(&self.media.media[*medium].message, |(message, _)| *message).is_ok()
        };
        let kept = wanted.iter().copied().filter(has_some).collect();
        Some((owned.into_iter().map(|(_, w)| w).collect(), kept))
    }

    /// The media that the template writes placeholders for, found by showing it those of one message at a time unless
    /// there are as many placeholders as media; the n-th placeholder is the n-th of them.
    fn counted(&self, pattern: usize, wanted: &[usize], total: usize) -> Result<Vec<usize>> {
        let media = &self.media.media;
        let kind = media[wanted[0]].kind.name();
        let mismatch = |message: usize, why: String| Error::prompt(why).with("message_index", message);
        let own = match (self.count)(pattern, None) {
            Err(_) if total == wanted.len() => 0,
            own => own?,
        };
        if own > 0 {
            let text = format!("the template writes {own} {kind} placeholders that stand for no medium");
            return Err(mismatch(media[wanted[0]].message, text));
        }
        if total == wanted.len() {
            return Ok(wanted.to_vec());
        }
        let mut messages: Vec<usize> = wanted.iter().map(|&m| media[m].message).collect();
        messages.dedup();
        let mut kept = Vec::new();
        for &message in messages.iter().take(MOST_COUNTED) {
            let (count, given) = ((self.count)(pattern, Some(message))?, self.media.given(message, pattern));
            if count == given {
                kept.extend(wanted.iter().filter(|&&m| media[m].message == message));
            } else if count != 0 {
                let text = format!(
                    "the template writes {count} of the {given} {kind} placeholders of message {message}"
                );
                return Err(mismatch(message, text));
            }
        }
        if kept.len() == total && messages.len() <= MOST_COUNTED {
            return Ok(kept);
        }
        let given = wanted.len();
        let text = format!(
            "the template writes {total} {kind} placeholders for {given} media, and which ones cannot be told"
        );
        Err(mismatch(media[wanted[given - 1]].message, text))
    }

    /// Images and videos go right after the opener of the turn that holds their message, audio right before its end.
    fn spot_in_turn(&self, index: usize) -> Result<Spot> {
        let medium = &self.media.media[index];
        let Some(attribution) = self.attribution else {
            return Err(medium.unplaced(
                "the template writes no placeholder for it, and where it puts the message cannot be told",
            ));
        };
        let Some(turn) = attribution.turn_of(medium.message) else {
            return Err(medium.unplaced("the template leaves its message out"));
        };
        let Some(turn) = turn.and_then(|index| self.skeleton.turns.get(index)) else {
            return Err(medium.unplaced("its message is in no turn of the rendered text"));
        };
        if turn.is_model() {
            return Err(medium.unplaced("the template puts none into the model's own turns"));
        }
        let ends_turn = medium.kind == MediaKind::Audio;
        match (ends_turn, turn.end) {
            (false, _) => Ok(Spot { at: turn.body, len: 0, ends_turn, medium: index }),
            (true, Some(at)) => Ok(Spot { at, len: 0, ends_turn, medium: index }),
            (true, None) => {
                let ends = self.markers.end_spellings();
                Err(medium.unplaced(&format!("its turn has no end-of-turn token ({ends})")))
            }
        }
    }
}
