//! Where a track's samples lie in the file: by its tables (ISO/IEC 14496-12, 8.7), and by those of its fragments (8.8).

use super::super::bytes::At;
use super::boxes::{big, boxes, child};

/// Samples that follow one another in the file.
pub(super) struct Chunk<'a> {
    pub offset: u64,
    pub count: u64,
    pub sizes: Sizes<'a>,
    /// Which of the track's descriptions is theirs, counted from 0.
    pub description: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Sizes<'a> {
    Same(u32),
    /// Numbers of 4 bytes, each so far behind the one before.
    Table {
        table: At<'a>,
        first: usize,
        stride: usize,
    },
    /// Numbers of 4, 8 or 16 bits, from the one with this index on.
    Small {
        table: At<'a>,
        bits: u64,
        first: u64,
    },
}

impl Sizes<'_> {
    /// `None` where the table is cut off.
    pub(super) fn get(&self, index: u64) -> Option<u32> {
        match *self {
            Sizes::Same(size) => Some(size),
            Sizes::Table { table, first, stride } => {
                let offset = usize::try_from(index).ok()?.checked_mul(stride)?;
                table.u32(first.checked_add(offset)?)
            }
            Sizes::Small { table, bits, first } => {
                let at = first.checked_add(index)?.checked_mul(bits)?;
                let bytes = table.bytes.get(12..)?.get(usize::try_from(at / 8).ok()?..)?;
                Some(match bits {
                    4 if at % 8 == 0 => u32::from(bytes.first()? >> 4),
                    4 => u32::from(bytes.first()? & 15),
                    8 => (*bytes.first()?).into(),
                    _ => u16::from_be_bytes(*bytes.first_chunk()?).into(),
                })
            }
        }
    }

    fn skip(self, count: u64) -> Self {
        match self {
            Sizes::Same(_) => self,
            Sizes::Table { table, first, stride } => {
                let offset = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(stride);
                Sizes::Table { table, first: first.saturating_add(offset), stride }
            }
            Sizes::Small { table, bits, first } => {
                Sizes::Small { table, bits, first: first.saturating_add(count) }
            }
        }
    }
}

/// All of a track's samples.
#[derive(Default)]
pub(super) struct Samples<'a> {
    pub chunks: Vec<Chunk<'a>>,
    pub count: u64,
    /// Of those in `count`, in units of the track's time scale.
    pub duration: u64,
}

impl<'a> Samples<'a> {
    /// By a track's sample table; nothing where a part of it is missing.
    pub(super) fn read_table(&mut self, table: &'a [u8]) -> Option<()> {
        let (sizes, total) = sizes(table)?;
        let durations = big(child(table, b"stts")?);
        for index in 0..durations.u32(4)? as usize {
            let at = 8 + index.checked_mul(8)?;
            let (Some(count), Some(duration)) = (durations.u32(at), durations.u32(at + 4)) else { break };
            self.duration = self.duration.saturating_add(u64::from(count) * u64::from(duration));
        }
        self.count = total;
        let offset_bytes = if child(table, b"stco").is_some() { 4 } else { 8 };
        let offsets = big(child(table, if offset_bytes == 4 { b"stco" } else { b"co64" })?);
        let offset = |index: usize| {
            let at = 8 + index.checked_mul(offset_bytes)?;
            if offset_bytes == 4 { offsets.u32(at).map(u64::from) } else { offsets.u64(at) }
        };
        let groups = big(child(table, b"stsc")?);
        // The first chunk of a group, counted from 1, the samples of each of its chunks, and their description.
        let group = |index: usize| {
            let at = 8 + index.checked_mul(12)?;
            (index < groups.u32(4)? as usize).then_some(())?;
            let description = (groups.u32(at + 8).unwrap_or(1) as usize).saturating_sub(1);
            Some((groups.u32(at)? as usize, u64::from(groups.u32(at + 4)?), description))
        };
        let (mut next_group, mut per_chunk, mut description, mut done) = (0, 0, 0, 0u64);
        for index in 0..offsets.u32(4)? as usize {
            while let Some((_, count, of)) = group(next_group).filter(|&(first, ..)| first <= index + 1) {
                (next_group, per_chunk, description) = (next_group + 1, count, of);
            }
            let Some(offset) = offset(index).filter(|_| done < total) else { break };
            let count = per_chunk.min(total - done);
            if count == 0 {
                continue;
            }
            self.chunks.push(Chunk { offset, count, sizes: sizes.skip(done), description });
            done += count;
        }
        Some(())
    }

