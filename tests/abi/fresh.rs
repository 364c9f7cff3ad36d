//! A session that holds something, beside one that holds nothing.

use crate::answers::{Options, Session};
use crate::fixtures::{TOLERANCE, distance, sigma};
use crate::harness::{Model, Prompt};

/// The id of the openers of turns in every fixture.
const TURN: u32 = 15;

/// Answers in `session`, and sees that a fresh session gives the same row and tokens; positions that were reused.
#[track_caller]
pub fn same_as_fresh(model: &Model, session: &Session, prompt: &Prompt) -> usize {
    let answer = session.answer(prompt, &Options::endless(5));
    let reused = session.stats().reused_tokens;
    let fresh = Session::new(model);
    let wanted = fresh.answer(prompt, &Options::endless(5));
    assert_eq!(fresh.stats().reused_tokens, 0);
    assert_eq!(session.prompt_tokens(), fresh.prompt_tokens());
    let off = distance(&answer.first_row, &wanted.first_row, sigma(&wanted.first_row));
    assert!(off <= TOLERANCE, "off by {off} with {reused} positions reused");
    assert_eq!(answer.tokens(), wanted.tokens(), "with {reused} positions reused");
    reused as usize
}

/// Where the last turn of the prompt begins.
pub fn last_turn(session: &Session) -> usize {
    let ids = session.prompt_tokens().expect("ids");
    ids.iter().rposition(|id| *id == TURN).expect("a turn's opener")
}
