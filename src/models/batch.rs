//! The rows of one pass through a language model: runs of consecutive rows, one for each session.

use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::SoftTokens;
use crate::error::{Code, Error, Result};
use crate::nn::mlx;
use crate::nn::positions::Positions;
use crate::nn::runs;
use crate::prompt::Placed;

/// Runs of rows, each of another session. Matrices see the rows of all runs at once; attention goes run by run over
/// each session's own state, so nothing is padded.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At least one, and none of them empty.
    pub runs: Vec<Run>,
    /// Logits will be made of all wanted rows.
    pub logits: bool,
}

/// Consecutive rows of one session.
#[derive(Clone, Debug)]
pub struct Run {
    /// `[T]`, `u32` or `i32`; may be lazy (the token that was just sampled). Rows under soft tokens hold the
    /// placeholder's id.
    pub ids: Array,
    /// Of the `T` rows.
    pub positions: Positions,
    /// Soft tokens and the rows that they take the place of, in order.
    pub soft: Vec<(Range<usize>, SoftTokens)>,
    /// Runs of rows that see each other whatever their order. Such a block is never split over passes.
    pub blocks: Vec<Range<usize>>,
    /// How many rows at the end are wanted: their hidden states can be made into logits. At least 1.
    pub outputs: usize,
}

/// Hidden states of the wanted rows of a batch, run after run: `[n, H]`, after the last layer and before the final
/// norm. Lazy: what is never asked for costs neither the head nor the last layer's tail.
#[derive(Clone, Debug)]
pub struct Hidden {
    pub rows: Array,
}

impl Hidden {
    /// `[rows, H]`: some of the rows.
    pub fn rows(&self, rows: Range<usize>) -> Result<Array> {
        if rows == (0..self.rows.dim(0) as usize) {
            return Ok(self.rows.clone());
        }
        mlx::slice(&self.rows, &[rows.start as i32, 0], &[rows.end as i32, self.rows.dim(1)])
    }
}

impl Batch {
    /// One run alone, whose wanted rows get logits.
    pub fn of(run: Run) -> Batch {
        Batch { runs: vec![run], logits: true }
    }

    /// `[ΣT]`: the ids of all runs.
    pub fn ids(&self) -> Result<Array> {
        match &self.runs[..] {
            [run] => Ok(run.ids.reshape(&[-1])?),
            runs => {
                let ids = runs.iter().map(|run| run.ids.reshape(&[-1])).collect::<Result<Vec<_>, _>>()?;
                Ok(concatenate(&ids, 0)?)
            }
        }
    }

    /// The rows of each run among those of the batch.
    pub fn spans(&self) -> Vec<Range<usize>> {
        runs::spans(self.runs.iter().map(Run::count))
    }

    /// Soft tokens of all runs and the rows of the batch that they take the place of.
    pub fn soft(&self) -> Vec<(Range<usize>, &SoftTokens)> {
        let mut soft = Vec::new();
        for (run, span) in self.runs.iter().zip(self.spans()) {
            let shifted = |at: &Range<usize>| span.start + at.start..span.start + at.end;
            soft.extend(run.soft.iter().map(|(at, tokens)| (shifted(at), tokens)));
        }
        soft
    }

    /// Whether all rows are wanted, as those of a step are.
    pub fn is_all_wanted(&self) -> bool {
        self.runs.iter().all(|run| run.outputs == run.count())
    }

    /// The wanted rows of `x` `[ΣT, ..]`, run after run.
    pub fn wanted(&self, x: &Array) -> Result<Array> {
        if self.is_all_wanted() {
            return Ok(x.clone());
        }
        if let [run] = &self.runs[..] {
            let (mut start, stop) = (vec![0; x.ndim()], x.shape().to_vec());
            start[0] = (run.count() - run.outputs) as i32;
            return mlx::slice(x, &start, &stop);
        }
        let rows: Vec<i32> = self
            .runs
            .iter()
            .zip(self.spans())
            .flat_map(|(run, span)| (span.end - run.outputs) as i32..span.end as i32)
            .collect();
        Ok(x.take_axis(Array::from_slice(&rows, &[rows.len() as i32]), 0)?)
    }
}

impl Run {
    /// `T`.
    pub fn count(&self) -> usize {
        self.ids.size()
    }

    /// Rows of text, the last of which is wanted.
    pub fn text(ids: Array, positions: Positions) -> Run {
        Run { ids, positions, soft: Vec::new(), blocks: Vec::new(), outputs: 1 }
    }

    /// The rows `range` of a prompt, the last of which is wanted. `positions` are those of the whole prompt, `soft` has
    /// an entry for each of its media; those of the range must be there.
    pub fn of_prompt(
        prompt: &Placed,
        positions: &Positions,
        soft: &[Option<SoftTokens>],
        range: Range<usize>,
    ) -> Result<Run> {
        let ids = &prompt.ids[range.clone()];
        let ids = Array::from_slice(ids, &[ids.len() as i32]);
        let mut run = Run::text(ids, positions.slice(range.clone()));
        for (medium, features) in prompt.media.iter().zip(soft) {
            let inside = medium.tokens.start.max(range.start)..medium.tokens.end.min(range.end);
            if inside.is_empty() {
                continue;
            }
            let features =
                features.as_ref().ok_or_else(|| Error::new(Code::Backend, "a medium was not encoded"))?;
            let rows = inside.start - medium.tokens.start..inside.end - medium.tokens.start;
            let here = inside.start - range.start..inside.end - range.start;
            if medium.together {
                run.blocks.push(here.clone());
            }
            run.soft.push((here, features.rows(rows)?));
        }
        Ok(run)
    }
}

/// Cuts `todo` into ranges of about `chunk` positions. No range of `whole` is ever split, so a chunk can be
/// longer than asked for; a cut is also made at each of `stops` that is in no such range, in ascending order.
pub fn chunks(
    todo: Range<usize>,
    chunk: usize,
    whole: &[Range<usize>],
    stops: &[usize],
) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = todo.start;
    while start < todo.end {
        let mut end = (start + chunk.max(1)).min(todo.end);
        let inside = |stop: usize| whole.iter().any(|b| b.start < stop && stop < b.end);
        if let Some(stop) = stops.iter().find(|&&s| s > start && s < end && !inside(s)) {
            end = *stop;
        }
        if let Some(block) = whole.iter().find(|b| b.start < end && end < b.end) {
            end = if block.start > start { block.start } else { block.end.min(todo.end) };
        }
        cuts.push(start..end);
        start = end;
    }
    cuts
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of ranges that happen to hold one
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_once() {
        assert_eq!(chunks(3..10, 4, &[], &[]), [3..7, 7..10]);
        assert_eq!(chunks(0..0, 4, &[], &[]), Vec::<Range<usize>>::new());
        assert_eq!(chunks(0..8, 4, &[], &[6]), [0..4, 4..6, 6..8]);
        assert_eq!(chunks(2..9, 4, &[], &[1, 3, 5, 9]), [2..3, 3..5, 5..9]);
    }

    #[test]
    fn an_image_is_never_split() {
        assert_eq!(chunks(0..12, 4, &[2..9], &[]), [0..2, 2..9, 9..12]);
        assert_eq!(chunks(0..12, 4, &[0..6, 7..11], &[]), [0..6, 6..7, 7..11, 11..12]);
        assert_eq!(chunks(0..10, 100, &[2..9], &[]), [0..10]);
        assert_eq!(chunks(0..10, 4, &[2..9], &[5]), [0..2, 2..9, 9..10]);
    }
}
