//! A [`State`]'s rows as bytes: taken out of it to be written somewhere, and made a state of again.

use super::item_size;
use super::mlx::memory::{HostRows, Pages};
use super::mlx::{self};
use super::state::{Checkpoint, LayerState, Place, Rows, Shape, State};
use crate::error::{Code, Error, Result};

/// How rows are come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Where they lie: MLX has nothing to do.
    InPlace,
    /// Copied together by MLX.
    Copied,
}

/// Rows of one layer that are still needed: those from position `first` on.
pub struct KeptLayer {
    pub first: usize,
    /// Keys and values; none where there is no position.
    pub rows: Option<[HostRows; 2]>,
}

/// Rows of all layers; of a checkpoint there are only layers with a window.
pub struct KeptState {
    pub positions: usize,
    pub layers: Vec<Option<KeptLayer>>,
}

impl KeptState {
    /// `None` where it cannot be read in this way.
    pub fn of(state: &State, reading: Reading) -> Result<Option<KeptState>> {
        let layers: Vec<_> = state.layers().iter().map(Some).collect();
        Self::new(state.len(), &layers, reading)
    }

    /// [`of`](Self::of) a checkpoint.
    pub fn of_checkpoint(checkpoint: &Checkpoint, reading: Reading) -> Result<Option<KeptState>> {
        let layers: Vec<_> = checkpoint.windows().iter().map(Option::as_ref).collect();
        Self::new(checkpoint.len(), &layers, reading)
    }

    fn new(positions: usize, layers: &[Option<&LayerState>], reading: Reading) -> Result<Option<KeptState>> {
        let mut kept = Vec::with_capacity(layers.len());
        for layer in layers {
            let Some(layer) = layer else {
                kept.push(None);
                continue;
            };
            if layer.end() != positions {
                return Err(Error::new(Code::Backend, "a layer holds other positions than the session"));
            }
            match KeptLayer::of(layer, reading)? {
                Some(layer) => kept.push(Some(layer)),
                None => return Ok(None),
            }
        }
        Ok(Some(KeptState { positions, layers: kept }))
    }
}

impl KeptLayer {
    fn of(layer: &LayerState, reading: Reading) -> Result<Option<KeptLayer>> {
        let (used, kept) = (layer.used(), layer.kept());
        let first = layer.end() - kept;
        let Some(rows) = layer.rows().filter(|_| kept > 0) else {
            return Ok(Some(KeptLayer { first, rows: None }));
        };
        let read = match reading {
            Reading::InPlace => {
                let of = |buffer| HostRows::of(buffer, rows.place.index, used - kept..used);
                of(&rows.keys).zip(of(&rows.values))
            }
            Reading::Copied => {
                let (keys, values) = rows.view(used - kept, used)?;
                let (keys, values) = (keys.contiguous()?, values.contiguous()?);
                mlx::eval([&keys, &values])?;
                HostRows::of(&keys, 0, 0..kept).zip(HostRows::of(&values, 0, 0..kept))
            }
        };
        Ok(read.map(|(keys, values)| KeptLayer { first, rows: Some([keys, values]) }))
    }
}

/// Memory for the rows of a layer.
pub struct LayerMemory {
    shape: Shape,
    first: usize,
    end: usize,
    capacity: usize,
    /// Keys and values; none where there is no position.
    buffers: Option<[Pages; 2]>,
}

impl LayerMemory {
    /// Of positions `first..end`, with room for those that come next where it `grows`. `OUT_OF_MEMORY`.
    pub fn new(shape: Shape, first: usize, end: usize, grows: bool) -> Result<LayerMemory> {
        let (used, capacity) = (end - first, Self::capacity(shape, end - first, grows));
        let bytes = capacity * shape.row_bytes() / 2;
        let buffers = if used > 0 { Some([Pages::new(bytes)?, Pages::new(bytes)?]) } else { None };
        Ok(LayerMemory { shape, first, end, capacity, buffers })
    }

    /// Bytes that [`new`](Self::new) takes.
    pub fn bytes(shape: Shape, first: usize, end: usize, grows: bool) -> u64 {
        Self::capacity(shape, end - first, grows) as u64 * shape.row_bytes() as u64
    }

    /// Rows that there is memory for.
    fn capacity(shape: Shape, used: usize, grows: bool) -> usize {
        if used > 0 && grows { LayerState::new(shape).roomy(used) } else { used }
    }

    /// For keys and for values, where the rows of each head go.
    pub fn runs_mut(&mut self) -> impl Iterator<Item = Vec<&mut [u8]>> {
        let row = self.shape.head_dim * item_size(self.shape.dtype);
        let (run, stride) = ((self.end - self.first) * row, self.capacity * row);
        self.buffers.iter_mut().flatten().map(move |pages| {
            pages.bytes_mut().chunks_exact_mut(stride).map(|head| &mut head[..run]).collect()
        })
    }

    /// On the MLX thread.
    fn into_layer(self) -> Result<LayerState> {
        let Some([keys, values]) = self.buffers else { return Ok(LayerState::new(self.shape)) };
        let Shape { kv_heads, head_dim, dtype, .. } = self.shape;
        let shape = [1, kv_heads as i32, self.capacity as i32, head_dim as i32];
        let keys = keys.into_array(&shape, dtype)?;
        let values = values.into_array(&shape, dtype)?;
        let rows = Rows { keys, values, place: Place::default() };
        Ok(LayerState::holding(self.shape, self.end, self.end - self.first, rows))
    }
}

