//! A session on the MLX thread: what it holds, and the submit that it is working on.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use mlx_rs::Array;

use super::event::{Event, FinishReason};
use super::guide::Guide;
use super::options::Speculate;
use super::output::Output;
use super::pending::{Pending, Row};
use super::queue::Queue;
use super::reuse::Past;
use super::scheduler::{Stage, Standing};
use super::speculate::Speculation;
use super::worker::LoadedModel;
use crate::error::{Code, Error, Result};
use crate::models::{Prepared, SoftTokens};
use crate::nn::mlx::{self, async_eval};
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::prompt::{Formatter, Placed};
use crate::sampling::{Sampler, Settings};

/// Logits rows kept for the host: the token it holds, the one waiting for it, and the one being computed.
const ROWS: usize = 3;

/// Everything that one submit needs, made on the host's thread.
pub(super) struct Job {
    pub prompt: Arc<Placed>,
    /// Of the prompt's rows.
    pub positions: Positions,
    /// For each medium of the prompt, what its encoder takes; empty where the encoding was at hand.
    pub prepared: Vec<Option<Arc<Prepared>>>,
    pub settings: Settings,
    pub vocab_size: usize,
    pub output: Output,
    pub guide: Option<Guide>,
    pub formatter: Arc<Formatter>,
    pub max_tokens: usize,
    pub context_length: usize,
    pub prefill_chunk: usize,
    pub top_logprobs: usize,
    /// The host's own processor sees each row before a token is drawn from it.
    pub host_processes: bool,
    pub speculate: Option<Speculate>,
    pub progress_events: bool,
    /// Where turns begin, the model's last: the next turn's prompt is sure to share everything before that.
    pub turns: Vec<usize>,
    /// Nothing is to be generated.
    pub prefill_only: bool,
    pub submitted: Instant,
}

impl Job {
    /// Whether what comes next depends on the tokens so far otherwise than through the model and the sampler.
    pub fn needs_tokens(&self) -> bool {
        self.guide.is_some() || self.host_processes || !self.settings.repeats.is_off()
    }
}

pub(super) enum Phase {
    /// Media from this one on may be missing.
    Encode {
        next: usize,
    },
    Prefill {
        chunks: VecDeque<Range<usize>>,
        /// Ends of chunks where the state is kept.
        keeps: Vec<usize>,
    },
    /// That was all.
    Prefilled,
    Decode {
        pending: Pending,
    },
    /// The host has a copy of the row that the next token will be drawn from.
    AtHost {
        row: Row,
    },
    /// The copy is back, as the host's processor left it: `f32 [V]`, or why the answer ends.
    Processed {
        row: Row,
        processed: Result<Vec<f32>>,
    },
}

/// One submit in work.
pub(super) struct Run {
    pub job: Job,
    pub sampler: Sampler,
    pub speculation: Option<Speculation>,
    pub phase: Phase,
    /// For each medium of the prompt, its encoding, from when it is made until its rows are evaluated.
    pub soft: Vec<Option<SoftTokens>>,
    /// Rows that were held already.
    pub reused: usize,
    pub generated: usize,
    pub first_token: Option<Instant>,
    pub encoded_ms: f64,
    /// Media that went through an encoder.
    pub encoded: u64,
}

/// One session's past and its current run.
pub(crate) struct SessionState {
    pub(super) loaded: LoadedModel,
    pub(super) queue: Arc<Queue>,
    pub(super) past: Past,
    pub(super) run: Option<Run>,
    /// The last submit's FINISH has been made.
    ended: bool,
    rows: VecDeque<(u64, Array)>,
    next_row: u64,
}

impl SessionState {
    /// With at most so many checkpoints.
    pub fn new(loaded: LoadedModel, queue: Arc<Queue>, checkpoints: usize) -> Self {
        let past = Past::new(loaded.model.new_state(), checkpoints);
        Self::holding(loaded, queue, past)
    }

    /// One that holds something already.
    pub fn holding(loaded: LoadedModel, queue: Arc<Queue>, past: Past) -> Self {
        Self { loaded, queue, past, run: None, ended: true, rows: VecDeque::new(), next_row: 0 }
    }

    /// A session that holds the same as this one, which idles. Nothing is copied before one of the two goes on.
    pub fn fork(&self, queue: Arc<Queue>) -> Self {
        let (loaded, past, rows) = (self.loaded.clone(), self.past.fork(), self.rows.clone());
        Self { loaded, queue, past, run: None, ended: true, rows, next_row: self.next_row }
    }

    /// See [`Past::truncate`].
    pub fn truncate(&mut self, rows: usize) -> usize {
        let kept = self.past.truncate(rows);
        self.tell_held();
        kept
    }

    /// Gives up what an edit of older turns would save.
    pub fn give_up_older(&mut self) {
        self.past.give_up_older();
        self.tell_held();
    }

    /// Rows of a prompt that this session would not evaluate again.
    pub fn covers(&self, prompt: &Placed) -> usize {
        self.past.covers(prompt)
    }

