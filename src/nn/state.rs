//! What a session has evaluated: keys and values of every layer that has its own, behind one small interface.
//!
//! Keys and values are `[1, kv_heads, n, D]`. Buffers have spare rows, and new rows are written in place, so that a
//! decode step copies nothing. Sessions that decode together may share a buffer ([`super::together`]).

use std::rc::Rc;

use mlx_rs::ops::{concatenate, zeros_dtype};
use mlx_rs::{Array, Dtype};

use super::extent::{Extent, Intake, STEP};
pub use super::extent::{SPARE, Shape, visible};
use super::mirror::{Log, Mirrored};
use super::mlx;
use super::norm::cast;
use crate::error::Result;

/// The state of one session: keys and values of every layer, how many rows they cover, and the next position.
#[derive(Clone, Debug)]
pub struct State {
    layers: Vec<LayerState>,
    len: usize,
    /// The next position less `len`: pictures may take fewer positions than rows.
    shift: i32,
    /// Where other ranks of a group keep the like.
    mirrored: Option<Mirrored>,
}

impl State {
    /// One layer for each shape.
    pub fn new(shapes: impl IntoIterator<Item = impl Into<Shape>>) -> State {
        let layers = shapes.into_iter().map(|shape| LayerState::new(shape.into())).collect();
        State { layers, len: 0, shift: 0, mirrored: None }
    }

    /// The same, with keys and values of another type. Nothing has been appended yet.
    pub fn kept_as(mut self, dtype: Dtype) -> State {
        self.layers.iter_mut().for_each(|layer| layer.shape.dtype = dtype);
        self
    }

    /// The same, whose changes are written down.
    pub fn mirrored(self, log: &Rc<Log>) -> State {
        State { mirrored: Some(Mirrored::new(log)), ..self }
    }

    /// Which of the states it is whose changes are written down.
    pub fn number(&self) -> Option<u64> {
        self.mirrored.as_ref().map(Mirrored::number)
    }

    /// What each layer keeps.
    pub fn shapes(&self) -> impl Iterator<Item = Shape> {
        self.layers.iter().map(|layer| layer.shape)
    }

    /// Rows that have been appended since the last [`clear`](Self::clear).
    pub fn len(&self) -> usize {
        self.len
    }

    /// The position after the last row's, where generation goes on. After [`trim`](Self::trim) and
    /// [`restore`](Self::restore) it is known only once a run with positions of its own has been appended, unless
    /// positions count rows.
    pub fn position(&self) -> i32 {
        self.len as i32 + self.shift
    }

    /// A second state that goes on from here. Only handles are copied: buffers part when one of the two is written to.
    pub fn fork(&self) -> State {
        self.clone()
    }

    /// The smallest window of a layer that does not keep all positions.
    pub fn window(&self) -> Option<usize> {
        self.layers.iter().filter_map(LayerState::window).min()
    }

    /// Forgets every row from `n` on. False, and nothing changed, when a sliding layer no longer holds the window before
    /// `n`: the prompt must then be prefilled again from the start (or from a checkpoint).
    pub fn trim(&mut self, n: usize) -> bool {
        if !self.can_trim(n) {
            return false;
        }
        for layer in &mut self.layers {
            layer.trim(n);
        }
        self.len = n;
        self.mirrored.iter().for_each(|mirrored| mirrored.trim(n));
        true
    }

    /// Whether [`trim`](Self::trim) to `n` rows will do.
    pub fn can_trim(&self, n: usize) -> bool {
        n <= self.len && self.layers.iter().all(|layer| layer.can_trim(n))
    }

    /// Takes the rows out of buffers that other sessions share, so that this state keeps none of them alive. True if
    /// there were any; the copies are lazy, and among [`arrays`](Self::arrays).
    pub fn part(&mut self) -> Result<bool> {
        let mut any = false;
        for layer in &mut self.layers {
            any |= layer.part()?;
        }
        self.mirrored.iter().filter(|_| any).for_each(Mirrored::part);
        Ok(any)
    }

