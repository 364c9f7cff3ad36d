//! Opus packets (RFC 6716, RFC 7845) to samples.

use opus_decoder::OpusDecoder;
use symphonia::core::packet::Packet;

use super::sink::Sink;
use crate::error::{Error, Result};

/// What Opus is decoded at; a container's times are in its samples.
pub(super) const RATE: u32 = 48_000;

/// Frames of the longest packet: 120 ms.
const MOST_FRAMES: usize = 5_760;

pub(super) struct Opus {
    decoder: Box<OpusDecoder>,
    channels: usize,
    /// Of `OpusHead`, as a factor.
    gain: f32,
    /// Frames that the decoder needs to settle.
    pre_skip: u64,
    samples: Vec<f32>,
}

impl Opus {
    /// From an `OpusHead` (RFC 7845 §5.1).
    pub(super) fn new(head: &[u8]) -> Result<Self> {
        let damaged = || Error::media("the Opus audio is damaged: its head is cut short");
        let head =
            head.strip_prefix(b"OpusHead").and_then(|head| head.first_chunk::<11>()).ok_or_else(damaged)?;
        let &[_version, channels, skip_low, skip_high, _, _, _, _, gain_low, gain_high, _family] = head;
        let gain = f32::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        let pre_skip = u16::from_le_bytes([skip_low, skip_high]).into();
        Ok(Opus { gain: 10f32.powf(gain / 20.0), pre_skip, ..Self::of_channels(channels.into())? })
    }

    /// Where there is no head, as in CAF.
    pub(super) fn of_channels(channels: usize) -> Result<Self> {
        // More are several streams in one packet.
        let decoder = OpusDecoder::new(RATE, channels).map_err(|_| {
            Error::unsupported(format!(
                "the Opus audio has {channels} channels: 1 and 2 are read; convert it, or hand over its samples"
            ))
        })?;
        let samples = super::super::limits::zeroed(MOST_FRAMES * channels)?;
        Ok(Opus { decoder: Box::new(decoder), channels, gain: 1.0, pre_skip: 0, samples })
    }

    /// Frames at the beginning that are not to be heard.
    pub(super) fn pre_skip(&self) -> u64 {
        self.pre_skip
    }

    /// Hands a packet's frames to `sink`; `false` if it is damaged.
    pub(super) fn decode(&mut self, packet: &Packet, sink: &mut Sink) -> Result<bool> {
        let decoded = self.decoder.decode_float(&packet.data, &mut self.samples, false);
        let Ok(frames) = decoded else { return Ok(false) };
        let first = usize::try_from(packet.trim_start.get()).unwrap_or(frames).min(frames);
        let last = frames - usize::try_from(packet.trim_end.get()).unwrap_or(frames).min(frames - first);
        let samples = &mut self.samples[first * self.channels..last * self.channels];
        if self.gain != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        sink.push(samples, self.channels, RATE)?;
        Ok(true)
    }
}
