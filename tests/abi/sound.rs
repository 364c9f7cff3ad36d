//! That nothing was harmed: a known conversation still gets its known answer.

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::Model;

const TOKENS: usize = 4;

/// The dense model, in a new session, answers as the fixtures say.
#[track_caller]
pub fn host_is_sound() {
    answers_as_ever(fixtures::model());
}

#[track_caller]
pub fn answers_as_ever(model: &Model) {
    is_usable(&Session::new(model));
}

/// A session of the dense weights, whatever it went through, answers as the fixtures say.
#[track_caller]
pub fn is_usable(session: &Session) {
    let case = Case::load("text");
    let answer = session.answer(&case.prompt(), &Options::endless(TOKENS));
    assert_eq!(answer.tokens(), case.bf16().greedy_ids[..TOKENS]);
}
