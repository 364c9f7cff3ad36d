//! Where a track's samples lie in the file: by its tables (ISO/IEC 14496-12, 8.7), and by those of its fragments (8.8).

use super::super::bytes::At;
use super::boxes::{big, boxes, child};

/// Samples that follow one another in the file.
pub(super) struct Chunk<'a> {
    pub offset: u64,
    pub count: u64,
    pub sizes: Sizes<'a>,
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
        }
    }

    fn skip(self, count: u64) -> Self {
        match self {
            Sizes::Same(_) => self,
            Sizes::Table { table, first, stride } => {
                let offset = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(stride);
                Sizes::Table { table, first: first.saturating_add(offset), stride }
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
        let sizes = big(child(table, b"stsz")?);
        let (same, total) = (sizes.u32(4)?, u64::from(sizes.u32(8)?));
        let sizes =
            if same > 0 { Sizes::Same(same) } else { Sizes::Table { table: sizes, first: 12, stride: 4 } };
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
        // The first chunk of a group, counted from 1, and the samples of each of its chunks.
        let group = |index: usize| {
            let at = 8 + index.checked_mul(12)?;
            (index < groups.u32(4)? as usize).then_some(())?;
            Some((groups.u32(at)? as usize, u64::from(groups.u32(at + 4)?)))
        };
        let (mut next_group, mut per_chunk, mut done) = (0, 0, 0u64);
        for index in 0..offsets.u32(4)? as usize {
            while let Some((_, count)) = group(next_group).filter(|&(first, _)| first <= index + 1) {
                (next_group, per_chunk) = (next_group + 1, count);
            }
            let Some(offset) = offset(index).filter(|_| done < total) else { break };
            let count = per_chunk.min(total - done);
            self.chunks.push(Chunk { offset, count, sizes: sizes.skip(done) });
            done += count;
        }
        Some(())
    }

    /// By the fragments of `track` in the file, with the defaults of the movie's `mvex`.
    pub(super) fn read_fragments(&mut self, file: &'a [u8], track: u32, movie: &[u8]) {
        let extends = child(movie, b"mvex").unwrap_or_default();
        let defaults = boxes(extends)
            .filter(|found| found.kind == b"trex" && big(found.body).u32(4) == Some(track))
            .find_map(|found| Some((big(found.body).u32(12)?, big(found.body).u32(16)?)))
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
            self.chunks.push(Chunk { offset: behind, count, sizes });
            behind = behind.saturating_add(total(sizes));
        }
    }
}

/// What a fragment's `tfhd` says of all its runs.
#[derive(Clone, Copy)]
struct Defaults {
    base: u64,
    duration: u32,
    size: u32,
}

impl Defaults {
    fn read(head: &[u8], fragment: u64, (duration, size): (u32, u32)) -> Self {
        let at = big(head);
        let (flags, mut next) = (at.u32(0).unwrap_or(0), 8);
        let mut field = |flag: u32, bytes: usize| {
            let here = next;
            let is_there = flags & flag != 0;
            next += if is_there { bytes } else { 0 };
            is_there.then_some(here)
        };
        let base = field(1, 8).and_then(|at_base| at.u64(at_base)).unwrap_or(fragment);
        field(2, 4);
        let duration = field(8, 4).and_then(|here| at.u32(here)).unwrap_or(duration);
        let size = field(0x10, 4).and_then(|here| at.u32(here)).unwrap_or(size);
        Defaults { base, duration, size }
    }
}
