//! Finds each medium's place in a rendered conversation.
//!
//! Most templates write a placeholder for every medium, and then the n-th placeholder is the n-th medium. Where
//! counts differ, the template dropped some: rendering with the media of one message at a time shows of which
//! messages, and those media get a placeholder of ours inside the turn that holds their message.

use super::placement::{Medium, unplaced};
use super::rendering::{Rendering, Shown, View};
use super::tokenizer::TextTokenizer;
use super::turns::{Turn, TurnMarkers};
use crate::error::{Error, Result};
use crate::media::MediaKind;

/// A conversation's text with a placeholder for every medium, except those that only ids can take.
#[derive(Debug)]
pub(super) struct Plan {
    /// Marked text.
    pub text: String,
    /// Media that have a placeholder, in order of position.
    pub order: Vec<usize>,
    /// Media for a prompt without turns, in the order given.
    pub without_turns: Vec<usize>,
}

/// Where a medium's placeholder is in the text, or has to be put.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: usize,
    /// Whether the template wrote it (insertions at the same offset come before it).
    written: bool,
    /// In a turn without text, where it begins is where it ends: images first there.
    ends_turn: bool,
    medium: usize,
}

/// What planning looks at.
pub(super) struct Planner<'a> {
    pub tokenizer: &'a TextTokenizer,
    pub markers: &'a TurnMarkers,
    pub rendering: &'a Rendering<'a>,
    pub media: &'a mut [Medium],
}