    /// Every array that holds state, for evaluation after a prefill chunk.
    pub fn arrays(&self) -> Vec<&Array> {
        self.layers
            .iter()
            .filter_map(|layer| layer.rows.as_ref())
            .flat_map(|rows| [&rows.keys, &rows.values])
            .collect()
    }

    /// Bytes of the buffers, used or reserved; of one that is shared, this session's part.
    pub fn bytes(&self) -> usize {
        let own = |array: &Array| array.nbytes() / array.dim(0).max(1) as usize;
        self.arrays().into_iter().map(own).sum()
    }

    /// Bytes of the new buffers that `count` more rows take.
    pub fn growth(&self, count: usize) -> u64 {
        let of = |layer: &LayerState| {
            let rows = match layer.extent().intake(count) {
                Intake::Write => 0,
                Intake::Grow { capacity, .. } => capacity,
                Intake::Tail { kept } => visible(layer.window(), layer.end, count) + kept + STEP,
            };
            (rows * layer.shape.row_bytes()) as u64
        };
        self.layers.iter().map(of).sum()
    }

    /// Forgets everything and gives the buffers back.
    pub fn clear(&mut self) {
        for layer in &mut self.layers {
            *layer = LayerState::new(layer.shape);
        }
        (self.len, self.shift) = (0, 0);
        self.mirrored.iter().for_each(Mirrored::clear);
    }

    /// The windows as they are now, to come back to with [`restore`](Self::restore). Layers that keep all positions
    /// can be trimmed instead, so nothing of them is kept. Windows are copied, lazily: their buffers go on being written
    /// to in place.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let window = |layer: &LayerState| layer.window().map(|_| layer.seen_next()).transpose();
        let windows = self.layers.iter().map(window).collect::<Result<_>>()?;
        let mirrored = self.mirrored.as_ref().map(Mirrored::checkpoint);
        Ok(Checkpoint { windows, len: self.len, mirrored })
    }

    /// [`checkpoint`](Self::checkpoint) as it would have been at `n`, at most [`SPARE`] positions ago. `None` when a
    /// sliding layer no longer holds the window before `n`.
    pub fn checkpoint_at(&self, n: usize) -> Result<Option<Checkpoint>> {
        let mut earlier = self.fork();
        earlier.trim(n).then(|| earlier.checkpoint()).transpose()
    }

    /// Goes back to a checkpoint of this state.
    pub fn restore(&mut self, checkpoint: &Checkpoint) {
        for (layer, window) in self.layers.iter_mut().zip(&checkpoint.windows) {
            match window {
                Some(window) => *layer = window.clone(),
                None => layer.trim(checkpoint.len),
            }
        }
        self.len = checkpoint.len;
        if let (Some(own), Some(from)) = (&self.mirrored, &checkpoint.mirrored) {
            own.restore(from);
        }
    }

    pub(super) fn layers(&self) -> &[LayerState] {
        &self.layers
    }

    /// A state of `layers` that all hold `len` positions, after which the positions go on from `position`.
    pub(super) fn of(layers: Vec<LayerState>, len: usize, position: i32) -> State {
        State { layers, len, shift: position.wrapping_sub(len as i32), mirrored: None }
    }

    /// The state of a layer.
    pub fn layer(&mut self, index: usize) -> &mut LayerState {
        &mut self.layers[index]
    }

    /// Called by a model once all layers have taken in `count` rows, after which the positions go on from `position`.
    pub(crate) fn advance(&mut self, count: usize, position: i32) {
        self.len += count;
        self.shift = position - self.len as i32;
    }
}

/// The sliding layers of a [`State`] at some earlier length: of each the rows that the next one sees.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    windows: Vec<Option<LayerState>>,
    len: usize,
    mirrored: Option<Mirrored>,
}

