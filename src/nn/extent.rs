//! How many rows a layer keeps and makes room for, in numbers: what its buffers do is told before there are any.

use mlx_rs::Dtype;

use super::item_size;

/// Rows that a buffer grows by, at least.
pub const STEP: usize = 256;
/// Rows before the window that a sliding layer keeps when it drops older ones, so that the last few positions can
/// still be taken back.
pub const SPARE: usize = 64;

/// What a layer keeps: decided before there is anything to keep, so that it can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// A query sees this many positions, itself included; `None` for all.
    pub window: Option<usize>,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Of keys and values.
    pub dtype: Dtype,
}

impl Shape {
    /// What keys and values are kept as, in lower case.
    pub fn type_name(&self) -> String {
        format!("{:?}", self.dtype).to_lowercase()
    }

    /// Bytes of the keys and values of one position.
    pub fn row_bytes(&self) -> usize {
        2 * self.kv_heads * self.head_dim * item_size(self.dtype)
    }

    /// Bytes of a [`Checkpoint`] of so many positions.
    pub fn checkpoint_bytes(&self, positions: usize) -> u64 {
        self.window.map_or(0, |window| self.row_bytes() as u64 * positions.min(window - 1) as u64)
    }

    /// Bytes of the buffers once `positions` rows have been appended, `chunk` at a time.
    pub fn bytes(&self, positions: usize, chunk: usize) -> u64 {
        let mut layer = Extent { window: self.window, used: 0, end: 0, capacity: 0 };
        let mut left = positions;
        while left > 0 {
            let count = chunk.clamp(1, left);
            layer.append(count);
            left -= count;
        }
        self.row_bytes() as u64 * layer.capacity as u64
    }
}

#[cfg(test)]
impl From<Option<usize>> for Shape {
    fn from(window: Option<usize>) -> Shape {
        Shape { window, kv_heads: 1, head_dim: 1, dtype: Dtype::Float32 }
    }
}

/// How full the buffer of a layer is.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub window: Option<usize>,
    /// Rows in use.
    pub used: usize,
    /// Position after the last one.
    pub end: usize,
    pub capacity: usize,
}

/// How a layer takes in more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Behind those in use.
    Write,
    /// Into a new buffer of so many rows, with the `kept` last ones in use before them.
    Grow { kept: usize, capacity: usize },
    /// Past a buffer, of which the `kept` last rows are left.
    Tail { kept: usize },
}

impl Extent {
    /// Rows of those in use that are still needed.
    pub fn kept(&self) -> usize {
        self.window.map_or(self.used, |w| self.used.min(w - 1 + SPARE))
    }

    /// Rows of a new buffer for `needed` ones.
    pub fn roomy(&self, needed: usize) -> usize {
        let roomy = (needed + needed / 8).next_multiple_of(STEP);
        self.window.map_or(roomy, |w| roomy.min(w - 1 + SPARE + STEP)).max(needed)
    }

    pub fn intake(&self, count: usize) -> Intake {
        if self.capacity > 0 && self.used + count <= self.capacity {
            return Intake::Write;
        }
        if let Some(window) = self.window {
            let most = window - 1 + SPARE;
            if self.used.min(most) + count > most + STEP {
                let visible = visible(self.window, self.end, count);
                return Intake::Tail { kept: most.min(visible) };
            }
        }
        let kept = self.kept();
        Intake::Grow { kept, capacity: self.roomy(kept + count) }
    }

    /// What [`LayerState::append`](super::state::LayerState::append) does, in numbers.
    fn append(&mut self, count: usize) {
        match self.intake(count) {
            Intake::Write => self.used += count,
            Intake::Grow { kept, capacity } => (self.used, self.capacity) = (kept + count, capacity),
            Intake::Tail { kept } => (self.used, self.capacity) = (kept, kept + STEP),
        }
        self.end += count;
    }
}

/// Keys that a chunk of `count` queries at position `offset` sees in a layer with this window.
pub fn visible(window: Option<usize>, offset: usize, count: usize) -> usize {
    window.map_or(offset, |w| offset.min(w - 1)) + count
}
