//! How much memory MLX may keep and wire, and how many rows are computed at once, where the host says nothing.
//!
//! The rules are pure. MLX's own defaults let its cache grow to what the GPU can address, which ends an app on iOS.

use crate::error::{Code, Error, Result};
use crate::snapshot::Snapshot;
use crate::system::{self, Platform};

const MIB: u64 = 1 << 20;
/// Prompt rows at once, where memory is no matter.
const PREFILL_CHUNK: usize = 512;
const SMALLEST_CHUNK: usize = 64;
/// What a row may need while its chunk is computed: the wide rows of the network between layers, and where MLX has no
/// fused attention (heads of 256 and more) the scores of some thousand keys.
const BYTES_OF_A_ROW: u64 = MIB / 2;

/// What the rules are about.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub platform: Platform,
    /// Bytes that the GPU should use at most, as Metal says.
    pub working_set: Option<u64>,
    /// Bytes that the process may still take.
    pub available: Option<u64>,
}

impl Machine {
    /// The limit of MLX's cache; none means MLX's own.
    pub fn cache_limit(&self) -> Option<u64> {
        match self.platform {
            // What a step of decoding uses again and again; anything above counts against the app.
            Platform::Ios => Some(32 * MIB),
            Platform::MacOs => self.working_set.map(|bytes| bytes / 8),
            Platform::Other => None,
        }
    }

    /// Bytes of `weights` and what sessions hold that stay wired, so that a pause does not page them out. iOS wires
    /// nothing.
    pub fn wired_limit(&self, weights: u64) -> Option<u64> {
        match self.platform {
            Platform::MacOs => self.working_set.map(|most| weights.saturating_add(weights / 8).min(most)),
            Platform::Ios | Platform::Other => None,
        }
    }

    /// Prompt rows at once: a power of two whose temporaries take at most an eighth of what is left.
    pub fn prefill_chunk(&self) -> usize {
        let fitting = self.available.map_or(PREFILL_CHUNK, |bytes| (bytes / 8 / BYTES_OF_A_ROW) as usize);
        let mut chunk = PREFILL_CHUNK;
        while chunk > fitting.max(SMALLEST_CHUNK) {
            chunk /= 2;
        }
        chunk
    }
}

/// [`Machine::prefill_chunk`] of this machine as it is now. Any thread.
pub fn prefill_chunk() -> usize {
    let (platform, available) = (Platform::current(), system::available_memory());
    Machine { platform, working_set: None, available }.prefill_chunk()
}

/// `UNSUPPORTED`, naming the tensor, where one is larger than a buffer of the device may be.
pub fn check_buffers(snapshot: &Snapshot, most: Option<u64>) -> Result<()> {
    let Some(most) = most else { return Ok(()) };
    match snapshot.tensors().find(|(_, tensor)| tensor.bytes > most) {
        None => Ok(()),
        Some((name, tensor)) => Err(Error::new(
            Code::Unsupported,
            format!(
                "tensor {name} has {} bytes, and a buffer of this GPU has at most {most}; take a snapshot with smaller \
                 weights, or the CPU",
                tensor.bytes
            ),
        )
        .with("tensor", name)
        .with("needed", tensor.bytes)
        .with("limit", most)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(platform: Platform, working_set: u64, available: Option<u64>) -> Machine {
        Machine { platform, working_set: Some(working_set), available }
    }

    #[test]
    fn ios_keeps_little_and_wires_nothing() {
        let phone = machine(Platform::Ios, 5 * GIB, Some(3 * GIB));
        assert_eq!(phone.cache_limit(), Some(32 * MIB));
        assert_eq!(phone.wired_limit(2 * GIB), None);
    }

    #[test]
    fn a_mac_keeps_a_share_and_wires_the_weights_as_far_as_metal_allows() {
        let mac = machine(Platform::MacOs, 12 * GIB, None);
        assert_eq!(mac.cache_limit(), Some(12 * GIB / 8));
        assert_eq!(mac.wired_limit(8 * GIB), Some(9 * GIB));
        assert_eq!(mac.wired_limit(20 * GIB), Some(12 * GIB));
        assert_eq!(mac.wired_limit(0), Some(0));
        assert_eq!(mac.prefill_chunk(), 512);
    }

    #[test]
    fn elsewhere_mlx_decides() {
        let server = machine(Platform::Other, 80 * GIB, None);
        assert_eq!((server.cache_limit(), server.wired_limit(GIB)), (None, None));
        assert_eq!(server.prefill_chunk(), 512);
    }

    #[test]
    fn chunks_shrink_with_what_an_app_may_still_take() {
        let chunk = |available| machine(Platform::Ios, 5 * GIB, Some(available)).prefill_chunk();
        assert_eq!([4 * GIB, 2 * GIB, GIB, 512 * MIB, 100 * MIB, 0].map(chunk), [512, 512, 256, 128, 64, 64]);
    }

    #[test]
    fn a_tensor_larger_than_a_buffer_is_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx");
        let snapshot = Snapshot::open(&folder).unwrap();
        let (name, largest) = snapshot.tensors().max_by_key(|(_, tensor)| tensor.bytes).unwrap();
        let bytes = largest.bytes;
        check_buffers(&snapshot, Some(bytes)).unwrap();
        check_buffers(&snapshot, None).unwrap();
        let error = check_buffers(&snapshot, Some(bytes - 1)).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        assert!(error.message().contains(name), "{error}");
    }
}
