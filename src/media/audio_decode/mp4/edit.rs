//! The edit of an MP4 file's audio track: what of it is to be heard (ISO/IEC 14496-12, 8.6.6). Encoders of AAC and Opus put
//! their delay there.

use super::boxes::{big, child, descend, time_scale};

#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// Frames before the first one that is heard.
    pub skip: u64,
    /// Frames that are heard.
    pub most: u64,
}

/// The edit of a track, in frames of `rate`; `None` where there is none, or several.
pub(super) fn edit(movie: &[u8], track: &[u8], rate: u32) -> Option<Edit> {
    let movie_scale = time_scale(child(movie, b"mvhd")?)?;
    let media_scale = time_scale(descend(track, &[b"mdia", b"mdhd"])?)?;
    let list = descend(track, &[b"edts", b"elst"])?;
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
