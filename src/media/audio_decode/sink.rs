//! Where decoded frames go: mixed to mono and resampled as they come, so that no more than one channel is ever held.

use std::collections::VecDeque;

use symphonia::core::audio::GenericAudioBufferRef;

use super::super::MediaOptions;
use super::super::audio::{Audio, Mono16k};
use super::super::limits::{check_duration, check_sample_rate, reserve, zeroed};
use crate::error::{Error, Result};

pub(super) struct Sink<'a> {
    options: &'a MediaOptions<'a>,
    /// Bytes of the file, which decide how much work it may ask for.
    encoded: usize,
    /// 16 kHz mono of what came before the file last changed its rate or channels.
    done: Vec<f32>,
    current: Option<Part>,
    interleaved: Vec<f32>,
    /// Samples of all channels that were decoded.
    decoded: u64,
    /// What is still to be heard, as the container's edits say, in frames of `cut_rate`; all where that is 0.
    ranges: VecDeque<Range>,
    cut_rate: u32,
    taken_seconds: f64,
    lost_seconds: f64,
    has_refused: bool,
}

/// Frames of a stream that are heard: the next `most`, `skip` of them left out before, and `silence` put there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub silence: u64,
    pub skip: u64,
    pub most: u64,
}

struct Part {
    mono: Mono16k,
    channels: usize,
    rate: u32,
}

impl<'a> Sink<'a> {
    pub(super) fn new(options: &'a MediaOptions<'a>, encoded: usize) -> Self {
        Sink {
            options,
            encoded,
            done: Vec::new(),
            current: None,
            interleaved: Vec::new(),
            decoded: 0,
            ranges: VecDeque::new(),
            cut_rate: 0,
            taken_seconds: 0.0,
            lost_seconds: 0.0,
            has_refused: false,
        }
    }

    /// Leaves out the next `skip` frames of `rate`, and what comes after `most` more.
    pub(super) fn cut(&mut self, skip: u64, most: u64, rate: u32) {
        self.cut_ranges([Range { silence: 0, skip, most }], rate);
    }

    /// Takes nothing but these ranges of what follows.
    pub(super) fn cut_ranges(&mut self, ranges: impl IntoIterator<Item = Range>, rate: u32) {
        (self.ranges, self.cut_rate) = (ranges.into_iter().collect(), rate);
    }

    /// Leaves out the next `delay` frames, whatever an edit says of them.
    pub(super) fn begin_at(&mut self, delay: u64, rate: u32) {
        if self.cut_rate == 0 {
            return self.cut(delay, u64::MAX, rate);
        }
        self.cut_at(rate);
        if let Some(first) = self.ranges.front_mut() {
            first.most = first.most.saturating_sub(delay.saturating_sub(first.skip));
            first.skip = first.skip.max(delay);
        }
    }

    /// Whether all ranges were taken.
    pub(super) fn is_done(&self) -> bool {
        self.cut_rate > 0 && self.ranges.is_empty()
    }

    /// Counts what is still to be heard in frames of another rate.
    fn cut_at(&mut self, rate: u32) {
        if self.cut_rate == 0 || self.cut_rate == rate {
            return;
        }
        let turned = |frames: &mut u64| {
            if *frames < u64::MAX {
                *frames = (u128::from(*frames) * u128::from(rate) / u128::from(self.cut_rate)) as u64;
            }
        };
        for range in &mut self.ranges {
            [&mut range.silence, &mut range.skip, &mut range.most].into_iter().for_each(turned);
        }
        self.cut_rate = rate;
    }

    /// Refuses a sound of so many frames before anything is decoded.
    pub(super) fn expect(&mut self, frames: u64, channels: usize, rate: u32) -> Result<()> {
        let fits = check_sample_rate(rate)
            .and_then(|()| check_duration(frames, rate, self.options.max_seconds))
            .and_then(|()| self.options.check_samples(frames.saturating_mul(channels as u64), self.encoded));
        self.refusing(fits)
    }

    pub(super) fn take(&mut self, decoded: GenericAudioBufferRef) -> Result<()> {
        let (channels, rate) = (decoded.num_planes(), decoded.spec().rate());
        let mut interleaved = std::mem::take(&mut self.interleaved);
        decoded.copy_to_vec_interleaved(&mut interleaved);
        let taken = self.push(&interleaved, channels, rate);
        self.interleaved = interleaved;
        taken
    }

    /// Takes whole frames of `channels` samples.
    pub(super) fn push(&mut self, interleaved: &[f32], channels: usize, rate: u32) -> Result<()> {
        let pushed = self.try_push(interleaved, channels, rate);
        self.refusing(pushed)
    }

    /// An error of the result ends the decoding of a whole file.
    fn refusing(&mut self, result: Result<()>) -> Result<()> {
        self.has_refused |= result.is_err();
        result
    }

