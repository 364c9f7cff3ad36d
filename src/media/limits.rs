//! How large a medium may be. The limits keep a small hostile file from taking the host's memory.

use crate::error::{Code, Error, Result};

/// Longest side of an image, in pixels: what JPEG can hold, the largest that cameras and scanners write.
pub const MAX_SIDE: u32 = 65_535;

/// Most pixels of an image: 128 Mi, above the 108 megapixels of a phone's largest picture.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Most bytes that decoding an image may take: four for each of [`MAX_PIXELS`].
pub const MAX_DECODED_BYTES: u64 = 4 * MAX_PIXELS;

/// Longest sound, in seconds.
pub const MAX_SECONDS: u64 = 3_600;

/// Sample rates that a sound may come in, in Hz.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Refuses an image that is empty, too wide, too high or too large.
pub(crate) fn check_dimensions(width: u32, height: u32) -> Result<()> {
    let fault = if width == 0 || height == 0 {
        "both sides must be at least 1 pixel".to_owned()
    } else if width.max(height) > MAX_SIDE {
        format!("no side may be longer than {MAX_SIDE} pixels")
    } else if u64::from(width) * u64::from(height) > MAX_PIXELS {
        format!("it may have at most {MAX_PIXELS} pixels")
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

/// Refuses a sound of `frames` frames that is longer than [`MAX_SECONDS`].
pub(super) fn check_duration(frames: u64, rate: u32) -> Result<()> {
    if frames <= MAX_SECONDS * u64::from(rate) {
        return Ok(());
    }
    let seconds = frames / u64::from(rate.max(1));
    Err(Error::media(format!("the audio is longer than {MAX_SECONDS} seconds ({seconds} s or more)"))
        .with("max_seconds", MAX_SECONDS))
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
        for (w, h) in [(1, 1), (MAX_SIDE, 1), (1, MAX_SIDE), (12_000, 9_000), (16_384, 8_192)] {
            assert!(check_dimensions(w, h).is_ok(), "{w} x {h}");
        }
        for (w, h, says) in [
            (0, 5, "at least 1 pixel"),
            (5, 0, "at least 1 pixel"),
            (100_000, 1, "longer than 65535"),
            (1, 65_536, "longer than 65535"),
            (u32::MAX, u32::MAX, "longer than 65535"),
            (16_384, 8_193, "at most 134217728 pixels"),
        ] {
            let error = check_dimensions(w, h).unwrap_err();
            assert_eq!(error.code(), Code::InvalidMedia);
            assert!(error.message().contains(says), "{error}");
            assert!(error.message().contains(&format!("{w} x {h}")), "{error}");
        }
    }

    #[test]
    fn durations_and_rates_have_clear_bounds() {
        assert!(check_duration(16_000 * MAX_SECONDS, 16_000).is_ok());
        assert!(check_duration(16_000 * MAX_SECONDS + 1, 16_000).is_err());
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
