//! The unit that answers are made of: one step of one or several sessions of a model, in one pass.
//!
//! A step issues the tokens after those that are pending, and only then reads the pending ones and hands them out, so
//! that MLX computes while the host looks at an event. A session with a guide, or with a processor that looks at tokens, needs
//! its pending token for what comes next: it is read once the pass is issued, and the guide works while MLX computes.

use std::time::Instant;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::event::{Event, FinishReason};
use super::output::{Piece, Stopped};
use super::pending::{Next, Pending};
use super::run::{Phase, Run, SessionState};
use super::speculate::{Following, Speculation};
use super::{host_row, logprobs};
use crate::error::Result;
use crate::models::{Batch, Run as Rows};
use crate::nn::mlx::{self, async_eval};
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::sampling::Drawn;
use crate::system::room;

/// One session's part in a step.
struct Part<'a> {
    session: &'a mut SessionState,
    run: Run,
    pending: Pending,
    /// Rows of this step's pass behind the pending tokens, that may come next.
    drafts: Vec<u32>,
    /// The pending tokens are rows of the state.
    passed: bool,
    /// What comes after them, unless they are the last.
    next: Option<Next>,
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
        Ok(()) => {
            // Rows have to be waited for, so all tokens go out before.
            let at_host: Vec<_> = parts.into_iter().filter_map(Part::hand_out).collect();
            at_host
                .into_iter()
                .for_each(|session| session.work(|s, run| host_row::show(run, s.past.held.ids(), &s.queue)));
        }
        // Which rows the states have taken in is unknown, of all of them.
        Err(error) => parts.into_iter().for_each(|part| part.session.fail(error.clone())),
    });
}

/// Samples the token after the pending ones for each session that goes on, and sets MLX to work on them.
fn issue(parts: &mut [Part]) -> Result<()> {
    let alone = parts.len() == 1;
    let mut going: Vec<&mut Part> = parts.iter_mut().filter(|part| part.goes_on()).collect();
    let mut waiting = Vec::new();
    for (i, following) in follow_all(&mut going, alone)?.into_iter().enumerate() {
        let part = &mut going[i];
        part.passed = true;
        match part.run.job.needs_tokens() {
            false => {
                let held = part.session.past.held.ids();
                part.next = Some(part.run.draw_on(held, following)?);
            }
            true => waiting.push((i, following.logits)),
        }
    }
    let issued = going.iter().flat_map(|part| part.issued());
    async_eval(issued.chain(waiting.iter().map(|(_, row)| row)))?;
    for part in &mut going {
        let come = part.session.past.held.len() + part.pending.count();
        part.session.past.keep_if_due(come)?;
    }
    for (i, row) in waiting {
        going[i].follow(row);
    }
    let issued = going.iter().filter(|part| part.run.job.needs_tokens());
    async_eval(issued.filter_map(|part| part.next.as_ref()).flat_map(Next::arrays))
}

/// What follows the pending tokens of each: their rows may have been evaluated ahead, and are rows of a pass otherwise.
fn follow_all(going: &mut [&mut Part], alone: bool) -> Result<Vec<Following>> {
    let mut found: Vec<Option<Following>> = going.iter_mut().map(|part| part.ahead()).collect();
    let left = going.iter_mut().zip(&found).filter(|(_, found)| found.is_none());
    let mut left: Vec<&mut Part> = left.map(|(part, _)| &mut **part).collect();
    left.iter_mut().for_each(|part| part.draft(alone));
    let mut passed = pass(&mut left)?.into_iter();
    Ok(found.iter_mut().filter_map(|found| found.take().or_else(|| passed.next())).collect())
}

