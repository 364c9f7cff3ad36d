//! Log-mel spectrograms of 16 kHz sound, as transformers' `Gemma4AudioFeatureExtractor` makes them.
//!
//! Half a window of zeros goes before the sound; each frame is a periodic Hann window of 20 ms, 10 ms after the one
//! before, padded to the next power of two for the Fourier transform; magnitudes go through triangular filters on
//! the HTK mel scale; the logarithm is taken of their sum plus a floor.

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::media::limits::zeroed;
use crate::media::{Audio, Check};
use crate::snapshot::config::Section;

/// Samples of a window: 20 ms.
const WINDOW: usize = 320;
/// Samples from one window to the next: 10 ms.
const HOP: usize = 160;
/// Points of the transform: the power of two after [`WINDOW`].
const FFT: usize = 512;
/// Zeros before the sound, which put the first window's middle at its beginning.
const LEAD: usize = WINDOW / 2;
/// Frames between two questions whether to go on: a second of sound.
const STEP: usize = 100;

/// The front end of a speech encoder.
#[derive(Clone)]
pub struct MelFrontEnd {
    /// `[WINDOW]`
    window: Vec<f32>,
    filters: Vec<Filter>,
    /// Added to each band before the logarithm.
    floor: f64,
    fft: Arc<dyn RealToComplex<f64>>,
}

/// A triangle over a few bins of the transform.
#[derive(Clone)]
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

/// The frames of a sound.
#[derive(Clone, Debug, PartialEq)]
pub struct MelFrames {
    /// `[count, bands]`
    pub values: Vec<f32>,
    /// Frames.
    pub count: usize,
    /// Mel bands of a frame.
    pub bands: usize,
}

impl MelFrontEnd {
    /// Reads the feature extractor's section. Missing keys take the values of every published Gemma 4: 128 bands of 0
    /// to 8000 Hz, floor 0.001. mlx_vlm.convert leaves a stub of the block, without most of the keys.
    ///
    /// Errors: `InvalidSnapshot` for values that make no filters, `Unsupported` for a front end that does something
    /// else (other windows, pre-emphasis, dither, scaling or normalization per band).
    pub fn read(extractor: &Section) -> Result<Self> {
        let bands = extractor.in_range_or("feature_size", 128, 1..=1024)?;
        let (low, high) =
            (extractor.f64_or("min_frequency", 0.0)?, extractor.f64_or("max_frequency", 8000.0)?);
        let floor = extractor.f64_or("mel_floor", 1e-3)?;
        if !(0.0 <= low && low < high && high.is_finite() && 0.0 < floor && floor.is_finite()) {
            return Err(Error::snapshot(format!(
                "the feature extractor makes bands of {low} to {high} Hz above a floor of {floor}: \
                 the frequencies must ascend, and the floor be above 0"
            )));
        }
        refuse_other_front_ends(extractor)?;
        Ok(Self::new(bands as usize, low, high, floor))
    }

    fn new(bands: usize, low: f64, high: f64, floor: f64) -> Self {
        let hann = |i: usize| (0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos()) as f32;
        MelFrontEnd {
            window: (0..WINDOW).map(hann).collect(),
            filters: filters(bands, low, high),
            floor,
            fft: RealFftPlanner::new().plan_fft_forward(FFT),
        }
    }

    /// Values of a frame.
    pub fn bands(&self) -> usize {
        self.filters.len()
    }

    /// The frames of `samples` (16 kHz), [`frame_count`] of them.
    ///
    /// Errors: `OutOfMemory`, and what `check` ends it with.
    pub fn frames(&self, samples: &[f32], check: Check) -> Result<MelFrames> {
        let (count, bands) = (frame_count(samples.len()), self.bands());
        let mut values = zeroed::<f32>(count * bands)?;
        let mut windowed = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        for (index, out) in values.chunks_mut(bands).enumerate() {
            if index.is_multiple_of(STEP) {
                check()?;
            }
            windowed.fill(0.0);
            for (i, to) in windowed[..WINDOW].iter_mut().enumerate() {
                // The first frame begins before the sound.
                let sample = (index * HOP + i).checked_sub(LEAD).map_or(0.0, |at| samples[at]);
                *to = f64::from(sample * self.window[i]);
            }
            // Fails for buffers of the wrong lengths only.
            let transformed = self.fft.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch);
            transformed.map_err(|e| Error::media(format!("the Fourier transform failed: {e}")))?;
            for (to, filter) in out.iter_mut().zip(&self.filters) {
                let bins = &spectrum[filter.first..];
                let band: f64 = bins.iter().zip(&filter.weights).map(|(bin, w)| bin.norm() * w).sum();
                *to = (band + self.floor).ln() as f32;
            }
        }
        Ok(MelFrames { values, count, bands })
    }
}

impl std::fmt::Debug for MelFrontEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MelFrontEnd({} bands)", self.bands())
    }
}

/// How many frames a sound has: those whose window, and the sample after it, lie within the sound. (The reference
/// pads sounds to a common length and marks the others as invalid; no valid frame depends on them.)
pub fn frame_count(samples: usize) -> usize {
    (LEAD + samples).checked_sub(WINDOW + 1).map_or(0, |rest| rest / HOP + 1)
}

/// The fewest samples that make `frames` frames; 0 for none.
pub fn samples_for(frames: usize) -> usize {
    frames.checked_sub(1).map_or(0, |others| WINDOW + 1 - LEAD + others * HOP)
}

/// Seconds of so many samples.
pub fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(Audio::SAMPLE_RATE)
}