/// A state of `positions` rows, after which the positions go on from `next`. On the MLX thread, which evaluates nothing
/// for it.
pub fn state(layers: Vec<LayerMemory>, positions: usize, next: i32) -> Result<State> {
    let layers = layers.into_iter().map(LayerMemory::into_layer).collect::<Result<_>>()?;
    Ok(State::of(layers, positions, next))
}

/// A checkpoint at `positions` rows; as [`state`].
pub fn checkpoint(layers: Vec<Option<LayerMemory>>, positions: usize) -> Result<Checkpoint> {
    let layers = layers.into_iter().map(|layer| layer.map(LayerMemory::into_layer).transpose());
    Ok(Checkpoint::of(layers.collect::<Result<_>>()?, positions))
}

#[cfg(test)]
mod tests {
    use mlx_rs::Array;

    use super::*;
    use crate::nn::mlx::eval;
    use crate::nn::testing::host;

    /// Rows `from..from + count` of two heads, three wide.
    fn rows(from: usize, count: usize) -> Array {
        let value = |head: usize, row: usize, at: usize| (head * 10_000 + (from + row) * 3 + at) as f32;
        let rows = (0..2)
            .flat_map(|head| (0..count).flat_map(move |row| (0..3).map(move |at| value(head, row, at))));
        Array::from_slice(&rows.collect::<Vec<f32>>(), &[1, 2, count as i32, 3])
    }

    fn append(state: &mut State, count: usize) -> Vec<Vec<f32>> {
        let (from, layers) = (state.len(), state.layers().len());
        let mut seen = Vec::new();
        for index in 0..layers {
            let new = rows(from, count);
            let (keys, values) = state.layer(index).append(&new, &new).unwrap();
            seen.extend([host(&keys), host(&values)]);
        }
        state.advance(count, (from + count) as i32 - 5);
        seen
    }

    fn again(kept: &KeptState, shapes: &[Shape], grows: bool) -> Vec<Option<LayerMemory>> {
        let layers = kept.layers.iter().zip(shapes).map(|(layer, shape)| {
            let layer = layer.as_ref()?;
            let mut memory = LayerMemory::new(*shape, layer.first, kept.positions, grows).unwrap();
            for (part, to) in memory.runs_mut().enumerate() {
                let from = &layer.rows.as_ref().unwrap()[part];
                from.runs().zip(to).for_each(|(from, to)| to.copy_from_slice(from));
            }
            Some(memory)
        });
        layers.collect()
    }

    #[test]
    fn a_state_that_was_read_and_made_again_goes_on_like_the_old_one() {
        let shape = |window| Shape { kv_heads: 2, head_dim: 3, ..Shape::from(window) };
        for (window, sizes) in
            [(8, vec![5]), (8, vec![5, 1, 1]), (8, vec![900, 1]), (20, vec![30, 400, 1, 1]), (300, vec![700])]
        {
            for reading in [Reading::InPlace, Reading::Copied] {
                let shapes = [shape(Some(window)), shape(None)];
                let mut state = State::new(shapes);
                sizes.iter().for_each(|count| drop(append(&mut state, *count)));
                let mark = state.checkpoint().unwrap();
                eval(mark.arrays()).unwrap();
                append(&mut state, 2);
                eval(state.arrays()).unwrap();
                let kept = KeptState::of(&state, reading).unwrap().unwrap();
                let kept_mark = KeptState::of_checkpoint(&mark, reading).unwrap().unwrap();
                assert!(kept_mark.layers[1].is_none());
                let layers = again(&kept, &shapes, true).into_iter().flatten().collect();
                let mut loaded = super::state(layers, kept.positions, state.position()).unwrap();
                let mark_again = again(&kept_mark, &shapes, false);
                let mark_again = checkpoint(mark_again, kept_mark.positions).unwrap();
                assert_eq!(mark_again.bytes(), mark.bytes(), "no spare rows");
                assert_eq!((loaded.len(), loaded.position()), (state.len(), state.position()));
                for count in [1, 3, 300] {
                    assert_eq!(append(&mut loaded, count), append(&mut state, count));
                }
                loaded.restore(&mark_again);
                state.restore(&mark);
                assert_eq!(append(&mut loaded, 4), append(&mut state, 4));
            }
        }
    }

    #[test]
    fn a_state_that_is_not_computed_is_not_read_in_place() {
        let mut state = State::new([Shape { kv_heads: 2, head_dim: 3, ..Shape::from(None) }]);
        let new = rows(0, 4);
        state.layer(0).append(&new, &new).unwrap();
        state.advance(4, 4);
        assert!(KeptState::of(&state, Reading::InPlace).unwrap().is_none());
        assert!(KeptState::of(&state, Reading::Copied).unwrap().is_some());
        let empty = State::new([Shape::from(None)]);
        assert!(
            KeptState::of(&empty, Reading::InPlace).unwrap().unwrap().layers[0]
                .as_ref()
                .unwrap()
                .rows
                .is_none()
        );
    }
}
