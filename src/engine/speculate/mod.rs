//! Speculation: tokens that may come next are rows of a pass together with the one that does, so that one pass gives
//! several tokens where they were right.
//!
//! Tokens are drawn and handed out one by one all the same, each from its own row and by the same way as without drafts.
//! What a draft saves is the pass: where the token that came is the draft, the row after it has been evaluated already.
//! Where it is not, the rows of the drafts are taken out of the state. So a session's state may hold drafts behind what
//! [`Held`](super::reuse::Held) says, but only while its answer runs.

mod lookup;
mod pay;

use std::collections::VecDeque;

use mlx_rs::Array;

use self::lookup::PromptLookup;
use self::pay::{Clock, Pay};
use super::options::Speculate;
use super::pending::{Next, Pending};
use super::run::Run;
use super::stats::Stats;
use crate::error::Result;
use crate::nn::state::State;
use crate::prompt::Placed;
use crate::sampling::{DrawnAhead, Sampler};

/// Proposes what may come next.
pub(super) trait Drafter {
    /// Tokens taken in so far.
    fn len(&self) -> usize;

    /// Takes in the next tokens of prompt or answer.
    fn extend(&mut self, ids: &[u32]);

    /// At most `most` tokens that may come next; none where nothing is likely.
    fn propose(&self, most: usize) -> Vec<u32>;

    /// Of `proposed` tokens the first `taken` ones came.
    fn learn(&mut self, proposed: usize, taken: usize);
}

/// A draft whose row the state holds.
struct Ahead {
    id: u32,
    /// `f32 [V]`: the logits after it.
    logits: Array,
    /// What was drawn from them, where that does not need the tokens before.
    drawn: Option<DrawnAhead>,
}

/// What follows tokens that are rows of the state.
pub(super) struct Following {
    /// `f32 [V]`
    pub logits: Array,
    /// What was drawn from them already.
    pub drawn: Option<DrawnAhead>,
}

impl Following {
    pub fn new(logits: Array) -> Following {
        Following { logits, drawn: None }
    }
}

/// The speculation of one answer.
pub(super) struct Speculation {
    drafter: Box<dyn Drafter>,
    pay: Pay,
    clock: Clock,
    /// The drafts behind the tokens that have come.
    ahead: VecDeque<Ahead>,
    /// How many there were in the last pass.
    proposed: usize,
    /// The last pass has been waited for, so what comes next can be read.
    evaluated: bool,
    /// Of the last pass, where what it took tells something: how many drafts it had.
    measuring: Option<usize>,
    passes: usize,
    drafted: u64,
    accepted: u64,
}

impl Speculation {
    /// Of an answer to `prompt`; `None` where there is to be none.
    pub fn new(speculate: Option<Speculate>, prompt: &Placed) -> Option<Speculation> {
        let Speculate::PromptLookup { most } = speculate?;
        Some(Self::by(Box::new(lookup_in(prompt)), most))
    }

    fn by(drafter: Box<dyn Drafter>, most: usize) -> Speculation {
        Speculation {
            drafter,
            pay: Pay::new(most),
            clock: Clock::default(),
            ahead: VecDeque::new(),
            proposed: 0,
            evaluated: false,
            measuring: None,
            passes: 0,
            drafted: 0,
            accepted: 0,
        }
    }

    /// A step works on the run from here on.
    pub fn begin_step(&mut self) {
        self.clock.start();
    }

    pub fn end_step(&mut self) {
        self.clock.stop();
    }

    /// What follows the pending tokens, where they are the drafts behind the `held` positions of `state`. If not, there are
    /// no drafts any more.
    pub fn take(
        &mut self,
        pending: &Pending,
        generated: usize,
        (state, held): (&mut State, usize),
        sampler: &mut Sampler,
    ) -> Option<Following> {
        if self.ahead.is_empty() {
            return None;
        }
        // What cannot be read is an error that whoever hands it out tells.
        let ids = pending.read(generated).unwrap_or_default();
        self.evaluated = true;
        let is_draft = |(ahead, id): (&Ahead, &u32)| ahead.id == *id;
        let all = ids.len() <= self.ahead.len() && self.ahead.iter().zip(&ids).all(is_draft);
        let last = if all { self.ahead.drain(..ids.len()).next_back() } else { None };
        if let Some(Ahead { logits, drawn, .. }) = last {
            self.accepted += ids.len() as u64;
            if self.ahead.is_empty() {
                self.learn(self.proposed, self.proposed);
            }
            return Some(Following { logits, drawn });
        }
        self.learn(self.proposed, self.proposed - self.ahead.len());
        let first = self.ahead.drain(..).next().and_then(|ahead| ahead.drawn);
        if let Some(drawn) = first {
            drawn.refuted(sampler);
        }
        state.trim(held);
        None
    }

