//! The boxes of an ISO media file (ISO/IEC 14496-12, 4.2) and of QuickTime, whose atoms these are.

use super::super::bytes::{At, Order};

pub(super) struct Box<'a> {
    pub kind: &'a [u8; 4],
    pub body: &'a [u8],
    /// Where it begins in its parent.
    pub start: usize,
}

pub(super) fn big(bytes: &[u8]) -> At<'_> {
    At { bytes, order: Order::Big }
}

/// The boxes in `parent`. One that is longer than its parent ends with it: the file is cut off there.
pub(super) fn boxes(parent: &[u8]) -> impl Iterator<Item = Box<'_>> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let (start, rest) = (at, parent.get(at..)?);
        let (size, kind) = (big(rest).u32(0)?, rest.get(4..8)?.first_chunk::<4>()?);
        let (head, size) = match size {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(big(rest).u64(8)?).unwrap_or(usize::MAX)),
            size => (8, size as usize),
        };
        let body = rest.get(head..size.min(rest.len()))?;
        at = at.saturating_add(size.max(8));
        Some(Box { kind, body, start })
    })
}

pub(super) fn child<'a>(parent: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(parent).find(|found| found.kind == wanted).map(|found| found.body)
}

/// What is in a box within boxes.
pub(super) fn descend<'a>(parent: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(parent, |parent, wanted| child(parent, wanted))
}

/// The time scale of an `mvhd` or `mdhd`: its units in a second.
pub(super) fn time_scale(header: &[u8]) -> Option<u32> {
    let offset = if *header.first()? == 1 { 20 } else { 12 };
    big(header).u32(offset).filter(|&scale| scale > 0)
}
