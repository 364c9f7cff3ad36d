//! What Gemma 4 takes of a sound: frames of raw samples (the unified model), or clips for the speech encoder (the models
//! with an audio tower).

use std::ops::Range;

use super::mel;
use crate::error::{Error, Result};
use crate::media::Audio;
use crate::media::limits::zeroed;

/// Sound cut into frames of one token each.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrames {
    /// `[count, samples_per_token]`; the last frame is padded with zeros.
    pub values: Vec<f32>,
    /// Soft tokens that it becomes.
    pub count: usize,
}

/// Cuts a sound into frames of `samples_per_token` raw samples, the last one padded with zeros.
///
/// Errors: `OutOfMemory`.
pub fn raw_frames(audio: &Audio, samples_per_token: usize) -> Result<AudioFrames> {
    let count = raw_frame_count(audio, samples_per_token);
    let mut values = zeroed::<f32>(count * samples_per_token.max(1))?;
    values[..audio.samples().len()].copy_from_slice(audio.samples());
    Ok(AudioFrames { values, count })
}

/// How many frames [`raw_frames`] makes: the samples over `samples_per_token` (0 counts as 1), rounded up.
pub fn raw_frame_count(audio: &Audio, samples_per_token: usize) -> usize {
    audio.samples().len().div_ceil(samples_per_token.max(1))
}

/// Most samples that the speech encoder takes at once: 30 seconds.
pub const MAX_CLIP: usize = 30 * Audio::SAMPLE_RATE as usize;

/// How many soft tokens the speech encoder makes of so many log-mel frames: one for each four.
pub fn speech_tokens(frames: usize) -> usize {
    frames.div_ceil(2).div_ceil(2)
}

/// What the speech encoder takes of a sound: all of it, or consecutive clips of [`MAX_CLIP`] samples where it is
/// longer and may be cut. A rest at the end that is too short to make a frame is left out.
///
/// Errors: `InvalidMedia` for a sound that is too long and may not be cut, or too short to make a single frame.
pub fn speech_clips(audio: &Audio) -> Result<Vec<Range<usize>>> {
    let (count, least) = (audio.samples().len(), mel::samples_for(1));
    if count > MAX_CLIP && !audio.split() {
        let (seconds, most) = (mel::seconds(count), mel::seconds(MAX_CLIP));
        let message = format!(
            "the audio is {seconds:.2} seconds long, and the model takes at most {most} seconds at once: \
             it can be given as several clips, or be split into clips by the library"
        );
        return Err(Error::media(message).with("seconds", seconds).with("max_seconds", most));
    }
    if count < least {
        let message = format!(
            "the audio has {count} samples at 16 kHz: the model needs at least {least}, 10 milliseconds"
        );
        return Err(Error::media(message).with("samples", count).with("min_samples", least));
    }
    let clips = (0..count).step_by(MAX_CLIP).map(|start| start..(start + MAX_CLIP).min(count));
    Ok(clips.filter(|clip| clip.len() >= least).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Code;

    #[test]
    fn frames_are_whole_and_padded() {
        for (samples, count) in [(1, 1), (639, 1), (640, 1), (641, 2), (1280, 2)] {
            let audio = Audio::from_pcm_f32(&vec![0.5; samples], 1, 16_000).unwrap();
            let frames = raw_frames(&audio, 640).unwrap();
            assert_eq!((frames.count, frames.values.len()), (count, count * 640));
            assert_eq!(raw_frame_count(&audio, 640), count);
            assert!(frames.values[..samples].iter().all(|&v| v == 0.5));
            assert!(frames.values[samples..].iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn speech_tokens_are_the_encoders() {
        // `ceil(milliseconds / 40)`, which some count by, gives 26 for the second.
        for (samples, tokens) in [(16_000, 25), (16_060, 25), (161, 1), (480_000, 750), (44_123, 69)] {
            assert_eq!(speech_tokens(mel::frame_count(samples)), tokens, "{samples}");
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // lists of clips that happen to hold one
    fn long_sounds_are_refused_or_cut() {
        let of = |count: usize| Audio::from_pcm_f32(&vec![0.1; count], 1, 16_000).unwrap();
        let clips = |count, split| speech_clips(&of(count).with_split(split));
        assert_eq!(clips(480_000, false).unwrap(), [0..480_000]);
        let error = clips(500_000, false).unwrap_err();
        assert!(error.message().contains("31.25 seconds long"), "{error}");
        assert!(error.message().contains("at most 30 seconds"), "{error}");
        assert_eq!((error.code(), &error.details()["max_seconds"]), (Code::InvalidMedia, &json!(30.0)));
        assert_eq!(clips(961_000, true).unwrap(), [0..480_000, 480_000..960_000, 960_000..961_000]);
        assert_eq!(clips(480_160, true).unwrap(), [0..480_000]);
        assert!(clips(160, true).unwrap_err().message().contains("160 samples"));
        assert_eq!(clips(161, false).unwrap(), [0..161]);
    }
}
