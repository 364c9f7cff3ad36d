//! Apple's Core Audio Format (Apple, "Core Audio Format Specification 1.0").

mod packets;

use symphonia::core::codecs::audio::AudioCodecParameters;

use super::blocks::{Blocks, Codec};
use super::bytes::{At, Order};
use super::container::Container;
use crate::error::{Error, Result};

pub(super) enum Found<'a> {
    Blocks(Blocks<'a>),
    Packets(packets::Packets<'a>),
}

/// The chunks that tell of the sound, wherever they stand.
#[derive(Default)]
struct Chunks<'a> {
    description: Option<Description>,
    /// What a coder has beside its packets.
    cookie: Option<&'a [u8]>,
    packet_table: Option<&'a [u8]>,
    /// What is there of the samples, and how many bytes of them there should be.
    data: Option<(&'a [u8], u64)>,
}

pub(super) fn read(file: &[u8]) -> Result<Found<'_>> {
    let chunks = Chunks::read(file)?;
    let description = chunks.description.ok_or_else(|| fault("it has no description"))?;
    let (data, stated) = chunks.data.ok_or_else(|| fault("it has no samples"))?;
    let Description { channels, rate, .. } = description;
    match description.codec(chunks.cookie)? {
        Coding::Blocks(codec) => {
            Blocks::new(codec, channels, rate, data, stated, Container::Caf).map(Found::Blocks)
        }
        Coding::Packets(params) => {
            let table = chunks.packet_table;
            packets::Packets::new(&description, params, table, data, stated).map(Found::Packets)
        }
    }
}

impl<'a> Chunks<'a> {
    fn read(file: &'a [u8]) -> Result<Self> {
        let at = At { bytes: file, order: Order::Big };
        let (mut chunks, mut position) = (Chunks::default(), 8usize);
        while let (Some(tag), Some(size)) = (at.tag(position), at.u64(position.saturating_add(4))) {
            let start = position + 12;
            let end = start.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
            let body = &file[start..end.min(file.len())];
            match tag {
                b"desc" => chunks.description = Some(Description::read(&At { bytes: body, ..at })?),
                b"kuki" => chunks.cookie = Some(body),
                b"pakt" => chunks.packet_table = Some(body),
                b"data" => {
                    // Behind a count of edits.
                    let to_the_end = matches!(size, 0 | u64::MAX);
                    let data = if to_the_end { &file[start..] } else { body };
                    let data = data.get(4..).unwrap_or_default();
                    let stated = if to_the_end { data.len() as u64 } else { size.saturating_sub(4) };
                    chunks.data = Some((data, stated));
                    if to_the_end {
                        break;
                    }
                }
                _ => {}
            }
            position = end;
        }
        Ok(chunks)
    }
}

struct Description {
    kind: [u8; 4],
    flags: u32,
    packet_bytes: u32,
    packet_frames: u32,
    channels: u16,
    rate: u32,
}

enum Coding {
    Blocks(Codec),
    Packets(AudioCodecParameters),
}

impl Description {
    fn read(at: &At) -> Result<Self> {
        let short = || fault("its description is cut short");
        let rate = at.f64(0).ok_or_else(short)?;
        let channels = at.u32(24).ok_or_else(short)?;
        Ok(Description {
            kind: *at.tag(8).ok_or_else(short)?,
            flags: at.u32(12).ok_or_else(short)?,
            packet_bytes: at.u32(16).ok_or_else(short)?,
            packet_frames: at.u32(20).ok_or_else(short)?,
            channels: u16::try_from(channels).unwrap_or(u16::MAX).max(1),
            rate: if rate.is_finite() { rate.round() as u32 } else { 0 },
        })
    }

    fn codec(&self, cookie: Option<&[u8]>) -> Result<Coding> {
        let width = self.packet_bytes as usize / usize::from(self.channels);
        let (float, little_endian) = (self.flags & 1 != 0, self.flags & 2 != 0);
        let codec = match &self.kind {
            b"lpcm" if float => Codec::float(width, little_endian),
            b"lpcm" => Codec::whole(width, little_endian),
            b"alaw" => Some(Codec::A_LAW),
            b"ulaw" => Some(Codec::MU_LAW),
            b"ima4" if self.channels <= 2 => Some(Codec::Ima4),
            _ => return packets::params(self, cookie).map(Coding::Packets),
        };
        codec
            .map(Coding::Blocks)
            .ok_or_else(|| Error::unsupported(format!("the CAF audio has samples of {width} bytes")))
    }
}

fn fault(what: &str) -> Error {
    Error::media(format!("the CAF file is damaged: {what}"))
}
