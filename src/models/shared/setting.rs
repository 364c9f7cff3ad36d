//! What all layers of one kind share in one pass.

use std::cell::OnceCell;
use std::ops::Range;

use mlx_rs::{Array, Dtype};

use crate::error::Result;
use crate::models::{Batch, Run};
use crate::nn::Device;
use crate::nn::attention::{Mask, MaskShape};
use crate::nn::positions::Positions;
use crate::nn::rope::{Angles, Rope};
use crate::nn::runs::{self, KeyValues};
use crate::nn::state::{LayerState, State};
use crate::nn::together::Spots;

/// Rotations and masks of the rows of a batch.
pub struct Setting<'a> {
    rope: &'a Rope,
    angles: Angles,
    /// One for each run.
    masks: Vec<Mask>,
    /// The rows of each run.
    spans: Vec<Range<usize>>,
    /// Where the rows of the sessions are, where they lie side by side.
    spots: OnceCell<Spots>,
    window: Option<usize>,
    device: Device,
}

impl<'a> Setting<'a> {
    /// For the rows of `batch`, which are about to be appended to `states`. With `blocks`, the rows of a block see each
    /// other.
    pub fn new(
        rope: &'a Rope,
        batch: &Batch,
        states: &[&mut State],
        window: Option<usize>,
        blocks: bool,
        (dtype, device): (Dtype, Device),
    ) -> Result<Setting<'a>> {
        let mask = |(run, state): (&Run, &&mut State)| {
            let queries = run.count();
            let keys = LayerState::visible(window, state.len(), queries);
            let blocks = if blocks { &run.blocks[..] } else { &[] };
            Mask::new(&MaskShape { queries, keys, window, blocks }, device)
        };
        Ok(Setting {
            rope,
            angles: rope.angles(&batch.positions(), dtype)?,
            masks: batch.runs.iter().zip(states).map(mask).collect::<Result<_>>()?,
            spans: batch.spans(),
            spots: OnceCell::new(),
            window,
            device,
        })
    }

    /// The same for the wanted rows alone, once `states` hold the batch.
    pub fn of_wanted(&self, batch: &Batch, states: &[&mut State], dtype: Dtype) -> Result<Setting<'a>> {
        let last = |run: &Run| run.positions.slice(run.count() - run.outputs..run.count());
        let positions: Vec<Positions> = batch.runs.iter().map(last).collect();
        let mut start = 0;
        let span = |run: &Run| {
            let from = start;
            start += run.outputs;
            from..start
        };
        let mask = |(run, state): (&Run, &&mut State)| {
            let (queries, window) = (run.outputs, self.window);
            let keys = LayerState::visible(window, state.len() - queries, queries);
            Mask::new(&MaskShape { queries, keys, window, blocks: &[] }, self.device)
        };
        Ok(Setting {
            rope: self.rope,
            angles: self.rope.angles(&Positions::joined(&positions), dtype)?,
            masks: batch.runs.iter().zip(states).map(mask).collect::<Result<_>>()?,
            spans: batch.runs.iter().map(span).collect(),
            spots: OnceCell::new(),
            window: self.window,
            device: self.device,
        })
    }

    /// What the wanted queries see of what all queries of a run saw.
    pub fn seen_by_wanted(&self, batch: &Batch, seen: &[KeyValues]) -> Result<Vec<KeyValues>> {
        if seen.iter().any(KeyValues::are_side_by_side) {
            // Then each run is one row, which is wanted.
            return Ok(seen.to_vec());
        }
        let last = |(run, kv): (&Run, &KeyValues)| kv.of_last_queries(self.window, run.outputs);
        batch.runs.iter().zip(seen).map(last).collect()
    }

    /// Turns `x` `[1, heads, ΣT, D]`.
    pub fn turn(&self, x: &Array) -> Result<Array> {
        self.rope.apply(x, &self.angles)
    }

    /// Appends keys and values `[1, kv_heads, ΣT, D]` to a layer of the states; what the queries of each run see.
    pub fn append(
        &self,
        k: &Array,
        v: &Array,
        states: &mut [&mut State],
        layer: usize,
    ) -> Result<Vec<KeyValues>> {
        runs::append(k, v, &self.spans, states, layer, &self.spots, self.device)
    }

    /// `[1, heads, ΣT, D]` of queries `[1, heads, ΣT, D]`.
    pub fn attend(&self, q: &Array, seen: &[KeyValues], scale: f32) -> Result<Array> {
        runs::attend_each(q, &self.spans, seen, &self.masks, scale, self.device)
    }
}

/// Tells the states that all layers have taken the batch in.
pub fn advance(batch: &Batch, states: &mut [&mut State]) {
    for (run, state) in batch.runs.iter().zip(states) {
        state.advance(run.count(), run.positions.next());
    }
}
