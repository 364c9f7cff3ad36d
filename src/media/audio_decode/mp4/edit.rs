//! The edits of an MP4 file's audio track: which parts of it are to be heard, and in which order (ISO/IEC 14496-12, 8.6.6).
//! Encoders of AAC and Opus put their delay there.

use super::super::sink::Range;
use super::boxes::{big, child, descend, time_scale};

/// The parts of a track that are heard, in frames of `rate`, in as many walks through the track as their order takes; none
/// where all of it is heard. As in ffmpeg, a delay before the first part is no silence, and one between two parts is.
pub(super) fn walks(movie: &[u8], track: &[u8], rate: u32) -> Vec<Vec<Range>> {
    let mut walks: Vec<Vec<Range>> = Vec::new();
    let (mut silence, mut end) = (0, u64::MAX);
    for (duration, start) in entries(movie, track, rate).unwrap_or_default() {
        let Some(start) = start else {
            silence = u64::saturating_add(silence, if walks.is_empty() { 0 } else { duration });
            continue;
        };
        // Only fragments leave a duration away, as it is not known then: the rest is meant.
        let most = if duration == 0 { u64::MAX } else { duration };
        match walks.last_mut().filter(|_| start >= end) {
            Some(walk) => walk.push(Range { silence, skip: start - end, most }),
            None => walks.push(vec![Range { silence, skip: start, most }]),
        }
        (silence, end) = (0, start.saturating_add(most));
    }
    walks
}

/// Durations and starts in frames of `rate`; an entry without a start is a delay.
fn entries(movie: &[u8], track: &[u8], rate: u32) -> Option<Vec<(u64, Option<u64>)>> {
    let movie_scale = time_scale(child(movie, b"mvhd")?)?;
    let media_scale = time_scale(descend(track, &[b"mdia", b"mdhd"])?)?;
    let list = descend(track, &[b"edts", b"elst"])?;
    let (at, is_long) = (big(list), *list.first()? == 1);
    let entry_bytes = if is_long { 20 } else { 12 };
    let entries = (0..at.u32(4)? as usize).map_while(|index| {
        let entry = 8 + index.checked_mul(entry_bytes)?;
        let (duration, start) = match is_long {
            true => (at.u64(entry)?, at.u64(entry + 8)? as i64),
            false => (at.u32(entry)?.into(), (at.u32(entry + 4)? as i32).into()),
        };
        let frames = (u128::from(duration) * u128::from(rate)).div_ceil(u128::from(movie_scale));
        let start = u64::try_from(start).ok();
        let start = start.map(|start| u128::from(start) * u128::from(rate) / u128::from(media_scale));
        Some((frames as u64, start.map(|start| start as u64)))
    });
    Some(entries.collect())
}