    /// By the fragments of `track` in the file, with the defaults of the movie's `mvex`.
    pub(super) fn read_fragments(&mut self, file: &'a [u8], track: u32, movie: &[u8]) {
        let extends = child(movie, b"mvex").unwrap_or_default();
        let defaults = boxes(extends)
            .filter(|found| found.kind == b"trex" && big(found.body).u32(4) == Some(track))
            .find_map(|found| {
                let at = big(found.body);
                Some(Defaults { base: 0, description: at.u32(8)?, duration: at.u32(12)?, size: at.u32(16)? })
            })
            .unwrap_or_default();
        for fragment in boxes(file).filter(|found| found.kind == b"moof") {
            for part in boxes(fragment.body).filter(|found| found.kind == b"traf") {
                let of_track = |head: &&[u8]| big(head).u32(4) == Some(track);
                if let Some(head) = child(part.body, b"tfhd").filter(of_track) {
                    let defaults = Defaults::read(head, fragment.start as u64, defaults);
                    self.read_runs(part.body, defaults);
                }
            }
        }
    }

    fn read_runs(&mut self, part: &'a [u8], defaults: Defaults) {
        let mut behind = defaults.base;
        for run in boxes(part).filter(|found| found.kind == b"trun") {
            let at = big(run.body);
            let (Some(flags), Some(count)) = (at.u32(0), at.u32(4)) else { continue };
            let mut first = 8;
            if flags & 1 != 0 {
                let offset = at.u32(first).unwrap_or(0) as i32;
                behind = defaults.base.saturating_add_signed(offset.into());
                first += 4;
            }
            first += if flags & 4 != 0 { 4 } else { 0 };
            let stride = 4 * (flags >> 8 & 15).count_ones() as usize;
            let has_duration = flags & 0x100 != 0;
            let sizes = match flags & 0x200 != 0 {
                true => Sizes::Table { table: at, first: first + if has_duration { 4 } else { 0 }, stride },
                false => Sizes::Same(defaults.size),
            };
            let durations = match has_duration {
                true => Sizes::Table { table: at, first, stride },
                false => Sizes::Same(defaults.duration),
            };
            let count = u64::from(count);
            self.count += count;
            let total = |numbers: Sizes| match numbers {
                Sizes::Same(number) => count * u64::from(number),
                table => (0..count).map_while(|index| table.get(index)).map(u64::from).sum(),
            };
            self.duration = self.duration.saturating_add(total(durations));
            let description = (defaults.description as usize).saturating_sub(1);
            self.chunks.push(Chunk { offset: behind, count, sizes, description });
            behind = behind.saturating_add(total(sizes));
        }
    }
}

/// The sizes of a track's samples, and how many there are.
fn sizes(table: &[u8]) -> Option<(Sizes<'_>, u64)> {
    if let Some(small) = child(table, b"stz2").map(big) {
        let bits = u64::from(*small.bytes.get(7)?);
        matches!(bits, 4 | 8 | 16).then_some(())?;
        return Some((Sizes::Small { table: small, bits, first: 0 }, small.u32(8)?.into()));
    }
    let sizes = big(child(table, b"stsz")?);
    let same = sizes.u32(4)?;
    let total = sizes.u32(8)?.into();
    let sizes =
        if same > 0 { Sizes::Same(same) } else { Sizes::Table { table: sizes, first: 12, stride: 4 } };
    Some((sizes, total))
}

/// What a fragment's `tfhd` says of all its runs, and the movie of all fragments.
#[derive(Clone, Copy, Default)]
struct Defaults {
    base: u64,
    description: u32,
    duration: u32,
    size: u32,
}

impl Defaults {
    fn read(head: &[u8], fragment: u64, movie: Defaults) -> Self {
        let at = big(head);
        let (flags, mut next) = (at.u32(0).unwrap_or(0), 8);
        let mut field = |flag: u32, bytes: usize| {
            let here = next;
            let is_there = flags & flag != 0;
            next += if is_there { bytes } else { 0 };
            is_there.then_some(here)
        };
        let base = field(1, 8).and_then(|at_base| at.u64(at_base)).unwrap_or(fragment);
        let mut number =
            |flag: u32, default: u32| field(flag, 4).and_then(|here| at.u32(here)).unwrap_or(default);
        let description = number(2, movie.description);
        let duration = number(8, movie.duration);
        let size = number(0x10, movie.size);
        Defaults { base, description, duration, size }
    }
}
