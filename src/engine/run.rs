//! A session on the MLX thread: encode, prefill, decode, one unit of work at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use mlx_rs::Array;
use mlx_rs::transforms::{async_eval, eval};

use super::event::{Event, FinishReason};
use super::held::Held;
use super::logprobs;
use super::output::{Output, Stopped};
use super::plan;
use super::queue::Queue;
use super::worker::LoadedModel;
use crate::error::{Code, Error, Result};
use crate::media::Media;
use crate::models::{Chunk, SoftTokens};
use crate::nn::cache::{self, Cache, Checkpoint};
use crate::prompt::{Formatter, Placed};
use crate::sampling::{Sampler, Settings};

/// Logits rows kept for the host: the token it holds, the one waiting for it, and the one being computed.
const ROWS: usize = 3;

/// Everything that one submit needs, made on the host's thread.
pub(super) struct Job {
    pub prompt: Placed,
    pub settings: Settings,
    pub vocab_size: usize,
    pub output: Output,
    pub formatter: Arc<Formatter>,
    pub max_tokens: usize,
    pub context_length: usize,
    pub prefill_chunk: usize,
    pub top_logprobs: usize,
    pub progress_events: bool,
    /// Where the model's turn begins: the next turn's prompt is sure to share everything before it.
    pub turn_start: Option<usize>,
    pub submitted: Instant,
}

/// A token that has been issued to MLX and not been read.
struct Pending {
    token: Array,
    logits: Array,
}

enum Phase {
    Encode { next: usize },
    Prefill { chunks: VecDeque<Range<usize>> },
    Decode { pending: Pending },
}

struct Run {
    job: Job,
    sampler: Sampler,
    phase: Phase,
    soft: Vec<Option<SoftTokens>>,
    reused: usize,
    generated: usize,
    first_token: Option<Instant>,
    encoded_ms: f64,
    /// Media that went through an encoder.
    encoded: u64,
}

/// One session's cache and its current run.
pub(crate) struct SessionState {
    loaded: LoadedModel,
    queue: Arc<Queue>,
    cache: Cache,
    held: Held,
    /// The windows as they were where the model's turn began, if they may wrap after it.
    checkpoint: Option<Checkpoint>,
    run: Option<Run>,
    rows: VecDeque<(u64, Array)>,
    next_row: u64,
}

impl SessionState {
    pub fn new(loaded: LoadedModel, queue: Arc<Queue>) -> Self {
        let cache = loaded.model.new_cache();
        Self {
            loaded,
            queue,
            cache,
            held: Held::default(),
            checkpoint: None,
            run: None,
            rows: VecDeque::new(),
            next_row: 0,
        }
    }