    fn learn(&mut self, proposed: usize, taken: usize) {
        self.pay.learn(proposed, taken);
        self.drafter.learn(proposed, taken);
    }

    /// Drafts for the rows behind the pending tokens, at most `room`, and none behind a token that `ends` the answer. `ids`
    /// are the tokens before those.
    pub fn propose(
        &mut self,
        pending: &Pending,
        ids: &[u32],
        generated: usize,
        room: usize,
        ends: impl Fn(&u32) -> bool,
    ) -> Vec<u32> {
        let most = self.pay.count().min(room);
        if most == 0 {
            return Vec::new();
        }
        if ids.len() > self.drafter.len() {
            self.drafter.extend(&ids[self.drafter.len()..]);
        }
        if let (false, Pending::Sampled { .. }) = (self.evaluated, pending) {
            // To wait for it keeps MLX waiting for the next pass, so it is guessed first: where nothing repeats, nobody waits.
            let Some(guess) = self.drafter.propose(1).pop() else { return Vec::new() };
            let Ok(ids) = pending.read(generated) else { return Vec::new() };
            self.evaluated = true;
            self.learn(1, usize::from(ids == [guess]));
        }
        let Ok(ids) = pending.read(generated) else { return Vec::new() };
        self.drafter.extend(&ids);
        if ids.iter().any(&ends) {
            return Vec::new();
        }
        let mut drafts = self.drafter.propose(most);
        drafts.truncate(drafts.iter().position(ends).map_or(most, |end| end + 1));
        drafts
    }

    /// A pass is about to be issued with so many drafts, for this run `alone` or for several.
    pub fn pass(&mut self, drafts: usize, alone: bool) {
        let time = self.clock.lap();
        // Passes overlap where the next is issued before the last one is read: a plain one among such tells what it costs.
        if let Some(drafts) = self.measuring.take().filter(|drafts| *drafts > 0 || !self.evaluated) {
            self.pay.measured(drafts, time);
        }
        // The first one waits for the prompt.
        let tells = alone && self.passes > 0 && (drafts > 0 || !self.evaluated);
        self.measuring = tells.then_some(drafts);
        self.passes += 1;
    }

    /// The drafts are rows of the state; `rows` follow them.
    pub fn passed(&mut self, drafts: Vec<u32>, rows: impl IntoIterator<Item = Array>) {
        self.evaluated = false;
        self.proposed = drafts.len();
        self.drafted += drafts.len() as u64;
        let ahead = |(id, logits)| Ahead { id, logits, drawn: None };
        self.ahead = drafts.into_iter().zip(rows).map(ahead).collect();
    }

    /// Draws from the rows behind drafts, once the token before them has been drawn. Nothing is evaluated.
    fn draw(&mut self, sampler: &mut Sampler) -> Result<()> {
        let drawn = sampler.draw_ahead(self.ahead.iter().map(|ahead| &ahead.logits))?;
        self.ahead.iter_mut().zip(drawn).for_each(|(ahead, drawn)| ahead.drawn = Some(drawn));
        Ok(())
    }

    /// Another token comes than the one that was drawn before the drafts: what was drawn after those has never been.
    pub fn forget_draws(&mut self, sampler: &mut Sampler) {
        let mut drawn = self.ahead.iter_mut().filter_map(|ahead| ahead.drawn.take());
        if let Some(first) = drawn.next() {
            first.refuted(sampler);
        }
        drawn.for_each(drop);
    }

    /// What MLX has to compute beside what comes next.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.ahead.iter().filter_map(|ahead| ahead.drawn.as_ref()).flat_map(DrawnAhead::arrays)
    }

    pub fn count_in(&self, stats: &mut Stats) {
        (stats.drafted_tokens, stats.accepted_tokens) = (self.drafted, self.accepted);
    }
}

/// Looks up the texts of a prompt.
fn lookup_in(prompt: &Placed) -> PromptLookup {
    let mut lookup = PromptLookup::new(prompt.ids.len());
    let mut text = 0;
    for medium in &prompt.media {
        lookup.extend(&prompt.ids[text..medium.tokens.start]);
        lookup.skip(medium.tokens.len());
        text = medium.tokens.end;
    }
    lookup.extend(&prompt.ids[text..]);
    lookup
}

impl Run {
    /// Draws what follows the `held` ids, and ahead of that what follows drafts that have just been rows. Nothing is evaluated.
    pub fn draw_on(&mut self, held: &[u32], following: Following) -> Result<Next> {
        let Following { logits, drawn } = following;
        if let Some(drawn) = drawn {
            return Ok(Next::Pending(Pending::Sampled { drawn: drawn.confirmed(), logits }));
        }
        let next = Next::after(self, held, logits)?;
        if let Some(speculation) = &mut self.speculation {
            speculation.draw(&mut self.sampler)?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
