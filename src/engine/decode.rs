//! The unit that answers are made of: one step of one or several sessions of a model, in one pass.
//!
//! A step issues the tokens after those that are pending, and only then reads the pending ones and hands them out, so
//! that MLX computes while the host looks at an event. A session with a guide needs its pending token for what may come
//! next: it is read once the pass is issued, and the guide works while MLX computes.

use std::time::Instant;

use mlx_rs::Array;

use super::event::{Event, FinishReason};
use super::guide::Next;
use super::logprobs;
use super::output::{Piece, Stopped};
use super::run::{Phase, Run, SessionState};
use crate::error::Result;
use crate::models::{Batch, Run as Rows};
use crate::nn::mlx::{self, async_eval};
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::system::room;

/// What comes next of an answer, and has not been handed out.
pub(super) enum Pending {
    /// A token that has been sampled and not been read.
    Sampled {
        /// `u32 []`
        token: Array,
        /// `f32 [V]`: the row that it was sampled from.
        logits: Array,
    },
    /// Tokens that had to come, without rows of logits.
    Forced(Vec<u32>),
}

impl Pending {
    /// What follows `held` positions, whose last has `logits` `[V]`: by the guide, where there is one. Nothing is
    /// evaluated.
    pub fn after(run: &mut Run, held: usize, logits: Array) -> Result<Pending> {
        let room = run.job.max_tokens.saturating_sub(run.generated);
        let room = room.min(run.job.context_length.saturating_sub(held));
        let next = match &mut run.job.guide {
            Some(guide) => guide.next(run.job.output.place(), room)?,
            None => Next::Free,
        };
        let token = match next {
            Next::Free => run.sampler.sample(&logits)?,
            Next::Masked(mask) => {
                let count = mask.len() as i32;
                run.sampler.sample(&logits.add(Array::from_slice(&mask, &[count]))?)?
            }
            Next::Forced(ids) => {
                ids.iter().try_for_each(|id| run.sampler.took(*id))?;
                return Ok(Pending::Forced(ids));
            }
            Next::Done => return Ok(Pending::Forced(Vec::new())),
        };
        Ok(Pending::Sampled { token, logits })
    }

    /// What MLX has to compute for it.
    fn arrays(&self) -> Vec<&Array> {
        match self {
            Pending::Sampled { token, logits } => vec![token, logits],
            Pending::Forced(_) => Vec::new(),
        }
    }

    /// Sets MLX to work on it.
    pub fn issue(&self) -> Result<()> {
        async_eval(self.arrays())
    }

    fn count(&self) -> usize {
        match self {
            Pending::Sampled { .. } => 1,
            Pending::Forced(ids) => ids.len(),
        }
    }
}

/// One session's part in a step.
struct Part<'a> {
    session: &'a mut SessionState,
    run: Run,
    pending: Pending,
    /// The pending tokens are rows of this step's pass.
    passed: bool,
    /// What comes after them, unless they are the last.
    next: Option<Pending>,
    /// What the pending tokens say, once they are read.
    read: Option<Result<Said>>,
}

/// The events of the pending tokens, and whether the answer ends with them.
struct Said {
    events: Vec<Event>,
    stopped: Option<Stopped>,
    /// The token that has to come next, whatever the model would say.
    forced: Option<u32>,
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

/// Samples the token after the pending ones for each session that goes on, and sets MLX to work on them.
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
    let mut waiting = Vec::new();
    for (i, part) in going.iter_mut().enumerate() {
        let row = match count {
            1 => logits.reshape(&[-1])?,
            _ => mlx::slice(&logits, &[i as i32, 0], &[i as i32 + 1, vocab])?.reshape(&[-1])?,
        };
        part.passed = true;
        match part.run.job.guide {
            None => {
                let held = part.session.past.held.len();
                part.next = Some(Pending::after(&mut part.run, held, row)?);
            }
            Some(_) => waiting.push((i, row)),
        }
    }
    let issued = going.iter().filter_map(|part| part.next.as_ref()).flat_map(Pending::arrays);
    async_eval(issued.chain(waiting.iter().map(|(_, row)| row)))?;
    for part in &mut going {
        part.session.past.keep_if_due()?;
    }
    for (i, row) in waiting {
        going[i].follow_guide(row);
    }
    let issued = going.iter().filter(|part| part.run.job.guide.is_some());
    async_eval(issued.filter_map(|part| part.next.as_ref()).flat_map(Pending::arrays))
}