impl Planner<'_> {
    /// `text` is the whole conversation as the template writes it.
    pub fn plan(&mut self, text: &str) -> Result<Plan> {
        let mut places = Vec::new();
        let mut dropped = Vec::new();
        for kind in MediaKind::ALL {
            self.match_placeholders(kind, text, &mut places, &mut dropped)?;
        }
        let mut without_turns = Vec::new();
        if !dropped.is_empty() && !self.markers.occur_in(text) {
            without_turns = dropped;
            without_turns.sort_unstable();
        } else {
            for medium in dropped {
                let at = self.place_in_turn(medium, text)?;
                places.push(Place {
                    at,
                    written: false,
                    ends_turn: self.media[medium].kind == MediaKind::Audio,
                    medium,
                });
            }
        }
        places.sort_unstable();
        let text = self.write_placeholders(text, &places)?;
        Ok(Plan { text, order: places.iter().map(|p| p.medium).collect(), without_turns })
    }

    /// Pairs the template's placeholders of one kind with the media that it wrote them for.
    fn match_placeholders(
        &self,
        kind: MediaKind,
        text: &str,
        places: &mut Vec<Place>,
        dropped: &mut Vec<usize>,
    ) -> Result<()> {
        let wanted: Vec<usize> = (0..self.media.len()).filter(|&m| self.media[m].kind == kind).collect();
        let Some(&first) = wanted.first() else { return Ok(()) };
        let placeholder = self.media[first].placeholder;
        let found = self.find(text, placeholder);
        let mut written = wanted.clone();
        if found.len() != wanted.len() {
            let dropping = self.dropping_messages(kind, &wanted, found.len())?;
            written.retain(|&m| !dropping.contains(&self.media[m].message));
            dropped.extend(wanted.iter().filter(|&&m| dropping.contains(&self.media[m].message)));
        }
        places.extend(found.iter().zip(&written).map(|(&at, &medium)| Place {
            at,
            written: true,
            ends_turn: false,
            medium,
        }));
        Ok(())
    }

    /// The messages of whose media the template wrote none, given that it wrote `total` of `wanted`.
    fn dropping_messages(&self, kind: MediaKind, wanted: &[usize], total: usize) -> Result<Vec<usize>> {
        let placeholder = self.media[wanted[0]].placeholder;
        let count = |shown| -> Result<usize> {
            let text = self.rendering.text(&View { shown, tagged: None })?;
            Ok(self.find(&text, placeholder).len())
        };
        let mismatch = |message: usize, why: String| Error::prompt(why).with("message_index", message);
        let own = if total == 0 { 0 } else { count(Shown::None)? };
        let mut messages: Vec<usize> = wanted.iter().map(|&m| self.media[m].message).collect();
        messages.dedup();
        if own > 0 {
            let text =
                format!("the template writes {own} {} placeholders that stand for no medium", kind.name());
            return Err(mismatch(messages[0], text));
        }
        let (mut sum, mut dropping) = (0, Vec::new());
        for message in messages {
            let given = wanted.iter().filter(|&&m| self.media[m].message == message).count();
            let written = if total == 0 { 0 } else { count(Shown::OfMessage(message))? };
            if written == 0 {
                dropping.push(message);
            } else if written != given {
                let text = format!(
                    "the template writes {written} of the {given} {} placeholders of message {message}",
                    kind.name()
                );
                return Err(mismatch(message, text));
            }
            sum += written;
        }
        if sum == total {
            return Ok(dropping);
        }
        let last = self.media[wanted[wanted.len() - 1]].message;
        let text = format!(
            "the template writes {total} {} placeholders for {} media, and which ones cannot be told",
            kind.name(),
            wanted.len()
        );
        Err(mismatch(last, text))
    }

    /// Offsets of a placeholder in marked text.
    fn find(&self, text: &str, placeholder: u32) -> Vec<usize> {
        let all = self.tokenizer.spellings().find_all(text, |m| m.spelled.control);
        all.iter().filter(|m| m.spelled.id == placeholder).map(|m| m.start).collect()
    }

    /// Images and videos go right after the opener of the turn that holds their message, audio right before its end.
    fn place_in_turn(&self, medium: usize, text: &str) -> Result<usize> {
        let medium = &self.media[medium];
        let turn = self.turn_of(medium, text)?;
        if turn.is_model() {
            return Err(unplaced(medium, "the template puts none into the model's own turns"));
        }
        match (medium.kind, turn.end) {
            (MediaKind::Image | MediaKind::Video, _) => Ok(turn.body),
            (MediaKind::Audio, Some(end)) => Ok(end),
            (MediaKind::Audio, None) => {
                let ends = self.markers.end_spellings();
                Err(unplaced(medium, &format!("its turn has no end-of-turn token ({ends})")))
            }
        }
    }

    /// The turn in which the template wrote the medium's message, found by a tag at the message's start.
    fn turn_of(&self, medium: &Medium, text: &str) -> Result<Turn> {
        let tagged = self.rendering.text(&View { shown: Shown::All, tagged: Some(medium.message) })?;
        let Some(at) = tagged.find(self.rendering.tag()) else {
            return Err(unplaced(medium, "the template leaves its message out"));
        };
        let in_tagged = self.markers.turns(&tagged);
        let mut turns = self.markers.turns(text);
        let index = in_tagged.iter().take_while(|turn| turn.start < at).count();
        if index == 0 || turns.len() != in_tagged.len() {
            return Err(unplaced(medium, "its message is in no turn of the rendered text"));
        }
        Ok(turns.swap_remove(index - 1))
    }

    /// Puts the missing placeholders in. What is ordinary text at a medium's ends (Gemma 3's blank lines, the time of a
    /// video's first frame) goes into the text as well, for the tokenizer to join it with what is around, as it does
    /// for transformers.
    fn write_placeholders(&mut self, text: &str, places: &[Place]) -> Result<String> {
        let mut out = String::with_capacity(text.len() + places.len() * 16);
        let mut from = 0;
        for place in places {
            let medium = &mut self.media[place.medium];
            let Some(spelling) = self.tokenizer.token_text(medium.placeholder) else {
                return Err(unplaced(medium, "the tokenizer does not know its placeholder"));
            };
            let is_text = |id: &&u32| !self.tokenizer.is_control(**id);
            out.push_str(&text[from..place.at]);
            if let Some(first) = medium.blocks.first_mut() {
                let lead = first.before.iter().take_while(is_text).count();
                let before: Vec<u32> = first.before.drain(..lead).collect();
                out.push_str(&std::mem::take(&mut first.lead));
                out.push_str(&self.tokenizer.decode(&before, false)?);
            }
            out.push_str(&spelling);
            if let Some(last) = medium.blocks.last_mut() {
                let tail = last.after.iter().rev().take_while(is_text).count();
                let after = last.after.split_off(last.after.len() - tail);
                out.push_str(&self.tokenizer.decode(&after, false)?);
            }
            from = place.at + if place.written { spelling.len() } else { 0 };
        }
        out.push_str(&text[from..]);
        Ok(out)
    }
}
