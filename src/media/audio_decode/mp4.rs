//! The edit of an MP4 file's audio track: what of it is to be heard (ISO/IEC 14496-12, 8.6.6). Encoders of AAC and Opus put
//! their delay there.

use super::bytes::{At, Order};

pub(super) struct Edit {
    /// Frames before the first one that is heard.
    pub skip: u64,
    /// Frames that are heard.
    pub most: u64,
}

/// The edit of the first track of sound, in frames of `rate`; `None` where there is none, or several.
pub(super) fn edit(file: &[u8], rate: u32) -> Option<Edit> {
    let movie = child(file, b"moov")?;
    let movie_scale = time_scale(child(movie, b"mvhd")?)?;
    let track = children(movie).filter(|(tag, _)| *tag == b"trak").map(|(_, body)| body).find(|track| {
        let handler = child(track, b"mdia").and_then(|media| child(media, b"hdlr"));
        handler.is_some_and(|handler| handler.get(8..12) == Some(b"soun"))
    })?;
    let media_scale = time_scale(child(child(track, b"mdia")?, b"mdhd")?)?;
    let list = child(child(track, b"edts")?, b"elst")?;
    let (at, is_long) = (big(list), *list.first()? == 1);
    let entry_bytes = if is_long { 20 } else { 12 };
    let mut heard = (0..at.u32(4)? as usize).map_while(|index| {
        let entry = 8 + index.checked_mul(entry_bytes)?;
        let (duration, start) = match is_long {
            true => (at.u64(entry)?, at.u64(entry + 8)? as i64),
            false => (at.u32(entry)?.into(), (at.u32(entry + 4)? as i32).into()),
        };
        Some((duration, start))
    });
    // An edit of no medium (-1) only delays the track.
    let (duration, start) = heard.by_ref().find(|(_, start)| *start >= 0)?;
    if heard.any(|(_, start)| start >= 0) {
        return None;
    }
    let frames = |time: u64, scale: u32| (u128::from(time) * u128::from(rate) / u128::from(scale)) as u64;
    let rounded_up =
        |time: u64, scale: u32| (u128::from(time) * u128::from(rate)).div_ceil(u128::from(scale)) as u64;
    let most = if duration == 0 { u64::MAX } else { rounded_up(duration, movie_scale) };
    Some(Edit { skip: frames(start as u64, media_scale), most })
}

fn big(bytes: &[u8]) -> At<'_> {
    At { bytes, order: Order::Big }
}

/// The time scale of an `mvhd` or `mdhd`.
fn time_scale(header: &[u8]) -> Option<u32> {
    let offset = if *header.first()? == 1 { 20 } else { 12 };
    big(header).u32(offset).filter(|&scale| scale > 0)
}

fn child<'a>(parent: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    children(parent).find(|(tag, _)| *tag == wanted).map(|(_, body)| body)
}

/// The boxes in `parent`: their types and what is in them.
fn children(parent: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = parent.get(at..)?;
        let (size, tag) = (big(rest).u32(0)?, rest.get(4..8)?.first_chunk::<4>()?);
        let (head, size) = match size {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(big(rest).u64(8)?).ok()?),
            size => (8, size as usize),
        };
        let body = rest.get(head..size.min(rest.len()))?;
        at = at.checked_add(size.max(8))?;
        Some((tag, body))
    })
}
