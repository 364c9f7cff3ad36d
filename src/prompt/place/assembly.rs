//! From a text with spots in it to ids with media in them.
//!
//! Each block is written into the text as the spellings of its tokens, with one soft token, before the text is
//! tokenized: so what stands around it is tokenized as transformers does. Afterwards the tokens of the spellings are
//! found again by counting control tokens, and become the whole block.

use std::collections::HashMap;
use std::sync::Arc;

use super::medium::{MediaSet, Medium};
use super::spots::Spot;
use super::{Placed, PlacedMedia, SoftBlock};
use crate::error::{Error, Result};
use crate::prompt::escape::remove_marks;
use crate::prompt::tokenizer::{Plain, TextTokenizer};

/// A part of a row of ids.
pub(super) enum Piece<'a> {
    Id(u32),
    /// Plain text that is not tokenized yet.
    Text(&'a str),
    Block(&'a SoftBlock),
}

impl Medium {
    /// Where there is no text around it.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.blocks.iter().flat_map(|b| [Piece::Text(&b.lead), Piece::Block(b), Piece::Text(&b.tail)])
    }

    /// The tokens that stand for a block in the text: its own, or the placeholder's first where the tokenizer lacks one.
    fn anchor(&self, block: &SoftBlock, set: &MediaSet, tokenizer: &TextTokenizer) -> Result<Vec<u32>> {
        let own: Vec<u32> = block.before.iter().chain([&block.soft]).chain(&block.after).copied().collect();
        let placeholder = set.patterns[self.pattern][0];
        if own.iter().all(|id| tokenizer.is_control(*id)) {
            Ok(own)
        } else if tokenizer.is_control(placeholder) {
            Ok(vec![placeholder])
        } else {
            Err(self.unplaced("the tokenizer does not know its placeholder"))
        }
    }
}

/// A text without marks, with anchors in it.
#[derive(Default)]
struct Draft<'a> {
    text: String,
    /// Offsets of spellings that are only text.
    marks: Vec<usize>,
    anchors: Vec<Anchor<'a>>,
}

struct Anchor<'a> {
    at: usize,
    ids: Vec<u32>,
    block: &'a SoftBlock,
}

/// What an assembly needs to know.
pub(super) struct Assembler<'a> {
    pub tokenizer: &'a TextTokenizer,
    pub media: &'a MediaSet,
    pub mark: char,
    /// Marks the control spellings of a plain text.
    pub escape: &'a dyn Fn(&str) -> String,
}

