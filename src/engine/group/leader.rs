//! Rank 0's part of a model: it tells the others of each pass before it does its own part.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use mlx_rs::Array;

use super::message::{Message, Pass, Then};
use crate::error::{Code, Error, Result};
use crate::log;
use crate::models::{Batch, Hidden, LanguageModel, Prepared, SoftTokens};
use crate::nn::group::Group;
use crate::nn::group::bond::Occupied;
use crate::nn::held::Held;
use crate::nn::mirror::Log;
use crate::nn::mlx::group::Backend;
use crate::nn::mlx::{self, Waits};
use crate::nn::state::State;

pub struct Leader {
    model: Box<dyn LanguageModel>,
    group: Rc<Group>,
    /// What happened to states since the last message.
    log: Rc<Log>,
    /// The logits of the last pass: the others compute theirs at once.
    logits: RefCell<Option<Array>>,
    /// Until the others know that the model is let go of.
    _occupied: Occupied,
}

impl Leader {
    /// Of rank 0's part of a model.
    pub fn new(model: Box<dyn LanguageModel>, group: Rc<Group>, occupied: Occupied) -> Leader {
        Leader { model, group, log: Rc::default(), logits: RefCell::default(), _occupied: occupied }
    }

    fn tell(&self, then: Then<&Pass>) -> Result<()> {
        self.group.begin();
        self.group.tell(&Message { ops: self.log.take(), then }.bytes()?)
    }

    /// The pass on this rank, as the others do it.
    fn pass(&self, pass: &Pass, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        let batch = pass.share(&self.group, Some(batch))?;
        let hidden = self.model.forward(&batch, states)?;
        if batch.logits {
            let rows = hidden.rows.dim(0) as usize;
            *self.logits.borrow_mut() = Some(self.model.logits(&hidden, 0..rows)?);
        }
        Ok(hidden)
    }
}

impl LanguageModel for Leader {
    fn new_state(&self) -> State {
        self.model.new_state().mirrored(&self.log)
    }

    fn encode(&self, prepared: &Prepared) -> Result<SoftTokens> {
        self.model.encode(prepared)
    }

    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        // What was built before is on its way on the other ranks, and must be here.
        let built = self.logits.take();
        mlx::async_eval(&built)?;
        let numbers: Option<Vec<u64>> = states.iter().map(|state| state.number()).collect();
        let numbers =
            numbers.ok_or_else(|| Error::new(Code::Backend, "a state is not known to the group"))?;
        let pass = Pass::of(batch, &numbers)?;
        self.tell(Then::Pass(&pass))?;
        let _waiting = self.group.bond().wait();
        // The others are at it now: there is no way back.
        self.pass(&pass, batch, states).map_err(|error| self.group.bond().explain(error))
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        let logits = self.logits.borrow();
        let logits = logits.as_ref().filter(|logits| logits.dim(0) == hidden.rows.dim(0));
        let logits = logits.ok_or_else(|| Error::new(Code::Backend, "no logits were asked for"))?;
        mlx::slice(logits, &[rows.start as i32, 0], &[rows.end as i32, logits.dim(1)])
    }

    fn held(&self) -> &Held {
        self.model.held()
    }

    fn waits(&self) -> Option<Arc<dyn Waits>> {
        // The others compute each sum at once, and wait then.
        let bond = self.group.bond();
        (bond.backend() == Backend::Nccl).then(|| Arc::clone(bond) as Arc<dyn Waits>)
    }

    fn settle(&self) {
        if self.log.is_empty() || self.group.bond().check().is_err() {
            return;
        }
        if let Err(error) = self.tell(Then::Rest) {
            log::warning(&format!("the other ranks keep what this one gave up: {error}"));
        }
    }

    fn explain(&self, error: Error) -> Error {
        match self.group.bond().check() {
            Err(reason) => reason,
            Ok(()) => error,
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.group.bond().check().is_ok()
            && let Err(error) = self.tell(Then::End)
        {
            log::warning(&format!("the other ranks were not told that the model is let go of: {error}"));
        }
    }
}
