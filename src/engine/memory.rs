//! How much memory a model and its sessions may take, and what fits into that.

use std::sync::Arc;

use super::budget::Budget;
use super::limits;
use super::options::LoadOptions;
use crate::error::Result;
use crate::system::room::{self, Room};
use crate::system::{self, Platform};

/// Positions that a session must have for a model to be worth loading.
const LEAST_CONTEXT: usize = 256;
/// A chunk that a load always counts with.
const LEAST_CHUNK: usize = 64;

/// What a model and its sessions may take.
#[derive(Clone, Debug)]
pub struct Memory {
    budget: Arc<Budget>,
    /// For the weights and one session.
    limit: Option<Room>,
    checks_system: bool,
    /// Of every session of the model.
    pub context_length: usize,
}

impl Memory {
    /// What fits, for a model with at most `most` positions. `OUT_OF_MEMORY`, saying by how much, where the host's limit
    /// or what the system has is less than the weights, their load, and a session of the context that was asked for or a
    /// small one.
    pub fn fit(budget: Arc<Budget>, most: usize, options: &LoadOptions) -> Result<Memory> {
        let asked = options.context_length.map(|n| n.clamp(1, most));
        let (weights, context) = (budget.held().memory(), asked.unwrap_or(most.min(LEAST_CONTEXT)));
        let needed = (weights + budget.held().table + budget.session(context, LEAST_CHUNK))
            .max(budget.held().load_peak);
        let checks_system = !options.ignore_system_memory;
        let given = options.memory_limit.map(|bytes| Room { bytes, of: "the memory limit of the load" });
        let system = checks_system.then(room::room).flatten();
        for bound in [given, system].into_iter().flatten() {
            if needed > bound.bytes {
                let what = format!("the model and {context} positions of a session");
                return Err(room::refusal(&what, needed, bound).with("weights", weights));
            }
        }
        // On iOS the app is ended that takes too much; elsewhere only the host knows what it wants to spend.
        let system = system.filter(|_| Platform::current() == Platform::Ios);
        let limit = given.into_iter().chain(system).min_by_key(|bound| bound.bytes);
        let fitting = limit.map(|bound| {
            budget.positions_within(bound.bytes.saturating_sub(weights), most, LEAST_CHUNK).max(context)
        });
        let context_length = asked.or(fitting).unwrap_or(most);
        Ok(Memory { budget, limit, checks_system, context_length })
    }

    /// Prompt rows at once for a session of `context` positions, where the host does not say.
    pub fn prefill_chunk(&self, context: usize) -> usize {
        let weights = self.budget.held().memory();
        let limit = self.limit.map(|limit| limit.bytes.saturating_sub(weights));
        let left = limit.into_iter().chain(system::available_memory()).min();
        limits::prefill_chunk(left, |rows| match limit {
            Some(limit) if self.budget.session(context, rows) > limit => u64::MAX,
            _ => self.budget.work(rows, context.min(LEAST_CONTEXT)),
        })
    }

    /// Checkpoints of a session of `context` positions, where the host does not say.
    pub fn checkpoints(&self, context: usize, chunk: usize) -> usize {
        let room = self.limit.map(|limit| limit.bytes.saturating_sub(self.budget.held().memory()));
        self.budget.checkpoints_within(room, context, chunk)
    }

    /// `OUT_OF_MEMORY` where a session that is asked for does not fit into the limit.
    pub fn check_session(&self, context: usize, chunk: usize, checkpoints: usize) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        let session = self.budget.cache(context, chunk) + self.budget.prefill(context, chunk);
        let needed = self.budget.held().memory() + session + self.budget.checkpoints(context, checkpoints);
        if needed <= limit.bytes {
            return Ok(());
        }
        let what = format!("the model and a session of {context} positions, {chunk} of them at a time,");
        Err(room::refusal(&what, needed, limit))
    }

    /// `OUT_OF_MEMORY` where the system has not what a prompt of `positions` takes besides the `held` bytes of the session.
    pub fn check_prompt(&self, positions: usize, chunk: usize, held: u64) -> Result<()> {
        if !self.checks_system {
            return Ok(());
        }
        let needed = self.budget.session(positions, chunk).saturating_sub(held);
        room::require(needed, &format!("the {positions} positions of the prompt"))
    }

    /// `OUT_OF_MEMORY` where the system has not `bytes` more, for `what`.
    pub fn check_held(&self, bytes: u64, what: &str) -> Result<()> {
        if self.checks_system { room::require(bytes, what) } else { Ok(()) }
    }
}