impl Checkpoint {
    /// Rows of the state that it was taken of.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What it holds, for evaluation: until then the state's buffers are held, too.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.windows.iter().flatten().filter_map(LayerState::rows).flat_map(|rows| [&rows.keys, &rows.values])
    }

    pub fn bytes(&self) -> usize {
        self.arrays().map(Array::nbytes).sum()
    }

    /// The layers that have a window.
    pub(super) fn windows(&self) -> &[Option<LayerState>] {
        &self.windows
    }

    pub(super) fn of(windows: Vec<Option<LayerState>>, len: usize) -> Checkpoint {
        Checkpoint { windows, len, mirrored: None }
    }
}

/// The keys and values of one layer.
#[derive(Clone, Debug)]
pub struct LayerState {
    shape: Shape,
    /// Position of the first row.
    start: usize,
    /// Position after the last row in use.
    end: usize,
    rows: Option<Rows>,
}

/// Buffers whose first rows are in use, and which are never changed but by making new ones of them. MLX writes in place
/// where nobody holds the old ones.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// `[1, kv_heads, capacity, D]`, or those of several sessions that lie side by side, `[sessions, ..]`.
    pub keys: Array,
    pub values: Array,
    pub place: Place,
}

/// Which of the sessions in a buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub index: usize,
    /// The same for all sessions of a buffer, and another one once it has been written to.
    pub version: Rc<()>,
}

impl LayerState {
    /// A layer whose `end` positions so far end with the `used` first rows of these buffers.
    pub(super) fn holding(shape: Shape, end: usize, used: usize, rows: Rows) -> LayerState {
        LayerState { shape, start: end - used, end, rows: Some(rows) }
    }

    /// One with nothing in it yet.
    pub(super) fn new(shape: Shape) -> LayerState {
        LayerState { shape, start: 0, end: 0, rows: None }
    }

    fn extent(&self) -> Extent {
        let capacity = self.rows.as_ref().map_or(0, Rows::capacity);
        Extent { window: self.window(), used: self.used(), end: self.end, capacity }
    }

    /// Appends `k` and `v` `[1, kv_heads, T, D]`, and gives the keys and values that the new queries see: those of
    /// [`visible`] positions, the new ones last.
    pub fn append(&mut self, k: &Array, v: &Array) -> Result<(Array, Array)> {
        let (k, v) = &(self.as_kept(k)?, self.as_kept(v)?);
        let count = k.dim(2) as usize;
        let visible = visible(self.window(), self.end, count);
        let used = self.used();
        self.part()?;
        match (self.extent().intake(count), self.rows.as_mut()) {
            (Intake::Tail { kept }, _) => return self.replace_by_tail(kept, k, v),
            (Intake::Grow { kept, capacity }, _) => self.grow(k, v, kept, capacity)?,
            (Intake::Write, Some(rows)) => rows.write(used, k, v)?,
            (Intake::Write, None) => {}
        }
        self.end += count;
        match &self.rows {
            Some(rows) => rows.view(self.used() - visible, self.used()),
            None => Ok((k.clone(), v.clone())),
        }
    }

    /// New keys or values as they are kept.
    pub(super) fn as_kept(&self, new: &Array) -> Result<Array> {
        cast(new, self.shape.dtype)
    }

    pub(super) fn window(&self) -> Option<usize> {
        self.shape.window
    }

