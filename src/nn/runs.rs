//! Attention of several sessions in one pass: the rows of all runs are one array, and each run attends to the keys of
//! its own session.

use std::cell::OnceCell;
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
    /// Where these are the keys of several sessions, `[sessions, kv_heads, n, D]`: which of them are rows of each,
    /// `[sessions, 1, 1, n]`. The others are unused rows.
    used: Option<Array>,
}

/// Up to so many keys the sessions' rows are copied side by side, for one attention in place of one for each: on a GPU
/// small operations cost their launches.
const SIDE_BY_SIDE: usize = 2048;

impl KeyValues {
    pub fn new(keys: Array, values: Array) -> KeyValues {
        KeyValues { keys, values, used: None }
    }

    /// Whether these are the keys of several sessions.
    pub fn are_side_by_side(&self) -> bool {
        self.used.is_some()
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

/// Appends `k` and `v` `[1, kv_heads, ΣT, D]` to the layer `layer` of each session's state, and gives what the
/// queries of each run see; or one entry for all, where each run is one row and that is faster. `used` is kept for the
/// other layers of the same pass and kind.
pub fn append(
    k: &Array,
    v: &Array,
    spans: &[Range<usize>],
    states: &mut [&mut State],
    layer: usize,
    used: &OnceCell<Array>,
    device: Device,
) -> Result<Vec<KeyValues>> {
    if states.len() != spans.len() {
        return Err(Error::new(Code::Backend, format!("{} runs for {} states", spans.len(), states.len())));
    }
    let one = |(span, state): (&Range<usize>, &mut &mut State)| {
        let (keys, values) = state.layer(layer).append(&rows(k, span)?, &rows(v, span)?)?;
        Ok(KeyValues::new(keys, values))
    };
    let seen: Vec<KeyValues> = spans.iter().zip(states.iter_mut()).map(one).collect::<Result<_>>()?;
    if device == Device::Gpu && spans.len() > 1 && spans.iter().all(|span| span.len() == 1) {
        return Ok(side_by_side(states, layer, used)?.map_or(seen, |all| vec![all]));
    }
    Ok(seen)
}

/// The keys of all sessions in one array, as long as the longest; `None` where a buffer has no room for that.
fn side_by_side(
    states: &mut [&mut State],
    layer: usize,
    used: &OnceCell<Array>,
) -> Result<Option<KeyValues>> {
    let seen: Vec<usize> = states.iter_mut().map(|state| state.layer(layer).seen()).collect();
    let longest = seen.iter().copied().max().unwrap_or(0);
    if longest > SIDE_BY_SIDE {
        return Ok(None);
    }
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for state in states.iter_mut() {
        let Some(rows) = state.layer(layer).padded(longest) else { return Ok(None) };
        let (k, v) = rows?;
        keys.push(k);
        values.push(v);
    }
    let mask = used.get_or_init(|| {
        let rows = seen.iter().flat_map(|count| (0..longest).map(move |row| row < *count));
        let rows: Vec<bool> = rows.collect();
        Array::from_slice(&rows, &[seen.len() as i32, 1, 1, longest as i32])
    });
    let used = Some(mask.clone());
    Ok(Some(KeyValues { keys: concatenate(&keys, 0)?, values: concatenate(&values, 0)?, used }))
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
    if let [KeyValues { keys, values, used: Some(used) }] = seen {
        let q = q.swap_axes(0, 2)?;
        let attended = attend(&q, keys, values, scale, &Mask::Array(used.clone()), device)?;
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
    use crate::nn::state::LayerState;
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
        let (mut spans, mut start) = (Vec::new(), 0);
        for part in parts {
            spans.push(start..start + part[0].dim(2) as usize);
            start += part[0].dim(2) as usize;
        }
        let mask = |(span, state): (&Range<usize>, &&mut State)| {
            let (queries, keys) = (span.len(), LayerState::visible(window, state.len(), span.len()));
            Mask::new(&MaskShape { queries, keys, window, blocks: &[] }, device).unwrap()
        };
        let masks: Vec<Mask> = spans.iter().zip(states.iter()).map(mask).collect();
        let used = OnceCell::new();
        let seen = append(&join(1), &join(2), &spans, states, 0, &used, device).unwrap();
        let rows = spans.iter().all(|span| span.len() == 1) && spans.len() > 1;
        assert_eq!(seen[0].are_side_by_side(), rows && device == Device::Gpu);
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

    #[test]
    fn the_last_queries_see_their_windows() {
        let keys = random(&[1, 1, 9, 2], 1);
        let all = KeyValues::new(keys.clone(), keys);
        let seen = |window, queries| all.of_last_queries(window, queries).unwrap().keys.dim(2);
        assert_eq!((seen(None, 1), seen(Some(4), 1), seen(Some(4), 3), seen(Some(20), 3)), (9, 4, 6, 9));
    }
}
