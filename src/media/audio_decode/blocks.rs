//! Sounds whose samples stand in the file one after another, or in blocks of one size.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::get_codecs;

use super::container::{Container, READABLE};
use super::ima4::{self, Ima4};
use super::sink::Sink;
use super::{aiff, au, caf, wav};
use crate::error::{Error, Result};

/// Bytes that are decoded at a time.
const AT_ONCE: usize = 1 << 16;

/// What a header says of a sound, and its samples.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    pub codec: Codec,
    pub channels: u16,
    pub rate: u32,
    pub data: &'a [u8],
    /// Bytes of samples that the header states and the file does not have.
    pub missing: u64,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// One sample after another, channel by channel.
    Samples { id: AudioCodecId, bytes: usize },
    /// ADPCM in blocks of so many bytes and frames, for all channels together.
    Adpcm { id: AudioCodecId, block_bytes: usize, block_frames: u64 },
    /// Apple's ADPCM, one block for each channel in turn.
    Ima4,
}

impl Codec {
    /// Whole numbers of `bytes` bytes.
    pub(super) fn whole(bytes: usize, little_endian: bool) -> Option<Codec> {
        let id = match (bytes, little_endian) {
            (1, _) => CODEC_ID_PCM_S8,
            (2, true) => CODEC_ID_PCM_S16LE,
            (2, false) => CODEC_ID_PCM_S16BE,
            (3, true) => CODEC_ID_PCM_S24LE,
            (3, false) => CODEC_ID_PCM_S24BE,
            (4, true) => CODEC_ID_PCM_S32LE,
            (4, false) => CODEC_ID_PCM_S32BE,
            _ => return None,
        };
        Some(Codec::Samples { id, bytes })
    }

    /// Floating-point numbers of `bytes` bytes.
    pub(super) fn float(bytes: usize, little_endian: bool) -> Option<Codec> {
        let id = match (bytes, little_endian) {
            (4, true) => CODEC_ID_PCM_F32LE,
            (4, false) => CODEC_ID_PCM_F32BE,
            (8, true) => CODEC_ID_PCM_F64LE,
            (8, false) => CODEC_ID_PCM_F64BE,
            _ => return None,
        };
        Some(Codec::Samples { id, bytes })
    }

    /// Microsoft's or IMA's ADPCM in blocks of so many bytes: their frames are what fits in, whatever a header states.
    pub(super) fn adpcm(id: AudioCodecId, block_bytes: usize, channels: u16) -> Option<Codec> {
        // For each channel, a head that holds the first samples.
        let (head, first) = if id == CODEC_ID_ADPCM_MS { (7, 2) } else { (4, 1) };
        let channels = usize::from(channels);
        let body = block_bytes.checked_sub(head * channels)?;
        let block_frames = (body * 2).checked_div(channels)? as u64 + first;
        (channels <= 2).then_some(Codec::Adpcm { id, block_bytes, block_frames })
    }

    pub(super) const UNSIGNED: Codec = Codec::Samples { id: CODEC_ID_PCM_U8, bytes: 1 };
    pub(super) const A_LAW: Codec = Codec::Samples { id: CODEC_ID_PCM_ALAW, bytes: 1 };
    pub(super) const MU_LAW: Codec = Codec::Samples { id: CODEC_ID_PCM_MULAW, bytes: 1 };

    /// Bytes and frames of one block.
    pub(super) fn block(self, channels: u16) -> (usize, u64) {
        match self {
            Codec::Samples { bytes, .. } => (bytes * usize::from(channels), 1),
            Codec::Adpcm { block_bytes, block_frames, .. } => (block_bytes, block_frames),
            Codec::Ima4 => (ima4::BLOCK * usize::from(channels), ima4::FRAMES as u64),
        }
    }
}

