//! Images, sounds and videos, from files or the host's memory: decoded, bounded, and named by their content.
//!
//! An [`Image`] is 8-bit RGB, an [`Audio`] is 16 kHz mono `f32`, whatever they were made from; a [`Video`] is images
//! with their times. Each carries a [`ContentHash`], so that a session can tell that it has already seen a medium.
//! What a model makes of them (how large a picture becomes, how many tokens it takes) is in `vision` and `audio`;
//! nothing here knows a model's numbers.
//!
//! Everything here reads hostile bytes: sizes are checked before memory is taken ([`limits`]), and a decoder
//! that panics is an error like any other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crate::error::{Error, Result};

mod audio;
mod audio_decode;
mod file;
mod gif;
mod image;
mod image_check;
mod image_decode;
mod jpeg;
pub mod limits;
mod options;
mod orientation;
mod png;
mod resample;
mod tiff;
mod tiff_directory;
mod tiff_ycbcr;
mod upright;
mod video;

#[cfg(test)]
pub(crate) mod testing;

pub use self::audio::Audio;
pub(crate) use self::image::Reduced;
pub use self::image::{Filter, Image, ImageWishes, PixelDesc, PixelFormat, Pixels};
pub use self::options::MediaOptions;
pub use self::video::{Video, VideoFrame};

/// BLAKE3 over the kind of medium, its dimensions, its decoded content and what overrides its processing. Two
/// media with the same hash are the same to every model, however they were encoded.
pub type ContentHash = [u8; 32];

/// Asked between the steps of a long operation; its error (a cancel) ends the operation.
pub type Check<'a> = &'a dyn Fn() -> Result<()>;

/// The [`Check`] of an operation that nothing ends.
pub fn go_on() -> Result<()> {
    Ok(())
}

/// One medium of a prompt.
#[derive(Clone, Debug)]
pub enum Media {
    /// A picture.
    Image(Image),
    /// A sound.
    Audio(Audio),
    /// Frames with their times.
    Video(Video),
}

/// What a [`Media`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A sound.
    Audio,
    /// Frames with their times.
    Video,
}

impl Media {
    /// What it is.
    pub fn kind(&self) -> MediaKind {
        match self {
            Media::Image(_) => MediaKind::Image,
            Media::Audio(_) => MediaKind::Audio,
            Media::Video(_) => MediaKind::Video,
        }
    }

    /// Of its content: equal media have equal hashes.
    pub fn hash(&self) -> &ContentHash {
        match self {
            Media::Image(image) => image.hash(),
            Media::Audio(audio) => audio.hash(),
            Media::Video(video) => video.hash(),
        }
    }

    /// Bytes that it holds: pixels or samples, which its clones share.
    pub fn bytes(&self) -> usize {
        match self {
            Media::Image(image) => image.bytes(),
            Media::Audio(audio) => std::mem::size_of_val(audio.samples()),
            Media::Video(video) => video.frames().iter().map(|frame| frame.image.bytes()).sum(),
        }
    }

    /// The same medium with only these sizes of its pictures left, where they take less than all of it does. Those of
    /// an image may be of its crops too.
    pub(crate) fn with_sizes(&self, sizes: &[Arc<Reduced>]) -> Media {
        match self {
            Media::Image(image) => Media::Image(image.with_sizes(sizes)),
            Media::Audio(audio) => Media::Audio(audio.clone()),
            Media::Video(video) => Media::Video(video.with_images(|image| image.with_own_sizes(sizes))),
        }
    }
}

impl MediaKind {
    /// Every kind.
    pub const ALL: [MediaKind; 3] = [MediaKind::Image, MediaKind::Audio, MediaKind::Video];

    /// The word for it in messages and templates: `image`, `audio` or `video`.
    pub fn name(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        }
    }
}

/// Runs a third-party decoder; a panic in it becomes an error, because bytes that trip a decoder
/// are bad input, not a bug that should poison the host's session.
fn contain<T>(what: &str, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // Of a decoder that panicked nothing is left to be seen broken.
    std::panic::catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(Error::media(format!("the {what} made its decoder fail: the bytes are corrupt")))
    })
}

/// The first bytes of something unrecognized, for a message: `89 50 4e 47 …`.
fn first_bytes(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    shown.join(" ") + if bytes.len() > 8 { " …" } else { "" }
}
