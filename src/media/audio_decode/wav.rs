//! WAV in all its sizes: RIFF, RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), and Sony's W64. As libsndfile and ffmpeg
//! read them: lengths that a recorder never came to write, or wrote wrongly, are those that are there.

use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};

use super::blocks::{Blocks, Codec};
use super::bytes::{At, Order};
use super::container::{Container, READABLE};
use crate::error::{Error, Result};

/// A sound in a file of chunks.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Blocks(Blocks<'a>),
    /// Frames of MPEG audio.
    Mpeg(&'a [u8]),
}

/// Writers that do not know a length state the largest that they allow themselves.
const UNKNOWN: u32 = 0x7fff_0000;

/// How far behind the end of a chunk the next one is looked for, where its length does not count a padding.
const SLACK: usize = 4;

pub(super) fn read(file: &[u8]) -> Result<Found<'_>> {
    let order = if file.starts_with(b"RIFX") { Order::Big } else { Order::Little };
    let at = At { bytes: file, order };
    let (mut format, mut long) = (None, None);
    let mut position = 12;
    while let Some(next) = next_chunk(file, position) {
        let (tag, size) = (&file[next..next + 4], at.u32(next + 4).unwrap_or(0));
        let body = next + 8;
        match tag {
            b"fmt " => format = Some(Format::read(&at, body, size as usize)?),
            b"ds64" => long = at.u64(body + 8),
            b"data" => {
                let format = format.ok_or_else(no_format)?;
                let there = file.len() - body;
                let stated = match (size, long) {
                    (_, Some(long)) => long,
                    (0, _) if is_open(&at, body) => there as u64,
                    (UNKNOWN.., _) if (size as usize) > there => there as u64,
                    _ => size.into(),
                };
                return format.found(&file[body..], stated, order == Order::Little, Container::Wav);
            }
            _ => {}
        }
        position = body.saturating_add(size as usize).saturating_add(size as usize % 2);
    }
    Err(if format.is_some() { no_data() } else { no_format() })
}

/// Where the next chunk begins: at `expected`, or a little around it where the one before was padded or counted in another
/// way.
fn next_chunk(file: &[u8], expected: usize) -> Option<usize> {
    let is_chunk = |at: &usize| {
        let tag = file.get(*at..*at + 8)?.first_chunk::<4>()?;
        tag.iter().all(|&c| (0x20..0x7f).contains(&c)).then_some(())
    };
    if is_chunk(&expected).is_some() {
        return Some(expected);
    }
    let around = expected.saturating_sub(1)..expected.saturating_add(SLACK);
    let known = |at: &usize| {
        matches!(
            file.get(*at..*at + 4),
            Some(b"fmt " | b"data" | b"LIST" | b"fact" | b"bext" | b"JUNK" | b"PEAK")
        )
    };
    around.clone().find(known).or_else(|| around.clone().find(|at| is_chunk(at).is_some()))
}

/// Whether a `data` chunk of no bytes, whose body would begin at `body`, is one whose length was never written: what stands
/// there is no further chunk.
fn is_open(file: &At, body: usize) -> bool {
    let Some(next) = next_chunk(file.bytes, body).filter(|&next| next == body) else { return true };
    let size = file.u32(next + 4).unwrap_or(0);
    size as usize > file.bytes.len() - next - 8
}

/// Sony's W64: chunks are named by 16 bytes, have lengths of 8 that count their heads, and begin at multiples of 8.
pub(super) fn read_wave64(file: &[u8]) -> Result<Found<'_>> {
    let at = At { bytes: file, order: Order::Little };
    let (mut format, mut position) = (None, 40usize);
    while let Some(tag) = file.get(position..).and_then(|rest| rest.first_chunk::<4>()) {
        let Some(size) = at.u64(position + 16) else { break };
        let body = position + 24;
        match tag {
            b"fmt " => format = Some(Format::read(&at, body, size.saturating_sub(24) as usize)?),
            b"data" => {
                let format = format.ok_or_else(no_format)?;
                let there = (file.len() - body) as u64;
                let stated = match size.saturating_sub(24) {
                    0 => there,
                    stated if stated >= 1 << 62 => there,
                    stated => stated,
                };
                return format.found(&file[body..], stated, true, Container::Wave64);
            }
            _ => {}
        }
        let Some(end) = position.checked_add(usize::try_from(size.max(24)).unwrap_or(usize::MAX)) else {
            break;
        };
        position = end.checked_next_multiple_of(8).unwrap_or(usize::MAX);
    }
    Err(if format.is_some() { no_data() } else { no_format() })
}