/// Evaluates the pending tokens and the drafts behind them: what follows the pending ones of each.
fn pass(parts: &mut [&mut Part]) -> Result<Vec<Following>> {
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    let model = first.session.loaded.model.clone();
    room::require(parts.iter().map(|part| part.needed()).sum(), "the next tokens")?;
    let runs = parts.iter().map(|part| part.rows()).collect::<Result<Vec<_>>>()?;
    let count = runs.iter().map(|run| run.outputs).sum();
    let mut states: Vec<&mut State> = parts.iter_mut().map(|part| &mut part.session.past.state).collect();
    let hidden = model.forward(&Batch { runs, logits: true }, &mut states)?;
    let logits = model.logits(&hidden, 0..count)?;
    let vocab = logits.dim(1);
    let row = |i: i32| match count {
        1 => Ok(logits.reshape(&[-1])?),
        _ => Ok(mlx::slice(&logits, &[i, 0], &[i + 1, vocab])?.reshape(&[-1])?),
    };
    let mut rows = (0..count as i32).map(row);
    let mut following = Vec::new();
    for part in parts {
        let mut of = rows.by_ref().take(1 + part.drafts.len()).collect::<Result<Vec<_>>>()?.into_iter();
        following.extend(of.next().map(Following::new));
        if let Some(speculation) = &mut part.run.speculation {
            speculation.passed(std::mem::take(&mut part.drafts), of);
        }
    }
    Ok(following)
}

