//! Sun's and NeXT's AU.

use super::blocks::{Blocks, Codec};
use super::bytes::{At, Order};
use super::container::{Container, READABLE};
use super::wav::Found;
use crate::error::{Error, Result};

pub(super) fn read(file: &[u8]) -> Result<Found<'_>> {
    let little_endian = file.starts_with(b"dns.");
    let at = At { bytes: file, order: if little_endian { Order::Little } else { Order::Big } };
    let field = |index: usize| {
        at.u32(4 * index).ok_or_else(|| Error::media("the AU file is damaged: its header is cut short"))
    };
    let (start, size, encoding) = (field(1)? as usize, field(2)?, field(3)?);
    let (rate, channels) = (field(4)?, field(5)?);
    let codec = match encoding {
        1 => Some(Codec::MU_LAW),
        2..=5 => Codec::whole(encoding as usize - 1, little_endian),
        6 => Codec::float(4, little_endian),
        7 => Codec::float(8, little_endian),
        27 => Some(Codec::A_LAW),
        _ => None,
    };
    let codec = codec.ok_or_else(|| {
        Error::unsupported(format!("the AU audio is in encoding {encoding}, which is not read: {READABLE}"))
    })?;
    let rest = file.get(start.max(24)..).unwrap_or_default();
    // A recorder that was killed leaves 0.
    let stated = if matches!(size, 0 | u32::MAX) { rest.len() as u64 } else { size.into() };
    let data = &rest[..rest.len().min(stated as usize)];
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    Blocks::new(codec, channels, rate, data, stated, Container::Au).map(Found::Blocks)
}