impl<'a> Part<'a> {
    /// Takes the run out of a session; `None` where it is not decoding.
    fn of(session: &'a mut SessionState) -> Option<Part<'a>> {
        let mut run = session.run.take()?;
        match std::mem::replace(&mut run.phase, Phase::Encode { next: 0 }) {
            Phase::Decode { pending } => {
                Some(Part { session, run, pending, passed: false, next: None, read: None })
            }
            phase => {
                session.run = Some(Run { phase, ..run });
                None
            }
        }
    }

    fn is_full(&self) -> bool {
        self.session.past.held.len() + self.pending.count() >= self.run.job.context_length
    }

    /// Whether the answer is known to be whole: all of a guide's forced tokens have been taken by it.
    fn is_whole(&self) -> bool {
        matches!(self.pending, Pending::Forced(_)) && self.guide_is_done()
    }

    fn guide_is_done(&self) -> bool {
        self.run.job.guide.as_ref().is_some_and(|guide| guide.is_done())
    }

    fn goes_on(&self) -> bool {
        let after = self.run.generated + self.pending.count();
        after < self.run.job.max_tokens && !self.is_full() && !self.is_whole() && self.pending.count() > 0
    }

    /// The pending tokens as the next rows.
    fn rows(&self) -> Result<Rows> {
        let start = self.session.past.state.position();
        let ids = match &self.pending {
            Pending::Sampled { token, .. } => token.reshape(&[1])?,
            Pending::Forced(ids) => Array::from_slice(ids, &[ids.len() as i32]),
        };
        Ok(Rows::text(ids, Positions::Consecutive { start, count: self.pending.count() }))
    }

    /// Reads the pending tokens, and samples from the row after them what the guide allows.
    fn follow_guide(&mut self, row: Array) {
        let read = self.read();
        if let Ok(Said { stopped: None, forced, .. }) = &read {
            let done = self.guide_is_done();
            let next = match forced {
                _ if done => Ok(None),
                Some(id) => {
                    let token = Array::from_slice(&[*id], &[]);
                    self.run.sampler.took(*id).map(|()| Some(Pending::Sampled { token, logits: row }))
                }
                None => Pending::after(&mut self.run, self.session.past.held.len(), row).map(Some),
            };
            match next {
                Ok(next) => self.next = next.filter(|next| next.count() > 0),
                Err(error) => {
                    self.read = Some(Err(error));
                    return;
                }
            }
        }
        self.read = Some(read);
    }

    /// Hands out the pending tokens, and puts the run back or ends it.
    fn hand_out(mut self) {
        let read = match self.read.take() {
            Some(read) => read,
            None => self.read().map(|said| self.force(said)),
        };
        match read {
            Ok(Said { events, stopped, .. }) => {
                events.into_iter().for_each(|event| self.session.queue.push(event));
                match (stopped, self.next.take()) {
                    (None, Some(pending)) => {
                        self.session.run = Some(Run { phase: Phase::Decode { pending }, ..self.run });
                    }
                    (stopped, _) => {
                        let reason = self.reason(stopped);
                        self.session.finish(Event::finish(reason));
                    }
                }
            }
            Err(error) => self.session.fail(error),
        }
    }

    /// Puts the token that has to come next in the place of the one that was drawn and is no row yet.
    fn force(&mut self, said: Said) -> Said {
        if let (Some(forced), Some(Pending::Sampled { token, .. })) = (said.forced, &mut self.next) {
            *token = Array::from_slice(&[forced], &[]);
        }
        said
    }

    /// Why an answer ends of which nothing is left.
    fn reason(&mut self, stopped: Option<Stopped>) -> FinishReason {
        match stopped {
            Some(Stopped::EndToken) => FinishReason::EndOfTurn,
            Some(Stopped::ToolCalls) => FinishReason::ToolCalls,
            Some(Stopped::StopToken) => FinishReason::StopToken,
            Some(Stopped::StopString) => FinishReason::StopString,
            None => {
                let (guide, passed) = (self.run.job.guide.as_mut(), self.passed);
                let (whole, cut) =
                    guide.map_or((false, false), |guide| (guide.is_done() || passed, guide.is_cut()));
                let limited = self.run.generated >= self.run.job.max_tokens;
                match self.run.job.output.calls() {
                    0 if whole => FinishReason::EndOfTurn,
                    _ if whole => FinishReason::ToolCalls,
                    _ if cut => FinishReason::ConstraintCut,
                    _ if limited => FinishReason::MaxTokens,
                    _ => FinishReason::ContextFull,
                }
            }
        }
    }

    /// Reads the pending tokens.
    fn read(&mut self) -> Result<Said> {
        let (ids, logits) = match &self.pending {
            Pending::Forced(ids) => (ids.clone(), None),
            Pending::Sampled { token, logits } => {
                let id = mlx::number(token).map_err(|e| e.context("the sampled token"))?;
                (vec![id], Some(logits.clone()))
            }
        };
        if self.passed {
            ids.iter().for_each(|id| self.session.past.held.push(*id));
        }
        let mut said = Said { events: Vec::new(), stopped: None, forced: None };
        for (index, id) in ids.iter().enumerate() {
            if let (Some(guide), Some(_)) = (&mut self.run.job.guide, &logits) {
                guide.take(*id, self.run.job.output.place())?;
            }
            self.run.generated += 1;
            self.note_token();
            let last = index + 1 == ids.len() && (!self.passed || self.guide_is_done());
            let piece = self.run.job.output.push(*id, last)?;
            (said.stopped, said.forced) = (piece.stopped, piece.forced);
            said.events.push(self.event(*id, piece, logits.clone())?);
            if said.stopped.is_some() {
                break;
            }
        }
        Ok(said)
    }

    fn event(&mut self, id: u32, piece: Piece, logits: Option<Array>) -> Result<Event> {
        let row = logits.map(|logits| self.session.keep_row(logits));
        let Piece { kind, text, call, .. } = piece;
        let mut event =
            Event { tool_call: call.whole, tool_draft: call.draft, ..Event::token(kind, id, text, row) };
        if let (Some(row), true) = (row, self.run.job.top_logprobs > 0) {
            let logits = self.session.row(row)?;
            logprobs::fill(&mut event, &logits, self.run.job.top_logprobs, &self.run.job.formatter)?;
        }
        Ok(event)
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
