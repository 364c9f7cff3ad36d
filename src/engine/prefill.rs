//! The second unit of a run: the prompt is evaluated, a chunk at a time.

use std::ops::Range;
use std::time::Instant;

use super::checkpoints;
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
        let keeps = self.places_to_keep(run);
        Phase::Prefill { chunks: chunks(todo, run.job.prefill_chunk, &whole, &keeps).into(), keeps }
    }

    /// The window, if it will have wrapped by the end of the answer: the state cannot be trimmed back then.
    fn wrapping_window(&self, job: &Job) -> Option<usize> {
        let end = job.prompt.ids.len().saturating_add(job.max_tokens).min(job.context_length);
        self.past.state.window().filter(|window| end > *window)
    }

    /// Where the model's turn begins, if the state there is to be kept.
    fn turn_to_keep(&self, job: &Job) -> Option<usize> {
        job.turns.last().copied().filter(|_| self.wrapping_window(job).is_some())
    }

    /// Where the rest of the prompt is cut, so that the state there can be kept.
    fn places_to_keep(&self, run: &Run) -> Vec<usize> {
        let (job, prompt) = (&run.job, &run.job.prompt);
        let Some(window) = self.wrapping_window(job) else { return Vec::new() };
        let (len, turn) = (prompt.ids.len(), self.turn_to_keep(job));
        let mut places = checkpoints::places(len, window, &job.turns);
        for place in &mut places {
            let cut = prompt.media.iter().find(|m| m.tokens.start < *place && *place < m.tokens.end);
            *place = cut.map_or(*place, |medium| medium.tokens.start);
        }
        places.dedup();
        places.retain(|place| *place > run.reused && turn.is_none_or(|turn| *place < turn));
        let most = self.past.most_checkpoints().saturating_sub(usize::from(turn.is_some()));
        let mut places = places.split_off(places.len().saturating_sub(most));
        // A short rest after the turn's beginning is taken back from the state later; a long one needs a cut there.
        places.extend(turn.filter(|turn| *turn > run.reused && len - turn > state::SPARE));
        places
    }

    /// Evaluates the next chunk; with the last one, the first token is issued, if there is to be one.
    pub(super) fn prefill(&mut self, run: &mut Run) -> Result<()> {
        let began = Instant::now();
        let Phase::Prefill { chunks, keeps } = &mut run.phase else {
            return Err(Error::new(Code::Backend, "the run is not at its prompt"));
        };
        let chunk = chunks.pop_front().ok_or_else(|| Error::new(Code::Backend, "no chunk is left"))?;
        let is_last = chunks.is_empty();
        let (count, end, is_kept) = (chunk.len(), chunk.end, keeps.contains(&chunk.end));
        let growth = self.past.state.growth(count);
        room::require(self.loaded.budget.work(count, end) + growth, "the next positions of the prompt")?;
        let rows = Rows::of_prompt(&run.job.prompt, &run.job.positions, &run.soft, chunk.clone())?;
        let answers = is_last && !run.job.prefill_only;
        let batch = Batch { logits: answers, ..Batch::of(rows) };
        let hidden = self.loaded.model.forward(&batch, &mut [&mut self.past.state])?;
        self.past.held.extend(&run.job.prompt, chunk.clone());
        for (medium, soft) in run.job.prompt.media.iter().zip(&mut run.soft) {
            if medium.tokens.end <= chunk.end {
                *soft = None;
            }
        }
        if answers {
            let logits = self.loaded.model.logits(&hidden, 0..1)?.reshape(&[-1])?;
            if run.job.needs_tokens() {
                // The guide works while MLX computes.
                async_eval([&logits])?;
            }
            run.phase = match Next::after(run, self.past.held.ids(), logits)? {
                Next::Pending(pending) => {
                    pending.issue()?;
                    Phase::Decode { pending }
                }
                Next::Row(row) => Phase::AtHost { row },
            };
        } else {
            eval(self.past.state.arrays())?;
        }
        let turn = self.turn_to_keep(&run.job);
        if let Some(place) = turn.filter(|_| is_last).or(is_kept.then_some(chunk.end)) {
            self.past.keep(place, turn == Some(place))?;
        }
        self.queue.update_stats(|s| s.prefill_ms += millis(began));
        if run.job.progress_events {
            self.queue.push(Event::progress(chunk.end, run.job.prompt.ids.len()));
        }
        if is_last && run.job.prefill_only {
            run.phase = Phase::Prefilled;
        }
        host_row::show(run, self.past.held.ids(), &self.queue)
    }
}
