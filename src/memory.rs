//! What MLX holds in this process, and how much it may keep.

use crate::engine::worker::{self, Kind};
use crate::error::Result;

/// Bytes, as MLX counts them: weights, KV caches and temporaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use by arrays.
    pub active: u64,
    /// Freed by arrays, kept for the next ones.
    pub cache: u64,
    /// The most that was ever active.
    pub peak: u64,
    /// Above this, MLX frees its cache and waits for running work before it allocates.
    pub limit: u64,
    /// Of what is active: encoded media that models keep for other prompts and sessions.
    pub media: u64,
}

/// What MLX holds at this moment.
pub fn stats() -> Result<MemoryStats> {
    worker::call(Kind::Anytime, |worker| {
        Ok(MemoryStats {
            active: mlx_rs::memory::active_memory()? as u64,
            cache: mlx_rs::memory::cache_memory()? as u64,
            peak: mlx_rs::memory::peak_memory()? as u64,
            limit: mlx_rs::memory::memory_limit()? as u64,
            media: worker.encoded_bytes() as u64,
        })
    })
}

/// Sets MLX's memory limit and the limit of its cache, in bytes; `None` leaves one as it is.
pub fn set_limits(memory: Option<u64>, cache: Option<u64>) -> Result<()> {
    worker::call(Kind::Anytime, move |_| {
        if let Some(bytes) = memory {
            mlx_rs::memory::set_memory_limit(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        if let Some(bytes) = cache {
            mlx_rs::memory::set_cache_limit(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        Ok(())
    })
}

/// Sets how many bytes of what MLX holds stay wired, so that the system does not page them out; `None` lets the limit
/// follow the weights, on a Mac, and wires nothing elsewhere.
pub fn set_wired_limit(bytes: Option<u64>) -> Result<()> {
    worker::call(Kind::Anytime, move |worker| worker.set_wired_limit(bytes))
}

/// Gives up the encoded media that models keep and the states of turns before the last that sessions keep, and gives freed buffers back to the system.
pub fn trim() -> Result<()> {
    worker::call(Kind::Anytime, |worker| {
        worker.give_up_spare();
        Ok(mlx_rs::memory::clear_cache()?)
    })
}
