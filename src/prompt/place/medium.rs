//! The media of one prompt on their way into the ids.

use std::collections::HashMap;

use super::{MediaLayout, SoftBlock};
use crate::error::{Error, Result};
use crate::media::MediaKind;
use crate::prompt::message::{Attached, Prompt};
use crate::prompt::tokenizer::TextTokenizer;

pub(super) struct Medium {
    pub kind: MediaKind,
    /// Index of the message that holds it, and of the part in that message.
    pub message: usize,
    pub part: usize,
    /// Index of its placeholder in [`MediaSet::patterns`].
    pub pattern: usize,
    /// At least one. Neither `before` begins nor `after` ends with ordinary text: that is in `lead` and `tail`.
    pub blocks: Vec<SoftBlock>,
}

/// All media in the order in which they were given.
pub(super) struct MediaSet {
    pub media: Vec<Medium>,
    /// The different placeholders of the media that there are.
    pub patterns: Vec<Vec<u32>>,
    /// Of the tokens in the placeholders of every kind that the model takes.
    pub spellings: Vec<String>,
    /// Media of a pattern by message.
    given: HashMap<(usize, usize), usize>,
}

impl MediaSet {
    pub fn of(prompt: &Prompt, layout: &dyn MediaLayout, tokenizer: &TextTokenizer) -> Result<MediaSet> {
        let known = MediaKind::ALL.into_iter().filter_map(|kind| layout.placeholder(kind));
        let spellings = known.flatten().filter_map(|id| tokenizer.token_text(*id)).collect();
        let mut set = MediaSet { media: Vec::new(), patterns: Vec::new(), spellings, given: HashMap::new() };
        for Attached { media, message, part } in prompt.media() {
            let kind = media.kind();
            let Some(placeholder) = layout.placeholder(kind).filter(|ids| !ids.is_empty()) else {
                return Err(lacks(kind, message));
            };
            let blocks = layout.blocks(&media).map_err(|e| e.with("message_index", message))?;
            let blocks = blocks.into_iter().map(|block| with_text_apart(block, tokenizer));
            let pattern = set.pattern(placeholder);
            *set.given.entry((message, pattern)).or_default() += 1;
            set.media.push(Medium { kind, message, part, pattern, blocks: blocks.collect::<Result<_>>()? });
        }
        Ok(set)
    }

    fn pattern(&mut self, ids: &[u32]) -> usize {
        self.patterns.iter().position(|known| known == ids).unwrap_or_else(|| {
            self.patterns.push(ids.to_vec());
            self.patterns.len() - 1
        })
    }

    /// Indices of the media that have this placeholder.
    pub fn of_pattern(&self, pattern: usize) -> Vec<usize> {
        (0..self.media.len()).filter(|&m| self.media[m].pattern == pattern).collect()
    }

    /// How many media with this placeholder a message holds.
    pub fn given(&self, message: usize, pattern: usize) -> usize {
        self.given.get(&(message, pattern)).copied().unwrap_or(0)
    }

    /// The longest placeholder that `ids` begin with.
    pub fn pattern_at(&self, ids: impl Iterator<Item = u32> + Clone) -> Option<usize> {
        let begins = |pattern: &Vec<u32>| ids.clone().take(pattern.len()).eq(pattern.iter().copied());
        let fitting = self.patterns.iter().enumerate().filter(|(_, pattern)| begins(pattern));
        fitting.max_by_key(|(_, pattern)| pattern.len()).map(|(index, _)| index)
    }
}

impl Medium {
    /// A medium must never be dropped: what cannot be placed is an error that names its message.
    pub fn unplaced(&self, why: &str) -> Error {
        let text = format!("the {} of message {} cannot be placed: {why}", self.kind.name(), self.message);
        Error::prompt(text).with("message_index", self.message).with("part_index", self.part)
    }
}

fn lacks(kind: MediaKind, message: usize) -> Error {
    let article = if kind == MediaKind::Video { "a" } else { "an" };
    let text = format!("message {message} has {article} {} part, and the model takes no {0}", kind.name());
    Error::unsupported(text).with("message_index", message)
}

/// Ordinary text that a model gives as ids (a blank line before the begin token) is text for the tokenizer, too.
fn with_text_apart(mut block: SoftBlock, tokenizer: &TextTokenizer) -> Result<SoftBlock> {
    let is_text = |id: &&u32| !tokenizer.is_control(**id) && tokenizer.token_text(**id).is_some();
    let leading = block.before.iter().take_while(is_text).count();
    let lead: Vec<u32> = block.before.drain(..leading).collect();
    block.lead.push_str(&tokenizer.decode(&lead, false)?);
    let trailing = block.after.iter().rev().take_while(is_text).count();
    let tail = block.after.split_off(block.after.len() - trailing);
    block.tail.insert_str(0, &tokenizer.decode(&tail, false)?);
    Ok(block)
}
