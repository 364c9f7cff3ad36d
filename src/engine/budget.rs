//! What a model and a session of it take, in bytes, from what a load in which nothing is read has counted.
//!
//! What is computed between layers is told from the widths of a layer, by rules that were measured on MLX's CPU backend,
//! which goes ahead of its work by about a layer: good to a tenth or two of that part, which is small beside real weights.

use super::checkpoints;
use crate::models::{LanguageModel, Prepared};
use crate::nn::held::{Held, Part, Widths};
use crate::nn::state::Shape;

/// Bytes of masks for each row and key: values to add to scores, and the truth values that they are made of.
const MASK: u64 = 6;
/// Bytes of a row's mask where it is a range of keys.
const RANGE: u64 = 8;
/// How often values of a row are there at a time where attention streams, in hundredths: what the matrices of a layer make, the row and
/// its queries with what norms and rotations make of them, and what is kept through all layers; or what experts make, if that is
/// more. Fitted to MLX's peaks with eleven models of other shapes, within a tenth of each.
const LAYER: u64 = 138;
const QUERIES: u64 = 346;
const KEPT: u64 = 75;
const EXPERTS: u64 = 230;
/// Rows of logits that a token takes, sampling included.
const LOGITS_AT_A_TIME: u64 = 8;
/// How often the values of a block of a packed matrix are there at a time: codes, numbers, scaled numbers.
const BLOCKS_AT_A_TIME: u64 = 3;
/// Scores of a tower's attention that exist at a time where it does not stream.
const TOWER_SCORES: u64 = 32 << 20;

/// Of one model on the device that it was counted for.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Held,
    /// What layers keep, and how many keep the same.
    shapes: Vec<(Shape, u64)>,
    vocab: u64,
}

