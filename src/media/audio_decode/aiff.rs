//! AIFF and AIFF-C (Apple, "Audio Interchange File Format", 1989 and 1991).

use super::blocks::{Blocks, Codec};
use super::bytes::{At, Order};
use super::container::{Container, READABLE};
use super::ima4;
use super::wav::Found;
use crate::error::{Error, Result};

pub(super) fn read(file: &[u8]) -> Result<Found<'_>> {
    let at = At { bytes: file, order: Order::Big };
    let (mut common, mut sound, mut position) = (None, None, 12usize);
    while let (Some(tag), Some(size)) = (at.tag(position), at.u32(position + 4)) {
        let body = position + 8;
        match tag {
            b"COMM" => common = Some(Common::read(&at, body, file.get(8..12) == Some(b"AIFC"))?),
            b"SSND" if sound.is_none() => {
                let offset = at.u32(body).ok_or_else(|| fault("its sound chunk is cut short"))?;
                let start = (body + 8).saturating_add(offset as usize).min(file.len());
                let stated = u64::from(size).saturating_sub(8 + u64::from(offset));
                sound = Some((start, stated));
            }
            _ => {}
        }
        if common.is_some() && sound.is_some() {
            break;
        }
        position = body.saturating_add(size as usize).saturating_add(size as usize % 2);
    }
    let common = common.ok_or_else(|| fault("it has no common chunk"))?;
    let (start, stated) = sound.ok_or_else(|| fault("it has no sound chunk"))?;
    let there = file.len() - start;
    // A recorder that was killed leaves lengths of 0; both chunks state the length.
    let stated = if stated == 0 { there as u64 } else { stated };
    let data = &file[start..][..there.min(usize::try_from(stated).unwrap_or(usize::MAX))];
    let blocks = Blocks::new(common.codec, common.channels, common.rate, data, stated, Container::Aiff)?;
    Ok(Found::Blocks(if common.frames == 0 { blocks } else { blocks.first_frames(common.frames) }))
}

struct Common {
    codec: Codec,
    channels: u16,
    rate: u32,
    frames: u64,
}

impl Common {
    fn read(at: &At, body: usize, is_aifc: bool) -> Result<Self> {
        let short = || fault("its common chunk is cut short");
        let channels = at.u16(body).ok_or_else(short)?;
        let frames = u64::from(at.u32(body + 2).ok_or_else(short)?);
        let bits = at.u16(body + 6).ok_or_else(short)?;
        let rate = extended(at, body + 8).ok_or_else(short)?;
        let kind = if is_aifc { *at.tag(body + 18).ok_or_else(short)? } else { *b"NONE" };
        let bytes = usize::from(bits).div_ceil(8);
        let codec = match &kind {
            b"NONE" | b"twos" => Codec::whole(bytes, false),
            b"sowt" => Codec::whole(bytes, true),
            b"in24" => Codec::whole(3, false),
            b"42ni" => Codec::whole(3, true),
            b"in32" => Codec::whole(4, false),
            b"23ni" => Codec::whole(4, true),
            b"fl32" | b"FL32" => Codec::float(4, false),
            b"fl64" | b"FL64" => Codec::float(8, false),
            b"raw " if bytes == 1 => Some(Codec::UNSIGNED),
            b"alaw" | b"ALAW" => Some(Codec::A_LAW),
            b"ulaw" | b"ULAW" => Some(Codec::MU_LAW),
            b"ima4" if channels <= 2 => Some(Codec::Ima4),
            _ => None,
        };
        let codec = codec.ok_or_else(|| {
            let kind = kind.escape_ascii();
            Error::unsupported(format!(
                "the AIFF audio has samples of {bits} bits in the coding \"{kind}\", which is not read: {READABLE}"
            ))
        })?;
        // Their frames count packets.
        let frames = if kind == *b"ima4" { frames.saturating_mul(ima4::FRAMES as u64) } else { frames };
        Ok(Common { codec, channels, rate, frames })
    }
}

/// A rate as an 80-bit float, rounded to whole Hz; 0 where it is none.
fn extended(at: &At, offset: usize) -> Option<u32> {
    let (exponent, mantissa) = (at.u16(offset)?, at.u64(offset + 2)?);
    let shift = i32::from(exponent & 0x7fff) - 16_383 - 63;
    let value = mantissa as f64 * f64::from(shift).exp2();
    Some(if exponent & 0x8000 == 0 && value.is_finite() { value.round() as u32 } else { 0 })
}

fn fault(what: &str) -> Error {
    Error::media(format!("the AIFF file is damaged: {what}"))
}