impl<'a> Part<'a> {
    /// Takes the run out of a session; `None` where it is not decoding.
    fn of(session: &'a mut SessionState) -> Option<Part<'a>> {
        let mut run = session.run.take()?;
        let pending = match std::mem::replace(&mut run.phase, Phase::Encode { next: 0 }) {
            Phase::Decode { pending } => pending,
            Phase::Processed { row, processed: Ok(processed) } => {
                let loaded = session.loaded.clone();
                match loaded.on_its_device(|| row.draw(&mut run, session.past.held.ids(), Some(&processed))) {
                    Ok(pending) => pending,
                    Err(error) => {
                        session.fail(error);
                        return None;
                    }
                }
            }
            // What has been evaluated is as sound as before.
            Phase::Processed { processed: Err(error), .. } => {
                session.finish(Event::failed(error));
                return None;
            }
            phase => {
                session.run = Some(Run { phase, ..run });
                return None;
            }
        };
        run.speculation.iter_mut().for_each(Speculation::begin_step);
        Some(Part { session, run, pending, drafts: Vec::new(), passed: false, next: None, read: None })
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

    /// What follows the pending tokens, where that has been evaluated ahead.
    fn ahead(&mut self) -> Option<Following> {
        let Run { speculation, sampler, generated, .. } = &mut self.run;
        let past = &mut self.session.past;
        speculation.as_mut()?.take(&self.pending, *generated, (&mut past.state, past.held.len()), sampler)
    }

    /// Chooses drafts for the next pass, which this session may have `alone`.
    fn draft(&mut self, alone: bool) {
        let (count, held) = (self.pending.count(), self.session.past.held.len());
        let Run { speculation, job, generated, .. } = &mut self.run;
        let Some(speculation) = speculation else { return };
        if alone {
            // The last token is never a row.
            let room = job.max_tokens.saturating_sub(*generated).min(job.context_length.saturating_sub(held));
            let (room, ends) = (room.saturating_sub(count + 1), |id: &u32| job.output.ends_with(*id));
            self.drafts =
                speculation.propose(&self.pending, self.session.past.held.ids(), *generated, room, ends);
            if !self.drafts.is_empty() && room::require(self.needed(), "drafts").is_err() {
                self.drafts.clear();
            }
        }
        self.run.speculation.iter_mut().for_each(|speculation| speculation.pass(self.drafts.len(), alone));
    }

    /// Bytes that the next rows take.
    fn needed(&self) -> u64 {
        let (past, count) = (&self.session.past, self.pending.count() + self.drafts.len());
        self.session.loaded.budget.work(count, past.held.len() + count) + past.state.growth(count)
    }

    /// The pending tokens and the drafts as the next rows.
    fn rows(&self) -> Result<Rows> {
        let (start, count) = (self.session.past.state.position(), self.pending.count() + self.drafts.len());
        let mut ids = self.pending.ids()?;
        if !self.drafts.is_empty() {
            let drafts = Array::from_slice(&self.drafts, &[self.drafts.len() as i32]);
            ids = concatenate(&[ids, drafts], 0)?;
        }
        let outputs = 1 + self.drafts.len();
        Ok(Rows { outputs, ..Rows::text(ids, Positions::Consecutive { start, count }) })
    }

    /// What MLX has to compute for what comes next.
    fn issued(&self) -> impl Iterator<Item = &Array> {
        let ahead = self.run.speculation.iter().flat_map(Speculation::arrays);
        self.next.iter().flat_map(Next::arrays).chain(ahead)
    }

    /// Reads the pending tokens, and samples from the row after them what those allow.
    fn follow(&mut self, row: Array) {
        let read = self.read();
        if let Ok(Said { stopped: None, forced, .. }) = &read {
            let done = self.guide_is_done();
            let next = match forced {
                _ if done => Ok(None),
                Some(id) => self.run.sampler.took(*id).and_then(|()| Next::given(*id, row)).map(Some),
                None => Next::after(&mut self.run, self.session.past.held.ids(), row).map(Some),
            };
            match next {
                Ok(next) => self.next = next.filter(|next| !next.is_empty()),
                Err(error) => {
                    self.read = Some(Err(error));
                    return;
                }
            }
        }
        self.read = Some(read);
    }

    /// Hands out the pending tokens, and puts the run back or ends it. Gives the session whose host is to have a row.
    fn hand_out(mut self) -> Option<&'a mut SessionState> {
        let read = match self.read.take() {
            Some(read) => read,
            None => self.read().and_then(|said| self.force(said)),
        };
        match read {
            Ok(Said { events, stopped, .. }) => {
                events.into_iter().for_each(|event| self.session.queue.push(event));
                self.run.speculation.iter_mut().for_each(Speculation::end_step);
                match (stopped, self.next.take()) {
                    (None, Some(Next::Pending(pending))) => {
                        self.session.run = Some(Run { phase: Phase::Decode { pending }, ..self.run });
                    }
                    (None, Some(Next::Row(row))) => {
                        self.session.run = Some(Run { phase: Phase::AtHost { row }, ..self.run });
                        return Some(self.session);
                    }
                    (stopped, _) => {
                        let reason = self.reason(stopped);
                        self.session.finish(Event::finish(reason));
                    }
                }
            }
            Err(error) => self.session.fail(error),
        }
        None
    }

    /// Puts the token that has to come next in the place of the one that was drawn and is no row yet.
    fn force(&mut self, said: Said) -> Result<Said> {
        if let (Some(forced), Some(Next::Pending(Pending::Sampled { drawn, .. }))) =
            (said.forced, &mut self.next)
        {
            *drawn = Drawn::given(forced)?;
            let Run { speculation, sampler, .. } = &mut self.run;
            speculation.iter_mut().for_each(|speculation| speculation.forget_draws(sampler));
            sampler.took_instead(forced)?;
        }
        Ok(said)
    }

    /// Why an answer ends of which nothing is left.
    fn reason(&mut self, stopped: Option<Stopped>) -> FinishReason {
        match stopped {
            Some(Stopped::EndToken) => FinishReason::EndOfTurn,
            Some(Stopped::ToolCalls) => FinishReason::ToolCalls,
            Some(Stopped::StopToken) => FinishReason::StopToken,
            Some(Stopped::StopString) => FinishReason::StopString,
            Some(Stopped::Loop) => FinishReason::Loop,
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
        let ids = self.pending.read(self.run.generated)?;
        let logits = match &self.pending {
            Pending::Forced(_) => None,
            Pending::Sampled { logits, .. } => Some(logits.clone()),
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
            run.speculation.iter().for_each(|speculation| speculation.count_in(s));
        });
    }
}