    pub fn start(&mut self, job: Job) {
        self.rows.clear();
        let reused = self.reuse(&job.prompt);
        self.queue.update_stats(|s| s.reused_tokens = reused as u64);
        let soft = job.prompt.media.iter().map(|_| None).collect();
        self.run = Some(Run {
            sampler: self
                .loaded
                .on_its_device(|| Sampler::new(job.settings.clone(), job.vocab_size, &job.prompt.ids)),
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
        self.forget();
    }

    /// The row that a handed-out token was sampled from, `f32 [V]`.
    pub fn row(&self, row: u64) -> Result<Vec<f32>> {
        let logits = self.rows.iter().find(|(id, _)| *id == row).map(|(_, logits)| logits);
        let logits = logits.ok_or_else(|| Error::new(Code::Backend, "the logits row is gone"))?;
        self.loaded.on_its_device(|| to_f32(logits))
    }

    pub fn has_work(&self) -> bool {
        self.run.is_some() && self.queue.has_room()
    }

    /// One unit: a medium encoded, a chunk evaluated, or a token read.
    pub fn advance(&mut self) {
        let loaded = self.loaded.clone();
        loaded.on_its_device(|| self.advance_run());
    }

    fn advance_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        if self.queue.is_cancelled() {
            return self.finish(run, FinishReason::Cancelled);
        }
        if let Err(error) = self.unit(run) {
            // Whatever the caches hold now is unknown.
            self.forget();
            self.queue.push(Event::failed(error));
        }
    }

    /// Ends the run of a session that a panic went through.
    pub fn fail_by_panic(&mut self, error: Error) {
        self.run = None;
        self.forget();
        self.queue.poison();
        self.queue.push(Event::failed(error));
    }

    fn forget(&mut self) {
        self.cache.clear();
        self.held.clear();
        self.checkpoint = None;
    }

    fn unit(&mut self, mut run: Run) -> Result<()> {
        match run.phase {
            Phase::Encode { next } => {
                run.phase = self.encode(&mut run, next)?;
                self.run = Some(run);
            }
            Phase::Prefill { ref mut chunks } => {
                let chunk =
                    chunks.pop_front().ok_or_else(|| Error::new(Code::Backend, "no chunk is left"))?;
                let last = chunks.is_empty();
                self.prefill(&mut run, chunk, last)?;
                self.run = Some(run);
            }
            Phase::Decode { .. } => return self.decode(run),
        }
        Ok(())
    }

    /// Trims the cache to what it shares with `prompt`; the number of positions that stay.
    fn reuse(&mut self, prompt: &Placed) -> usize {
        let mut keep = self.held.common_prefix(prompt);
        if keep < self.held.len() && !self.cache.trim_to(keep) {
            keep = self.checkpoint.as_ref().map_or(0, |c| if c.offset() <= keep { c.offset() } else { 0 });
            match &self.checkpoint {
                Some(checkpoint) if keep > 0 => self.cache.restore(checkpoint),
                _ => self.cache.clear(),
            }
        }
        self.held.truncate(keep);
        if self.checkpoint.as_ref().is_some_and(|c| c.offset() > keep) {
            self.checkpoint = None;
        }
        keep
    }

    /// Encodes the first medium from `next` on that is not held, nor kept from another prompt.
    fn encode(&mut self, run: &mut Run, next: usize) -> Result<Phase> {
        let began = Instant::now();
        for i in next..run.job.prompt.media.len() {
            let medium = &run.job.prompt.media[i];
            if medium.tokens.end <= run.reused {
                continue;
            }
            let soft = self.soft_tokens(&medium.media, &mut run.encoded)?;
            let rows = soft.features.dim(0) as usize;
            if rows != medium.tokens.len() {
                return Err(Error::new(
                    Code::Backend,
                    format!(
                        "medium {i} was encoded to {rows} soft tokens, its place holds {}",
                        medium.tokens.len()
                    ),
                ));
            }
            run.soft[i] = Some(soft);
            run.encoded_ms += millis(began);
            return Ok(Phase::Encode { next: i + 1 });
        }
        let together = run.job.prompt.media.iter().filter(|m| m.together);
        let whole: Vec<_> = together.map(|m| m.tokens.clone()).collect();
        let todo = run.reused..run.job.prompt.ids.len();
        // A short rest after the turn's beginning is taken back from the cache later; a long one needs a cut there.
        let stop_at = self.turn_to_keep(&run.job).filter(|&at| todo.end.saturating_sub(at) > cache::SPARE);
        Ok(Phase::Prefill { chunks: plan::chunks(todo, run.job.prefill_chunk, &whole, stop_at).into() })
    }

    /// Where the model's turn begins, if a window will have wrapped by the end of the answer: it cannot be trimmed back
    /// then, so its state there is kept.
    fn turn_to_keep(&self, job: &Job) -> Option<usize> {
        let end = job.prompt.ids.len().saturating_add(job.max_tokens).min(job.context_length);
        job.turn_start.filter(|_| self.cache.window().is_some_and(|window| end > window))
    }

    /// What a medium is encoded to; adds to `encoded` if that is not known already.
    fn soft_tokens(&self, media: &Media, encoded: &mut u64) -> Result<SoftTokens> {
        if let Some(kept) = self.loaded.encoded.borrow_mut().get(media.hash()) {
            return Ok(kept);
        }
        let soft = self.loaded.model.encode(media)?;
        eval(soft.arrays())?;
        *encoded += 1;
        self.loaded.encoded.borrow_mut().insert(*media.hash(), &soft);
        Ok(soft)
    }

    fn prefill(&mut self, run: &mut Run, chunk: Range<usize>, last: bool) -> Result<()> {
        let began = Instant::now();
        let logits = self.forward_prompt(run, &chunk)?;
        self.held.extend(&run.job.prompt, chunk.clone());
        for (i, medium) in run.job.prompt.media.iter().enumerate() {
            if medium.tokens.end <= chunk.end {
                run.soft[i] = None;
            }
        }
        if last {
            run.phase = Phase::Decode { pending: Self::issue(&mut run.sampler, logits)? };
        } else {
            eval(self.cache.arrays())?;
        }
        let is_newer = |at: usize| self.checkpoint.as_ref().is_none_or(|c| c.offset() < at);
        let turn = self.turn_to_keep(&run.job).filter(|&at| (at == chunk.end || last) && is_newer(at));
        if let Some(checkpoint) = turn.and_then(|at| self.cache.checkpoint_at(at)) {
            self.checkpoint = Some(checkpoint);
        }
        self.queue.update_stats(|s| s.prefill_ms += millis(began));
        if run.job.progress_events {
            self.queue.push(Event::progress(chunk.end, run.job.prompt.ids.len()));
        }
        Ok(())
    }

    fn forward_prompt(&mut self, run: &Run, chunk: &Range<usize>) -> Result<Array> {
        let ids = &run.job.prompt.ids[chunk.clone()];
        let ids = Array::from_slice(ids, &[ids.len() as i32]);
        let mut soft = Vec::new();
        let mut blocks = Vec::new();
        for (medium, features) in run.job.prompt.media.iter().zip(&run.soft) {
            let span = medium.tokens.start.max(chunk.start)..medium.tokens.end.min(chunk.end);
            if span.is_empty() {
                continue;
            }
            let features =
                features.as_ref().ok_or_else(|| Error::new(Code::Backend, "a medium was not encoded"))?;
            let rows = span.start - medium.tokens.start..span.end - medium.tokens.start;
            let here = span.start - chunk.start..span.end - chunk.start;
            if medium.together {
                blocks.push(here.clone());
            }
            soft.push((here, features.rows(rows)?));
        }
        self.loaded.model.forward(&Chunk { ids: &ids, soft: &soft, blocks: &blocks }, &mut self.cache)
    }

    /// Samples from `logits` and sets MLX to work on it.
    fn issue(sampler: &mut Sampler, logits: Array) -> Result<Pending> {
        let token = sampler.sample(&logits)?;
        async_eval([&token, &logits])?;
        Ok(Pending { token, logits })
    }

    /// Issues the step after the pending token, then reads that token and hands it out.
    fn decode(&mut self, mut run: Run) -> Result<()> {
        let Phase::Decode { pending } = std::mem::replace(&mut run.phase, Phase::Encode { next: 0 }) else {
            return Err(Error::new(Code::Backend, "the run is not decoding"));
        };
        let full = self.held.len() + 1 >= run.job.context_length;
        let last = run.generated + 1 >= run.job.max_tokens || full;
        let next = if last { None } else { Some(self.step(&mut run.sampler, &pending.token)?) };
        let id = read_token(&pending.token)?;
        if next.is_some() {
            self.held.push(id);
        }
        run.generated += 1;
        self.note_token(&mut run);
        let piece = run.job.output.push(id, last)?;
        let row = self.keep_row(pending.logits);
        let mut event = Event::token(piece.kind, id, piece.text, row);
        if run.job.top_logprobs > 0 {
            logprobs::fill(&mut event, &self.row(row)?, run.job.top_logprobs, &run.job.formatter)?;
        }
        self.queue.push(event);
        let reason = match (piece.stopped, next) {
            (Some(Stopped::EndToken), _) => FinishReason::EndOfTurn,
            (Some(Stopped::StopString), _) => FinishReason::StopString,
            (None, Some(pending)) => {
                run.phase = Phase::Decode { pending };
                self.run = Some(run);
                return Ok(());
            }
            (None, None) if run.generated >= run.job.max_tokens => FinishReason::MaxTokens,
            (None, None) => FinishReason::ContextFull,
        };
        self.finish(run, reason);
        Ok(())
    }

    fn step(&mut self, sampler: &mut Sampler, token: &Array) -> Result<Pending> {
        let ids = token.reshape(&[1])?;
        let chunk = Chunk { ids: &ids, soft: &[], blocks: &[] };
        let logits = self.loaded.model.forward(&chunk, &mut self.cache)?;
        Self::issue(sampler, logits)
    }

    fn keep_row(&mut self, logits: Array) -> u64 {
        let row = self.next_row;
        self.next_row += 1;
        self.rows.push_back((row, logits));
        if self.rows.len() > ROWS {
            self.rows.pop_front();
        }
        row
    }

    fn note_token(&self, run: &mut Run) {
        let now = Instant::now();
        let first = *run.first_token.get_or_insert(now);
        self.queue.update_stats(|s| {
            s.generated_tokens = run.generated as u64;
            s.encode_ms = run.encoded_ms;
            s.encoded_media = run.encoded;
            s.first_token_ms = first.duration_since(run.job.submitted).as_secs_f64() * 1e3;
            s.decode_ms = now.duration_since(first).as_secs_f64() * 1e3;
            s.held_tokens = self.held.len() as u64;
            s.cache_bytes = self.cache.bytes() as u64;
        });
    }

    fn finish(&mut self, mut run: Run, reason: FinishReason) {
        let mut event = Event::finish(reason);
        if reason == FinishReason::Cancelled {
            event.text = run.job.output.finish();
        }
        self.queue.update_stats(|s| {
            s.held_tokens = self.held.len() as u64;
            s.cache_bytes = self.cache.bytes() as u64;
        });
        self.queue.push(event);
    }
}

fn read_token(token: &Array) -> Result<u32> {
    token.try_item_cast::<u32>().map_err(|e| Error::new(Code::Backend, format!("the sampled token: {e}")))
}

fn to_f32(row: &Array) -> Result<Vec<f32>> {
    row.to_vec_cast::<f32>().map_err(|e| Error::new(Code::Backend, format!("the logits row: {e}")))
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
