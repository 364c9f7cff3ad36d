//! What is checked of an encoded image before its decoder sees it, because the decoder would not say it, or not
//! quietly.

/// Whether the values of every tag in a TIFF's first directory, and the directory itself, lie within the file.
pub(super) fn tiff_fits(tiff: &[u8]) -> bool {
    Tiff::new(tiff).and_then(|tiff| tiff.directory_fits()).unwrap_or(false)
}

/// A TIFF or BigTIFF file, with the width of its offsets and counts in bytes: 4 or 8.
struct Tiff<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    wide: usize,
}

impl<'a> Tiff<'a> {
    /// `None` without a TIFF header.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut tiff = Tiff { bytes, little_endian: bytes.first() == Some(&b'I'), wide: 4 };
        if tiff.number(2, 2)? == 43 {
            tiff.wide = 8;
        }
        Some(tiff)
    }

    /// `None` where the directory runs out of the file.
    fn directory_fits(&self) -> Option<bool> {
        // BigTIFF has 4 bytes more before the first offset, counts entries in 8 bytes, and has entries of 20.
        let (offset_at, count_width) = if self.wide == 8 { (8, 8) } else { (4, 2) };
        let directory = usize::try_from(self.number(offset_at, self.wide)?).ok()?;
        let entries = self.number(directory, count_width)?;
        let mut at = directory + count_width;
        for _ in 0..entries {
            let size = type_bytes(self.number(at + 2, 2)?);
            let values = self.number(at + 4, self.wide)?.checked_mul(size)?;
            if values > self.wide as u64 {
                let offset = self.number(at + 4 + self.wide, self.wide)?;
                if offset.checked_add(values)? > self.bytes.len() as u64 {
                    return Some(false);
                }
            }
            at += 4 + 2 * self.wide;
        }
        Some(at <= self.bytes.len())
    }

    /// The unsigned number of `width` bytes at `at`.
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(width)?)?;
        let push = |n: u64, &b: &u8| n << 8 | u64::from(b);
        Some(if self.little_endian { bytes.iter().rev().fold(0, push) } else { bytes.iter().fold(0, push) })
    }
}

/// Bytes of one value of a TIFF field type; types that nobody knows count as bytes.
fn type_bytes(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::testdata;
    use super::*;

    /// A TIFF (or BigTIFF) of one directory entry, an ASCII tag of `count` bytes at `offset`.
    fn one_tag(big_endian: bool, wide: bool, count: u64, offset: u64) -> Vec<u8> {
        let number = |n: u64, width: usize| {
            let bytes = n.to_be_bytes()[8 - width..].to_vec();
            if big_endian { bytes } else { bytes.into_iter().rev().collect() }
        };
        let offsets = if wide { 8 } else { 4 };
        let mut out = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        out.extend(number(if wide { 43 } else { 42 }, 2));
        if wide {
            out.extend(number(8, 2).into_iter().chain(number(0, 2)));
        }
        out.extend(number(if wide { 16 } else { 8 }, offsets));
        out.extend(number(1, if wide { 8 } else { 2 }));
        out.extend(number(271, 2).into_iter().chain(number(2, 2)));
        out.extend(number(count, offsets).into_iter().chain(number(offset, offsets)));
        out.extend([0; 20]);
        out
    }

    #[test]
    fn values_outside_a_tiff_are_found() {
        for (big_endian, wide) in [(false, false), (true, false), (false, true), (true, true)] {
            let end = one_tag(big_endian, wide, 0, 0).len() as u64;
            for (count, offset, fits) in [
                (0, 0, true),
                (3, u64::MAX >> 32, true),
                (20, end - 20, true),
                (20, end - 19, false),
                (1 << 31, 8, false),
                (9, u64::from(u32::MAX), false),
            ] {
                let tiff = one_tag(big_endian, wide, count, offset);
                assert_eq!(tiff_fits(&tiff), fits, "{count} at {offset} in {tiff:02x?}");
            }
            let whole = one_tag(big_endian, wide, 1, 0);
            assert!((0..whole.len() - 24).all(|cut| !tiff_fits(&whole[..cut])));
        }
        assert!(!tiff_fits(&one_tag(false, true, u64::MAX, u64::MAX)));
        assert!(["lzw.tif", "fax.tif", "cmyk.tif"].iter().all(|name| tiff_fits(&testdata(name))));
    }
}
