//! A sound: 16 kHz mono samples, from encoded bytes or from the host's own PCM.

use std::sync::Arc;

use super::audio_decode::{self, Decoded};
use super::limits::{MAX_SECONDS, check_duration, check_sample_rate, reserve};
use super::resample::Resampler;
use super::{ContentHash, MediaOptions, contain};
use crate::error::{Error, Result};

/// Largest magnitude of a sample: beyond any integer type's unscaled samples, and small enough that the sums of a
/// resampler stay finite.
const MAX_LEVEL: f32 = 1e10;

/// A decoded sound at [`Audio::SAMPLE_RATE`], one channel, nominally in `-1.0..=1.0`, every sample finite. Clones
/// share the samples.
#[derive(Clone)]
pub struct Audio {
    samples: Arc<Vec<f32>>,
    split: bool,
    lost_seconds: f64,
    /// Over the samples alone; `hash` adds `split`.
    samples_hash: ContentHash,
    hash: ContentHash,
}

impl Audio {
    /// Samples per second of every [`Audio`].
    pub const SAMPLE_RATE: u32 = 16_000;

    /// Decodes a file of sound, told apart by its bytes, whatever tags stand before it: WAV (also RF64, BW64 and W64), AIFF,
    /// AIFF-C, AU and CAF with integers, floats, A-law, µ-law or ADPCM; FLAC; MPEG layers I to III; AAC-LC and ALAC; OGG
    /// Vorbis; Opus; all but these containers' own also in MP4, QuickTime, CAF and Matroska (WebM) as far as these hold
    /// them. Of HE-AAC the lower band is decoded, which a warning in the log tells.
    ///
    /// Integer samples are divided by the type's magnitude (16 bits: by 32768), channels are averaged, and then
    /// the sound is resampled as [`Audio::from_pcm_f32`] does. The encoder's delay and padding are cut off where
    /// the file states them. A file that is cut short or damaged gives what is there, without the packets that cannot be
    /// read; [`Audio::lost_seconds`] tells how much is missing.
    ///
    /// Errors: `InvalidMedia` (unknown format, nothing that can be read, no samples, a sample that is not finite, longer than
    /// [`super::limits::MAX_SECONDS`], more samples than [`super::limits::max_samples`]), `Unsupported` (a format or a codec
    /// that is known and not read, by its name), `OutOfMemory`.
    pub fn decode(encoded: &[u8]) -> Result<Audio> {
        Self::decode_with(encoded, &MediaOptions::default())
    }

    /// [`Audio::decode`] within the host's bounds.
    ///
    /// Errors: as for [`Audio::decode`], and what the options' check ends it with.
    pub fn decode_with(encoded: &[u8], options: &MediaOptions) -> Result<Audio> {
        (options.check)()?;
        let Decoded { samples, lost_seconds } = contain("audio", || audio_decode::decode(encoded, options))?;
        Ok(Audio { lost_seconds, ..Self::new(samples) })
    }

    /// Takes interleaved PCM: `samples` holds frames of `channels` samples, `sample_rate` frames a second.
    ///
    /// The channels are averaged, then resampled by a linear-phase low-pass with its band edge just below half of
    /// the lower rate; the first output sample lies at the time of the first input sample, and `n` frames give
    /// `ceil(n * 16000 / sample_rate)` samples. 16 kHz mono is taken as it is, bit for bit.
    ///
    /// Errors: `InvalidArgument` (no channel, or a last frame that is incomplete), `InvalidMedia` (no samples, a
    /// sample that is not finite, a rate outside [`super::limits::SAMPLE_RATES`], too long), `OutOfMemory`.
    pub fn from_pcm_f32(samples: &[f32], channels: u32, sample_rate: u32) -> Result<Audio> {
        let channels = channels as usize;
        if channels == 0 || !samples.len().is_multiple_of(channels) {
            return Err(Error::invalid_argument(format!(
                "{} samples do not make whole frames of {channels} channels",
                samples.len()
            )));
        }
        let mut mono = Mono16k::new(channels, sample_rate, MAX_SECONDS)?;
        check_duration((samples.len() / channels) as u64, sample_rate, MAX_SECONDS)?;
        mono.push(samples)?;
        mono.finish().map(Self::new)
    }

    /// At [`Audio::SAMPLE_RATE`], at least one.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// How much of its file's sound is missing, in seconds: packets that were damaged, and what a file that was cut short
    /// states beyond its end, as far as it tells. 0 for a sound of samples. No part of the hash.
    pub fn lost_seconds(&self) -> f64 {
        self.lost_seconds
    }

    /// Lets a model that takes only so many seconds at once get this sound as consecutive clips, each in a place of
    /// its own, instead of refusing it. Whether it may be cut is part of the hash.
    pub fn with_split(mut self, split: bool) -> Audio {
        self.split = split;
        self.hash = full_hash(&self.samples_hash, split);
        self
    }

    /// Whether the sound may be cut into clips.
    pub fn split(&self) -> bool {
        self.split
    }

    /// The samples of a range as a sound of its own; the range lies within [`Audio::samples`] and is not empty.
    pub(crate) fn clip(&self, range: std::ops::Range<usize>) -> Audio {
        Self::new(self.samples[range].to_vec())
    }

