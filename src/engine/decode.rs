//! The unit that answers are made of: one step of one or several sessions of a model, in one pass.
//!
//! A step issues the tokens after those that are pending, and only then reads the pending ones and hands them out, so
//! that MLX computes while the host looks at an event.

use std::time::Instant;

use mlx_rs::Array;
use mlx_rs::transforms::async_eval;

use super::event::{Event, FinishReason};
use super::output::{Piece, Stopped};
use super::run::{Phase, Run, SessionState};
use super::{host_row, logprobs};
use crate::error::{Code, Error, Result};
use crate::models::{Batch, Run as Rows};
use crate::nn::mlx;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::sampling::{Choice, Drawn, Sampler};

/// A token that has been sampled and not been read.
pub(super) struct Pending {
    drawn: Drawn,
    /// `f32 [V]`: the row that it was sampled from, as the model gave it.
    logits: Array,
}

impl Pending {
    /// Draws from `logits` `[V]` less `edits`. Nothing is evaluated.
    pub fn sample(sampler: &mut Sampler, logits: Array, edits: &[(u32, f32)]) -> Result<Pending> {
        Ok(Pending { drawn: sampler.sample(&logits, edits)?, logits })
    }

    /// Draws from what the host made of `logits`.
    fn processed(run: &mut Run, logits: Array, processed: &[f32]) -> Result<Pending> {
        let row = Array::from_slice(processed, &[processed.len() as i32]);
        let edits = run.job.repeats.edits(&run.ids);
        Ok(Pending { drawn: run.sampler.sample(&row, &edits)?, logits })
    }

    /// Sets MLX to work on it.
    pub fn issue(&self) -> Result<()> {
        Ok(async_eval(self.arrays())?)
    }

    fn arrays(&self) -> [&Array; 3] {
        let [token, report] = self.drawn.arrays();
        [token, report, &self.logits]
    }

    /// Waits for the token, which is the one after `generated` others.
    fn read(&self, generated: usize) -> Result<u32> {
        let choice = self.drawn.read()?;
        if let Choice::Token(id) = choice {
            return Ok(id);
        }
        let row = self.logits.to_vec_cast::<f32>();
        host_row::check(
            &row.map_err(|e| Error::new(Code::Backend, format!("the logits row: {e}")))?,
            generated,
        )?;
        let generated = generated + 1;
        let message = format!("the options leave no token to choose as generated token {generated}");
        Err(Error::invalid_argument(message).with("generated_token", generated))
    }
}

/// What comes after the pending token.
enum Next {
    Token(Pending),
    /// The host's processor sees the row, `[V]`, first.
    Row(Array),
}

impl Next {
    fn arrays(&self) -> Vec<&Array> {
        match self {
            Next::Token(pending) => pending.arrays().to_vec(),
            Next::Row(logits) => vec![logits],
        }
    }
}

/// One session's part in a step.
struct Part<'a> {
    session: &'a mut SessionState,
    run: Run,
    pending: Pending,
    /// The pending token, once it has been read.
    token: Option<Result<u32>>,
    /// Unless the pending token is the last.
    next: Option<Next>,
}

/// One step of sessions that are all decoding, with one model.
pub(super) fn step<'a>(sessions: impl IntoIterator<Item = &'a mut SessionState>) {
    let mut parts: Vec<Part> = sessions.into_iter().filter_map(Part::of).collect();
    let Some(loaded) = parts.first().map(|part| part.session.loaded.clone()) else { return };
    loaded.on_its_device(|| match issue(&mut parts) {
        Ok(()) => {
            // Rows have to be waited for, so all tokens go out before.
            let at_host: Vec<_> = parts.into_iter().filter_map(Part::hand_out).collect();
            at_host.into_iter().for_each(|session| session.work(|s, run| host_row::show(run, &s.queue)));
        }
        // Which rows the states have taken in is unknown, of all of them.
        Err(error) => parts.into_iter().for_each(|part| part.session.fail(error.clone())),
    });
}

/// Samples the token after the pending one for each session that goes on, and sets MLX to work on them.
fn issue(parts: &mut [Part]) -> Result<()> {
    let mut going: Vec<&mut Part> = parts.iter_mut().filter(|part| part.goes_on()).collect();
    let Some(first) = going.first() else { return Ok(()) };
    let model = first.session.loaded.model.clone();
    let runs = going.iter().map(|part| part.rows()).collect::<Result<Vec<_>>>()?;
    let mut states: Vec<&mut State> = going.iter_mut().map(|part| &mut part.session.past.state).collect();
    let hidden = model.forward(&Batch { runs }, &mut states)?;
    let count = going.len();
    let logits = model.logits(&hidden, 0..count)?;
    if going.iter().any(|part| part.needs_its_token()) {
        // MLX works on, while what was drawn is looked at.
        async_eval([&logits])?;
    }
    let vocab = logits.dim(1);
    for (i, part) in going.iter_mut().enumerate() {
        let row = match count {
            1 => logits.reshape(&[-1])?,
            _ => mlx::slice(&logits, &[i as i32, 0], &[i as i32 + 1, vocab])?.reshape(&[-1])?,
        };
        part.next = Some(part.after(row)?);
    }
    let issued = going.iter().filter_map(|part| part.next.as_ref());
    Ok(async_eval(issued.flat_map(Next::arrays))?)
}

