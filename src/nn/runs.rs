//! Attention of several sessions in one pass: the rows of all runs are one array, and each run attends to the keys of
//! its own session.

use std::cell::OnceCell;
use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::attention::{Mask, attend};
use super::state::State;
use super::together::{self, Spots};
use super::{Device, mlx};
use crate::error::{Code, Error, Result};

/// Keys and values that the queries of a run see: `[1, kv_heads, n, D]` each, the run's own last.
#[derive(Clone)]
pub struct KeyValues {
    pub keys: Array,
    pub values: Array,
    /// Where these are the keys of several sessions, `[sessions, kv_heads, n, D]`: which of them each session sees.
    sessions: Option<Mask>,
}

impl KeyValues {
    pub fn new(keys: Array, values: Array) -> KeyValues {
        KeyValues { keys, values, sessions: None }
    }

    /// Those of several sessions, each of which sees what its part of `mask` `[sessions, 1, 1, n]` says.
    pub fn side_by_side(keys: Array, values: Array, mask: Mask) -> KeyValues {
        KeyValues { keys, values, sessions: Some(mask) }
    }

    /// Those that the last `queries` of the run see in a layer with this window.
    pub fn of_last_queries(&self, window: Option<usize>, queries: usize) -> Result<KeyValues> {
        let count = self.keys.dim(2);
        let seen = window.map_or(count, |window| count.min((window - 1 + queries) as i32));
        if seen == count {
            return Ok(self.clone());
        }
        let last = |x: &Array| mlx::slice(x, &[0, 0, count - seen, 0], &[1, x.dim(1), count, x.dim(3)]);
        Ok(KeyValues::new(last(&self.keys)?, last(&self.values)?))
    }
}

/// The rows of runs that have so many each, one run after the other.
pub fn spans(counts: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut start = 0;
    let span = |count: usize| {
        start += count;
        start - count..start
    };
    counts.into_iter().map(span).collect()
}

/// Appends `k` and `v` `[1, kv_heads, ΣT, D]` to the layer `layer` of each session's state, and gives what the
/// queries of each run see; or one entry for all, where each run is one row and that is faster. `spots` is kept for the
/// other layers of the same pass and kind.
pub fn append(
    k: &Array,
    v: &Array,
    spans: &[Range<usize>],
    states: &mut [&mut State],
    layer: usize,
    spots: &OnceCell<Spots>,
    device: Device,
) -> Result<Vec<KeyValues>> {
    if states.len() != spans.len() {
        return Err(Error::new(Code::Backend, format!("{} runs for {} states", spans.len(), states.len())));
    }
    if device == Device::Gpu && spans.len() > 1 && spans.iter().all(|span| span.len() == 1) {
        let mut layers: Vec<_> = states.iter_mut().map(|state| state.layer(layer)).collect();
        if let Some(all) = together::append(&mut layers, k, v, spots)? {
            return Ok(vec![all]);
        }
    }
    let one = |(span, state): (&Range<usize>, &mut &mut State)| {
        let (keys, values) = state.layer(layer).append(&rows(k, span)?, &rows(v, span)?)?;
        Ok(KeyValues::new(keys, values))
    };
    spans.iter().zip(states.iter_mut()).map(one).collect()
}

/// `softmax(q kᵀ · scale + mask) v` for `q` `[1, heads, ΣT, D]`, each run over its own keys: `[1, heads, ΣT, D]`.
pub fn attend_each(
    q: &Array,
    spans: &[Range<usize>],
    seen: &[KeyValues],
    masks: &[Mask],
    scale: f32,
    device: Device,
) -> Result<Array> {
    if let [KeyValues { keys, values, sessions: Some(mask) }] = seen {
        let attended = attend(&q.swap_axes(0, 2)?, keys, values, scale, mask, device)?;
        return Ok(attended.swap_axes(0, 2)?);
    }
    let one = |((span, kv), mask): ((&Range<usize>, &KeyValues), &Mask)| {
        attend(&rows(q, span)?, &kv.keys, &kv.values, scale, mask, device)
    };
    let mut parts = spans.iter().zip(seen).zip(masks).map(one).collect::<Result<Vec<_>>>()?;
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(concatenate(&parts, 2)?),
    }
}

/// Swaps time and heads: `[1, T, heads, D]` ↔ `[1, heads, T, D]`.
pub fn head_major(x: &Array) -> Result<Array> {
    let (a, b, dim) = (x.dim(1), x.dim(2), x.dim(3));
    // With one row nothing moves, and a reshape is the cheaper operation.
    Ok(if a == 1 || b == 1 { x.reshape(&[1, b, a, dim])? } else { x.swap_axes(1, 2)? })
}

