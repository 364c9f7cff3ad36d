//! Which unit of work runs next on the MLX thread. Pure: it is told how each session stands, and touches nothing.

use std::collections::VecDeque;

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No submit, or its FINISH has been handed out.
    Idle,
    /// A medium is to be encoded.
    Encode,
    /// A chunk of the prompt is to be evaluated.
    Prefill,
    /// A token is to be read, and mostly the next one to be issued.
    Decode,
    /// The host has something to do first.
    AtHost,
}

/// How a session stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub stage: Stage,
    /// Of what is loaded; only sessions of one model share a pass.
    pub model: u64,
    /// The host has taken the events that were made for it.
    pub room: bool,
    pub cancelled: bool,
}

/// What is done without looking at commands in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Ends a cancelled run.
    Cancel(u64),
    Encode(u64),
    Prefill(u64),
    /// One step of several sessions of one model, in one pass.
    Decode(Vec<u64>),
    /// Sessions that could join the next step have hosts that still hold their last event.
    Gather,
}

/// How the thread goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// A step that others could join may wait for them a little longer.
    Patient,
    Prompt,
    /// There is to be no work: only what needs none.
    Rest,
}

/// Sessions with an answer in the making, in turn; prompts and answers alternate, so that neither keeps the other waiting
/// for more than a unit. Sessions that idle are not looked at.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    turns: VecDeque<u64>,
    decoded: bool,
}

impl Scheduler {
    /// A session has begun an answer. It leaves by itself when that has ended.
    pub fn add(&mut self, session: u64) {
        if !self.turns.contains(&session) {
            self.turns.push_back(session);
        }
    }

    pub fn remove(&mut self, session: u64) {
        self.turns.retain(|id| *id != session);
    }

    /// The next unit, if there is one.
    pub fn next(&mut self, standing: impl Fn(u64) -> Option<Standing>, pace: Pace) -> Option<Unit> {
        let mut all: Vec<(u64, Standing)> = Vec::with_capacity(self.turns.len());
        self.turns.retain(|&id| match standing(id).filter(|s| s.stage != Stage::Idle) {
            Some(standing) => {
                all.push((id, standing));
                true
            }
            None => false,
        });
        if let Some((id, _)) = all.iter().find(|(_, s)| s.cancelled) {
            return Some(Unit::Cancel(*id));
        }
        if pace == Pace::Rest {
            return None;
        }
        let alone = all.iter().find(|(_, s)| s.room && matches!(s.stage, Stage::Encode | Stage::Prefill));
        let first = all.iter().find(|(_, s)| s.room && s.stage == Stage::Decode);
        if let Some((id, s)) = alone
            && (self.decoded || first.is_none())
        {
            self.decoded = false;
            self.put_back(&[*id]);
            return Some(if s.stage == Stage::Encode { Unit::Encode(*id) } else { Unit::Prefill(*id) });
        }
        let (_, first) = first?;
        let others = all.iter().copied().filter(|(_, s)| s.stage == Stage::Decode && s.model == first.model);
        let (ready, held): (Vec<_>, Vec<_>) = others.partition(|(_, s)| s.room);
        if pace == Pace::Patient && alone.is_none() && !held.is_empty() {
            return Some(Unit::Gather);
        }
        let ready: Vec<u64> = ready.into_iter().map(|(id, _)| id).collect();
        self.decoded = true;
        self.put_back(&ready);
        Some(Unit::Decode(ready))
    }