impl<'a> Assembler<'a> {
    /// The ids of marked text, with blocks at the spots, which are in order.
    pub fn pieces(&self, text: &str, spots: &[Spot]) -> Result<Vec<Piece<'a>>> {
        let draft = self.draft(text, spots)?;
        let plain = Plain::Broken(&draft.marks);
        let ids = match draft.marks.as_slice() {
            [] => self.tokenizer.encode(&draft.text, true)?,
            _ => self.tokenizer.encode_plain(&draft.text, &plain)?,
        };
        if draft.anchors.is_empty() {
            return Ok(ids.into_iter().map(Piece::Id).collect());
        }
        if let Some(pieces) = self.with_blocks(&draft, ids) {
            return Ok(pieces);
        }
        // The tokenizer's own matching may take a control spelling for text that our steps never do.
        let ids = self.tokenizer.encode_plain(&draft.text, &plain)?;
        let lost = || Error::prompt("the tokenizer does not keep the tokens around the prompt's media");
        self.with_blocks(&draft, ids).ok_or_else(lost)
    }

    fn draft(&self, text: &str, spots: &[Spot]) -> Result<Draft<'a>> {
        let mut draft = Draft::default();
        let mut from = 0;
        for spot in spots {
            self.write(&mut draft, &text[from..spot.at]);
            let medium = &self.media.media[spot.medium];
            for block in &medium.blocks {
                self.write(&mut draft, &(self.escape)(&block.lead));
                let ids = medium.anchor(block, self.media, self.tokenizer)?;
                let at = draft.text.len();
                draft.text.extend(ids.iter().filter_map(|id| self.tokenizer.token_text(*id)));
                draft.anchors.push(Anchor { at, ids, block });
                self.write(&mut draft, &(self.escape)(&block.tail));
            }
            from = spot.at + spot.len;
        }
        self.write(&mut draft, &text[from..]);
        Ok(draft)
    }

    fn write(&self, draft: &mut Draft, marked: &str) {
        let (clean, marks) = remove_marks(marked, self.mark);
        draft.marks.extend(marks.into_iter().map(|at| draft.text.len() + at));
        draft.text.push_str(&clean);
    }

    /// `None` where the ids are not those of the spellings that the text has.
    fn with_blocks(&self, draft: &Draft<'a>, ids: Vec<u32>) -> Option<Vec<Piece<'a>>> {
        let hits = self.tokenizer.control_in(&draft.text, &Plain::Broken(&draft.marks));
        let mut hits = hits.into_iter();
        let mut anchors = draft.anchors.iter().peekable();
        let mut pieces = Vec::with_capacity(ids.len());
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            if !self.tokenizer.is_control(id) {
                pieces.push(Piece::Id(id));
                continue;
            }
            let hit = hits.next().filter(|hit| hit.spelled.id == id)?;
            let Some(anchor) = anchors.next_if(|a| hit.start <= a.at && a.at < hit.end) else {
                pieces.push(Piece::Id(id));
                continue;
            };
            let (first, rest) = anchor.ids.split_first()?;
            let mut follow =
                |next: &u32| ids.next() == Some(*next) && hits.next().is_some_and(|h| h.spelled.id == *next);
            if id != *first || !rest.iter().all(&mut follow) {
                return None;
            }
            pieces.push(Piece::Block(anchor.block));
        }
        (anchors.next().is_none() && hits.next().is_none()).then_some(pieces)
    }
}

/// Writes everything out as ids and notes where the soft tokens are.
pub(super) fn expand(pieces: &[Piece], media: &MediaSet, tokenizer: &TextTokenizer) -> Result<Placed> {
    let mut placed = Placed { ids: Vec::with_capacity(pieces.len()), ..Placed::default() };
    let mut text = String::new();
    let soft: HashMap<u32, &Medium> =
        media.media.iter().flat_map(|m| m.blocks.iter().map(move |block| (block.soft, m))).collect();
    for piece in pieces {
        if let Piece::Text(more) = piece {
            text.push_str(more);
            continue;
        }
        flush(&mut text, &mut placed.ids, tokenizer)?;
        match piece {
            Piece::Id(id) => {
                if let Some(medium) = soft.get(id) {
                    return Err(stray(*id, medium, tokenizer));
                }
                placed.ids.push(*id);
            }
            Piece::Block(block) => push_block(block, &mut placed),
            Piece::Text(_) => {}
        }
    }
    flush(&mut text, &mut placed.ids, tokenizer)?;
    Ok(placed)
}

fn flush(text: &mut String, ids: &mut Vec<u32>, tokenizer: &TextTokenizer) -> Result<()> {
    if !text.is_empty() {
        ids.extend(tokenizer.encode(&std::mem::take(text), false)?);
    }
    Ok(())
}

fn push_block(block: &SoftBlock, placed: &mut Placed) {
    placed.ids.extend_from_slice(&block.before);
    let start = placed.ids.len();
    placed.ids.resize(start + block.count, block.soft);
    placed.media.push(PlacedMedia {
        media: Arc::clone(&block.media),
        tokens: start..placed.ids.len(),
        grid: block.grid,
        together: block.together,
    });
    placed.ids.extend_from_slice(&block.after);
}

/// A soft token that belongs to no medium would be taken for one.
fn stray(id: u32, medium: &Medium, tokenizer: &TextTokenizer) -> Error {
    let spelling = tokenizer.token_text(id).unwrap_or_else(|| id.to_string());
    medium.unplaced(&format!("the prompt has {spelling} outside of the placeholders for media"))
}