    /// Of its content: equal sounds have equal hashes.
    pub fn hash(&self) -> &ContentHash {
        &self.hash
    }

    fn new(samples: Vec<f32>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rmlx audio f32");
        hasher.update(&Self::SAMPLE_RATE.to_le_bytes());
        // In pieces: the little-endian bytes of the whole sound need not exist at once.
        let mut bytes = [0u8; 4096];
        for piece in samples.chunks(bytes.len() / 4) {
            for (to, sample) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(piece) {
                *to = sample.to_le_bytes();
            }
            hasher.update(&bytes[..piece.len() * 4]);
        }
        let samples_hash = *hasher.finalize().as_bytes();
        let hash = full_hash(&samples_hash, false);
        Audio { samples: Arc::new(samples), split: false, lost_seconds: 0.0, samples_hash, hash }
    }
}

/// The hash of a sound whose samples have `samples_hash`, which may be cut into clips or not.
fn full_hash(samples_hash: &ContentHash, split: bool) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rmlx audio");
    hasher.update(samples_hash);
    hasher.update(&[u8::from(split)]);
    *hasher.finalize().as_bytes()
}

impl std::fmt::Debug for Audio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audio({} samples)", self.samples.len())
    }
}

/// Makes interleaved frames of one rate and channel count, given piece by piece, into 16 kHz mono.
pub(super) struct Mono16k {
    channels: usize,
    rate: u32,
    resampler: Option<Resampler>,
    /// What was pushed, mixed; kept only until it is resampled.
    mixed: Vec<f32>,
    frames: u64,
    max_seconds: u64,
}

impl Mono16k {
    /// `channels` is at least 1. More than `max_seconds` are refused.
    pub(super) fn new(channels: usize, rate: u32, max_seconds: u64) -> Result<Self> {
        check_sample_rate(rate)?;
        let resampler = match rate {
            Audio::SAMPLE_RATE => None,
            _ => Some(Resampler::new(rate, Audio::SAMPLE_RATE)?),
        };
        Ok(Mono16k { channels, rate, resampler, mixed: Vec::new(), frames: 0, max_seconds })
    }

    /// Frames pushed so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes whole frames of `channels` samples.
    pub(super) fn push(&mut self, interleaved: &[f32]) -> Result<()> {
        let count = interleaved.len() / self.channels;
        check_duration(self.frames + count as u64, self.rate, self.max_seconds)?;
        reserve(&mut self.mixed, count)?;
        for frame in interleaved.chunks_exact(self.channels) {
            let value = match frame {
                [mono] => *mono,
                // In 64 bits, where the order of the channels makes no difference.
                _ => (frame.iter().copied().map(f64::from).sum::<f64>() / self.channels as f64) as f32,
            };
            if value.is_nan() || value.abs() > MAX_LEVEL {
                return Err(unusable(frame, self.frames));
            }
            self.mixed.push(value);
            self.frames += 1;
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.push(&self.mixed)?;
            self.mixed.clear();
        }
        Ok(())
    }

    /// The whole sound.
    pub(super) fn finish(self) -> Result<Vec<f32>> {
        if self.frames == 0 {
            return Err(Error::media("the audio has no samples"));
        }
        let Some(resampler) = self.resampler else { return Ok(self.mixed) };
        resampler.finish()
    }
}

