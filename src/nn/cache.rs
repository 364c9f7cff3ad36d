//! Key-value caches: one per layer that has its own keys, behind one small interface.

use mlx_rs::Array;

use crate::error::Result;

/// The state of one session: keys and values of every layer, and how many positions they cover.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
    offset: usize,
    /// Added to the offset to get a generated token's rotary position (Qwen's mrope); 0 elsewhere.
    pub rope_delta: i32,
}

/// The keys and values of one layer.
#[derive(Clone, Debug)]
pub enum LayerCache {
    Full,
    Window,
}

impl Cache {
    /// Positions that have been appended since the last [`clear`](Self::clear).
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Forgets every position from `n` on. False, and nothing changed, when a sliding layer's ring no longer holds
    /// the window before `n`: the prompt must then be prefilled again from the start (or from a checkpoint).
    pub fn trim_to(&mut self, n: usize) -> bool {
        let _ = n;
        false
    }

    /// Every array that holds state, for evaluation after a prefill chunk.
    pub fn arrays(&self) -> Vec<&Array> {
        Vec::new()
    }

    /// Bytes of the buffers, used or reserved.
    pub fn bytes(&self) -> usize {
        0
    }

    /// Forgets everything and gives the buffers back.
    pub fn clear(&mut self) {
        self.offset = 0;
    }

    /// The state as it is now, to come back to. Only handles are copied; the buffers are copied by whichever side
    /// is written to first.
    pub fn checkpoint(&self) -> Cache {
        self.clone()
    }

    /// Called by a model once all layers have taken a chunk in.
    pub(crate) fn advance(&mut self, count: usize) -> Result<()> {
        self.offset += count;
        Ok(())
    }
}