    /// Position after the last row.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Rows in use.
    pub(super) fn used(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn rows(&self) -> Option<&Rows> {
        self.rows.as_ref()
    }

    /// Rows of those in use that are still needed.
    pub(super) fn kept(&self) -> usize {
        self.extent().kept()
    }

    /// Rows of a new buffer for `needed` ones.
    pub(super) fn roomy(&self, needed: usize) -> usize {
        self.extent().roomy(needed)
    }

    /// Takes other buffers in place of its own: the `kept` last rows in use are their first ones.
    pub(super) fn move_to(&mut self, rows: Rows, kept: usize) {
        self.start = self.end - kept;
        self.rows = Some(rows);
    }

    /// Takes the buffers after a row has been written behind those in use.
    pub(super) fn appended(&mut self, rows: Rows) {
        self.end += 1;
        self.rows = Some(rows);
    }

    /// The same layer with a copy of no rows but those that the next position sees.
    fn seen_next(&self) -> Result<LayerState> {
        let seen = visible(self.window(), self.end, 0).min(self.used());
        let copy = |rows: &Rows| -> Result<Rows> {
            let (keys, values) = rows.view(self.used() - seen, self.used())?;
            Ok(Rows { keys: keys.contiguous()?, values: values.contiguous()?, place: Place::default() })
        };
        let rows = self.rows.as_ref().filter(|_| seen > 0).map(copy).transpose()?;
        Ok(LayerState { start: self.end - seen, rows, ..self.clone() })
    }

    /// See [`State::part`].
    fn part(&mut self) -> Result<bool> {
        let Some(rows) = self.rows.as_mut().filter(|rows| rows.sessions() > 1) else { return Ok(false) };
        *rows = rows.own()?;
        Ok(true)
    }

    /// A new buffer of `capacity` rows: the `kept` last ones in use, the new ones, and spare ones.
    fn grow(&mut self, k: &Array, v: &Array, kept: usize, capacity: usize) -> Result<()> {
        let (used, count) = (self.used(), k.dim(2) as usize);
        let prior = self.rows.take().map(|rows| rows.view(used - kept, used)).transpose()?;
        self.move_to(Rows::joined(prior, k, v, capacity - kept - count)?, kept);
        Ok(())
    }

    /// Takes in a chunk longer than the buffer: the queries see all of it, the buffer keeps its last `kept` rows.
    fn replace_by_tail(&mut self, kept: usize, k: &Array, v: &Array) -> Result<(Array, Array)> {
        let (used, count) = (self.used(), k.dim(2) as usize);
        let visible = visible(self.window(), self.end, count);
        let prior = visible - count;
        let prior = self.rows.take().map(|rows| rows.view(used - prior, used)).transpose()?;
        let all = Rows::joined(prior, k, v, 0)?;
        self.end += count;
        let (tail_k, tail_v) = all.view(visible - kept, visible)?;
        let tail = Rows::joined(None, &tail_k, &tail_v, STEP)?;
        // Otherwise it would be copied with the last layer, and what it is copied from be there until then.
        let seen = (mlx::after(&all.keys, &tail.keys)?, mlx::after(&all.values, &tail.values)?);
        self.rows = Some(tail);
        self.start = self.end - kept;
        Ok(seen)
    }

    fn can_trim(&self, n: usize) -> bool {
        n >= self.end || n == 0 || n >= self.start + self.window().map_or(n, |w| n.min(w - 1))
    }

    fn trim(&mut self, n: usize) {
        if n == 0 {
            self.start = 0;
        }
        self.end = self.end.min(n);
    }
}

impl Rows {
    pub fn capacity(&self) -> usize {
        self.keys.dim(2) as usize
    }

    pub fn sessions(&self) -> usize {
        self.keys.dim(0) as usize
    }

    /// A copy of this session's rows alone.
    fn own(&self) -> Result<Rows> {
        let (keys, values) = self.view(0, self.capacity())?;
        Ok(Rows { keys: keys.contiguous()?, values: values.contiguous()?, place: Place::default() })
    }

