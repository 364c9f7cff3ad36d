//! How much an encoded medium may ask for while it is decoded, and what ends that.

use super::limits::{MAX_PIXELS, MAX_SECONDS, default_max_bytes};
use super::{Check, go_on};
use crate::error::{Error, Result};

/// Bounds of decoding one medium. A smaller bound refuses earlier; a larger one than [`super::limits`] names is brought
/// down to it.
#[derive(Clone, Copy)]
pub struct MediaOptions<'a> {
    /// Most pixels of a picture.
    pub max_pixels: u64,
    /// Most bytes that decoding may hold at once: what the decoder works with and what it makes, and the file too where it
    /// is read here. `None` follows from the platform and from the size of what is decoded
    /// ([`super::limits::default_max_bytes`]), so that a small file cannot ask for much.
    pub max_bytes: Option<u64>,
    /// Longest sound, in seconds.
    pub max_seconds: u64,
    /// Asked between the steps of the work; its error (a cancel) ends it.
    pub check: Check<'a>,
}

impl Default for MediaOptions<'_> {
    fn default() -> Self {
        MediaOptions {
            max_pixels: super::limits::DEFAULT_MAX_PIXELS,
            max_bytes: None,
            max_seconds: MAX_SECONDS,
            check: &go_on,
        }
    }
}

impl MediaOptions<'_> {
    /// Most pixels of a picture, by these options and by [`super::limits`].
    pub(super) fn most_pixels(&self) -> u64 {
        self.max_pixels.min(MAX_PIXELS)
    }

    /// Most bytes that decoding `encoded` bytes may hold at once.
    pub(super) fn most_bytes(&self, encoded: usize) -> u64 {
        self.max_bytes.unwrap_or_else(|| default_max_bytes(encoded))
    }

    /// Refuses a sound of more samples, all channels together, than [`super::limits::max_samples`] allows a file of `encoded`
    /// bytes.
    pub(super) fn check_samples(&self, samples: u64, encoded: usize) -> Result<()> {
        let most = super::limits::max_samples(encoded);
        if samples <= most {
            return Ok(());
        }
        let message = format!(
            "the audio has {samples} samples or more in a file of {encoded} bytes: the limit is {most}"
        );
        Err(Error::media(message).with("samples", samples).with("max_samples", most))
    }

    /// Refuses what takes more than [`Self::most_bytes`]. `what` names the medium: `the JPEG image`.
    pub(super) fn check_bytes(
        &self,
        needed: u64,
        encoded: usize,
        what: impl std::fmt::Display,
    ) -> Result<()> {
        let most = self.most_bytes(encoded);
        if needed <= most {
            return Ok(());
        }
        let message = format!("{what} takes {needed} bytes to decode: the limit is {most}");
        Err(Error::media(message).with("needed_bytes", needed).with("max_bytes", most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_may_not_ask_for_much_unless_it_is_said() {
        let options = MediaOptions::default();
        assert!(options.most_bytes(1_000_000) < 400_000_000);
        assert!(options.most_bytes(0) >= 64 << 20);
        assert!(options.most_bytes(40_000_000) >= 3 * options.most_pixels());
        let error = options.check_bytes(800_000_000, 250, "the JPEG image").unwrap_err();
        assert!(error.message().starts_with("the JPEG image takes 800000000 bytes to decode: the limit is "));
        let options = MediaOptions { max_bytes: Some(1 << 40), ..options };
        assert!(options.check_bytes(800_000_000, 250, "the JPEG image").is_ok());
    }
}
