//! Files of MPEG audio, ADTS or FLAC that stand one behind another, with tags in between: each is decoded as a file of its own,
//! as the rate, the channels, and what an encoder says of its delay, change with it.

use std::borrow::Cow;

use super::container::Container;
use super::mpeg::{self, Frame};
use super::packets;
use super::sink::Sink;
use crate::error::{Error, Result};

/// Files one behind another; each needs a decoder of its own.
const MOST_PARTS: usize = 4096;

/// One of the files.
struct Part<'a> {
    bytes: Cow<'a, [u8]>,
    /// As its frames or its head say.
    seconds: f64,
}

/// Decodes all of them. What cannot be read of one of them is lost.
pub(super) fn decode(sound: &[u8], container: Container, sink: &mut Sink) -> Result<()> {
    let parts = match container {
        Container::Flac => flac_parts(sound),
        _ => mpeg_parts(sound, container),
    };
    if parts.len() < 2 {
        let whole = parts.first().map_or(sound, |part| &part.bytes);
        return packets::decode(whole, container, sink);
    }
    if parts.len() > MOST_PARTS {
        return Err(Error::unsupported("the file is too many sounds one behind another: split it"));
    }
    let mut first_fault = None;
    for part in parts {
        sink.check()?;
        if let Err(fault) = packets::decode(&part.bytes, container, sink) {
            if sink.has_refused() {
                return Err(fault);
            }
            sink.lose_seconds(part.seconds);
            first_fault.get_or_insert(fault);
        }
    }
    first_fault.filter(|_| sink.taken_seconds() == 0.0).map_or(Ok(()), Err)
}

/// Frames one behind another, without the tags between them. A file begins with a head of Xing or VBRI, or where the frames
/// that such a head counted are over, or with frames of another kind.
fn mpeg_parts(sound: &[u8], container: Container) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut part = Frames::new(sound);
    let mut at = 0;
    while at < sound.len() {
        let rest = &sound[at..];
        let found = Frame::read(rest, container).filter(|frame| part.may_have(frame, rest, container));
        let Some(frame) = found else {
            let tag = mpeg::tag_here(rest);
            if let Some(tag) = tag {
                part.leave_out(at, at + tag);
            }
            at += tag.unwrap_or(1);
            continue;
        };
        if frame.length == 0 {
            break;
        }
        let bytes = &rest[..frame.length.min(rest.len())];
        let head = if container == Container::Mpeg { mpeg::stated_frames(bytes) } else { None };
        if part.ends_before(&frame, head) {
            parts.push(part.end(at));
            part = Frames { start: at, ..Frames::new(sound) };
        }
        part.add(&frame, head);
        at += bytes.len();
    }
    parts.push(part.end(sound.len()));
    parts
}

/// The frames of one file.
struct Frames<'a> {
    sound: &'a [u8],
    start: usize,
    /// What was before the last tag.
    before: Vec<u8>,
    count: u32,
    /// Of the first frame.
    kind: Option<u32>,
    stated: Option<u32>,
    seconds: f64,
}

impl<'a> Frames<'a> {
    fn new(sound: &'a [u8]) -> Self {
        Frames { sound, start: 0, before: Vec::new(), count: 0, kind: None, stated: None, seconds: 0.0 }
    }

    /// One frame of another kind comes about by chance where a file is damaged; two of them do not.
    fn may_have(&self, frame: &Frame, from_here: &[u8], container: Container) -> bool {
        let next = || Frame::read(from_here.get(frame.length..)?, container).map(|next| next.kind);
        self.kind.is_none_or(|kind| kind == frame.kind || next() == Some(frame.kind))
    }

    fn ends_before(&self, frame: &Frame, head: Option<u32>) -> bool {
        let Some(kind) = self.kind else { return false };
        let are_over = self.stated.is_some_and(|stated| stated > 0 && self.count >= stated);
        head.is_some() || are_over || kind != frame.kind
    }

    /// `head` is that of Xing or VBRI, which is no sound.
    fn add(&mut self, frame: &Frame, head: Option<u32>) {
        self.kind.get_or_insert(frame.kind);
        if head.is_some() {
            self.stated = head;
            return;
        }
        self.count += 1;
        self.seconds += f64::from(frame.samples) / f64::from(frame.rate);
    }

    fn leave_out(&mut self, start: usize, end: usize) {
        self.before.extend_from_slice(&self.sound[self.start..start]);
        self.start = end;
    }

    fn end(mut self, end: usize) -> Part<'a> {
        let last = &self.sound[self.start..end];
        let bytes = if self.before.is_empty() {
            Cow::Borrowed(last)
        } else {
            self.before.extend_from_slice(last);
            Cow::Owned(self.before)
        };
        Part { bytes, seconds: self.seconds }
    }
}

/// The head of FLAC and of its first block, whose size is known.
const FLAC_HEAD: usize = 42;

fn flac_parts(sound: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, flac_frames(sound));
    while let Some(next) = (at..sound.len().saturating_sub(FLAC_HEAD)).find(|&at| is_flac(&sound[at..])) {
        parts.push(flac_part(&sound[start..next]));
        (start, at) = (next, next + flac_frames(&sound[next..]));
    }
    parts.push(flac_part(&sound[start..]));
    parts
}

fn flac_part(bytes: &[u8]) -> Part<'_> {
    let word =
        bytes.get(18..26).and_then(|word| word.first_chunk()).map_or(0, |&word| u64::from_be_bytes(word));
    let (rate, frames) = (word >> 44, word & 0xf_ffff_ffff);
    // The next file's own tag, and then this one's.
    let own = before_tags(bytes);
    let own = &own[..own.len() - mpeg::trailing_tags(own)];
    Part { bytes: Cow::Borrowed(own), seconds: frames as f64 / rate.max(1) as f64 }
}

/// What is before the tags that the bytes end with. Each run of tags is gone through once.
fn before_tags(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(3).position(|word| word == b"ID3") {
        at += found;
        match mpeg::leading_tags(&bytes[at..]) {
            tags if tags == bytes.len() - at => return &bytes[..at],
            tags => at += tags.max(1),
        }
    }
    bytes
}

/// Where the frames of a FLAC file begin, behind its blocks.
fn flac_frames(sound: &[u8]) -> usize {
    let mut at = 4;
    while let Some(&[kind, a, b, c]) = sound.get(at..).and_then(|rest| rest.first_chunk()) {
        at += 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind & 0x80 != 0 {
            break;
        }
    }
    at.min(sound.len())
}

/// Whether a FLAC file begins here, and not frames that look like its first bytes by chance.
fn is_flac(bytes: &[u8]) -> bool {
    let Some(&[b'f', b'L', b'a', b'C', 0 | 0x80, 0, 0, 34, low_a, low_b, high_a, high_b]) =
        bytes.first_chunk()
    else {
        return false;
    };
    let (least, most) = (u16::from_be_bytes([low_a, low_b]), u16::from_be_bytes([high_a, high_b]));
    (16..=most).contains(&least)
}
