//! What a file of sound is, by its bytes.

use super::super::first_bytes;
use super::mpeg;
use crate::error::{Error, Result};

/// What is read, for messages.
pub(super) const READABLE: &str =
    "WAV, AIFF, AU, CAF, FLAC, MP3, AAC, ALAC, OGG Vorbis and Opus are read, also in MP4 and Matroska";

const ELSE: &str = "convert it to one of them, or hand over its samples";

/// A container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// RIFF, RF64 and BW64.
    Wav,
    Wave64,
    Aiff,
    Au,
    Caf,
    Flac,
    /// Frames of MPEG audio, layers I to III.
    Mpeg,
    Adts,
    Mp4,
    Ogg,
    Matroska,
}

impl Container {
    pub(super) fn name(self) -> &'static str {
        match self {
            Container::Wav => "WAV",
            Container::Wave64 => "W64",
            Container::Aiff => "AIFF",
            Container::Au => "AU",
            Container::Caf => "CAF",
            Container::Flac => "FLAC",
            Container::Mpeg => "MP3",
            Container::Adts => "AAC",
            Container::Mp4 => "MP4",
            Container::Ogg => "OGG",
            Container::Matroska => "Matroska",
        }
    }

    /// The extension by which `symphonia` finds its reader.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Container::Wav | Container::Wave64 => "wav",
            Container::Aiff => "aiff",
            Container::Au => "au",
            Container::Caf => "caf",
            Container::Flac => "flac",
            Container::Mpeg => "mp3",
            Container::Adts => "aac",
            Container::Mp4 => "m4a",
            Container::Ogg => "ogg",
            Container::Matroska => "mkv",
        }
    }
}

/// The container of a file without its leading tags, and where in `bytes` it begins.
pub(super) fn sniff(bytes: &[u8]) -> Result<(Container, usize)> {
    if bytes.is_empty() {
        return Err(Error::media("the audio has no bytes"));
    }
    if let Some(name) = unread(bytes) {
        return Err(Error::unsupported(format!("the audio is {name}: {READABLE}; {ELSE}")));
    }
    if let Some(container) = by_magic(bytes) {
        return Ok((container, 0));
    }
    if let Some(found) = mpeg::first_frame(bytes) {
        return Ok(found);
    }
    Err(Error::media(format!(
        "the bytes are not audio in a known format (they begin {}): {READABLE}; hand over the samples of other formats",
        first_bytes(bytes)
    )))
}

/// Boxes that may stand before the index and the samples of an MP4 or QuickTime file.
const BOXES: [&[u8; 4]; 9] =
    [b"wide", b"free", b"skip", b"udta", b"uuid", b"junk", b"pnot", b"PICT", b"styp"];

fn by_magic(bytes: &[u8]) -> Option<Container> {
    Some(match bytes {
        [b'R', b'I', b'F', b'F' | b'X', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Container::Wav,
        [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Container::Wav,
        [b'B', b'W', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Container::Wav,
        [b'r', b'i', b'f', b'f', 0x2e, 0x91, 0xcf, 0x11, ..] => Container::Wave64,
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Container::Aiff,
        [b'.', b's', b'n', b'd', ..] | [b'd', b'n', b's', b'.', ..] => Container::Au,
        [b'c', b'a', b'f', b'f', ..] => Container::Caf,
        [b'f', b'L', b'a', b'C', ..] => Container::Flac,
        [b'O', b'g', b'g', b'S', ..] => Container::Ogg,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Container::Mp4,
        // Files of QuickTime before there was an ftyp.
        [_, _, _, _, b'm', b'o', b'o', b'v' | b'f', ..] => Container::Mp4,
        [_, _, _, _, b'm', b'd', b'a', b't', ..] => Container::Mp4,
        // What else a file may begin with.
        [0, _, _, _, a, b, c, d, ..] if BOXES.contains(&&[*a, *b, *c, *d]) => Container::Mp4,
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Container::Matroska,
        _ => return None,
    })
}

/// The name of a format that is known and not read.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, ..] => "WMA (in ASF)",
        [b'#', b'!', b'A', b'M', b'R', ..] => "AMR",
        [b'#', b'!', b'S', b'I', b'L', b'K', ..] | [2, b'#', b'!', b'S', b'I', b'L', b'K', ..] => "SILK",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => "AVI",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'R', b'M', b'I', b'D', ..] => "MIDI (notes, no sound)",
        [b'M', b'T', b'h', b'd', ..] => "MIDI (notes, no sound)",
        [b'D', b'S', b'D', b' ', ..] | [b'F', b'R', b'M', b'8', ..] => "DSD",
        [b'M', b'A', b'C', b' ', ..] => "Monkey's Audio",
        [b'w', b'v', b'p', b'k', ..] => "WavPack",
        [b'T', b'T', b'A', b'1' | b'2', ..] => "True Audio",
        [b't', b'B', b'a', b'K', ..] => "TAK",
        [b'O', b'F', b'R', b' ', ..] => "OptimFROG",
        [b'a', b'j', b'k', b'g', ..] => "Shorten",
        [b'M', b'P', b'C', b'K', ..] | [b'M', b'P', b'+', ..] => "Musepack",
        [b'.', b'R', b'M', b'F', ..] | [b'.', b'r', b'a', 0xfd, ..] => "RealAudio",
        [b'F', b'L', b'V', 1, ..] => "FLV",
        [0x0b, 0x77, ..] => "AC-3",
        [0x56, second, ..] if second & 0xe0 == 0xe0 => "AAC in LATM",
        [_, _, _, _, 0xf8, 0x72, 0x6f, 0xba | 0xbb, ..] => "TrueHD or MLP",
        [b'O', b'g', b'g', b'S', ..] if bytes.get(28..36) == Some(b"Speex   ") => "Speex",
        [0x7f, 0xfe, 0x80, 0x01, ..] | [0xfe, 0x7f, 0x01, 0x80, ..] => "DTS",
        [b'N', b'I', b'S', b'T', b'_', b'1', b'A', ..] => "NIST SPHERE",
        [b'C', b'r', b'e', b'a', b't', b'i', b'v', b'e', b' ', b'V', ..] => "VOC",
        [b'F', b'O', b'R', b'M', _, _, _, _, b'8', b'S', b'V', b'X', ..] => "8SVX",
        [0x47, ..] if bytes.get(188) == Some(&0x47) && bytes.get(376) == Some(&0x47) => {
            "an MPEG transport stream"
        }
        [0, 0, 1, 0xba, ..] => "an MPEG program stream",
        [b'I', b'D', b'3', ..] => return None,
        _ => return None,
    })
}
