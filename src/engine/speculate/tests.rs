//! What drafts do to a state, and what becomes of them.

use super::*;
use crate::nn::testing::host;
use crate::sampling::Settings;

/// Rows whose values are their positions, for every layer; what the last layer's queries see.
fn append(state: &mut State, layers: usize, count: usize) -> Vec<Vec<f32>> {
    let start = state.len();
    let values: Vec<f32> = (start..start + count).map(|position| position as f32).collect();
    let rows = Array::from_slice(&values, &[1, 1, count as i32, 1]);
    let shown = (0..layers).map(|layer| host(&state.layer(layer).append(&rows, &rows).unwrap().0)).collect();
    state.advance(count, (start + count) as i32);
    shown
}

#[test]
fn drafts_can_always_be_taken_back_and_leave_nothing_behind() {
    let windows = [None, Some(1), Some(2), Some(20), Some(255), Some(300)];
    for sizes in [&[1, 1][..], &[40, 1], &[700, 1], &[250, 3, 256], &[19], &[300, 400, 2]] {
        let (mut state, mut plain) = (State::new(windows), State::new(windows));
        for count in sizes {
            append(&mut state, windows.len(), *count);
            append(&mut plain, windows.len(), *count);
        }
        let begin = state.checkpoint().unwrap();
        for round in 0..120 {
            if round == 60 {
                // Windows with nothing before what the next position sees.
                state.restore(&begin);
                plain.restore(&begin);
            }
            let (drafts, taken) = (round % 9, (round * 7) % 9);
            append(&mut state, windows.len(), 1 + drafts);
            let held = plain.len() + 1 + taken.min(drafts);
            assert!(state.trim(held), "{sizes:?}: {held} of {}", state.len());
            while plain.len() < held {
                append(&mut plain, windows.len(), 1);
            }
            let (mut next, mut wanted) = (state.fork(), plain.fork());
            assert_eq!(
                append(&mut next, windows.len(), 2),
                append(&mut wanted, windows.len(), 2),
                "{sizes:?}"
            );
        }
    }
}

fn sampler() -> Sampler {
    Sampler::new(Settings { temperature: 0.0, ..Settings::neutral(0) }, 4, &[])
}

/// After a pass of one token and the drafts 5, 6 and 7, of which row `i` is `[i]`; the state has them behind three positions.
fn after_a_pass() -> (Speculation, State) {
    let prompt = Placed { ids: vec![1, 2], ..Placed::default() };
    let mut speculation = Speculation::new(Some(Speculate::PromptLookup { most: 8 }), &prompt).unwrap();
    let rows = (1..=3).map(|row| Array::from_slice(&[row as f32], &[1]));
    speculation.passed(vec![5, 6, 7], rows);
    let mut state = State::new([None::<usize>]);
    append(&mut state, 1, 6);
    (speculation, state)
}

#[test]
fn each_token_that_was_a_draft_has_the_row_behind_it() {
    let (mut speculation, mut state) = after_a_pass();
    let mut sampler = sampler();
    for (held, id) in (3..).zip([5, 6, 7]) {
        let found = speculation.take(&Pending::Forced(vec![id]), held, (&mut state, held), &mut sampler);
        assert_eq!(host(&found.unwrap().logits), [(held - 2) as f32]);
    }
    assert!(speculation.take(&Pending::Forced(vec![8]), 6, (&mut state, 6), &mut sampler).is_none());
    assert_eq!((state.len(), speculation.drafted, speculation.accepted), (6, 3, 3));
}

#[test]
fn several_tokens_that_have_to_come_take_the_row_behind_the_last() {
    let (mut speculation, mut state) = after_a_pass();
    let found = speculation.take(&Pending::Forced(vec![5, 6]), 3, (&mut state, 3), &mut sampler());
    assert_eq!((host(&found.unwrap().logits), state.len()), (vec![2.0], 6));
}

#[test]
fn a_token_that_was_no_draft_takes_them_all_out_of_the_state() {
    for ids in [vec![9], vec![5, 9], vec![5, 6, 7, 8]] {
        let (mut speculation, mut state) = after_a_pass();
        assert!(speculation.take(&Pending::Forced(ids), 3, (&mut state, 3), &mut sampler()).is_none());
        assert_eq!((state.len(), speculation.ahead.len(), speculation.accepted), (3, 0, 0));
    }
}

#[test]
fn nothing_is_proposed_behind_the_end_or_past_the_room() {
    let ids: Vec<u32> = [1, 2, 3, 4, 5, 6].repeat(3);
    let prompt = Placed { ids, ..Placed::default() };
    let drafts = |pending: u32, room: usize, end: u32| {
        let mut speculation = Speculation::new(Some(Speculate::PromptLookup { most: 8 }), &prompt).unwrap();
        for drafts in [0, 0, 0, 1] {
            speculation.pay.measured(drafts, std::time::Duration::from_millis(10));
        }
        speculation.propose(&Pending::Forced(vec![pending]), &prompt.ids, 0, room, |id| *id == end)
    };
    assert_eq!(drafts(1, 9, 99), [2, 3, 4, 5, 6, 1, 2, 3]);
    assert_eq!(drafts(1, 3, 99), [2, 3, 4]);
    assert_eq!(drafts(1, 9, 3), [2, 3]);
    let nothing: [u32; 0] = [];
    assert_eq!(drafts(1, 0, 99), nothing);
    assert_eq!(drafts(1, 9, 1), nothing);
    assert_eq!(drafts(9, 9, 99), nothing, "9 has never been said");
}
