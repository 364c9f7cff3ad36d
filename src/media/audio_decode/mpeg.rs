//! Frames of MPEG audio and of ADTS, and the tags around them.

use super::container::Container;

/// How far behind the tags a first frame is looked for.
const REACH: usize = 1 << 16;

/// Frames in a row that show that bytes are sound.
const IN_A_ROW: usize = 3;

/// Bytes of the ID3v2 tags at the start (`id3.org`, ID3v2.4 §3.1), and of zeros behind them.
pub(super) fn leading_tags(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some([b'I', b'D', b'3', major, minor, flags, a, b, c, d]) = bytes[at..].first_chunk::<10>() {
        if *major == 0xff || *minor == 0xff || [a, b, c, d].iter().any(|&&byte| byte >= 0x80) {
            break;
        }
        let size = [a, b, c, d].iter().fold(0usize, |size, &&byte| size << 7 | usize::from(byte));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        let end = at.saturating_add(10 + size + footer);
        if end > bytes.len() {
            break;
        }
        at = end + bytes[end..].iter().take_while(|&&byte| byte == 0).count();
    }
    at
}

/// Bytes of the tags at the end: ID3v1 (128 bytes), Lyrics3v2 and APE (`APETAGEX` in a footer of 32 bytes), in any order.
pub(super) fn trailing_tags(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while let Some(tag) = last_tag(&bytes[..end]).filter(|&tag| tag > 0 && tag <= end) {
        end -= tag;
    }
    bytes.len() - end
}

fn last_tag(bytes: &[u8]) -> Option<usize> {
    if bytes.last_chunk::<128>().is_some_and(|tag| tag.starts_with(b"TAG")) {
        return Some(128);
    }
    if let Some(lyrics) = bytes.strip_suffix(b"LYRICS200") {
        let digits = std::str::from_utf8(lyrics.last_chunk::<6>()?).ok()?;
        return digits.parse::<usize>().ok()?.checked_add(15);
    }
    let footer = bytes.last_chunk::<32>()?.strip_prefix(b"APETAGEX")?;
    let word = |at: usize| footer.get(at..)?.first_chunk().map(|&word| u32::from_le_bytes(word));
    // Its length counts the footer, and not the header that a flag tells of.
    let header = if word(12)? >> 31 == 1 { 32 } else { 0 };
    (word(4)? as usize).checked_add(header)
}

/// Where the first of several frames in a row begins, and whether they are MPEG's or ADTS's.
pub(super) fn first_frame(bytes: &[u8]) -> Option<(Container, usize)> {
    (0..bytes.len().min(REACH)).find_map(|at| {
        let container = match bytes[at..].first_chunk::<4>()? {
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Container::Adts,
            [0xff, second, ..] if second & 0xe0 == 0xe0 => Container::Mpeg,
            _ => return None,
        };
        // At the very start one frame is enough: it may be all that there is, or its length free.
        let needed = if at == 0 { 1 } else { IN_A_ROW };
        (frames_from(&bytes[at..], container, needed) >= needed).then_some((container, at))
    })
}

/// How many frames stand in a row from the start of `bytes`, at most `most`.
fn frames_from(mut bytes: &[u8], container: Container, most: usize) -> usize {
    let mut count = 0;
    while count < most {
        let Some(frame) = Frame::read(bytes, container) else { break };
        count += 1;
        let Some(rest) = bytes.get(frame.length.max(1)..) else { break };
        bytes = rest;
    }
    count
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// In bytes; 0 where its bit rate is free, and only the next head tells.
    pub length: usize,
    pub samples: u32,
    pub rate: u32,
    /// What a decoder is made for: the kind of coding, the rate and the channels.
    pub kind: u32,
}

impl Frame {
    pub(super) fn read(bytes: &[u8], container: Container) -> Option<Frame> {
        match container {
            Container::Adts => Frame::of_adts(bytes),
            _ => Frame::of_mpeg(bytes),
        }
    }

    /// ISO/IEC 14496-3, 1.A.2.2.
    fn of_adts(bytes: &[u8]) -> Option<Frame> {
        let head = bytes.first_chunk::<7>()?;
        let rate = *super::aac::RATES.get(usize::from(head[2] >> 2 & 15))?;
        let length = usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        let is_frame = head[0] == 0xff && head[1] & 0xf6 == 0xf0 && length >= 7;
        let kind = u32::from(head[2] & 0xfd) << 8 | u32::from(head[3] & 0xc0);
        let samples = 1024 * (1 + u32::from(head[6] & 3));
        is_frame.then_some(Frame { length, samples, rate, kind })
    }

