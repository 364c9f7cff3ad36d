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
use crate::nn::state::{State, visible};
use crate::nn::together::Spots;

/// Rotations and masks of the rows of a batch.
#[derive(Clone)]
pub struct Setting<'a> {
    kind: Kind<'a>,
    angles: Angles,
    /// One for each run.
    masks: Vec<Mask>,
    /// The rows of each run.
    spans: Vec<Range<usize>>,
    /// Where the rows of the sessions are, where they lie side by side.
    spots: OnceCell<Spots>,
}

/// What the layers of one kind have in common in all passes.
#[derive(Clone, Copy)]
pub struct Kind<'a> {
    pub rope: &'a Rope,
    pub window: Option<usize>,
    /// The rows of a block see each other.
    pub blocks: bool,
    pub dtype: Dtype,
    pub device: Device,
}

/// Consecutive rows of a run.
struct Rows<'b> {
    positions: Positions,
    blocks: &'b [Range<usize>],
    /// How many rows of the session come before them.
    before: usize,
}

impl<'a> Setting<'a> {
    /// For the rows of `batch`, which are about to be appended to `states`.
    pub fn new(kind: Kind<'a>, batch: &Batch, states: &[&mut State]) -> Result<Setting<'a>> {
        let runs = batch.runs.iter().zip(states).map(|(run, state)| Rows {
            positions: run.positions.clone(),
            blocks: if kind.blocks { &run.blocks } else { &[] },
            before: state.len(),
        });
        Setting::of(kind, runs.collect())
    }

    /// The same for the wanted rows alone, once `states` hold the batch.
    pub fn of_wanted(&self, batch: &Batch, states: &[&mut State]) -> Result<Setting<'a>> {
        if batch.is_all_wanted() {
            return Ok(self.clone());
        }
        let runs = batch.runs.iter().zip(states).map(|(run, state)| Rows {
            positions: run.positions.slice(run.count() - run.outputs..run.count()),
            blocks: &[],
            before: state.len() - run.outputs,
        });
        Setting::of(self.kind, runs.collect())
    }

    fn of(kind: Kind<'a>, runs: Vec<Rows>) -> Result<Setting<'a>> {
        let window = kind.window;
        let mask = |rows: &Rows| {
            let queries = rows.positions.count();
            let keys = visible(window, rows.before, queries);
            Mask::new(&MaskShape { queries, keys, window, blocks: rows.blocks }, kind.device)
        };
        let positions = Positions::joined(runs.iter().map(|rows| &rows.positions));
        Ok(Setting {
            kind,
            angles: kind.rope.angles(&positions, kind.dtype)?,
            masks: runs.iter().map(mask).collect::<Result<_>>()?,
            spans: runs::spans(runs.iter().map(|rows| rows.positions.count())),
            spots: OnceCell::new(),
        })
    }

    /// What the wanted queries see of what all queries of a run saw.
    pub fn seen_by_wanted(&self, batch: &Batch, seen: &[KeyValues]) -> Result<Vec<KeyValues>> {
        // Keys lie side by side only where each run is one row, which is wanted.
        if batch.is_all_wanted() {
            return Ok(seen.to_vec());
        }
        let last = |(run, kv): (&Run, &KeyValues)| kv.of_last_queries(self.kind.window, run.outputs);
        batch.runs.iter().zip(seen).map(last).collect()
    }

    /// Turns `x` `[1, heads, ΣT, D]`.
    pub fn turn(&self, x: &Array) -> Result<Array> {
        self.kind.rope.apply(x, &self.angles)
    }

    /// Appends keys and values `[1, kv_heads, ΣT, D]` to a layer of the states; what the queries of each run see.
    pub fn append(
        &self,
        k: &Array,
        v: &Array,
        states: &mut [&mut State],
        layer: usize,
    ) -> Result<Vec<KeyValues>> {
        runs::append(k, v, &self.spans, states, layer, &self.spots, self.kind.device)
    }

    /// `[1, heads, ΣT, D]` of queries `[1, heads, ΣT, D]`.
    pub fn attend(&self, q: &Array, seen: &[KeyValues], scale: f32) -> Result<Array> {
        runs::attend_each(q, &self.spans, seen, &self.masks, scale, self.kind.device)
    }
}

/// Tells the states that all layers have taken the batch in.
pub fn advance(batch: &Batch, states: &mut [&mut State]) {
    for (run, state) in batch.runs.iter().zip(states) {
        state.advance(run.count(), run.positions.next());
    }
}