impl<'a> Part<'a> {
    /// Takes the run out of a session; `None` where it is not decoding.
    fn of(session: &'a mut SessionState) -> Option<Part<'a>> {
        let mut run = session.run.take()?;
        match std::mem::replace(&mut run.phase, Phase::Encode { next: 0 }) {
            Phase::Decode { pending } => Some(Part { session, run, pending, token: None, next: None }),
            Phase::Processed { logits, processed } => {
                let loaded = session.loaded.clone();
                match loaded.on_its_device(|| Pending::processed(&mut run, logits, &processed)) {
                    Ok(pending) => Some(Part { session, run, pending, token: None, next: None }),
                    Err(error) => {
                        session.fail(error);
                        None
                    }
                }
            }
            phase => {
                session.run = Some(Run { phase, ..run });
                None
            }
        }
    }

    /// Whether what comes next depends on the pending token otherwise than through the model.
    fn needs_its_token(&self) -> bool {
        !self.run.job.host_processes && !self.run.job.repeats.is_off()
    }

    /// What comes after the pending token, whose row this is.
    fn after(&mut self, row: Array) -> Result<Next> {
        if self.run.job.host_processes {
            return Ok(Next::Row(row));
        }
        let edits = match self.needs_its_token() {
            // A token that failed fails its session where it is handed out.
            true => {
                self.take_token().map_or_else(|_| Vec::new(), |_| self.run.job.repeats.edits(&self.run.ids))
            }
            false => Vec::new(),
        };
        Ok(Next::Token(Pending::sample(&mut self.run.sampler, row, &edits)?))
    }

    /// Waits for the pending token, once.
    fn take_token(&mut self) -> Result<u32> {
        let taken = match &self.token {
            Some(taken) => taken.clone(),
            None => {
                let taken = self.pending.read(self.run.generated);
                self.run.ids.extend(taken.as_ref().ok());
                taken
            }
        };
        self.token = Some(taken.clone());
        taken
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
        Ok(Rows::text(self.pending.drawn.token().reshape(&[1])?, Positions::Consecutive { start, count: 1 }))
    }

    /// Reads the pending token, hands it out, and puts the run back or ends it. The session whose host is to have a row.
    fn hand_out(mut self) -> Option<&'a mut SessionState> {
        match self.read() {
            Ok((event, stopped)) => {
                let session = self.session;
                session.queue.push(event);
                match (stopped, self.next) {
                    (Some(Stopped::EndToken), _) => session.finish(Event::finish(FinishReason::EndOfTurn)),
                    (Some(Stopped::ToolCalls), _) => session.finish(Event::finish(FinishReason::ToolCalls)),
                    (Some(Stopped::StopToken), _) => session.finish(Event::finish(FinishReason::StopToken)),
                    (Some(Stopped::StopString), _) => session.finish(Event::finish(FinishReason::StopString)),
                    (Some(Stopped::Loop), _) => session.finish(Event::finish(FinishReason::Loop)),
                    (None, Some(Next::Token(pending))) => {
                        session.run = Some(Run { phase: Phase::Decode { pending }, ..self.run });
                    }
                    (None, Some(Next::Row(logits))) => {
                        session.run = Some(Run { phase: Phase::AtHost { logits }, ..self.run });
                        return Some(session);
                    }
                    (None, None) if self.run.generated >= self.run.job.max_tokens => {
                        session.finish(Event::finish(FinishReason::MaxTokens));
                    }
                    (None, None) => session.finish(Event::finish(FinishReason::ContextFull)),
                }
            }
            Err(error) => self.session.fail(error),
        }
        None
    }

    /// The event of the pending token, and whether the answer ends with it.
    fn read(&mut self) -> Result<(Event, Option<Stopped>)> {
        let id = self.take_token()?;
        if self.next.is_some() {
            self.session.past.held.push(id);
        }
        self.run.generated += 1;
        self.note_token();
        let Piece { kind, text, call, stopped, forced } =
            self.run.job.output.push(id, self.next.is_none())?;
        if let (Some(forced), Some(next)) = (forced, &mut self.next) {
            // Drawn, and not evaluated as a row yet.
            let logits = match next {
                Next::Token(pending) => &pending.logits,
                Next::Row(logits) => logits,
            };
            *next = Next::Token(Pending { drawn: Drawn::given(forced)?, logits: logits.clone() });
        }
        let row = self.session.keep_row(self.pending.logits.clone());
        let mut event = Event { tool_call: call, ..Event::token(kind, id, text, row) };
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