    /// ISO/IEC 11172-3, 2.4.1.3.
    fn of_mpeg(bytes: &[u8]) -> Option<Frame> {
        const RATES: [usize; 3] = [44_100, 48_000, 32_000];
        const FIRST: [[usize; 15]; 3] = [
            [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        ];
        const SECOND: [[usize; 15]; 2] = [
            [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let [0xff, second, third, fourth] = *bytes.first_chunk::<4>()? else { return None };
        if second & 0xe0 != 0xe0 || fourth & 3 == 2 {
            return None;
        }
        let (version, layer) = (second >> 3 & 3, 4 - usize::from(second >> 1 & 3));
        let (rate, bits) = (usize::from(third >> 2 & 3), usize::from(third >> 4));
        if version == 1 || layer == 4 || rate == 3 || bits == 15 {
            return None;
        }
        // Versions 2 and 2.5 have half and a quarter of the rates.
        let rate = RATES[rate] >> [2, 0, 1, 0][usize::from(version)];
        let kilobits =
            if version == 3 { FIRST[layer - 1][bits] } else { SECOND[usize::from(layer > 1)][bits] };
        let padding = usize::from(third >> 1 & 1);
        let (samples, length) = match layer {
            1 => (384, (12_000 * kilobits / rate + padding) * 4),
            3 if version != 3 => (576, 72_000 * kilobits / rate + padding),
            _ => (1152, 144_000 * kilobits / rate + padding),
        };
        let length = if kilobits == 0 { 0 } else { length };
        let is_mono = fourth >> 6 == 3;
        let kind = u32::from(second & 0x1e) << 16 | u32::from(third & 0x0c) << 8 | u32::from(is_mono);
        Some(Frame { length, samples, rate: rate as u32, kind })
    }
}

/// The number of frames behind a head of Xing or VBRI, which an encoder writes as a file's first frame; 0 where it does not
/// say. `None` where a frame is none.
pub(super) fn stated_frames(frame: &[u8]) -> Option<u32> {
    let number = |at: usize| frame.get(at..)?.first_chunk().map(|&bytes| u32::from_be_bytes(bytes));
    if frame.get(36..40) == Some(b"VBRI") {
        return number(50);
    }
    let &[_, second, _, fourth, ..] = frame else { return None };
    // Behind what a frame of silence begins with, which has the size of its version and channels.
    let (is_first, is_mono) = (second >> 3 & 3 == 3, fourth >> 6 == 3);
    let start = match (is_first, is_mono) {
        (true, false) => 36,
        (true, true) | (false, false) => 21,
        (false, true) => 13,
    };
    matches!(frame.get(start..start + 4), Some(b"Xing" | b"Info")).then_some(())?;
    Some(if number(start + 4)? & 1 == 1 { number(start + 8)? } else { 0 })
}

/// Bytes of a tag at the start, of any kind: ID3v2, ID3v1 or APE.
pub(super) fn tag_here(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"TAG") {
        return Some(bytes.len().min(128));
    }
    if let Some(rest) = bytes.strip_prefix(b"APETAGEX") {
        let size = rest.get(4..)?.first_chunk().map(|&word| u32::from_le_bytes(word) as usize)?;
        return size.checked_add(32).filter(|&size| size <= bytes.len());
    }
    Some(leading_tags(bytes)).filter(|&size| size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 128 kbit/s at 44,100 Hz: 417 bytes.
    fn frames(count: usize) -> Vec<u8> {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
        frame.repeat(count)
    }

    #[test]
    fn tags_at_the_end_are_counted() {
        let ape = |flags: u32| {
            let numbers = [2_000u32, 132, 3, flags];
            [&b"APETAGEX"[..], &numbers.map(u32::to_le_bytes).concat(), &[0; 8]].concat()
        };
        let tagged = [&ape(1 << 31)[..], &[7; 100], &ape(1 << 31)].concat();
        let id3 = [&b"TAG"[..], &[0; 125]].concat();
        let lyrics = [&b"LYRICSBEGIN"[..], &[b'x'; 9], b"000020LYRICS200"].concat();
        let all = [&frames(2)[..], &tagged, &lyrics, &id3].concat();
        assert_eq!(trailing_tags(&all), tagged.len() + lyrics.len() + id3.len());
        assert_eq!(trailing_tags(&frames(2)), 0);
        assert_eq!(trailing_tags(&ape(0)), 0, "a tag that is longer than its file is none");
        assert_eq!(trailing_tags(b"LYRICS200"), 0);
    }

    #[test]
    fn frames_are_found_behind_tags_and_rubbish() {
        let tag = |size: usize| {
            let mut tag = b"ID3\x04\0\0".to_vec();
            tag.extend((0..4).rev().map(|i| (size >> (7 * i) & 0x7f) as u8));
            // The tag's picture looks like frames.
            tag.extend([0xff, 0xfb, 0x90, 0x64].iter().cycle().take(size));
            tag
        };
        let long = tag(3 << 20);
        assert_eq!(leading_tags(&[&long[..], &frames(3)].concat()), long.len());
        let two = [&tag(100)[..], &[0; 30], &tag(50), &frames(3)].concat();
        assert_eq!(leading_tags(&two), two.len() - frames(3).len());
        assert_eq!(leading_tags(&tag(100)[..60]), 0, "a tag that is cut off is no tag");
        assert_eq!(first_frame(&frames(1)), Some((Container::Mpeg, 0)));
        let late = [&[7u8; 1000][..], &[0xff, 0xfb, 0x90, 0x64], &[7; 99], &frames(4)].concat();
        assert_eq!(first_frame(&late), Some((Container::Mpeg, 1103)));
        assert_eq!(first_frame(&[7u8; 5000]), None);
        assert_eq!(first_frame(b"\xff\xfb"), None);
    }
}
