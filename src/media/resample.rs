//! Changing a mono sound's sample rate, piece by piece.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::limits::{reserve, zeroed};
use crate::error::{Code, Error, Result};

/// Least length of the low-pass filter, in samples of the lower of both rates. Longer filters pass more of the
/// band below half that rate.
const FILTER: usize = 1024;

/// Streams a mono sound from one rate to another through `rubato`'s FFT resampler (a Blackman-Harris windowed
/// sinc), with the filter's delay taken off: output sample `k` is the sound at time `k / to`.
pub(super) struct Resampler {
    fft: Fft<f32>,
    from: u32,
    to: u32,
    /// Input that does not fill a block yet.
    pending: Vec<f32>,
    /// One block of output.
    block: Vec<f32>,
    /// Output that is still the filter's delay.
    skip: usize,
    output: Vec<f32>,
    pushed: u64,
}

impl Resampler {
    pub(super) fn new(from: u32, to: u32) -> Result<Self> {
        let common = gcd(from, to);
        let (unit_in, unit_out) = ((from / common) as usize, (to / common) as usize);
        // A block is a whole number of units on both sides. The number is even so that half a block, the filter's
        // delay, is a whole number of samples on both sides too, and no fraction of a sample is left.
        let units = FILTER.div_ceil(unit_in.min(unit_out)).next_multiple_of(2);
        let fft = Fft::new_custom(
            from as usize,
            to as usize,
            units * unit_in,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(fault)?;
        let block = zeroed::<f32>(fft.output_frames_max())?;
        let skip = fft.output_delay();
        Ok(Resampler { fft, from, to, pending: Vec::new(), block, skip, output: Vec::new(), pushed: 0 })
    }

    pub(super) fn push(&mut self, mut samples: &[f32]) -> Result<()> {
        self.pushed += samples.len() as u64;
        let size = self.fft.input_frames_next();
        if !self.pending.is_empty() {
            let (head, tail) = samples.split_at(samples.len().min(size - self.pending.len()));
            self.pending.extend_from_slice(head);
            samples = tail;
            if self.pending.len() < size {
                return Ok(());
            }
            let pending = std::mem::take(&mut self.pending);
            self.process(&pending)?;
        }
        let blocks = samples.chunks_exact(size);
        self.pending.extend_from_slice(blocks.remainder());
        for block in blocks {
            self.process(block)?;
        }
        Ok(())
    }

    /// The rest: `ceil(n * to / from)` samples in all for `n` that were pushed.
    pub(super) fn finish(mut self) -> Result<Vec<f32>> {
        let length = (self.pushed * u64::from(self.to)).div_ceil(u64::from(self.from)) as usize;
        let size = self.fft.input_frames_next();
        let mut last = std::mem::take(&mut self.pending);
        last.resize(size, 0.0);
        while self.output.len() < length {
            self.process(&last)?;
            last.fill(0.0);
        }
        self.output.truncate(length);
        Ok(self.output)
    }

    /// One block of input to one block of output.
    fn process(&mut self, input: &[f32]) -> Result<()> {
        let frames = self.block.len();
        let input = SequentialSlice::new(input, 1, input.len()).map_err(fault)?;
        let mut block = SequentialSlice::new_mut(&mut self.block, 1, frames).map_err(fault)?;
        let (_, produced) = self.fft.process_into_buffer(&input, &mut block, None).map_err(fault)?;
        let skipped = self.skip.min(produced);
        self.skip -= skipped;
        reserve(&mut self.output, produced - skipped)?;
        self.output.extend_from_slice(&self.block[skipped..produced]);
        Ok(())
    }
}

/// `rubato` refuses only what this file would ask of it wrongly.
fn fault(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Panic, format!("resampling failed: {error}"))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