    pub fn start(&mut self, job: Job) {
        self.rows.clear();
        self.ended = false;
        let reused = self.past.resume(&job.prompt);
        self.queue.update_stats(|s| s.reused_tokens = reused as u64);
        let soft = job.prompt.media.iter().map(|_| None).collect();
        self.run = Some(Run {
            sampler: self
                .loaded
                .on_its_device(|| Sampler::new(job.settings.clone(), job.vocab_size, &job.prompt.ids)),
            speculation: Speculation::new(job.speculate, &job.prompt),
            job,
            phase: Phase::Encode { next: 0 },
            soft,
            reused,
            generated: 0,
            first_token: None,
            encoded_ms: 0.0,
            encoded: 0,
        });
    }

    /// Drops what is held and what is running.
    pub fn reset(&mut self) {
        self.run = None;
        self.rows.clear();
        self.past.forget();
    }

    /// How the scheduler sees the session.
    pub fn standing(&self) -> Standing {
        let stage = match self.run.as_ref().map(|run| &run.phase) {
            None => Stage::Idle,
            Some(Phase::Encode { .. }) => Stage::Encode,
            Some(Phase::Prefill { .. } | Phase::Prefilled) => Stage::Prefill,
            Some(Phase::Decode { .. } | Phase::Processed { .. }) => Stage::Decode,
            Some(Phase::AtHost { .. }) => Stage::AtHost,
        };
        Standing {
            stage,
            model: self.loaded.id,
            room: self.queue.has_room(),
            cancelled: self.queue.is_cancelled(),
        }
    }

    /// The row that a handed-out token was sampled from, `f32 [V]`.
    pub fn row(&self, row: u64) -> Result<Vec<f32>> {
        let logits = self.rows.iter().find(|(id, _)| *id == row).map(|(_, logits)| logits);
        let logits = logits.ok_or_else(|| Error::new(Code::Backend, "the logits row is gone"))?;
        self.loaded.on_its_device(|| mlx::floats(logits)).map_err(|e| e.context("the logits row"))
    }

    /// Keeps a logits row for the host and gives its number.
    pub fn keep_row(&mut self, logits: Array) -> u64 {
        let row = self.next_row;
        self.next_row += 1;
        self.rows.push_back((row, logits));
        if self.rows.len() > ROWS {
            self.rows.pop_front();
        }
        row
    }

    /// Does one unit on the run; an error ends it. Whatever the state holds then is unknown, so it is given up.
    pub fn work(&mut self, unit: impl FnOnce(&mut Self, &mut Run) -> Result<()>) {
        let Some(mut run) = self.run.take() else { return };
        let loaded = self.loaded.clone();
        match loaded.on_its_device(|| unit(self, &mut run)) {
            Ok(()) if matches!(run.phase, Phase::Prefilled) => self.prefilled(&run),
            Ok(()) => self.run = Some(run),
            Err(error) => self.fail(error),
        }
    }

    /// Ends a run that generates nothing.
    fn prefilled(&mut self, run: &Run) {
        self.queue.update_stats(|s| {
            s.encode_ms = run.encoded_ms;
            s.encoded_media = run.encoded;
        });
        self.finish(Event::finish(FinishReason::Prefilled));
    }

    /// Ends the run with an error.
    pub fn fail(&mut self, error: Error) {
        let error = self.loaded.model.explain(error);
        self.run = None;
        self.ended = true;
        self.past.forget();
        self.queue.push(Event::failed(error));
    }

    /// Ends the run of a session that a panic went through.
    pub fn fail_by_panic(&mut self, error: Error) {
        if self.ended {
            self.past.forget();
            return;
        }
        self.queue.doom();
        self.fail(error);
    }

    /// Ends the run as the host asked; what it has evaluated stays held. Where `may_work` is not, [`part`](Self::part) is
    /// to follow.
    pub fn cancel(&mut self, may_work: bool) {
        if let Some(mut run) = self.run.take() {
            let text = run.job.output.finish();
            let event = Event { text, ..Event::finish(FinishReason::Cancelled) };
            if may_work { self.finish(event) } else { self.end(event) }
        }
    }

    /// Hands out the run's last event.
    pub fn finish(&mut self, event: Event) {
        self.past.drop_drafts();
        if let Err(error) = self.loaded.on_its_device(|| part(&mut self.past.state)) {
            return self.fail(error);
        }
        self.end(event);
    }

    /// Parts the state of a session that idles from those of others.
    pub fn part(&mut self) {
        if self.run.is_none() && self.loaded.on_its_device(|| part(&mut self.past.state)).is_err() {
            // What the state holds is unknown, so the next answer begins anew.
            self.past.forget();
        }
    }

    fn end(&mut self, event: Event) {
        self.past.drop_drafts();
        self.ended = true;
        self.tell_held();
        self.queue.push(event);
    }

    fn tell_held(&self) {
        self.queue.update_stats(|s| {
            s.held_tokens = self.past.held.len() as u64;
            s.cache_bytes = self.past.state.bytes() as u64;
            s.checkpoint_bytes = self.past.checkpoint_bytes() as u64;
        });
    }
}

/// A session that idles keeps no buffers of others alive.
fn part(state: &mut State) -> Result<()> {
    match state.part()? {
        true => async_eval(state.arrays()),
        false => Ok(()),
    }
}

pub(super) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
