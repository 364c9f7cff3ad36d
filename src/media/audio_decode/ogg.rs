//! The pages of an OGG file (RFC 3533) that are sound: a reader that meets others while it looks for the stream's beginning and
//! end gives up.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bytes::{At, Order};

/// Bytes of a page's head, before its table of segments.
const HEAD: usize = 27;

/// More pages than are missing anywhere: numbers that are further apart are those of another stream.
const MOST_MISSING: u32 = 1 << 16;

pub(super) struct Pages<'a> {
    /// Those that are sound, one after another.
    pub bytes: Cow<'a, [u8]>,
    /// How many are not.
    pub damaged: usize,
    streams: HashMap<u32, Stream>,
}

/// What is known of one of the streams that share the file.
#[derive(Clone, Copy, Default)]
struct Stream {
    sequence: u32,
    /// Where the last packet that ends in a page ends, in the coder's own units.
    granule: u64,
    lost: u64,
    /// Where a damaged page ends that would be the next one.
    damaged_end: Option<u64>,
}

/// What a page says of itself.
struct Head {
    is_first: bool,
    /// `None` where no packet ends in it.
    granule: Option<u64>,
    serial: u32,
    sequence: u32,
}

impl<'a> Pages<'a> {
    pub(super) fn of(file: &'a [u8]) -> Self {
        let mut pages = Pages { bytes: Cow::Borrowed(&file[..0]), damaged: 0, streams: HashMap::new() };
        let (mut at, mut end) = (0, 0);
        while let Some(start) = find(file, at) {
            let head = Head::read(&file[start..]);
            match (head, whole_page(&file[start..])) {
                (Some(head), Some(size)) => {
                    pages.count(&head);
                    at = start + size;
                    let page = &file[start..at];
                    pages.bytes = match pages.bytes {
                        Cow::Borrowed([]) => Cow::Borrowed(page),
                        Cow::Borrowed(all) if end == start => Cow::Borrowed(&file[start - all.len()..at]),
                        all => {
                            let mut all = all.into_owned();
                            all.extend_from_slice(page);
                            Cow::Owned(all)
                        }
                    };
                    end = at;
                }
                (head, _) => {
                    pages.damaged += 1;
                    if let Some(head) = head {
                        pages.count_damaged(&head);
                    }
                    at = start + 4;
                }
            }
        }
        pages
    }

    fn count(&mut self, head: &Head) {
        let stream = self.streams.entry(head.serial).or_default();
        let missing = head.sequence.wrapping_sub(stream.sequence).wrapping_sub(1);
        if !head.is_first && (1..MOST_MISSING).contains(&missing) {
            // The pages that are there and those that are not are taken to be equally long.
            let between = head.granule.unwrap_or(0).saturating_sub(stream.granule);
            stream.lost += between / u64::from(missing + 1) * u64::from(missing);
        }
        (stream.sequence, stream.damaged_end) = (head.sequence, None);
        stream.granule = head.granule.unwrap_or(stream.granule);
    }

    fn count_damaged(&mut self, head: &Head) {
        if let Some(stream) = self.streams.get_mut(&head.serial)
            && head.sequence == stream.sequence.wrapping_add(1)
        {
            stream.damaged_end = head.granule;
        }
    }

    /// How much of a stream is missing, as far as its pages tell, in the coder's own units.
    pub(super) fn lost(&self, serial: u32) -> u64 {
        self.streams.get(&serial).map_or(0, |stream| {
            let behind = stream.damaged_end.map_or(0, |end| end.saturating_sub(stream.granule));
            stream.lost.saturating_add(behind)
        })
    }
}

impl Head {
    fn read(page: &[u8]) -> Option<Self> {
        let at = At { bytes: page, order: Order::Little };
        let (version, flags) = (*page.get(4)?, *page.get(5)?);
        (version == 0 && flags < 8).then_some(())?;
        Some(Head {
            is_first: flags & 2 != 0,
            granule: at.u64(6).filter(|&granule| granule != u64::MAX),
            serial: at.u32(14)?,
            sequence: at.u32(18)?,
        })
    }
}

fn find(file: &[u8], from: usize) -> Option<usize> {
    file.get(from..)?.windows(4).position(|window| window == b"OggS").map(|at| from + at)
}

/// The size of the page that `bytes` begin with; `None` where it is cut off, or its checksum is another.
fn whole_page(bytes: &[u8]) -> Option<usize> {
    let segments = usize::from(*bytes.get(HEAD - 1)?);
    let table = bytes.get(HEAD..HEAD + segments)?;
    let size = HEAD + segments + table.iter().map(|&size| usize::from(size)).sum::<usize>();
    let page = bytes.get(..size)?;
    let stated = u32::from_le_bytes(*page.get(22..)?.first_chunk()?);
    let sum = checksum(checksum(checksum(0, &page[..22]), &[0; 4]), &page[26..]);
    (sum == stated).then_some(size)
}

/// CRC-32 with the polynomial 0x04c11db7, from the highest bit on, nothing inverted.
fn checksum(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |crc, &byte| crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = ((index as u32) << 24, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};
