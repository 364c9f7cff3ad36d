//! The unit that answers are made of: one step of one or several sessions of a model, in one pass.
//!
//! A step issues the tokens after those that are pending, and only then reads the pending ones and hands them out, so
//! that MLX computes while the host looks at an event.

use std::time::Instant;

use mlx_rs::Array;

use super::event::{Event, FinishReason};
use super::logprobs;
use super::output::{Piece, Stopped};
use super::run::{Phase, Run, SessionState};
use crate::error::Result;
use crate::models::{Batch, Run as Rows};
use crate::nn::mlx::{self, async_eval};
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::sampling::Sampler;
use crate::system::room;

/// A token that has been sampled and not been read.
pub(super) struct Pending {
    /// `u32 []`
    token: Array,
    /// `f32 [V]`: the row that it was sampled from.
    logits: Array,
}

impl Pending {
    /// Draws from `logits` `[V]`. Nothing is evaluated.
    pub fn sample(sampler: &mut Sampler, logits: Array) -> Result<Pending> {
        Ok(Pending { token: sampler.sample(&logits)?, logits })
    }

    /// Sets MLX to work on it.
    pub fn issue(&self) -> Result<()> {
        async_eval([&self.token, &self.logits])
    }
}

/// One session's part in a step.
struct Part<'a> {
    session: &'a mut SessionState,
    run: Run,
    pending: Pending,
    /// The token after it, unless the pending one is the last.
    next: Option<Pending>,
}

/// One step of sessions that are all decoding, with one model.
pub(super) fn step<'a>(sessions: impl IntoIterator<Item = &'a mut SessionState>) {
    let mut parts: Vec<Part> = sessions.into_iter().filter_map(Part::of).collect();
    let Some(loaded) = parts.first().map(|part| part.session.loaded.clone()) else { return };
    loaded.on_its_device(|| match issue(&mut parts) {
        Ok(()) => parts.into_iter().for_each(Part::hand_out),
        // Which rows the states have taken in is unknown, of all of them.
        Err(error) => parts.into_iter().for_each(|part| part.session.fail(error.clone())),
    });
}

/// Samples the token after the pending one for each session that goes on, and sets MLX to work on them.
fn issue(parts: &mut [Part]) -> Result<()> {
    let mut going: Vec<&mut Part> = parts.iter_mut().filter(|part| part.goes_on()).collect();
    let Some(first) = going.first() else { return Ok(()) };
    let model = first.session.loaded.model.clone();
    let needed = |part: &&mut Part| {
        let past = &part.session.past;
        part.session.loaded.budget.work(1, past.held.len() + 1) + past.state.growth(1)
    };
    room::require(going.iter().map(needed).sum(), "the next tokens")?;
    let runs = going.iter().map(|part| part.rows()).collect::<Result<Vec<_>>>()?;
    let mut states: Vec<&mut State> = going.iter_mut().map(|part| &mut part.session.past.state).collect();
    let hidden = model.forward(&Batch { runs }, &mut states)?;
    let count = going.len();
    let logits = model.logits(&hidden, 0..count)?;
    let vocab = logits.dim(1);
    for (i, part) in going.iter_mut().enumerate() {
        let row = match count {
            1 => logits.reshape(&[-1])?,
            _ => mlx::slice(&logits, &[i as i32, 0], &[i as i32 + 1, vocab])?.reshape(&[-1])?,
        };
        part.next = Some(Pending::sample(&mut part.run.sampler, row)?);
    }
    let issued = going.iter().filter_map(|part| part.next.as_ref());
    async_eval(issued.flat_map(|next| [&next.token, &next.logits]))
}

impl<'a> Part<'a> {
    /// Takes the run out of a session; `None` where it is not decoding.
    fn of(session: &'a mut SessionState) -> Option<Part<'a>> {
        let mut run = session.run.take()?;
        match std::mem::replace(&mut run.phase, Phase::Encode { next: 0 }) {
            Phase::Decode { pending } => Some(Part { session, run, pending, next: None }),
            phase => {
                session.run = Some(Run { phase, ..run });
                None
            }
        }
    }

    fn is_full(&self) -> bool {
        self.session.past.held.len() + 1 >= self.run.job.context_length
    }

    fn goes_on(&self) -> bool {
        self.run.generated + 1 < self.run.job.max_tokens && !self.is_full()
    }

    /// The pending token as the next row.
    fn rows(&self) -> Result<Rows> {
        let start = self.session.past.state.position();
        Ok(Rows::text(self.pending.token.reshape(&[1])?, Positions::Consecutive { start, count: 1 }))
    }

    /// Reads the pending token, hands it out, and puts the run back or ends it.
    fn hand_out(mut self) {
        match self.read() {
            Ok((event, stopped)) => {
                let session = self.session;
                session.queue.push(event);
                match (stopped, self.next) {
                    (Some(Stopped::EndToken), _) => session.finish(Event::finish(FinishReason::EndOfTurn)),
                    (Some(Stopped::ToolCalls), _) => session.finish(Event::finish(FinishReason::ToolCalls)),
                    (Some(Stopped::StopToken), _) => session.finish(Event::finish(FinishReason::StopToken)),
                    (Some(Stopped::StopString), _) => session.finish(Event::finish(FinishReason::StopString)),
                    (None, Some(pending)) => {
                        session.run = Some(Run { phase: Phase::Decode { pending }, ..self.run });
                    }
                    (None, None) if self.run.generated >= self.run.job.max_tokens => {
                        session.finish(Event::finish(FinishReason::MaxTokens));
                    }
                    (None, None) => session.finish(Event::finish(FinishReason::ContextFull)),
                }
            }
            Err(error) => self.session.fail(error),
        }
    }

    /// The event of the pending token, and whether the answer ends with it.
    fn read(&mut self) -> Result<(Event, Option<Stopped>)> {
        let id = mlx::number(&self.pending.token).map_err(|e| e.context("the sampled token"))?;
        if self.next.is_some() {
            self.session.past.held.push(id);
        }
        self.run.generated += 1;
        self.note_token();
        let Piece { kind, text, call, stopped, forced } =
            self.run.job.output.push(id, self.next.is_none())?;
        if let (Some(forced), Some(next)) = (forced, &mut self.next) {
            // Drawn, and not evaluated as a row yet.
            next.token = Array::from_slice(&[forced], &[]);
        }
        let row = self.session.keep_row(self.pending.logits.clone());
        let mut event =
            Event { tool_call: call.whole, tool_draft: call.draft, ..Event::token(kind, id, text, row) };
        if self.run.job.top_logprobs > 0 {
            let logits = self.session.row(row)?;
            logprobs::fill(&mut event, &logits, self.run.job.top_logprobs, &self.run.job.formatter)?;
        }
        Ok((event, stopped))
    }

    fn note_token(&mut self) {
        let (now, run) = (Instant::now(), &mut self.run);
        let first = *run.first_token.get_or_insert(now);
        let past = &self.session.past;
        self.session.queue.update_stats(|s| {
            s.generated_tokens = run.generated as u64;
            s.encode_ms = run.encoded_ms;
            s.encoded_media = run.encoded;
            s.first_token_ms = first.duration_since(run.job.submitted).as_secs_f64() * 1e3;
            s.decode_ms = now.duration_since(first).as_secs_f64() * 1e3;
            s.held_tokens = past.held.len() as u64;
            s.cache_bytes = past.state.bytes() as u64;
        });
    }
}
