//! Media in a prompt: what a model declares of them, and where each one goes.
//!
//! Most templates write a placeholder for every medium. For those that do not, a second rendering in which every
//! message carries a tag (`tags`) tells which placeholder belongs to which message (`attribution`) and in which turn
//! a message stands; a medium without a placeholder is put into that turn (`spots`). The blocks then go into the text
//! before it is tokenized, so that text around them is tokenized as if the template had written it (`assembly`). The
//! same tags show what texts the template leaves out (`losses`); without media it is rendered a second time only where
//! the first rendering leaves a doubt of that (`certain`).

mod assembly;
mod attribution;
mod certain;
mod exact;
mod losses;
mod medium;
mod placer;
mod raw;
mod skeleton;
mod spots;
mod tags;
mod turns;

#[cfg(test)]
mod families_tests;
#[cfg(test)]
mod losses_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::media::{Media, MediaKind};

pub(super) use placer::Placer;
pub(super) use tags::{ALPHABET, Alphabet};
pub(super) use turns::TurnMarkers;

/// One run of soft tokens and what stands around it: `lead ++ before ++ [soft; count] ++ after ++ tail`.
#[derive(Clone, Debug)]
pub struct SoftBlock {
    /// What the soft tokens are the encoding of: the medium itself, or a part of it (a frame, a clip, a crop).
    pub media: Arc<Media>,
    /// Plain text before the block (a frame's time), tokenized together with the text around it.
    pub lead: String,
    /// Ids in front of the soft tokens.
    pub before: Vec<u32>,
    /// The id whose embedding the encoding takes the place of.
    pub soft: u32,
    /// How many soft tokens.
    pub count: usize,
    /// Ids behind the soft tokens.
    pub after: Vec<u32>,
    /// Plain text after the block, tokenized together with the text around it.
    pub tail: String,
    /// How the soft tokens lie, for models whose positions follow that.
    pub grid: Option<Grid>,
    /// Whether the soft tokens see each other both ways. Such a run is never split.
    pub together: bool,
}

/// Soft tokens in rows and columns, row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// From top to bottom.
    pub rows: usize,
    /// From left to right.
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
    /// What the model is given, soft tokens included.
    pub ids: Vec<u32>,
    /// In order of position.
    pub media: Vec<PlacedMedia>,
    /// Texts of which the template left no trace. A message of which it left none at all is an error instead.
    pub lost: Vec<Lost>,
}

/// What is to be encoded (a medium, or a part of one) and the positions of its soft tokens (not of what stands around
/// them).
#[derive(Clone, Debug)]
pub struct PlacedMedia {
    /// What is to be encoded.
    pub media: Arc<Media>,
    /// Where its soft tokens are among the ids.
    pub tokens: Range<usize>,
    /// How they lie, for models whose positions follow that.
    pub grid: Option<Grid>,
    /// Whether the soft tokens see each other both ways. Such a run is never split.
    pub together: bool,
}

/// A part of a message, or a call, that is nowhere in the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Index of the message.
    pub message: usize,
    /// Index among the message's parts, or its calls.
    pub part: usize,
    /// What is lost.
    pub kind: LostKind,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostKind {
    /// The text of a message of any other role.
    Text,
    /// The text of a message whose role is `tool`.
    ToolResult,
    /// A call of a tool.
    ToolCall,
}