    fn put_back(&mut self, sessions: &[u64]) {
        self.turns.retain(|id| !sessions.contains(id));
        self.turns.extend(sessions);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use super::Pace::{Patient, Prompt, Rest};
    use super::*;

    struct House {
        scheduler: Scheduler,
        standings: HashMap<u64, Standing>,
    }

    impl House {
        /// Sessions of model 1 from number 1 on.
        fn of(stages: &[Stage]) -> House {
            let mut house = House { scheduler: Scheduler::default(), standings: HashMap::new() };
            for (i, stage) in stages.iter().enumerate() {
                let id = i as u64 + 1;
                house.scheduler.add(id);
                let standing = Standing { stage: *stage, model: 1, room: true, cancelled: false };
                house.standings.insert(id, standing);
            }
            house
        }

        fn change(&mut self, id: u64, change: impl FnOnce(&mut Standing)) {
            change(self.standings.get_mut(&id).unwrap());
        }

        fn next(&mut self, pace: Pace) -> Option<Unit> {
            let standings = &self.standings;
            self.scheduler.next(|id| standings.get(&id).copied(), pace)
        }

        /// A session begins to answer.
        fn begin(&mut self, id: u64, stage: Stage) {
            self.change(id, |s| s.stage = stage);
            self.scheduler.add(id);
        }
    }

    #[test]
    fn idle_sessions_and_full_ones_have_no_work() {
        let mut house = House::of(&[Stage::Idle, Stage::Decode]);
        house.change(2, |s| s.room = false);
        assert_eq!(house.next(Prompt), None);
        house.change(2, |s| s.room = true);
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![2])));
        house.scheduler.remove(2);
        assert_eq!(house.next(Prompt), None);
    }

    #[test]
    fn a_session_that_waits_for_its_host_keeps_nobody_else_waiting_and_can_be_cancelled() {
        let mut house = House::of(&[Stage::AtHost, Stage::Decode]);
        assert_eq!(house.next(Patient), Some(Unit::Decode(vec![2])));
        house.change(1, |s| s.cancelled = true);
        assert_eq!(house.next(Patient), Some(Unit::Cancel(1)));
        house.change(1, |s| s.cancelled = false);
        house.scheduler.remove(2);
        assert_eq!(house.next(Patient), None);
    }

    #[test]
    fn answers_of_one_model_go_together_and_models_in_turn() {
        let mut house = House::of(&[Stage::Decode; 4]);
        house.change(2, |s| s.model = 2);
        house.change(4, |s| s.model = 2);
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![1, 3])));
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![2, 4])));
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![1, 3])));
    }

    #[test]
    fn prompts_and_answers_alternate() {
        let mut house = House::of(&[Stage::Prefill, Stage::Decode, Stage::Encode, Stage::Decode]);
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![2, 4])));
        assert_eq!(house.next(Prompt), Some(Unit::Prefill(1)));
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![2, 4])));
        assert_eq!(house.next(Prompt), Some(Unit::Encode(3)));
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![2, 4])));
        assert_eq!(house.next(Prompt), Some(Unit::Prefill(1)));
    }

    #[test]
    fn a_step_waits_for_those_who_could_join_but_not_for_long_nor_beside_other_work() {
        let mut house = House::of(&[Stage::Decode, Stage::Decode, Stage::Idle]);
        house.change(2, |s| s.room = false);
        assert_eq!(house.next(Patient), Some(Unit::Gather));
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![1])));
        house.change(2, |s| s.room = true);
        assert_eq!(house.next(Patient), Some(Unit::Decode(vec![2, 1])));
        house.change(2, |s| s.room = false);
        house.begin(3, Stage::Prefill);
        assert_eq!(house.next(Patient), Some(Unit::Prefill(3)));
        assert_eq!(house.next(Patient), Some(Unit::Decode(vec![1])));
        // Nobody waits for a session of another model.
        house.change(3, |s| s.stage = Stage::Idle);
        house.change(2, |s| s.model = 2);
        assert_eq!(house.next(Patient), Some(Unit::Decode(vec![1])));
    }

    #[test]
    fn a_cancel_comes_first() {
        let mut house = House::of(&[Stage::Decode, Stage::Prefill, Stage::Idle]);
        house.change(2, |s| (s.cancelled, s.room) = (true, false));
        house.change(3, |s| s.cancelled = true);
        assert_eq!(house.next(Patient), Some(Unit::Cancel(2)));
        house.change(2, |s| s.stage = Stage::Idle);
        assert_eq!(house.next(Patient), Some(Unit::Decode(vec![1])));
    }

    #[test]
    fn while_there_is_to_be_no_work_answers_are_cancelled_and_stay_otherwise() {
        let mut house = House::of(&[Stage::Decode, Stage::Prefill, Stage::Encode]);
        assert_eq!(house.next(Rest), None);
        house.change(3, |s| s.cancelled = true);
        assert_eq!(house.next(Rest), Some(Unit::Cancel(3)));
        house.change(3, |s| s.stage = Stage::Idle);
        assert_eq!(house.next(Rest), None);
        // The order is as it was.
        assert_eq!(house.next(Prompt), Some(Unit::Decode(vec![1])));
        assert_eq!(house.next(Prompt), Some(Unit::Prefill(2)));
    }

    #[test]
    fn sessions_that_idle_cost_nothing() {
        let mut house = House::of(&[Stage::Idle; 1000]);
        house.begin(7, Stage::Decode);
        house.begin(8, Stage::Decode);
        house.begin(8, Stage::Decode);
        let looks = Cell::new(0);
        let standings = &house.standings;
        let look = |id: u64| {
            looks.set(looks.get() + 1);
            standings.get(&id).copied()
        };
        // Those of the beginning are found to idle once.
        assert_eq!(house.scheduler.next(look, Prompt), Some(Unit::Decode(vec![7, 8])));
        looks.set(0);
        for _ in 0..10 {
            assert_eq!(house.scheduler.next(look, Prompt), Some(Unit::Decode(vec![7, 8])));
        }
        assert_eq!(looks.get(), 20);
    }
}
