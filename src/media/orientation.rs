//! Which way up a file says that its picture is, found where Pillow finds it (`Image.getexif`).
//!
//! EXIF counts first, wherever it says anything of an orientation, right or wrong; then XMP. EXIF is a TIFF's own first
//! directory, JPEG's APP1 (several are one, cut into pieces), PNG's eXIf, or ImageMagick's "Raw profile type exif" in
//! text; or WebP's chunk. What is malformed says nothing.

use super::jpeg::segments_before_scan;
use super::tiff_directory::{Directory, Value};
use super::upright::Orientation;

const ORIENTATION: u16 = 274;
const XMP: u16 = 700;
const EXIF_HEAD: &[u8] = b"Exif\0\0";
const XMP_HEAD: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Flags of a WebP's VP8X chunk, without which its metadata is not looked at.
const WEBP_EXIF: u8 = 8;
const WEBP_XMP: u8 = 4;

/// The metadata of a file in which an orientation may be.
#[derive(Default)]
pub(super) struct Metadata {
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
}

impl Metadata {
    pub fn of_jpeg(jpeg: &[u8]) -> Self {
        let mut found = Metadata::default();
        for (kind, body) in segments_before_scan(jpeg) {
            if kind != 0xe1 {
                continue;
            }
            if let Some(exif) = body.strip_prefix(EXIF_HEAD) {
                found.exif.get_or_insert_default().extend_from_slice(exif);
            } else if let Some(xmp) = body.strip_prefix(XMP_HEAD) {
                found.xmp = Some(xmp.to_vec());
            }
        }
        found
    }

    pub fn of_webp(webp: &[u8]) -> Self {
        let flags = match webp.get(12..21) {
            Some([b'V', b'P', b'8', b'X', _, _, _, _, flags]) => *flags,
            _ => return Metadata::default(),
        };
        let mut found = Metadata::default();
        let mut at = 12;
        while let Some(&[a, b, c, d, ref size @ ..]) = webp.get(at..at + 8).and_then(|h| h.first_chunk::<8>())
        {
            let size = u32::from_le_bytes(*size) as usize;
            let Some(body) = webp.get(at + 8..).and_then(|rest| rest.get(..size)) else { break };
            match &[a, b, c, d] {
                b"EXIF" if flags & WEBP_EXIF != 0 && found.exif.is_none() => found.exif = Some(body.to_vec()),
                b"XMP " if flags & WEBP_XMP != 0 && found.xmp.is_none() => found.xmp = Some(body.to_vec()),
                _ => {}
            }
            at += 8 + size + size % 2;
        }
        found
    }

    pub fn orientation(&self) -> Orientation {
        let exif = self.exif.as_deref().filter(|exif| !exif.is_empty());
        let exif = match exif.map(|exif| Directory::first(without_head(exif))) {
            Some(Some(directory)) => directory.find(ORIENTATION),
            // Pillow does not look further where it cannot read this.
            Some(None) => return Orientation::default(),
            None => None,
        };
        of(exif, self.xmp.as_deref())
    }
}

/// Of a TIFF, whose metadata is all in its first directory.
pub(super) fn of_tiff(tiff: &[u8]) -> Orientation {
    let Some(directory) = Directory::first(tiff) else { return Orientation::default() };
    let xmp = match directory.find(XMP) {
        Some(Value::Bytes(xmp)) => Some(xmp),
        _ => None,
    };
    of(directory.find(ORIENTATION), xmp)
}

fn of(exif: Option<Value>, xmp: Option<&[u8]>) -> Orientation {
    match (exif, xmp.and_then(in_xmp)) {
        (Some(Value::Whole(number)), _) => Orientation::from_exif(number),
        (Some(_), _) | (None, None) => Orientation::default(),
        (None, Some(number)) => Orientation::from_exif(number),
    }
}

/// Some writers put the head of JPEG's segment before other formats' blocks too, and some do so twice.
fn without_head(exif: &[u8]) -> &[u8] {
    let once = exif.strip_prefix(EXIF_HEAD).unwrap_or(exif);
    once.strip_prefix(EXIF_HEAD).unwrap_or(once)
}

