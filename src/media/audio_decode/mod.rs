//! Encoded bytes of sound to 16 kHz mono.

mod aac;
mod aiff;
mod au;
mod blocks;
mod bytes;
mod caf;
mod container;
mod ima4;
mod joined;
mod mp4;
mod mpeg;
mod ogg;
mod opus;
mod packets;
mod sink;
#[cfg(test)]
mod tests;
mod wav;

use super::MediaOptions;
use crate::error::Result;
use container::Container;
use sink::Sink;

/// What a file holds, at 16 kHz and mixed to mono.
pub(super) struct Decoded {
    pub samples: Vec<f32>,
    /// Seconds of sound that the file states or begins to have, and that cannot be read.
    pub lost_seconds: f64,
}

/// The first audio track's samples. See [`super::Audio::decode`].
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<Decoded> {
    let tags = mpeg::leading_tags(encoded);
    let (container, start) = container::sniff(&encoded[tags..])?;
    let mut sound = &encoded[tags + start..];
    if matches!(container, Container::Flac | Container::Mpeg | Container::Adts) {
        sound = &sound[..sound.len() - mpeg::trailing_tags(sound)];
    }
    let mut sink = Sink::new(options, encoded.len());
    let decoded = match container {
        Container::Mp4 => mp4::decode(sound, &mut sink),
        Container::Flac | Container::Mpeg | Container::Adts => joined::decode(sound, container, &mut sink),
        _ => blocks::decode(sound, container, &mut sink)
            .and_then(|done| done.map_or_else(|| packets::decode(sound, container, &mut sink), Ok)),
    }
    .and_then(|()| sink.finish(container.name()));
    let (samples, lost_seconds) =
        decoded.map_err(|e| e.with("format", container.name()).with("bytes", encoded.len()))?;
    Ok(Decoded { samples, lost_seconds })
}