/// A `fmt ` chunk (`WAVEFORMATEX`, `WAVEFORMATEXTENSIBLE`).
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    block: usize,
    bits: u16,
}

impl Format {
    fn read(at: &At, body: usize, size: usize) -> Result<Self> {
        let short = || Error::media("the WAV file's format chunk is cut short");
        let u16_at = |offset: usize| at.u16(body + offset).ok_or_else(short);
        let mut tag = u16_at(0)?;
        // WAVE_FORMAT_EXTENSIBLE: the tag is the head of a GUID.
        if tag == 0xfffe && size >= 26 {
            tag = u16_at(24)?;
        }
        let rate = at.u32(body + 4).ok_or_else(short)?;
        // The first form of the chunk has no bits: of 16 bytes.
        let bits = if size >= 16 { u16_at(14)? } else { 8 };
        Ok(Format { tag, channels: u16_at(2)?, rate, block: u16_at(12)?.into(), bits })
    }

    fn found<'a>(
        &self,
        rest: &'a [u8],
        stated: u64,
        little_endian: bool,
        container: Container,
    ) -> Result<Found<'a>> {
        let data = &rest[..rest.len().min(usize::try_from(stated).unwrap_or(usize::MAX))];
        if matches!(self.tag, 0x50 | 0x55) {
            return Ok(Found::Mpeg(data));
        }
        let codec = self.codec(little_endian).ok_or_else(|| self.unsupported())?;
        Blocks::new(codec, self.channels, self.rate, data, stated, container).map(Found::Blocks)
    }

    fn codec(&self, little_endian: bool) -> Option<Codec> {
        let channels = usize::from(self.channels.max(1));
        // Samples of 12 or 20 bits lie in the upper bits of a container of whole bytes.
        let bytes = match self.block / channels {
            bytes if self.block.is_multiple_of(channels) && bytes * 8 >= usize::from(self.bits) => bytes,
            _ => usize::from(self.bits).div_ceil(8),
        };
        let adpcm = |id| Codec::adpcm(id, self.block, self.channels).filter(|_| self.bits == 4);
        match self.tag {
            1 if bytes == 1 => Some(Codec::UNSIGNED),
            1 => Codec::whole(bytes, little_endian),
            3 => Codec::float(bytes, little_endian),
            6 => Some(Codec::A_LAW),
            7 => Some(Codec::MU_LAW),
            2 if little_endian => adpcm(CODEC_ID_ADPCM_MS),
            0x11 if little_endian => adpcm(CODEC_ID_ADPCM_IMA_WAV),
            _ => None,
        }
    }

    fn unsupported(&self) -> Error {
        let name = match self.tag {
            1 | 3 => "samples of a width that is not read",
            2 | 0x11 => "ADPCM of a kind that is not read",
            0x14 | 0x40 | 0x45 | 0x64 => "G.72x",
            0x31 => "GSM 6.10",
            0x92 | 0x2000 => "AC-3",
            0xff | 0x1600 | 0x1602 | 0x1610 => "AAC in WAV",
            0x160..=0x163 => "WMA",
            0x674f..=0x6771 => "Vorbis in WAV",
            _ => "a codec that is not read",
        };
        let (tag, bits, channels) = (self.tag, self.bits, self.channels);
        let message = format!(
            "the WAV audio has {name} (format {tag:#06x}, {bits} bits, {channels} channels): {READABLE}"
        );
        Error::unsupported(message).with("format_tag", u32::from(tag))
    }
}

fn no_format() -> Error {
    Error::media("the WAV file has no format chunk before its samples")
}

fn no_data() -> Error {
    Error::media("the WAV file has no samples: no data chunk was found")
}