/// The first digit that stands as an attribute or an element of that name.
fn in_xmp(xmp: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"tiff:Orientation";
    let places = xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    places.into_iter().find_map(|(at, _)| match &xmp[at + NAME.len()..] {
        [b'=', b'"', digit, ..] | [b'>', digit, ..] if digit.is_ascii_digit() => {
            Some(i64::from(digit - b'0'))
        }
        _ => None,
    })
}

/// The block that a "Raw profile type exif" holds in hexadecimal, behind three lines.
pub(super) fn raw_profile(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.split('\n').skip(3).flat_map(str::bytes).filter(|b| !b.is_ascii_whitespace()).collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|n| n as u8);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of a directory: tag, type, how many values, and four bytes of them or an offset.
    type Entry = (u16, u16, u32, [u8; 4]);

    fn tiff(big_endian: bool, entries: &[Entry], behind: &[u8]) -> Vec<u8> {
        let number = |n: u64, width: usize| {
            let bytes = n.to_be_bytes()[8 - width..].to_vec();
            if big_endian { bytes } else { bytes.into_iter().rev().collect() }
        };
        let mut out = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        out.extend(number(8, 4));
        out.extend(number(entries.len() as u64, 2));
        for (tag, kind, count, values) in entries {
            out.extend(number((*tag).into(), 2).into_iter().chain(number((*kind).into(), 2)));
            out.extend(number((*count).into(), 4));
            out.extend(values);
        }
        out.extend([0; 4]);
        out.extend(behind);
        out
    }

    fn exif(exif: &[u8], xmp: Option<&[u8]>) -> Orientation {
        Metadata { exif: Some(exif.to_vec()), xmp: xmp.map(<[u8]>::to_vec) }.orientation()
    }

    fn number(n: i64) -> Orientation {
        Orientation::from_exif(n)
    }

    /// What Pillow 13 makes of each (tools/picture_sweep.py).
    #[test]
    fn every_type_of_the_tag_is_read_as_pillow_reads_it() {
        let attribute: Option<&[u8]> = Some(b"tiff:Orientation=\"3\"");
        for (kind, little, big, want) in [
            (3, [6, 0, 0, 0], [0, 6, 0, 0], 6),
            (4, [6, 0, 0, 0], [0, 0, 0, 6], 6),
            (13, [6, 0, 0, 0], [0, 0, 0, 6], 6),
            (6, [6, 0, 0, 0], [6, 0, 0, 0], 6),
            (8, [6, 0, 0, 0], [0, 6, 0, 0], 6),
            (9, [6, 0, 0, 0], [0, 0, 0, 6], 6),
            (11, [0, 0, 0xc0, 0x40], [0x40, 0xc0, 0, 0], 6),
            // Bytes and texts are no numbers, and no reason to look at XMP.
            (1, [6, 0, 0, 0], [6, 0, 0, 0], 1),
            (2, *b"6\0\0\0", *b"6\0\0\0", 1),
            (7, [6, 0, 0, 0], [6, 0, 0, 0], 1),
            (3, [9, 0, 0, 0], [0, 9, 0, 0], 1),
            (3, [0; 4], [0; 4], 1),
            // A type that there is not leaves the tag out.
            (99, [6, 0, 0, 0], [0, 6, 0, 0], 3),
        ] {
            for (big_endian, values) in [(false, little), (true, big)] {
                let block = tiff(big_endian, &[(ORIENTATION, kind, 1, values)], &[]);
                assert_eq!(exif(&block, attribute), number(want), "type {kind}, big endian {big_endian}");
            }
        }
        for (numbers, want) in [([6u32, 1], 6), ([12, 2], 6), ([13, 2], 1), ([6, 0], 1)] {
            let behind: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            let block = tiff(false, &[(ORIENTATION, 5, 1, [26, 0, 0, 0])], &behind);
            assert_eq!(exif(&block, attribute), number(want), "{numbers:?}");
        }
    }

    #[test]
    fn the_first_sound_entry_counts() {
        let entry = |kind: u16, count: u32, n: u8| (ORIENTATION, kind, count, [n, 0, 0, 0]);
        let text = |count: u32, offset: u8| (271, 2, count, [offset, 0, 0, 0]);
        for (entries, want) in [
            (vec![entry(3, 1, 6), entry(3, 1, 3)], 6),
            (vec![entry(99, 1, 6), entry(3, 1, 3)], 3),
            (vec![entry(3, 0, 6), entry(3, 1, 3)], 3),
            (vec![entry(3, 2, 6)], 6),
            // One that asks for more than there is is left out; one that lies outside ends the directory.
            (vec![text(u32::MAX, 8), entry(3, 1, 8)], 8),
            (vec![text(9, 250), entry(3, 1, 8)], 1),
            (vec![entry(3, 1, 8), text(9, 250)], 8),
        ] {
            assert_eq!(exif(&tiff(false, &entries, &[]), None), number(want), "{entries:?}");
        }
    }

    #[test]
    fn xmp_counts_where_exif_says_nothing() {
        for (xmp, want) in [
            (&b"<x tiff:Orientation=\"6\"/>"[..], 6),
            (b"<tiff:Orientation>8</tiff:Orientation>", 8),
            (b"tiff:Orientation=\"0\" tiff:Orientation=\"3\"", 0),
            (b"tiff:Orientation=\"x\" tiff:Orientation=\"3\"", 3),
            (b"tiff:Orientation=\"62\"", 6),
            (b"tiff:Orientation='6'", 1),
            (b"tiff:Orientation", 1),
        ] {
            let metadata = Metadata { exif: None, xmp: Some(xmp.to_vec()) };
            assert_eq!(metadata.orientation(), number(want), "{}", String::from_utf8_lossy(xmp));
            assert_eq!(exif(&tiff(true, &[(271, 2, 2, *b"ab\0\0")], &[]), Some(xmp)), number(want));
            assert_eq!(exif(&tiff(true, &[(ORIENTATION, 3, 1, [0, 5, 0, 0])], &[]), Some(xmp)), number(5));
            assert_eq!(exif(b"MM garbage", Some(xmp)), number(1));
        }
    }

    #[test]
    fn jpeg_segments_are_one_block_and_the_last_xmp_counts() {
        let block = tiff(false, &[(ORIENTATION, 3, 1, [6, 0, 0, 0])], &[]);
        let segment = |body: &[&[u8]]| {
            let body = body.concat();
            [&[0xff, 0xe1], &((body.len() + 2) as u16).to_be_bytes()[..], &body].concat()
        };
        let jpeg = |segments: &[Vec<u8>]| [&[0xff, 0xd8][..], &segments.concat(), &[0xff, 0xda]].concat();
        let of = |segments: &[Vec<u8>]| Metadata::of_jpeg(&jpeg(segments)).orientation();
        let (start, rest) = block.split_at(12);
        assert_eq!(of(&[segment(&[EXIF_HEAD, start]), segment(&[EXIF_HEAD, rest])]), number(6));
        let other = tiff(false, &[(ORIENTATION, 3, 1, [3, 0, 0, 0])], &[]);
        assert_eq!(of(&[segment(&[EXIF_HEAD, &block]), segment(&[EXIF_HEAD, &other])]), number(6));
        let xmp = |n: &[u8]| segment(&[XMP_HEAD, b"tiff:Orientation=\"", n, b"\""]);
        assert_eq!(of(&[xmp(b"6"), xmp(b"8")]), number(8));
        assert_eq!(of(&[segment(&[b"Exif\0", &block])]), number(1));
    }

    #[test]
    fn hexadecimal_profiles_are_read_behind_three_lines() {
        assert_eq!(raw_profile("\nexif\n       4\n4d4D\n 00 2a\n").unwrap(), b"MM\0*");
        assert_eq!(raw_profile("\nexif\n 4\nzz").or(raw_profile("\nexif\n 4\n123")), None);
    }
}
