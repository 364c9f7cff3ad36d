//! Attention of several sessions in one pass: the rows of all runs are one array, and each run attends to the keys of
//! its own session.

use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::attention::{Mask, attend};
use super::state::State;
use super::{Device, mlx};
use crate::error::{Code, Error, Result};

/// Keys and values that the queries of a run see: `[1, kv_heads, n, D]` each, the run's own last.
#[derive(Clone)]
pub struct KeyValues {
    pub keys: Array,
    pub values: Array,
}

impl KeyValues {
    /// Those that the last `queries` of the run see in a layer with this window.
    pub fn of_last_queries(&self, window: Option<usize>, queries: usize) -> Result<KeyValues> {
        let count = self.keys.dim(2);
        let seen = window.map_or(count, |window| count.min((window - 1 + queries) as i32));
        if seen == count {
            return Ok(self.clone());
        }
        let last = |x: &Array| mlx::slice(x, &[0, 0, count - seen, 0], &[1, x.dim(1), count, x.dim(3)]);
        Ok(KeyValues { keys: last(&self.keys)?, values: last(&self.values)? })
    }
}

/// Appends `k` and `v` `[1, kv_heads, ΣT, D]` to the layer `layer` of each session's state, and gives what the
/// queries of each run see.
pub fn append(
    k: &Array,
    v: &Array,
    spans: &[Range<usize>],
    states: &mut [&mut State],
    layer: usize,
) -> Result<Vec<KeyValues>> {
    if states.len() != spans.len() {
        return Err(Error::new(Code::Backend, format!("{} runs for {} states", spans.len(), states.len())));
    }
    let one = |(span, state): (&Range<usize>, &mut &mut State)| {
        let (keys, values) = state.layer(layer).append(&rows(k, span)?, &rows(v, span)?)?;
        Ok(KeyValues { keys, values })
    };
    spans.iter().zip(states).map(one).collect()
}

/// `softmax(q kᵀ · scale + mask) v` for `q` `[1, heads, ΣT, D]`, run by run: `[1, heads, ΣT, D]`.
pub fn attend_each(
    q: &Array,
    spans: &[Range<usize>],
    seen: &[KeyValues],
    masks: &[Mask],
    scale: f32,
    device: Device,
) -> Result<Array> {
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
    use crate::nn::state::LayerState;
    use crate::nn::testing::{close, host, random};

    /// Queries, keys and values of `count` rows.
    fn qkv(count: i32, seed: u64) -> [Array; 3] {
        [4, 2, 2].map(|heads| random(&[1, heads, count, 8], seed + heads as u64 * 17))
    }

    fn pass(parts: &[[Array; 3]], states: &mut [&mut State], window: Option<usize>) -> Vec<f32> {
        let join = |i: usize| {
            let arrays: Vec<&Array> = parts.iter().map(|part| &part[i]).collect();
            concatenate(&arrays, 2).unwrap()
        };
        let (mut spans, mut start) = (Vec::new(), 0);
        for part in parts {
            spans.push(start..start + part[0].dim(2) as usize);
            start += part[0].dim(2) as usize;
        }
        let mask = |(span, state): (&Range<usize>, &&mut State)| {
            let (queries, keys) = (span.len(), LayerState::visible(window, state.len(), span.len()));
            Mask::new(&MaskShape { queries, keys, window, blocks: &[] }, Device::Cpu).unwrap()
        };
        let masks: Vec<Mask> = spans.iter().zip(states.iter()).map(mask).collect();
        let seen = append(&join(1), &join(2), &spans, states, 0).unwrap();
        for (state, span) in states.iter_mut().zip(&spans) {
            let position = (state.len() + span.len()) as i32;
            state.advance(span.len(), position);
        }
        host(
            &attend_each(&join(0), &spans, &seen, &masks, 0.3, Device::Cpu).unwrap().swap_axes(1, 2).unwrap(),
        )
    }

    #[test]
    fn each_run_sees_its_own_session_alone() {
        for window in [None, Some(3)] {
            let new = || State::new([window]);
            let (mut a, mut b, mut alone_a, mut alone_b) = (new(), new(), new(), new());
            for (step, counts) in [[5, 2], [1, 1], [1, 4], [1, 1]].into_iter().enumerate() {
                let parts = [qkv(counts[0], step as u64), qkv(counts[1], 100 + step as u64)];
                let together = pass(&parts, &mut [&mut a, &mut b], window);
                let mut expected = pass(&parts[..1], &mut [&mut alone_a], window);
                expected.extend(pass(&parts[1..], &mut [&mut alone_b], window));
                close(&together, &expected, 1e-6);
            }
        }
    }

    #[test]
    fn the_last_queries_see_their_windows() {
        let keys = random(&[1, 1, 9, 2], 1);
        let all = KeyValues { keys: keys.clone(), values: keys };
        let seen = |window, queries| all.of_last_queries(window, queries).unwrap().keys.dim(2);
        assert_eq!((seen(None, 1), seen(Some(4), 1), seen(Some(4), 3), seen(Some(20), 3)), (9, 4, 6, 9));
    }
}