    /// `prior`, then `k` and `v`, then `spare` zero rows.
    pub fn joined(prior: Option<(Array, Array)>, k: &Array, v: &Array, spare: usize) -> Result<Rows> {
        let join = |prior: Option<Array>, new: &Array| -> Result<Array> {
            let mut parts: Vec<Array> = prior.into_iter().collect();
            parts.push(new.clone());
            if spare > 0 {
                parts.push(zeros_dtype(&[1, new.dim(1), spare as i32, new.dim(3)], new.dtype())?);
            }
            Ok(concatenate(&parts, 2)?)
        };
        let (prior_k, prior_v) = prior.unzip();
        Ok(Rows { keys: join(prior_k, k)?, values: join(prior_v, v)?, place: Place::default() })
    }

    fn write(&mut self, at: usize, k: &Array, v: &Array) -> Result<()> {
        let put = |buffer: &Array, new: &Array| {
            let stop = [1, new.dim(1), at as i32 + new.dim(2), new.dim(3)];
            mlx::slice_update(buffer, new, &[0, 0, at as i32, 0], &stop)
        };
        self.keys = put(&self.keys, k)?;
        self.values = put(&self.values, v)?;
        Ok(())
    }

    /// This session's rows `from..to`.
    pub fn view(&self, from: usize, to: usize) -> Result<(Array, Array)> {
        let index = self.place.index as i32;
        let part = |buffer: &Array| {
            let stop = [index + 1, buffer.dim(1), to as i32, buffer.dim(3)];
            mlx::slice(buffer, &[index, 0, from as i32, 0], &stop)
        };
        Ok((part(&self.keys)?, part(&self.values)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::host;

    /// Rows whose values are their positions.
    fn rows(positions: std::ops::Range<usize>) -> Array {
        let values: Vec<f32> = positions.clone().map(|p| p as f32).collect();
        Array::from_slice(&values, &[1, 1, values.len() as i32, 1])
    }

    fn append(state: &mut State, count: usize) -> Vec<f32> {
        let new = rows(state.len()..state.len() + count);
        let (k, v) = state.layer(0).append(&new, &new).unwrap();
        state.advance(count, (state.len() + count) as i32);
        assert_eq!(host(&k), host(&v));
        host(&k)
    }

    fn expected(window: Option<usize>, offset: usize, count: usize) -> Vec<f32> {
        let first = offset + count - visible(window, offset, count);
        (first..offset + count).map(|p| p as f32).collect()
    }

    #[test]
    fn every_chunking_shows_the_same_rows() {
        for window in [None, Some(8), Some(300)] {
            for sizes in [vec![1; 900], vec![700, 1, 1, 5], vec![3, 900, 1, 400, 1], vec![256, 256, 256, 1]] {
                let mut state = State::new([window]);
                for count in sizes {
                    let offset = state.len();
                    assert_eq!(
                        append(&mut state, count),
                        expected(window, offset, count),
                        "{window:?} {offset}"
                    );
                }
            }
        }
    }

    #[test]
    fn memory_of_a_window_is_bounded() {
        let mut state = State::new([Some(100)]);
        for count in [5000, 1, 1, 700] {
            append(&mut state, count);
        }
        for _ in 0..2000 {
            append(&mut state, 1);
        }
        assert!(state.bytes() <= 2 * 4 * (100 + SPARE + STEP), "{}", state.bytes());
        state.clear();
        assert_eq!((state.bytes(), state.len()), (0, 0));
    }

    #[test]
    fn bytes_are_known_before_there_is_a_row() {
        for window in [None, Some(1), Some(20), Some(100), Some(1000)] {
            for (positions, chunk) in [(1, 512), (300, 512), (700, 64), (3000, 512), (900, 1), (2500, 600)] {
                let shape = Shape::from(window);
                let mut state = State::new([shape]);
                while state.len() < positions {
                    let count = chunk.min(positions - state.len());
                    append(&mut state, count);
                }
                let what = format!("{positions} rows of window {window:?} in chunks of {chunk}");
                assert_eq!(shape.bytes(positions, chunk), state.bytes() as u64, "{what}");
            }
        }
    }

    #[test]
    fn what_was_trimmed_is_written_again() {
        let mut state = State::new([None]);
        append(&mut state, 300);
        assert!(state.trim(120));
        assert_eq!(append(&mut state, 2), expected(None, 120, 2));
        assert!(!state.trim(500));

        let mut state = State::new([Some(10)]);
        append(&mut state, 700);
        assert!(!state.trim(100), "the rows before 100 are gone");
        assert_eq!(state.len(), 700);
        assert!(state.trim(700 - SPARE));
        assert_eq!(append(&mut state, 3), expected(Some(10), 700 - SPARE, 3));
        assert!(state.trim(0));
        assert_eq!(append(&mut state, 3), expected(Some(10), 0, 3));
    }

    #[test]
    fn a_checkpoint_may_be_taken_a_little_later() {
        let mut state = State::new([Some(20)]);
        append(&mut state, 700);
        let checkpoint = state.checkpoint_at(700 - SPARE).unwrap().unwrap();
        assert!(state.checkpoint_at(600).unwrap().is_none());
        append(&mut state, 500);
        state.restore(&checkpoint);
        assert_eq!(state.len(), 700 - SPARE);
        assert_eq!(append(&mut state, 3), expected(Some(20), 700 - SPARE, 3));
    }

    #[test]
    fn a_checkpoint_brings_windows_and_full_layers_back() {
        let mut state = State::new([Some(20), None]);
        let append = |state: &mut State, count: usize| {
            let new = rows(state.len()..state.len() + count);
            let shown = [0, 1].map(|layer| host(&state.layer(layer).append(&new, &new).unwrap().0));
            state.advance(count, (state.len() + count) as i32);
            shown
        };
        append(&mut state, 30);
        let saved = state.checkpoint().unwrap();
        assert_eq!((saved.len(), saved.bytes()), (30, 2 * 4 * 19), "what the next position sees");
        assert_eq!(Shape::from(Some(20)).checkpoint_bytes(30), saved.bytes() as u64);
        for _ in 0..400 {
            append(&mut state, 1);
        }
        assert!(!state.trim(30));
        state.restore(&saved);
        assert_eq!(state.len(), 30);
        assert_eq!(append(&mut state, 2), [expected(Some(20), 30, 2), expected(None, 30, 2)]);
    }

    #[test]
    fn a_fork_and_what_it_was_made_of_go_their_own_ways() {
        let mut state = State::new([Some(20), None]);
        let append = |state: &mut State, values: &[f32]| {
            let new = Array::from_slice(values, &[1, 1, values.len() as i32, 1]);
            let shown = [0, 1].map(|layer| state.layer(layer).append(&new, &new).unwrap().0);
            state.advance(values.len(), (state.len() + values.len()) as i32);
            shown.map(|shown| *host(&shown).last().unwrap())
        };
        append(&mut state, &[1.0; 30]);
        let mut fork = state.fork();
        assert_eq!(append(&mut state, &[2.0]), [2.0; 2]);
        assert_eq!(append(&mut fork, &[3.0]), [3.0; 2]);
        let last = |state: &mut State| {
            let new = rows(9..10);
            host(&state.layer(1).append(&new, &new).unwrap().0)[29..].to_vec()
        };
        assert_eq!(last(&mut state), [1.0, 2.0, 9.0]);
        assert_eq!(last(&mut fork), [1.0, 3.0, 9.0]);
    }

    #[test]
    fn an_empty_state_has_an_empty_checkpoint() {
        let mut state = State::new([Some(1), Some(20)]);
        let empty = state.checkpoint().unwrap();
        let new = rows(0..40);
        state.layer(0).append(&new, &new).unwrap();
        state.layer(1).append(&new, &new).unwrap();
        state.advance(40, 40);
        // A window of one position sees nothing before it.
        assert_eq!(state.checkpoint().unwrap().bytes(), 2 * 4 * 19);
        state.restore(&empty);
        assert_eq!((state.len(), state.bytes()), (0, 0));
    }
}