impl Budget {
    pub fn new(model: &dyn LanguageModel, vocab: usize) -> Budget {
        let mut shapes: Vec<(Shape, u64)> = Vec::new();
        for shape in model.new_state().shapes() {
            match shapes.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, count)) => *count += 1,
                None => shapes.push((shape, 1)),
            }
        }
        Budget { held: model.held().clone(), shapes, vocab: vocab as u64 }
    }

    pub fn held(&self) -> &Held {
        &self.held
    }

    /// What keys and values are kept as.
    pub fn cache_type(&self) -> String {
        self.shapes.first().map(|(shape, _)| shape.type_name()).unwrap_or_default()
    }

    /// What a session holds once it has taken in `positions`, `chunk` at a time.
    pub fn cache(&self, positions: usize, chunk: usize) -> u64 {
        self.shapes.iter().map(|(shape, count)| count * shape.bytes(positions, chunk)).sum()
    }

    /// What is computed with while `rows` rows are taken in, the last of which is at `positions`.
    pub fn work(&self, rows: usize, positions: usize) -> u64 {
        let widths = self.held.widths(Part::Text);
        let seen =
            |(shape, _): &(Shape, u64)| shape.window.map_or(positions, |w| positions.min(w + rows)) as u64;
        let (most, least) = self
            .shapes
            .iter()
            .map(seen)
            .fold((0, u64::MAX), |(most, least), keys| (most.max(keys), least.min(keys)));
        let (rows, item, kinds) = (rows as u64, self.held.item, self.shapes.len() as u64);
        // Of several kinds of layers: the other mask, and half of the next layer's scores, which MLX has begun.
        let (masks, ahead) = if kinds > 1 { (most + least, least / 2) } else { (most, 0) };
        let (values, scores) = match self.held.streams {
            true => (rows * item * streaming(&widths) / 100, rows * kinds * RANGE),
            false => {
                let values = widths.layer + widths.experts + widths.kept;
                (rows * item * values, rows * widths.heads * item * (most + ahead) + rows * masks * MASK)
            }
        };
        values + scores + LOGITS_AT_A_TIME * 4 * self.vocab + unpacked(widths, rows)
    }

    /// [`work`](Self::work) of a whole prompt: of its last piece, or of the last full one. A layer's rows are there twice while
    /// they are copied to a larger buffer.
    pub fn prefill(&self, positions: usize, chunk: usize) -> u64 {
        let chunk = chunk.clamp(1, positions.max(1));
        let rest = positions % chunk;
        let last = if rest == 0 { chunk } else { rest };
        let before = |shape: &Shape| {
            let kept = shape.window.map_or(usize::MAX, |window| window - 1);
            (positions.saturating_sub(last).min(kept) * shape.row_bytes()) as u64
        };
        let copied = self.shapes.iter().map(|(shape, _)| before(shape)).max().unwrap_or(0);
        copied + self.work(chunk, positions - rest).max(self.work(rest, positions))
    }

    /// What is computed with while a medium is encoded.
    pub fn encode(&self, prepared: &Prepared) -> u64 {
        let (part, rows, values) = match prepared {
            Prepared::Patches(patches) => {
                (Part::Vision, patches.rows * patches.columns, patches.values.len())
            }
            Prepared::Samples(frames) => (Part::Audio, frames.count, frames.values.len()),
            Prepared::Mel(frames) => (Part::Audio, frames.count.div_ceil(4), frames.values.len()),
        };
        let (widths, rows, item) = (self.held.widths(part), rows as u64, self.held.item);
        let streams = self.held.streams && part == Part::Vision;
        let scores = if streams { 0 } else { (rows * rows * item).min(TOWER_SCORES) };
        let input = values as u64 * (4 + item);
        input + rows * item * widths.layer + 2 * scores + unpacked(widths, rows)
    }

    /// What a session takes at most besides the weights, when it holds `positions` and can go back to the last turn.
    pub fn session(&self, positions: usize, chunk: usize) -> u64 {
        self.cache(positions, chunk) + self.prefill(positions, chunk) + self.checkpoints(positions, 1)
    }

    /// What `most` checkpoints take at most in a session that holds `positions`.
    pub fn checkpoints(&self, positions: usize, most: usize) -> u64 {
        let Some(window) = self.shapes.iter().filter_map(|(shape, _)| shape.window).min() else { return 0 };
        // Of two that follow each other the second is half as far from the end as the one before them.
        let count = most.min(2 * checkpoints::places(positions, window, &[]).len());
        let one: u64 =
            self.shapes.iter().map(|(shape, count)| count * shape.checkpoint_bytes(positions)).sum();
        count as u64 * one
    }

    /// How many checkpoints a session may have of `context` positions that takes at most `room` bytes besides the weights;
    /// at least 1.
    pub fn checkpoints_within(&self, room: Option<u64>, context: usize, chunk: usize) -> usize {
        let (one, session) = (self.checkpoints(context, 1), self.session(context, chunk));
        let fits =
            |most: &usize| room.is_none_or(|room| session - one + self.checkpoints(context, *most) <= room);
        (2..=checkpoints::DEFAULT_MOST).rev().find(fits).unwrap_or(1)
    }

    /// The most positions of a session that takes at most `room` bytes besides the weights.
    pub fn positions_within(&self, room: u64, most: usize, chunk: usize) -> usize {
        let (mut fits, mut over) = (0, most + 1);
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            match self.session(middle, chunk) <= room {
                true => fits = middle,
                false => over = middle,
            }
        }
        fits
    }
}

/// Values of a row that are there at a time where attention streams, in hundredths.
fn streaming(widths: &Widths) -> u64 {
    (LAYER * widths.layer + QUERIES * widths.queries).max(EXPERTS * widths.experts) + KEPT * widths.kept
}

/// What packed matrices are unpacked with, for more than one row.
fn unpacked(widths: Widths, rows: u64) -> u64 {
    if rows > 1 { 4 * (BLOCKS_AT_A_TIME * widths.block + rows * widths.block_row) } else { 0 }
}
