//! Encoded audio bytes to 16 kHz mono.

use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::default::{get_codecs, get_probe};

use super::audio::Mono16k;
use super::first_bytes;
use super::limits::{check_duration, check_sample_rate};
use crate::error::{Error, Result};

const READABLE: &str = "WAV, FLAC, MP3 and OGG Vorbis are read";

/// A container, as its first bytes announce it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Wav,
    Flac,
    Mp3,
    Ogg,
}

impl Container {
    fn name(self) -> &'static str {
        match self {
            Container::Wav => "WAV",
            Container::Flac => "FLAC",
            Container::Mp3 => "MP3",
            Container::Ogg => "OGG",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Container::Wav => "wav",
            Container::Flac => "flac",
            Container::Mp3 => "mp3",
            Container::Ogg => "ogg",
        }
    }

    /// Whether the header's number of frames is exact. MP3's is an estimate where the file has no Xing tag, and
    /// OGG's is read off the last page that is there.
    fn states_length(self) -> bool {
        matches!(self, Container::Wav | Container::Flac)
    }
}

/// The samples of the first audio track, at 16 kHz. See [`super::Audio::decode`].
pub(super) fn decode(encoded: &[u8]) -> Result<Vec<f32>> {
    let container = sniff(encoded)?;
    decode_as(encoded, container).map_err(|e| e.with("format", container.name()).with("bytes", encoded.len()))
}

fn sniff(encoded: &[u8]) -> Result<Container> {
    match encoded {
        [] => Err(Error::media("the audio has no bytes")),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Ok(Container::Wav),
        [b'f', b'L', b'a', b'C', ..] => Ok(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Ok(Container::Ogg),
        // An ID3v2 tag, or an MPEG frame's 11 sync bits and layer III.
        [b'I', b'D', b'3', ..] => Ok(Container::Mp3),
        [0xff, second, ..] if second & 0xe6 == 0xe2 => Ok(Container::Mp3),
        _ => Err(Error::media(format!(
            "the bytes are not audio in a known format (they begin {}): {READABLE}; hand over the samples of other formats",
            first_bytes(encoded)
        ))),
    }
}

fn decode_as(encoded: &[u8], container: Container) -> Result<Vec<f32>> {
    let fault = |e: Fault| describe(e, container);
    let stream = MediaSourceStream::new(Box::new(Cursor::new(encoded)), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(container.extension());
    let mut reader = get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(fault)?;
    let track = reader.default_track(TrackType::Audio).ok_or_else(|| no_track(container))?;
    let (id, stated) = (track.id, track.num_frames.filter(|_| container.states_length()));
    let mut decoder = decoder_for(track, container)?;
    let mono = read_track(reader.as_mut(), decoder.as_mut(), id, container)?;
    let Some(mono) = mono else {
        return Err(Error::media(format!("the {} audio has no samples", container.name())));
    };
    if let Some(stated) = stated
        && mono.frames() < stated
    {
        let message = format!(
            "the {} audio is truncated: {} of {stated} frames are there",
            container.name(),
            mono.frames()
        );
        return Err(Error::media(message).with("frames", mono.frames()).with("stated_frames", stated));
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(Error::media(format!(
            "the {} audio is corrupt: its checksum does not fit",
            container.name()
        )));
    }
    mono.finish()
}

fn decoder_for(track: &Track, container: Container) -> Result<Box<dyn AudioDecoder>> {
    let params: &AudioCodecParameters =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| no_track(container))?;
    if let Some(rate) = params.sample_rate {
        check_sample_rate(rate)?;
        if let Some(frames) = track.num_frames.filter(|_| container.states_length()) {
            check_duration(frames, rate)?;
        }
    }
    get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
        .map_err(|e| describe(e, container))
}

fn no_track(container: Container) -> Error {
    Error::media(format!("the {} file has no audio track in a known codec: {READABLE}", container.name()))
}

/// Decodes and resamples every packet of track `id`; `None` if there was no packet with samples.
fn read_track(
    reader: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    id: u32,
    container: Container,
) -> Result<Option<Mono16k>> {
    let fault = |e: Fault| describe(e, container);
    let mut mono: Option<(Mono16k, usize, u32)> = None;
    let mut samples: Vec<f32> = Vec::new();
    while let Some(packet) = reader.next_packet().map_err(fault)? {
        if packet.track_id != id {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(fault)?;
        if decoded.is_empty() {
            continue;
        }
        let (channels, rate) = (decoded.num_planes(), decoded.spec().rate());
        decoded.copy_to_vec_interleaved(&mut samples);
        let (sink, known_channels, known_rate) = match &mut mono {
            Some(known) => known,
            none => none.insert((Mono16k::new(channels.max(1), rate)?, channels, rate)),
        };
        if (channels, rate) != (*known_channels, *known_rate) {
            return Err(Error::media(format!(
                "the {} audio changes from {known_channels} channels at {known_rate} Hz to {channels} at {rate} Hz midway",
                container.name()
            )));
        }
        sink.push(&samples)?;
    }
    Ok(mono.map(|(sink, ..)| sink))
}

fn describe(fault: Fault, container: Container) -> Error {
    let name = container.name();
    match fault {
        Fault::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::media(format!("the {name} audio is truncated"))
        }
        Fault::Unsupported(what) => {
            Error::media(format!("the {name} audio uses a feature that is not read ({what}): {READABLE}"))
        }
        Fault::ResetRequired => {
            Error::media(format!("the {name} file chains several streams: only one is read"))
        }
        e => Error::media(format!("the {name} audio is corrupt: {e}")),
    }
}
