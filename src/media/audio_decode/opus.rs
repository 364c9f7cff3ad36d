//! Opus packets (RFC 6716, RFC 7845) to samples.

use opus_decoder::{OpusDecoder, OpusMultistreamDecoder};
use symphonia::core::packet::Packet;

use super::sink::Sink;
use crate::error::{Error, Result};

/// What Opus is decoded at; a container's times are in its samples.
pub(super) const RATE: u32 = 48_000;

/// Frames of the longest packet: 120 ms.
const MOST_FRAMES: usize = 5_760;

pub(super) struct Opus {
    streams: Streams,
    channels: usize,
    /// Of `OpusHead`, as a factor.
    gain: f32,
    /// Frames that the decoder needs to settle.
    pre_skip: u64,
    samples: Vec<f32>,
}

enum Streams {
    One(Box<OpusDecoder>),
    Several(Box<OpusMultistreamDecoder>),
}

impl Opus {
    /// From an `OpusHead` (RFC 7845 §5.1).
    pub(super) fn new(head: &[u8]) -> Result<Self> {
        let damaged = || Error::media("the Opus audio is damaged: its head is cut short");
        let head = head.strip_prefix(b"OpusHead").ok_or_else(damaged)?;
        let &[
            _version,
            channels,
            skip_low,
            skip_high,
            _,
            _,
            _,
            _,
            gain_low,
            gain_high,
            family,
            ref table @ ..,
        ] = head
        else {
            return Err(damaged());
        };
        let gain = f32::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        let count = usize::from(channels);
        let refused = |e: opus_decoder::OpusError| {
            Error::unsupported(format!("the Opus audio of {channels} channels is not read: {e}"))
        };
        let streams = match (family, table) {
            (0, _) if (1..=2).contains(&count) => {
                Streams::One(Box::new(OpusDecoder::new(RATE, count).map_err(refused)?))
            }
            (1 | 255, [streams, coupled, mapping @ ..]) if count >= 1 && mapping.len() >= count => {
                let (streams, coupled) = (usize::from(*streams), usize::from(*coupled));
                let decoder = OpusMultistreamDecoder::new(RATE, count, streams, coupled, &mapping[..count]);
                Streams::Several(Box::new(decoder.map_err(refused)?))
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "the Opus audio has {channels} channels in mapping family {family}: families 0, 1 and 255 are read"
                )));
            }
        };
        let samples = super::super::limits::zeroed(MOST_FRAMES * count)?;
        let pre_skip = u16::from_le_bytes([skip_low, skip_high]).into();
        Ok(Opus { streams, channels: count, gain: 10f32.powf(gain / 20.0), pre_skip, samples })
    }

    /// Frames at the beginning that are not to be heard.
    pub(super) fn pre_skip(&self) -> u64 {
        self.pre_skip
    }

    /// Hands a packet's frames to `sink`; `false` if it is damaged.
    pub(super) fn decode(&mut self, packet: &Packet, sink: &mut Sink) -> Result<bool> {
        let decoded = match &mut self.streams {
            Streams::One(decoder) => decoder.decode_float(&packet.data, &mut self.samples, false),
            Streams::Several(decoder) => decoder.decode_float(&packet.data, &mut self.samples, false),
        };
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