fn refuse_other_front_ends(extractor: &Section) -> Result<()> {
    let can = "the front end of Gemma 4 is run without it";
    for (key, only) in [
        ("sampling_rate", 16_000.0),
        ("frame_length_ms", 20.0),
        ("hop_length_ms", 10.0),
        ("frame_length", WINDOW as f64),
        ("hop_length", HOP as f64),
        ("fft_length", FFT as f64),
        ("preemphasis", 0.0),
        ("dither", 0.0),
        ("input_scale_factor", 1.0),
    ] {
        if extractor.f64_or(key, only)? != only {
            return Err(extractor.unsupported(key, can));
        }
    }
    for key in ["fft_overdrive", "per_bin_mean", "per_bin_stddev"] {
        if !matches!(extractor.get(key), None | Some(Value::Bool(false))) {
            return Err(extractor.unsupported(key, can));
        }
    }
    Ok(())
}

/// Triangles between neighbouring points, which are equally far apart on the mel scale.
fn filters(bands: usize, low: f64, high: f64) -> Vec<Filter> {
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let step = (mel(high) - mel(low)) / (bands + 1) as f64;
    let points: Vec<f64> = (0..bands + 2).map(|i| hertz(mel(low) + step * i as f64)).collect();
    let nyquist = f64::from(Audio::SAMPLE_RATE / 2);
    let bin = |i: usize| nyquist * i as f64 / (FFT / 2) as f64;
    let triangle = |p: &[f64]| {
        let weight = |at: f64| ((at - p[0]) / (p[1] - p[0])).min((p[2] - at) / (p[2] - p[1])).max(0.0);
        let weights: Vec<f64> = (0..=FFT / 2).map(|i| weight(bin(i))).collect();
        let first = weights.iter().position(|w| *w > 0.0).unwrap_or(0);
        let end = weights.iter().rposition(|w| *w > 0.0).map_or(first, |last| last + 1);
        Filter { first, weights: weights[first..end].to_vec() }
    };
    points.windows(3).map(triangle).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::error::Code;
    use crate::media::go_on;
    use crate::media::testing::tone;
    use crate::snapshot::processors::ProcessorFiles;

    fn read(block: Value) -> Result<MelFrontEnd> {
        MelFrontEnd::read(&ProcessorFiles::of(json!({ "feature_extractor": block })).sound()?)
    }

    #[test]
    fn frames_are_counted_as_the_reference_counts_valid_ones() {
        for (samples, count) in [
            (0, 0),
            (160, 0),
            (161, 1),
            (320, 1),
            (321, 2),
            (16_000, 99),
            (16_060, 100),
            (16_161, 101),
            (480_000, 2_999),
        ] {
            assert_eq!(frame_count(samples), count, "{samples}");
        }
        for frames in 1..50 {
            assert_eq!(frame_count(samples_for(frames)), frames);
            assert_eq!(frame_count(samples_for(frames) - 1), frames - 1);
        }
    }

    /// The features that tests/fixtures keep of two sounds, one of them resampled.
    #[test]
    fn frames_are_the_references() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for (case, sound, count) in [("audio_16060", "glide.wav", 100), ("audio_stereo", "stereo.wav", 0)] {
            let golden = std::fs::read(fixtures.join(format!("golden/e2b/{case}.safetensors"))).unwrap();
            let golden = safetensors::SafeTensors::deserialize(&golden).unwrap();
            let expected = golden.tensor("mel/0").unwrap();
            let values = expected.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            let sound = Audio::decode(&std::fs::read(fixtures.join("media").join(sound)).unwrap()).unwrap();
            let frames = read(json!({})).unwrap().frames(sound.samples(), &go_on).unwrap();
            assert_eq!(expected.shape(), [frames.count, frames.bands]);
            assert!(count == 0 || frames.count == count);
            let worst = frames.values.iter().zip(values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{case}: {worst:.1e}");
            // The reference transforms in f32: 1e-7 of the loudest bin, against a floor of 1e-3.
            assert!(worst < 1e-3, "{case}: {worst}");
        }
    }

    #[test]
    fn silence_is_the_floor() {
        let front = read(Value::Null).unwrap();
        let frames = front.frames(&[0.0; 1_000], &go_on).unwrap();
        assert!(frames.count == 6 && frames.values.iter().all(|v| (v - 1e-3f32.ln()).abs() < 1e-6));
        assert_eq!(front.frames(&tone(440.0, 16_000, 160), &go_on).unwrap().count, 0);
    }

    #[test]
    fn the_config_is_read_and_checked() {
        assert_eq!(read(json!({ "feature_size": 16, "mel_floor": 0.1 })).unwrap().bands(), 16);
        let published = json!({"feature_size": 128, "sampling_rate": 16000, "frame_length": 320, "hop_length": 160,
            "fft_length": 512, "fft_overdrive": false, "dither": 0.0, "preemphasis": 0.0, "input_scale_factor": 1.0,
            "per_bin_mean": null, "per_bin_stddev": null, "min_frequency": 0.0, "max_frequency": 8000.0});
        assert_eq!(read(published).unwrap().bands(), 128);
        for (key, value, code) in [
            ("feature_size", json!(0), Code::InvalidSnapshot),
            ("feature_size", json!("128"), Code::InvalidSnapshot),
            ("mel_floor", json!(0), Code::InvalidSnapshot),
            ("max_frequency", json!(0), Code::InvalidSnapshot),
            ("sampling_rate", json!(8000), Code::Unsupported),
            ("frame_length_ms", json!(32.0), Code::Unsupported),
            ("preemphasis", json!(0.97), Code::Unsupported),
            ("fft_overdrive", json!(true), Code::Unsupported),
            ("per_bin_mean", json!([0.0]), Code::Unsupported),
        ] {
            let error = read(json!({ key: value })).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains("feature"), "{error}");
        }
    }
}
