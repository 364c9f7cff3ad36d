//! Media in a row of token ids: what a model declares, and the expansion of placeholders.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::media::{Media, MediaKind};

/// One run of soft tokens and what stands around it: `lead ++ before ++ [soft; count] ++ after ++ tail`.
#[derive(Clone, Debug)]
pub struct SoftBlock {
    /// What the soft tokens are the encoding of: the medium itself, or a part of it (a frame, a clip, a crop).
    pub media: Arc<Media>,
    /// Plain text before the block (a frame's time), tokenized together with the text around it.
    pub lead: String,
    pub before: Vec<u32>,
    pub soft: u32,
    pub count: usize,
    pub after: Vec<u32>,
    /// Plain text after the block, tokenized together with the text around it.
    pub tail: String,
    /// How the soft tokens lie, for models whose positions follow that.
    pub grid: Option<Grid>,
    /// Whether the soft tokens see each other both ways. Such a run is never split.
    pub together: bool,
}

/// Soft tokens in rows and columns, frame after frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub frames: usize,
    pub rows: usize,
    pub columns: usize,
}

/// How an architecture lays out media. Pure host code.
pub trait MediaLayout: Send + Sync {
    /// The ids that the template writes for a medium of this kind (Gemma 4: one soft id; Qwen3-VL: a start, a pad, an
    /// end); `None` if the model lacks the modality.
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]>;
    /// What stands for this medium instead of the placeholder, one block after the other; at least one.
    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>>;
}

/// Ids after placement, and where the media are in them.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    pub ids: Vec<u32>,
    /// In order of position.
    pub media: Vec<PlacedMedia>,
    /// What the template left out, for good reasons or not.
    pub lost: Vec<Lost>,
}

/// A part of a message that is nowhere in the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub message: usize,
    pub part: usize,
    pub kind: LostKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostKind {
    Text,
    /// The text of a message whose role is `tool`.
    ToolResult,
}

/// What is to be encoded (a medium, or a part of one) and the positions of its soft tokens (not of what stands around
/// them).
#[derive(Clone, Debug)]
pub struct PlacedMedia {
    pub media: Arc<Media>,
    pub tokens: Range<usize>,
    pub grid: Option<Grid>,
    /// Whether the soft tokens see each other both ways. Such a run is never split.
    pub together: bool,
}

/// A medium on its way into the ids.
#[derive(Clone)]
pub(super) struct Medium {
    pub kind: MediaKind,
    /// Index of the message that holds it.
    pub message: usize,
    pub placeholder: u32,
    /// At least one. Only the first has a lead, and only until it is in the text or in `before`.
    pub blocks: Vec<SoftBlock>,
}

/// A row of ids in which some places are media, by their index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece {
    Id(u32),
    Medium(usize),
}

/// Replaces placeholder ids by media: the n-th of a kind is the n-th medium of that kind in `order`.
pub(super) fn fill_placeholders(ids: &[u32], media: &[Medium], order: &[usize]) -> Result<Vec<Piece>> {
    let mut waiting: VecDeque<usize> = order.iter().copied().collect();
    let mut pieces = Vec::with_capacity(ids.len());
    for &id in ids {
        let next = waiting.iter().position(|&m| media[m].placeholder == id);
        match next.and_then(|at| waiting.remove(at)) {
            Some(medium) => pieces.push(Piece::Medium(medium)),
            None if order.iter().any(|&m| media[m].placeholder == id) => {
                return Err(Error::prompt(format!(
                    "the prompt has more placeholders of id {id} than media for them"
                )));
            }
            None => pieces.push(Piece::Id(id)),
        }
    }
    match waiting.front() {
        Some(&lost) => Err(unplaced(&media[lost], "the prompt has no placeholder for it")),
        None => Ok(pieces),
    }
}

/// For prompts without turns: images and videos after a leading BOS, audio before the final token.
pub(super) fn insert_without_turns(
    pieces: &mut Vec<Piece>,
    media: &[Medium],
    order: &[usize],
    bos: Option<u32>,
) {
    let leading = usize::from(bos.is_some_and(|bos| pieces.first() == Some(&Piece::Id(bos))));
    let is_heard = |m: &usize| media[*m].kind == MediaKind::Audio;
    let (heard, seen): (Vec<usize>, Vec<usize>) = order.iter().partition(|m| is_heard(m));
    let last = pieces.len().saturating_sub(1).max(leading);
    pieces.splice(last..last, heard.into_iter().map(Piece::Medium));
    pieces.splice(leading..leading, seen.into_iter().map(Piece::Medium));
}

/// Writes every medium's block out and notes where its soft tokens are.
pub(super) fn expand(pieces: &[Piece], media: &[Medium]) -> Placed {
    let mut placed = Placed { ids: Vec::with_capacity(pieces.len()), ..Placed::default() };
    for piece in pieces {
        match *piece {
            Piece::Id(id) => placed.ids.push(id),
            Piece::Medium(index) => {
                for block in &media[index].blocks {
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
            }
        }
    }
    placed
}

/// A medium must never be dropped: what cannot be placed is an error that names its message.
pub(super) fn unplaced(medium: &Medium, why: &str) -> Error {
    let text = format!("the {} of message {} cannot be placed: {why}", medium.kind.name(), medium.message);
    Error::prompt(text).with("message_index", medium.message)
}