/// The rows of one run.
fn rows(x: &Array, span: &Range<usize>) -> Result<Array> {
    if span.len() as i32 == x.dim(2) {
        return Ok(x.clone());
    }
    let stop = [1, x.dim(1), span.end as i32, x.dim(3)];
    mlx::slice(x, &[0, 0, span.start as i32, 0], &stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::attention::MaskShape;
    use crate::nn::state::visible;
    use crate::nn::testing::{close, host, random};

    /// Queries, keys and values of `count` rows.
    fn qkv(count: i32, seed: u64) -> [Array; 3] {
        [4, 2, 2].map(|heads| random(&[1, heads, count, 8], seed + heads as u64 * 17))
    }

    fn pass(
        parts: &[[Array; 3]],
        states: &mut [&mut State],
        window: Option<usize>,
        device: Device,
    ) -> Vec<f32> {
        let join = |i: usize| {
            let arrays: Vec<&Array> = parts.iter().map(|part| &part[i]).collect();
            concatenate(&arrays, 2).unwrap()
        };
        let spans = spans(parts.iter().map(|part| part[0].dim(2) as usize));
        let mask = |(span, state): (&Range<usize>, &&mut State)| {
            let (queries, keys) = (span.len(), visible(window, state.len(), span.len()));
            Mask::new(&MaskShape { queries, keys, window, blocks: &[] }, device).unwrap()
        };
        let masks: Vec<Mask> = spans.iter().zip(states.iter()).map(mask).collect();
        let spots = OnceCell::new();
        let seen = append(&join(1), &join(2), &spans, states, 0, &spots, device).unwrap();
        let rows = spans.iter().all(|span| span.len() == 1) && spans.len() > 1;
        assert_eq!(seen[0].sessions.is_some(), rows && device == Device::Gpu);
        for (state, span) in states.iter_mut().zip(&spans) {
            let position = (state.len() + span.len()) as i32;
            state.advance(span.len(), position);
        }
        host(&attend_each(&join(0), &spans, &seen, &masks, 0.3, device).unwrap().swap_axes(1, 2).unwrap())
    }

    #[test]
    fn each_run_sees_its_own_session_alone() {
        for (window, device) in
            [(None, Device::Cpu), (Some(3), Device::Cpu), (None, Device::Gpu), (Some(3), Device::Gpu)]
        {
            let new = || State::new([window]);
            let (mut a, mut b, mut alone_a, mut alone_b) = (new(), new(), new(), new());
            for (step, counts) in [[5, 2], [1, 1], [1, 4], [1, 1], [1, 1]].into_iter().enumerate() {
                let parts = [qkv(counts[0], step as u64), qkv(counts[1], 100 + step as u64)];
                let together = pass(&parts, &mut [&mut a, &mut b], window, device);
                let mut expected = pass(&parts[..1], &mut [&mut alone_a], window, Device::Cpu);
                expected.extend(pass(&parts[1..], &mut [&mut alone_b], window, Device::Cpu));
                close(&together, &expected, 1e-5);
            }
        }
    }

    /// `steps` says which sessions take part.
    fn together_as_alone(window: Option<usize>, prompts: &[i32], steps: &[&[usize]]) {
        let new = || prompts.iter().map(|_| State::new([window])).collect::<Vec<_>>();
        let (mut joined, mut alone) = (new(), new());
        for (i, count) in prompts.iter().enumerate() {
            for state in [&mut joined[i], &mut alone[i]] {
                pass(&[qkv(*count, i as u64)], &mut [state], window, Device::Cpu);
            }
        }
        for (step, members) in steps.iter().enumerate() {
            let parts: Vec<_> = members.iter().map(|i| qkv(1, (1000 * i + step) as u64)).collect();
            let states = joined.iter_mut().enumerate().filter(|(i, _)| members.contains(i));
            let mut states: Vec<&mut State> = states.map(|(_, state)| state).collect();
            let found = pass(&parts, &mut states, window, Device::Gpu);
            let mut expected = Vec::new();
            for (part, i) in parts.into_iter().zip(*members) {
                expected.extend(pass(&[part], &mut [&mut alone[*i]], window, Device::Cpu));
            }
            close(&found, &expected, 1e-5);
        }
    }

    #[test]
    fn sessions_join_and_leave() {
        let steps: [&[usize]; 9] =
            [&[0, 1], &[0, 1], &[0, 1, 2], &[1, 2], &[0], &[0, 1, 2], &[1], &[0, 2], &[0, 1, 2]];
        for window in [None, Some(4)] {
            together_as_alone(window, &[9, 2, 5], &steps);
        }
    }

    #[test]
    fn a_full_buffer_is_made_anew() {
        for window in [None, Some(5)] {
            together_as_alone(window, &[240, 3], &vec![&[0usize, 1][..]; 400]);
        }
    }

    #[test]
    fn a_session_that_parts_keeps_its_rows_and_no_others() {
        let (mut a, mut b) = (State::new([None]), State::new([None]));
        let parts = [qkv(1, 1), qkv(1, 2)];
        for (part, state) in parts.iter().zip([&mut a, &mut b]) {
            pass(std::slice::from_ref(part), &mut [state], None, Device::Gpu);
        }
        let kept = a.fork();
        pass(&parts, &mut [&mut a, &mut b], None, Device::Gpu);
        let bytes = a.bytes();
        assert_eq!(a.arrays()[0].dim(0), 2);
        assert!(a.part().unwrap() && !a.part().unwrap());
        assert_eq!((a.arrays()[0].dim(0), a.bytes()), (1, bytes));
        // What the fork holds is as it was, whatever the others wrote.
        for state in [&mut a, &mut b] {
            assert!(state.trim(1));
        }
        let [mut fork, again] = [kept, a].map(|mut state| {
            let shown = pass(&[qkv(1, 9)], &mut [&mut state], None, Device::Gpu);
            (state, shown)
        });
        assert_eq!(fork.1, again.1);
        assert!(fork.0.trim(1));
        let together = pass(&[qkv(1, 9), qkv(1, 8)], &mut [&mut fork.0, &mut b], None, Device::Gpu);
        close(&together[..together.len() / 2], &again.1, 1e-5);
    }

    #[test]
    fn the_last_queries_see_their_windows() {
        let keys = random(&[1, 1, 9, 2], 1);
        let all = KeyValues::new(keys.clone(), keys);
        let seen = |window, queries| all.of_last_queries(window, queries).unwrap().keys.dim(2);
        assert_eq!((seen(None, 1), seen(Some(4), 1), seen(Some(4), 3), seen(Some(20), 3)), (9, 4, 6, 9));
    }
}
