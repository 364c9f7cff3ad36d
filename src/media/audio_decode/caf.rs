//! Apple's Core Audio Format, where its samples are not compressed (Apple, "Core Audio Format Specification 1.0").

use super::blocks::{Blocks, Codec};
use super::bytes::{At, Order};
use super::container::Container;
use crate::error::{Error, Result};

/// `None` where the sound is in a codec with packets (AAC, ALAC, Opus).
pub(super) fn read(file: &[u8]) -> Result<Option<Blocks<'_>>> {
    let at = At { bytes: file, order: Order::Big };
    let (mut description, mut position) = (None, 8usize);
    while let (Some(tag), Some(size)) = (at.tag(position), at.u64(position + 4)) {
        let body = position + 12;
        match tag {
            b"desc" => match Description::read(&at, body)? {
                Some(read) => description = Some(read),
                None => return Ok(None),
            },
            b"data" => {
                let Description { codec, channels, rate } =
                    description.ok_or_else(|| fault("its samples come before its description"))?;
                // Behind a count of edits.
                let rest = file.get(body + 4..).unwrap_or_default();
                let stated = match size {
                    0 | u64::MAX => rest.len() as u64,
                    size => size.saturating_sub(4),
                };
                let data = &rest[..rest.len().min(usize::try_from(stated).unwrap_or(usize::MAX))];
                return Blocks::new(codec, channels, rate, data, stated, Container::Caf).map(Some);
            }
            _ => {}
        }
        position = body.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    }
    Err(fault("it has no samples"))
}

struct Description {
    codec: Codec,
    channels: u16,
    rate: u32,
}

impl Description {
    fn read(at: &At, body: usize) -> Result<Option<Self>> {
        let short = || fault("its description is cut short");
        let rate = at.f64(body).ok_or_else(short)?;
        let kind = at.tag(body + 8).ok_or_else(short)?;
        let flags = at.u32(body + 12).ok_or_else(short)?;
        let bytes = at.u32(body + 16).ok_or_else(short)? as usize;
        let channels = at.u32(body + 24).ok_or_else(short)?;
        let channels = u16::try_from(channels).unwrap_or(u16::MAX).max(1);
        let (float, little_endian, width) = (flags & 1 != 0, flags & 2 != 0, bytes / usize::from(channels));
        let codec = match kind {
            b"lpcm" if float => Codec::float(width, little_endian),
            b"lpcm" => Codec::whole(width, little_endian),
            b"alaw" => Some(Codec::A_LAW),
            b"ulaw" => Some(Codec::MU_LAW),
            b"ima4" if channels <= 2 => Some(Codec::Ima4),
            _ => return Ok(None),
        };
        let codec =
            codec.ok_or_else(|| Error::unsupported(format!("the CAF audio has samples of {width} bytes")))?;
        let rate = if rate.is_finite() { rate.round() as u32 } else { 0 };
        Ok(Some(Description { codec, channels, rate }))
    }
}

fn fault(what: &str) -> Error {
    Error::media(format!("the CAF file is damaged: {what}"))
}