/// What is wrong with a frame whose mean is no sample.
fn unusable(frame: &[f32], index: u64) -> Error {
    let message = match frame.iter().find(|s| !s.is_finite()) {
        Some(sample) => {
            format!("the audio has a sample that is not a finite number ({sample}) in frame {index}")
        }
        None => format!("the audio's samples are too large in frame {index}: they should be within -1 and 1"),
    };
    Error::media(message).with("frame", index)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{level, tone};
    use super::super::{Media, MediaKind};
    use super::*;
    use crate::error::Code;

    #[test]
    fn sixteen_kilohertz_mono_passes_through() {
        let samples = [0.1f32, -0.0, 1.5, f32::MIN_POSITIVE / 2.0, -1.0];
        let audio = Audio::from_pcm_f32(&samples, 1, 16_000).unwrap();
        let bits = |s: &[f32]| s.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(audio.samples()), bits(&samples));
    }

    #[test]
    fn channels_are_averaged() {
        let stereo = Audio::from_pcm_f32(&[1.0, 0.0, -0.5, 0.25], 2, 16_000).unwrap();
        assert_eq!(stereo.samples(), [0.5, -0.125]);
        let six = Audio::from_pcm_f32(&[0.6, 0.0, 0.0, 0.0, 0.0, 0.6], 6, 16_000).unwrap();
        assert_eq!(six.samples(), [0.2]);
        let opposite: Vec<f32> = tone(440.0, 48_000, 4800).iter().flat_map(|&s| [s, -s]).collect();
        assert!(Audio::from_pcm_f32(&opposite, 2, 48_000).unwrap().samples().iter().all(|&s| s == 0.0));
    }

    #[test]
    fn lengths_are_rounded_up() {
        for (frames, rate, want) in [
            (48_000, 48_000, 16_000),
            (44_100, 44_100, 16_000),
            (1, 44_100, 1),
            (3, 48_000, 1),
            (4, 48_000, 2),
            (8_000, 8_000, 16_000),
            (1, 8_000, 2),
            (1_001, 22_050, 727),
            (10_007, 11_025, 14_523),
            (100, 768_000, 3),
        ] {
            let audio = Audio::from_pcm_f32(&vec![0.1; frames], 1, rate).unwrap();
            assert_eq!(audio.samples().len(), want, "{frames} frames at {rate} Hz");
        }
    }

    #[test]
    fn a_tone_keeps_its_pitch_level_and_time() {
        for rate in [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let frames = rate as usize;
            let audio = Audio::from_pcm_f32(&tone(1_000.0, rate, frames), 1, rate).unwrap();
            let want = tone(1_000.0, 16_000, 16_000);
            // Away from the ends, where the sound starts and stops at once.
            let worst = (2_000..14_000).map(|i| (audio.samples()[i] - want[i]).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{rate} Hz: {worst}");
        }
    }

    #[test]
    fn what_16_khz_cannot_hold_is_removed() {
        let audio = Audio::from_pcm_f32(&tone(9_000.0, 44_100, 44_100), 1, 44_100).unwrap();
        let worst = audio.samples()[2_000..14_000].iter().fold(0.0f32, |a, s| a.max(s.abs()));
        assert!(worst < 1e-5, "{worst}");
        let audio = Audio::from_pcm_f32(&tone(7_500.0, 44_100, 44_100), 1, 44_100).unwrap();
        assert!((level(&audio.samples()[2_000..14_000], 7_500.0) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn pieces_make_the_same_sound_as_the_whole() {
        let samples = tone(300.0, 44_100, 20_000);
        let whole = Audio::from_pcm_f32(&samples, 1, 44_100).unwrap();
        for size in [1, 7, 1_152, 9_999] {
            let mut mono = Mono16k::new(1, 44_100, MAX_SECONDS).unwrap();
            samples.chunks(size).for_each(|piece| mono.push(piece).unwrap());
            assert_eq!(mono.frames(), 20_000);
            assert_eq!(mono.finish().unwrap(), whole.samples(), "pieces of {size}");
        }
    }

    #[test]
    fn unusable_samples_are_errors() {
        let of = |samples: &[f32], channels, rate| Audio::from_pcm_f32(samples, channels, rate).unwrap_err();
        for (samples, channels, rate, code, says) in [
            (&[][..], 1, 16_000, Code::InvalidMedia, "no samples"),
            (&[], 2, 44_100, Code::InvalidMedia, "no samples"),
            (&[0.0; 3], 2, 16_000, Code::InvalidArgument, "3 samples do not make whole frames of 2 channels"),
            (&[0.0; 3], 0, 16_000, Code::InvalidArgument, "0 channels"),
            (&[0.0; 3], 1, 0, Code::InvalidMedia, "0 Hz"),
            (&[0.0; 3], 1, u32::MAX, Code::InvalidMedia, "4294967295 Hz"),
            (&[0.0, 0.0, 0.0, f32::NAN], 2, 16_000, Code::InvalidMedia, "(NaN) in frame 1"),
            (&[0.0, f32::NEG_INFINITY, f32::NAN], 1, 44_100, Code::InvalidMedia, "(-inf) in frame 1"),
            (&[f32::MAX, f32::MAX], 2, 16_000, Code::InvalidMedia, "too large in frame 0"),
        ] {
            let error = of(samples, channels, rate);
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(says), "{error}");
        }
        assert_eq!(of(&[0.0, f32::NAN], 1, 16_000).details()["frame"], 1);
        assert!(of(&vec![0.0; 3_600_001], 1, 1_000).message().contains("longer than 3600 seconds"));
        assert!(of(&[2e10; 4_000], 1, 44_100).message().contains("too large"));
        for (sample, rate) in [(1e10, 768_000), (-1e10, 44_101), (1e10, 1_000)] {
            let loud = Audio::from_pcm_f32(&vec![sample; 5_000], 1, rate).unwrap();
            assert!(loud.samples().iter().all(|s| s.is_finite()), "{rate} Hz");
        }
    }

    #[test]
    fn hashes_tell_sounds_apart() {
        let of = |samples: &[f32]| Audio::from_pcm_f32(samples, 1, 16_000).unwrap();
        let long = tone(440.0, 16_000, 5_000);
        assert_eq!(of(&long).hash(), of(&long).hash());
        assert_ne!(of(&long).hash(), of(&long[..4_999]).hash());
        assert_ne!(of(&[0.0]).hash(), of(&[0.0, 0.0]).hash());
        let media = Media::Audio(of(&long));
        assert_eq!((media.kind(), media.hash()), (MediaKind::Audio, of(&long).hash()));
        let split = of(&long).with_split(true);
        assert!(split.split() && split.hash() != of(&long).hash());
        assert_eq!(split.clip(0..5_000).hash(), of(&long).hash());
        assert_eq!(split.with_split(false).hash(), of(&long).hash());
    }
}
