//! How large a medium may be. The limits keep a small hostile file from taking the host's memory.

use crate::error::{Code, Error, Result};

/// Longest side of an image, in pixels: what JPEG can hold, the largest that cameras and scanners write.
pub const MAX_SIDE: u32 = 65_535;

/// Most pixels of an image: 256 Mi, above the 200 megapixels of a phone's largest picture.
pub const MAX_PIXELS: u64 = 1 << 28;

/// Most pixels of an image in a file, where the host does not say: 128 Mi, above the 108 megapixels that phones write;
/// 64 Mi on iOS, above the 48 that they take themselves.
pub const DEFAULT_MAX_PIXELS: u64 = if cfg!(target_os = "ios") { 1 << 26 } else { 1 << 27 };

/// Most bytes that decoding `encoded` bytes may hold at once, where the host does not say: so many for any file, and more
/// for a larger one, because pictures and sounds that are worth it take room in their files too.
pub const fn default_max_bytes(encoded: usize) -> u64 {
    let (least, most) = if cfg!(target_os = "ios") { (128 << 20, 384 << 20) } else { (256 << 20, 1 << 30) };
    let wanted = (encoded as u64).saturating_mul(64).saturating_add(least);
    if wanted < most { wanted } else { most }
}

/// Most samples, of all channels together, that a file of `encoded` bytes may decode to: 23 minutes at 48 kHz for any file, and
/// for a larger one what codecs make of silence. It bounds the time that a small file can ask for.
pub const fn max_samples(encoded: usize) -> u64 {
    (encoded as u64).saturating_mul(1024).saturating_add(1 << 26)
}

/// Longest sound in seconds, where the host does not say.
pub const MAX_SECONDS: u64 = 3_600;

/// Sample rates that a sound may come in, in Hz.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Refuses an image that is empty, too wide, too high or too large.
pub(crate) fn check_dimensions(width: u32, height: u32) -> Result<()> {
    check_size(width, height, MAX_PIXELS)
}

/// [`check_dimensions`] with another limit than [`MAX_PIXELS`].
pub(super) fn check_size(width: u32, height: u32, max_pixels: u64) -> Result<()> {
    let fault = if width == 0 || height == 0 {
        "both sides must be at least 1 pixel".to_owned()
    } else if width.max(height) > MAX_SIDE {
        format!("no side may be longer than {MAX_SIDE} pixels")
    } else if u64::from(width) * u64::from(height) > max_pixels {
        format!("it may have at most {max_pixels} pixels")
    } else {
        return Ok(());
    };
    Err(Error::media(format!("the image is {width} x {height} pixels: {fault}"))
        .with("width", width)
        .with("height", height))
}

/// Refuses a sample rate that is not a sound's.
pub(super) fn check_sample_rate(rate: u32) -> Result<()> {
    if SAMPLE_RATES.contains(&rate) {
        return Ok(());
    }
    let (least, most) = (SAMPLE_RATES.start(), SAMPLE_RATES.end());
    Err(Error::media(format!("the sample rate is {rate} Hz: it must be from {least} to {most} Hz"))
        .with("sample_rate", rate))
}

/// Refuses a sound of `frames` frames that is longer than `max_seconds`.
pub(super) fn check_duration(frames: u64, rate: u32, max_seconds: u64) -> Result<()> {
    if frames <= max_seconds.saturating_mul(u64::from(rate)) {
        return Ok(());
    }
    let seconds = frames / u64::from(rate.max(1));
    Err(Error::media(format!("the audio is longer than {max_seconds} seconds ({seconds} s or more)"))
        .with("max_seconds", max_seconds))
}

/// A zeroed buffer, or an error where the machine cannot give it (an allocation failure would abort the host).
pub(crate) fn zeroed<T: Copy + Default>(len: usize) -> Result<Vec<T>> {
    let mut buffer = Vec::new();
    reserve(&mut buffer, len)?;
    buffer.resize(len, T::default());
    Ok(buffer)
}

/// Makes room for `more` items, or says that memory ran out.
pub(crate) fn reserve<T>(buffer: &mut Vec<T>, more: usize) -> Result<()> {
    buffer.try_reserve(more).map_err(|_| {
        let bytes = more.saturating_mul(size_of::<T>());
        Error::new(Code::OutOfMemory, format!("no memory for {bytes} bytes of media")).with("bytes", bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_have_clear_bounds() {
        for (w, h) in [(1, 1), (MAX_SIDE, 1), (1, MAX_SIDE), (12_000, 9_000), (16_384, 16_384)] {
            assert!(check_dimensions(w, h).is_ok(), "{w} x {h}");
        }
        for (w, h, says) in [
            (0, 5, "at least 1 pixel"),
            (5, 0, "at least 1 pixel"),
            (100_000, 1, "longer than 65535"),
            (1, 65_536, "longer than 65535"),
            (u32::MAX, u32::MAX, "longer than 65535"),
            (16_384, 16_385, "at most 268435456 pixels"),
        ] {
            let error = check_dimensions(w, h).unwrap_err();
            assert_eq!(error.code(), Code::InvalidMedia);
            assert!(error.message().contains(says), "{error}");
            assert!(error.message().contains(&format!("{w} x {h}")), "{error}");
        }
    }

    #[test]
    fn durations_and_rates_have_clear_bounds() {
        assert!(check_duration(16_000 * MAX_SECONDS, 16_000, MAX_SECONDS).is_ok());
        assert!(check_duration(16_000 * MAX_SECONDS + 1, 16_000, MAX_SECONDS).is_err());
        assert!(check_sample_rate(44_100).is_ok());
        assert!(check_sample_rate(0).unwrap_err().message().contains("0 Hz"));
        assert!(check_sample_rate(u32::MAX).is_err());
    }

    #[test]
    fn an_impossible_allocation_is_an_error() {
        assert_eq!(zeroed::<u64>(usize::MAX / 8).unwrap_err().code(), Code::OutOfMemory);
        assert_eq!(zeroed::<u8>(3).unwrap(), [0, 0, 0]);
    }
}
