//! The second unit of a run: the prompt is evaluated, a chunk at a time.

use std::ops::Range;
use std::time::Instant;

use super::event::Event;
use super::host_row;
use super::pending::Next;
use super::run::{Job, Phase, Run, SessionState, millis};
use crate::error::{Code, Error, Result};
use crate::models::{Batch, Run as Rows, chunks};
use crate::nn::mlx::{async_eval, eval};
use crate::nn::state;
use crate::system::room;

impl SessionState {
    /// How what is left of the prompt is cut.
    pub(super) fn chunks(&self, run: &Run) -> Phase {
        let prompt = &run.job.prompt;
        let blocks = prompt.media.iter().filter(|m| m.together);
        let whole: Vec<Range<usize>> = blocks.map(|m| m.tokens.clone()).collect();
        let todo = run.reused..prompt.ids.len();
        // A short rest after the turn's beginning is taken back from the state later; a long one needs a cut there.
        let stop_at = self.turn_to_keep(&run.job).filter(|&at| todo.end.saturating_sub(at) > state::SPARE);
        Phase::Prefill { chunks: chunks(todo, run.job.prefill_chunk, &whole, stop_at).into() }
    }

    /// Where the model's turn begins, if a window will have wrapped by the end of the answer: it cannot be trimmed back
    /// then, so its state there is kept.
    fn turn_to_keep(&self, job: &Job) -> Option<usize> {
        let end = job.prompt.ids.len().saturating_add(job.max_tokens).min(job.context_length);
        job.turn_start.filter(|_| self.past.state.window().is_some_and(|window| end > window))
    }

    /// Evaluates the next chunk; with the last one, the first token is issued.
    pub(super) fn prefill(&mut self, run: &mut Run) -> Result<()> {
        let began = Instant::now();
        let Phase::Prefill { chunks } = &mut run.phase else {
            return Err(Error::new(Code::Backend, "the run is not at its prompt"));
        };
        let chunk = chunks.pop_front().ok_or_else(|| Error::new(Code::Backend, "no chunk is left"))?;
        let is_last = chunks.is_empty();
        let (count, end) = (chunk.len(), chunk.end);
        let growth = self.past.state.growth(count);
        room::require(self.loaded.budget.work(count, end) + growth, "the next positions of the prompt")?;
        let rows = Rows::of_prompt(&run.job.prompt, &run.job.positions, &run.soft, chunk.clone())?;
        let hidden = self.loaded.model.forward(&Batch::of(rows), &mut [&mut self.past.state])?;
        self.past.held.extend(&run.job.prompt, chunk.clone());
        for (medium, soft) in run.job.prompt.media.iter().zip(&mut run.soft) {
            if medium.tokens.end <= chunk.end {
                *soft = None;
            }
        }
        if is_last {
            let logits = self.loaded.model.logits(&hidden, 0..1)?.reshape(&[-1])?;
            if run.job.needs_tokens() {
                // The guide works while MLX computes.
                async_eval([&logits])?;
            }
            run.phase = match Next::after(run, self.past.held.len(), logits)? {
                Next::Pending(pending) => {
                    pending.issue()?;
                    Phase::Decode { pending }
                }
                Next::Row(row) => Phase::AtHost { row },
            };
        } else {
            eval(self.past.state.arrays())?;
        }
        if let Some(turn) = self.turn_to_keep(&run.job).filter(|&at| at == chunk.end || is_last) {
            self.past.keep(turn);
        }
        self.queue.update_stats(|s| s.prefill_ms += millis(began));
        if run.job.progress_events {
            self.queue.push(Event::progress(chunk.end, run.job.prompt.ids.len()));
        }
        host_row::show(run, &self.queue)
    }
}