impl<'a> Blocks<'a> {
    /// `data` is what is there of `stated` bytes.
    pub(super) fn new(
        codec: Codec,
        channels: u16,
        rate: u32,
        data: &'a [u8],
        stated: u64,
        container: Container,
    ) -> Result<Self> {
        if channels == 0 || codec.block(channels).0 == 0 {
            return Err(Error::media(format!("the {} file has no channels", container.name())));
        }
        let missing = stated.saturating_sub(data.len() as u64);
        Ok(Blocks { codec, channels, rate, data, missing })
    }

    /// The first `frames` frames.
    pub(super) fn first_frames(mut self, frames: u64) -> Self {
        let (bytes, per_block) = self.codec.block(self.channels);
        let stated = frames.div_ceil(per_block).saturating_mul(bytes as u64);
        if stated < self.data.len() as u64 {
            self.data = &self.data[..stated as usize];
        }
        self.missing = stated.saturating_sub(self.data.len() as u64);
        self
    }
}

/// Decodes a container that this folder reads by itself; `None` where its sound is coded as a reader of `symphonia`'s
/// expects it.
pub(super) fn decode(encoded: &[u8], container: Container, sink: &mut Sink) -> Result<Option<()>> {
    let found = match container {
        Container::Wav => wav::read(encoded)?,
        Container::Wave64 => wav::read_wave64(encoded)?,
        Container::Aiff => aiff::read(encoded)?,
        Container::Au => au::read(encoded)?,
        Container::Caf => match caf::read(encoded)? {
            caf::Found::Blocks(blocks) => wav::Found::Blocks(blocks),
            caf::Found::Packets(packets) => return packets.decode(sink).map(Some),
        },
        _ => return Ok(None),
    };
    match found {
        wav::Found::Blocks(blocks) => decode_blocks(&blocks, container, sink).map(Some),
        wav::Found::Mpeg(frames) => super::packets::decode(frames, Container::Mpeg, sink).map(Some),
    }
}

pub(super) fn decode_blocks(blocks: &Blocks, container: Container, sink: &mut Sink) -> Result<()> {
    let (block_bytes, block_frames) = blocks.codec.block(blocks.channels);
    let whole = blocks.data.len() / block_bytes;
    sink.expect(whole as u64 * block_frames, blocks.channels.into(), blocks.rate)?;
    let at_once = (AT_ONCE / block_bytes).max(1);
    let pieces = blocks.data[..whole * block_bytes].chunks(at_once * block_bytes);
    match blocks.codec {
        Codec::Ima4 => {
            let (mut decoder, mut frames) = (Ima4::new(blocks.channels), Vec::new());
            for bytes in pieces {
                frames.clear();
                decoder.decode(bytes, &mut frames);
                sink.push(&frames, blocks.channels.into(), blocks.rate)?;
            }
        }
        Codec::Samples { id, .. } | Codec::Adpcm { id, .. } => {
            let most_frames = at_once as u64 * block_frames;
            let mut decoder = decoder(id, blocks, most_frames).map_err(|e| fault(e, container))?;
            for bytes in pieces {
                let frames = (bytes.len() / block_bytes) as u64 * block_frames;
                let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(frames), bytes);
                sink.take(decoder.decode_ref(&packet).map_err(|e| fault(e, container))?)?;
            }
        }
    }
    sink.lose(blocks.missing / block_bytes as u64 * block_frames, blocks.rate);
    Ok(())
}

/// `symphonia`'s decoder of these blocks, for packets of `most_frames` frames at most.
fn decoder(
    id: AudioCodecId,
    blocks: &Blocks,
    most_frames: u64,
) -> std::result::Result<Box<dyn AudioDecoder>, Fault> {
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(id)
        .with_sample_rate(blocks.rate)
        .with_channels(Channels::Discrete(blocks.channels))
        .with_max_frames_per_packet(most_frames)
        .with_frames_per_block(blocks.codec.block(blocks.channels).1);
    get_codecs().make_audio_decoder(&params, &AudioDecoderOptions::default())
}

fn fault(e: Fault, container: Container) -> Error {
    Error::unsupported(format!(
        "the {} audio uses a feature that is not read ({e}): {READABLE}",
        container.name()
    ))
}
