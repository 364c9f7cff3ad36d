//! How a prompt is cut into chunks for prefill.

use std::ops::Range;

/// Cuts `todo` into ranges of about `chunk` positions. No range of `whole` is ever split, so a chunk can be
/// longer than asked for; a cut is also made at `stop_at`, if it lies inside.
pub(crate) fn chunks(
    todo: Range<usize>,
    chunk: usize,
    whole: &[Range<usize>],
    stop_at: Option<usize>,
) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = todo.start;
    while start < todo.end {
        let mut end = (start + chunk.max(1)).min(todo.end);
        if let Some(stop) = stop_at.filter(|&s| s > start && s < end) {
            end = stop;
        }
        if let Some(block) = whole.iter().find(|b| b.start < end && end < b.end) {
            end = if block.start > start { block.start } else { block.end.min(todo.end) };
        }
        cuts.push(start..end);
        start = end;
    }
    cuts
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of ranges that happen to hold one
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_once() {
        assert_eq!(chunks(3..10, 4, &[], None), [3..7, 7..10]);
        assert_eq!(chunks(0..0, 4, &[], None), Vec::<Range<usize>>::new());
        assert_eq!(chunks(0..8, 4, &[], Some(6)), [0..4, 4..6, 6..8]);
    }

    #[test]
    fn an_image_is_never_split() {
        assert_eq!(chunks(0..12, 4, &[2..9], None), [0..2, 2..9, 9..12]);
        assert_eq!(chunks(0..12, 4, &[0..6, 7..11], None), [0..6, 6..7, 7..11, 11..12]);
        assert_eq!(chunks(0..10, 100, &[2..9], None), [0..10]);
        assert_eq!(chunks(0..10, 4, &[2..9], Some(5)), [0..2, 2..9, 9..10]);
    }
}
