//! A sound: 16 kHz mono samples, from encoded bytes or from the host's own PCM.

use super::limits::{check_duration, check_sample_rate, reserve};
use super::resample::Resampler;
use super::{ContentHash, audio_decode, contain};
use crate::error::{Error, Result};

/// A decoded sound at [`Audio::SAMPLE_RATE`], one channel, nominally in `-1.0..=1.0`, every sample finite.
#[derive(Clone)]
pub struct Audio {
    samples: Vec<f32>,
    hash: ContentHash,
}

impl Audio {
    /// Samples per second of every [`Audio`].
    pub const SAMPLE_RATE: u32 = 16_000;

    /// Decodes WAV (integer PCM, IEEE float, A-law, µ-law), FLAC, MP3 or OGG Vorbis, told apart by their bytes.
    ///
    /// Integer samples are divided by the type's magnitude (16 bits: by 32768), channels are averaged, and then
    /// the sound is resampled as [`Audio::from_pcm_f32`] does. The encoder's delay and padding are cut off where
    /// the file states them. A WAV or FLAC file that ends before the length in its header is an error; MP3 and
    /// OGG have no such length, and give what is there.
    ///
    /// Errors: `InvalidMedia` (unknown format or codec, truncated or corrupt bytes, no samples, a sample that is
    /// not finite, longer than [`super::limits::MAX_SECONDS`]), `OutOfMemory`.
    pub fn decode(encoded: &[u8]) -> Result<Audio> {
        contain("audio", encoded, audio_decode::decode).map(Self::new)
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
        let mut mono = Mono16k::new(channels, sample_rate)?;
        check_duration((samples.len() / channels) as u64, sample_rate)?;
        mono.push(samples)?;
        mono.finish().map(Self::new)
    }

    /// At [`Audio::SAMPLE_RATE`], at least one.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

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
        let hash = *hasher.finalize().as_bytes();
        Audio { samples, hash }
    }
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
}

impl Mono16k {
    /// `channels` is at least 1.
    pub(super) fn new(channels: usize, rate: u32) -> Result<Self> {
        check_sample_rate(rate)?;
        let resampler = match rate {
            Audio::SAMPLE_RATE => None,
            _ => Some(Resampler::new(rate, Audio::SAMPLE_RATE)?),
        };
        Ok(Mono16k { channels, rate, resampler, mixed: Vec::new(), frames: 0 })
    }

    /// Frames pushed so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes whole frames of `channels` samples.
    pub(super) fn push(&mut self, interleaved: &[f32]) -> Result<()> {
        let count = interleaved.len() / self.channels;
        check_duration(self.frames + count as u64, self.rate)?;
        reserve(&mut self.mixed, count)?;
        for frame in interleaved.chunks_exact(self.channels) {
            let value = match frame {
                [mono] => *mono,
                _ => frame.iter().sum::<f32>() / self.channels as f32,
            };
            if !value.is_finite() {
                return Err(not_finite(frame, self.frames));
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
        let samples = resampler.finish()?;
        if samples.iter().all(|s| s.is_finite()) {
            Ok(samples)
        } else {
            Err(Error::media("the audio's samples are too large to resample: they should be within -1 and 1"))
        }
    }
}

fn not_finite(frame: &[f32], index: u64) -> Error {
    let message = match frame.iter().find(|s| !s.is_finite()) {
        Some(sample) => {
            format!("the audio has a sample that is not a finite number ({sample}) in frame {index}")
        }
        None => format!("the audio's samples are too large in frame {index}: they should be within -1 and 1"),
    };
    Error::media(message).with("frame", index)
}