    /// Whether it was given what ends the decoding of a whole file.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused
    }

    fn try_push(&mut self, interleaved: &[f32], channels: usize, rate: u32) -> Result<()> {
        (self.options.check)()?;
        if channels == 0 || interleaved.is_empty() {
            return Ok(());
        }
        self.decoded += interleaved.len() as u64;
        self.options.check_samples(self.decoded, self.encoded)?;
        if self.cut_rate == 0 {
            return self.keep(interleaved, channels, rate);
        }
        self.cut_at(rate);
        // The rate is checked even where nothing is kept.
        self.part(channels, rate)?;
        let mut left = (interleaved.len() / channels) as u64;
        while let Some(range) = self.ranges.front_mut().filter(|_| left > 0) {
            let skipped = range.skip.min(left);
            left -= skipped;
            range.skip -= skipped;
            let taken = range.most.min(left);
            range.most -= taken;
            let silence = if taken > 0 { std::mem::take(&mut range.silence) } else { 0 };
            if range.skip == 0 && range.most == 0 {
                self.ranges.pop_front();
            }
            self.keep_silence(silence, channels, rate)?;
            let start = interleaved.len() / channels - left as usize;
            self.keep(&interleaved[start * channels..][..taken as usize * channels], channels, rate)?;
            left -= taken;
        }
        Ok(())
    }

    /// Whether the host goes on, where no samples come.
    pub(super) fn check(&mut self) -> Result<()> {
        let checked = (self.options.check)();
        self.refusing(checked)
    }

    fn keep(&mut self, interleaved: &[f32], channels: usize, rate: u32) -> Result<()> {
        self.taken_seconds += (interleaved.len() / channels) as f64 / f64::from(rate.max(1));
        self.part(channels, rate)?.mono.push(interleaved)
    }

    fn keep_silence(&mut self, mut frames: u64, channels: usize, rate: u32) -> Result<()> {
        const SAMPLES: usize = 4096;
        if frames == 0 {
            return Ok(());
        }
        self.decoded = self.decoded.saturating_add(frames.saturating_mul(channels as u64));
        self.options.check_samples(self.decoded, self.encoded)?;
        let at_once = (SAMPLES / channels).max(1);
        let silence = zeroed::<f32>(at_once * channels)?;
        while frames > 0 {
            self.check()?;
            let count = frames.min(at_once as u64);
            self.keep(&silence[..count as usize * channels], channels, rate)?;
            frames -= count;
        }
        Ok(())
    }

    /// The part for frames of this kind: a file may change it midway, as radio recordings do.
    fn part(&mut self, channels: usize, rate: u32) -> Result<&mut Part> {
        let same = |part: &Part| (part.channels, part.rate) == (channels, rate);
        if !self.current.as_ref().is_some_and(same) {
            self.end_part()?;
            let seconds = (self.done.len() as u64).div_ceil(Audio::SAMPLE_RATE.into());
            let left = self.options.max_seconds.saturating_sub(seconds);
            self.current = Some(Part { mono: Mono16k::new(channels, rate, left)?, channels, rate });
        }
        self.current.as_mut().ok_or_else(|| Error::media("the audio has no samples"))
    }

    fn end_part(&mut self) -> Result<()> {
        if let Some(part) = self.current.take().filter(|part| part.mono.frames() > 0) {
            let samples = part.mono.finish()?;
            if self.done.is_empty() {
                self.done = samples;
            } else {
                reserve(&mut self.done, samples.len())?;
                self.done.extend_from_slice(&samples);
            }
        }
        Ok(())
    }

    /// Seconds that were taken so far.
    pub(super) fn taken_seconds(&self) -> f64 {
        self.taken_seconds
    }

    /// Seconds that were lost so far.
    pub(super) fn lost_seconds(&self) -> f64 {
        self.lost_seconds
    }

    /// `frames` frames were there once and cannot be had.
    pub(super) fn lose(&mut self, frames: u64, rate: u32) {
        self.lose_seconds(frames as f64 / f64::from(rate.max(1)));
    }

    pub(super) fn lose_seconds(&mut self, seconds: f64) {
        self.lost_seconds += seconds;
    }

    /// At least so many seconds were lost, by what the file states.
    pub(super) fn lost_at_least(&mut self, seconds: f64) {
        self.lost_seconds = self.lost_seconds.max(seconds);
    }

    /// The samples, and how many seconds of sound were lost. `name` is the file's format.
    pub(super) fn finish(mut self, name: &str) -> Result<(Vec<f32>, f64)> {
        self.end_part()?;
        if self.done.is_empty() {
            return Err(Error::media(format!("the {name} audio has no samples")));
        }
        Ok((self.done, self.lost_seconds))
    }
}
