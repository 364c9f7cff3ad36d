//! How much memory MLX may keep and wire, and how many rows are computed at once, where the host says nothing.
//!
//! The rules are pure. MLX's own defaults let its cache grow to what the GPU can address, which ends an app on iOS.

use super::options::WeightsChoice;
use crate::error::{Code, Error, Result};
use crate::nn::held::Held;
use crate::system::Platform;

const MIB: u64 = 1 << 20;
/// Prompt rows at once, where memory is no matter.
const PREFILL_CHUNK: usize = 512;
const SMALLEST_CHUNK: usize = 64;

/// What the rules are about.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub platform: Platform,
    /// Bytes that the GPU should use at most, as Metal says.
    pub working_set: Option<u64>,
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
}

/// Whether weights may stay in the pages of their files. On iOS an app is ended that holds too much, and what can be read
/// again is not held; elsewhere a pause should not let the system take the weights away.
pub fn maps(choice: WeightsChoice, platform: Platform) -> bool {
    match choice {
        WeightsChoice::Auto => platform == Platform::Ios,
        WeightsChoice::Read => false,
        WeightsChoice::Mapped => true,
    }
}

/// Prompt rows at once: a power of two for which `work`, the bytes that so many rows are computed with, is at most an
/// eighth of what is `left`.
pub fn prefill_chunk(left: Option<u64>, work: impl Fn(usize) -> u64) -> usize {
    let mut chunk = PREFILL_CHUNK;
    while chunk > SMALLEST_CHUNK && left.is_some_and(|left| work(chunk) > left / 8) {
        chunk /= 2;
    }
    chunk
}

/// `UNSUPPORTED`, with its name, where the largest array of a model, joined ones included, is larger than a buffer of the
/// device may be.
pub fn check_buffers(held: &Held, most: Option<u64>) -> Result<()> {
    let (Some(most), Some((name, bytes))) = (most, &held.largest) else { return Ok(()) };
    if *bytes <= most {
        return Ok(());
    }
    let message = format!(
        "the array of {name} has {bytes} bytes, and a buffer of this GPU has at most {most}; take a snapshot with \
         smaller weights, or the CPU"
    );
    let error = Error::new(Code::Unsupported, message);
    Err(error.with("tensor", name.as_str()).with("needed", *bytes).with("limit", most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::held::Tally;

    const GIB: u64 = 1 << 30;

    fn machine(platform: Platform, working_set: u64) -> Machine {
        Machine { platform, working_set: Some(working_set) }
    }

    #[test]
    fn ios_keeps_little_and_wires_nothing() {
        let phone = machine(Platform::Ios, 5 * GIB);
        assert_eq!(phone.cache_limit(), Some(32 * MIB));
        assert_eq!(phone.wired_limit(2 * GIB), None);
    }

    #[test]
    fn a_mac_keeps_a_share_and_wires_the_weights_as_far_as_metal_allows() {
        let mac = machine(Platform::MacOs, 12 * GIB);
        assert_eq!(mac.cache_limit(), Some(12 * GIB / 8));
        assert_eq!(mac.wired_limit(8 * GIB), Some(9 * GIB));
        assert_eq!(mac.wired_limit(20 * GIB), Some(12 * GIB));
        assert_eq!(mac.wired_limit(0), Some(0));
    }

    #[test]
    fn elsewhere_mlx_decides() {
        let server = machine(Platform::Other, 80 * GIB);
        assert_eq!((server.cache_limit(), server.wired_limit(GIB)), (None, None));
    }

    #[test]
    fn weights_stay_in_their_files_on_ios_and_where_that_is_asked_for() {
        let all = [WeightsChoice::Auto, WeightsChoice::Read, WeightsChoice::Mapped];
        assert_eq!(all.map(|choice| maps(choice, Platform::Ios)), [true, false, true]);
        for platform in [Platform::MacOs, Platform::Other] {
            assert_eq!(all.map(|choice| maps(choice, platform)), [false, false, true]);
        }
    }

    #[test]
    fn chunks_shrink_with_what_is_left() {
        let chunk = |left| prefill_chunk(Some(left), |rows| rows as u64 * MIB / 2);
        assert_eq!([4 * GIB, 2 * GIB, GIB, 512 * MIB, 100 * MIB, 0].map(chunk), [512, 512, 256, 128, 64, 64]);
        assert_eq!(prefill_chunk(None, |_| GIB), 512);
    }

    #[test]
    fn an_array_larger_than_a_buffer_is_named() {
        let mut tally = Tally::new(2, false);
        tally.keep("layers.0.mlp.gate_proj+up_proj", 2000);
        tally.keep("layers.0.mlp.down_proj", 1000);
        let held = tally.finish();
        check_buffers(&held, Some(2000)).unwrap();
        check_buffers(&held, None).unwrap();
        let error = check_buffers(&held, Some(1999)).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        assert!(error.message().contains("layers.0.mlp.gate_proj+up_proj has 2000 bytes"), "{error}");
    }
}
