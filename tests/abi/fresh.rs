//! A session that holds something, beside one that holds nothing.

use crate::answers::{Options, Session};
use crate::fixtures::{distance, sigma};
use crate::harness::{Model, Prompt};

/// The openers of turns of every family.
const OPENERS: [&str; 3] = ["<|turn>", "<start_of_turn>", "<|im_start|>"];

/// How far a row may be from that of a fresh session, in standard deviations.
const CLOSE: f32 = 1e-4;

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
    assert!(off <= CLOSE, "off by {off} with {reused} positions reused");
    assert_eq!(answer.tokens(), wanted.tokens(), "with {reused} positions reused");
    reused as usize
}

/// Where the last turn of the prompt begins.
#[track_caller]
pub fn last_turn(model: &Model, session: &Session) -> usize {
    let ids = session.prompt_tokens().expect("ids");
    let opener = OPENERS.iter().find_map(|opener| match model.tokenize(opener, true).expect("ids")[..] {
        [id] => Some(id),
        _ => None,
    });
    ids.iter().rposition(|id| Some(*id) == opener).expect("a turn's opener")
}
