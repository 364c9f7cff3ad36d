//! What is done to the states of a model, written down so that other ranks do the same to theirs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::mlx;
use super::state::{Checkpoint, State};
use crate::error::{Code, Error, Result};

/// A change. States and checkpoints have numbers of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    New(u64),
    Fork { from: u64, to: u64 },
    Trim { state: u64, rows: usize },
    Clear(u64),
    Part(u64),
    Checkpoint { state: u64, to: u64 },
    Restore { state: u64, from: u64 },
    Drop(u64),
}

/// Changes that nobody has been told of yet.
#[derive(Default)]
pub struct Log {
    ops: RefCell<Vec<Op>>,
    last: Cell<u64>,
}

impl Log {
    /// What has been done since the last time.
    pub fn take(&self) -> Vec<Op> {
        self.ops.take()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.borrow().is_empty()
    }

    fn number(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }
}

/// The number of a state or a checkpoint whose changes are written down. A copy is written down as a fork.
pub struct Mirrored {
    number: u64,
    log: Rc<Log>,
}

impl Mirrored {
    /// Of a new state.
    pub fn new(log: &Rc<Log>) -> Mirrored {
        let mirrored = Mirrored { number: log.number(), log: Rc::clone(log) };
        mirrored.note(Op::New(mirrored.number));
        mirrored
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn trim(&self, rows: usize) {
        self.note(Op::Trim { state: self.number, rows });
    }

    pub fn clear(&self) {
        self.note(Op::Clear(self.number));
    }

    pub fn part(&self) {
        self.note(Op::Part(self.number));
    }

    pub fn checkpoint(&self) -> Mirrored {
        let checkpoint = Mirrored { number: self.log.number(), log: Rc::clone(&self.log) };
        self.note(Op::Checkpoint { state: self.number, to: checkpoint.number });
        checkpoint
    }

    pub fn restore(&self, checkpoint: &Mirrored) {
        self.note(Op::Restore { state: self.number, from: checkpoint.number });
    }

    fn note(&self, op: Op) {
        self.log.ops.borrow_mut().push(op);
    }
}

impl Clone for Mirrored {
    fn clone(&self) -> Mirrored {
        let copy = Mirrored { number: self.log.number(), log: Rc::clone(&self.log) };
        self.note(Op::Fork { from: self.number, to: copy.number });
        copy
    }
}

impl Drop for Mirrored {
    fn drop(&mut self) {
        self.note(Op::Drop(self.number));
    }
}

impl fmt::Debug for Mirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mirrored({})", self.number)
    }
}

/// States and checkpoints of another rank, to which the same is done.
#[derive(Default)]
pub struct Mirror {
    states: HashMap<u64, State>,
    checkpoints: HashMap<u64, Checkpoint>,
}

impl Mirror {
    /// Does a change; `new` makes an empty state.
    pub fn apply(&mut self, op: Op, new: impl FnOnce() -> State) -> Result<()> {
        match op {
            Op::New(state) => {
                self.states.insert(state, new());
            }
            Op::Fork { from, to } => match self.checkpoints.get(&from).cloned() {
                Some(copy) => drop(self.checkpoints.insert(to, copy)),
                None => {
                    let copy = self.state(from)?.fork();
                    self.states.insert(to, copy);
                }
            },
            Op::Trim { state, rows } => {
                if !self.state(state)?.trim(rows) {
                    return Err(out_of_step());
                }
            }
            Op::Clear(state) => self.state(state)?.clear(),
            Op::Part(state) => {
                let state = self.state(state)?;
                if state.part()? {
                    mlx::async_eval(state.arrays())?;
                }
            }
            Op::Checkpoint { state, to } => {
                let checkpoint = self.state(state)?.checkpoint()?;
                mlx::async_eval(checkpoint.arrays())?;
                self.checkpoints.insert(to, checkpoint);
            }
            Op::Restore { state, from } => {
                let state = self.states.get_mut(&state).ok_or_else(out_of_step)?;
                state.restore(self.checkpoints.get(&from).ok_or_else(out_of_step)?);
            }
            Op::Drop(number) => {
                self.states.remove(&number);
                self.checkpoints.remove(&number);
            }
        }
        Ok(())
    }

    /// The states with these numbers, each of which may be there once, out of the mirror.
    pub fn take(&mut self, numbers: &[u64]) -> Result<Vec<State>> {
        numbers.iter().map(|number| self.states.remove(number).ok_or_else(out_of_step)).collect()
    }

    pub fn put_back(&mut self, numbers: &[u64], states: Vec<State>) {
        self.states.extend(numbers.iter().copied().zip(states));
    }

    fn state(&mut self, number: u64) -> Result<&mut State> {
        self.states.get_mut(&number).ok_or_else(out_of_step)
    }
}

fn out_of_step() -> Error {
    Error::new(Code::Backend, "the ranks of the group are out of step")
}

#[cfg(test)]
mod tests {
    use mlx_rs::Array;

    use super::*;
    use crate::nn::state::Shape;
    use crate::nn::testing::host;

    fn empty() -> State {
        let shape = |window| Shape { kv_heads: 1, head_dim: 2, ..Shape::from(window) };
        State::new([shape(None), shape(Some(4))])
    }

    fn append(state: &mut State, count: usize) -> Vec<Vec<f32>> {
        let from = state.len();
        let values: Vec<f32> = (from * 2..(from + count) * 2).map(|n| n as f32).collect();
        let rows = Array::from_slice(&values, &[1, 1, count as i32, 2]);
        let seen = (0..2).map(|layer| host(&state.layer(layer).append(&rows, &rows).unwrap().0)).collect();
        state.advance(count, (from + count) as i32);
        seen
    }

    #[test]
    fn what_is_done_to_states_is_done_to_their_mirrors() {
        let (log, mut mirror) = (Rc::new(Log::default()), Mirror::default());
        let follow = |log: &Log, mirror: &mut Mirror| {
            log.take().into_iter().for_each(|op| mirror.apply(op, empty).unwrap());
        };
        let mut state = empty().mirrored(&log);
        // What has been done is told before each pass.
        let grow = |state: &mut State, mirror: &mut Mirror, count| {
            follow(&log, mirror);
            let number = [state.number().unwrap()];
            let mut theirs = mirror.take(&number).unwrap();
            assert_eq!(append(&mut theirs[0], count), append(state, count));
            mirror.put_back(&number, theirs);
        };
        grow(&mut state, &mut mirror, 6);
        let kept = state.checkpoint_at(6).unwrap().unwrap();
        grow(&mut state, &mut mirror, 600);
        let mut fork = state.fork();
        assert!(fork.trim(604));
        state.restore(&kept);
        assert!(!state.trim(2), "the window has dropped what came before");
        grow(&mut state, &mut mirror, 3);
        grow(&mut fork, &mut mirror, 1);
        fork.clear();
        grow(&mut fork, &mut mirror, 2);
        drop((state, fork, kept));
        follow(&log, &mut mirror);
        assert!(mirror.states.is_empty() && mirror.checkpoints.is_empty());
    }

    #[test]
    fn what_was_never_there_is_an_error() {
        let mut mirror = Mirror::default();
        for op in
            [Op::Trim { state: 3, rows: 1 }, Op::Fork { from: 1, to: 2 }, Op::Restore { state: 1, from: 2 }]
        {
            assert!(mirror.apply(op, empty).is_err());
        }
        assert!(mirror.take(&[1]).is_err());
    }
}
