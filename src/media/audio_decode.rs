//! Encoded audio bytes to 16 kHz mono.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::default::{get_codecs, get_probe};

use super::audio::Mono16k;
use super::limits::{check_duration, check_sample_rate, zeroed};
use super::{MediaOptions, first_bytes};
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
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<Vec<f32>> {
    let container = sniff(encoded)?;
    decode_as(encoded, container, options)
        .map_err(|e| e.with("format", container.name()).with("bytes", encoded.len()))
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

fn decode_as(encoded: &[u8], container: Container, options: &MediaOptions) -> Result<Vec<f32>> {
    let fault = |e: Fault| describe(e, container);
    let encoded =
        if container == Container::Wav { with_wav_length(encoded)? } else { Cow::Borrowed(encoded) };
    let stream = MediaSourceStream::new(Box::new(Cursor::new(encoded)), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(container.extension());
    let mut reader = get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(fault)?;
    let track = reader.default_track(TrackType::Audio).ok_or_else(|| no_track(container))?;
    let (id, stated) = (track.id, track.num_frames.filter(|_| container.states_length()));
    let mut decoder = decoder_for(track, container, options)?;
    let mono = read_track(reader.as_mut(), decoder.as_mut(), id, container, options)?;
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

/// A WAV file that was written to a pipe states a length that its writer did not know (0xffffffff, or the largest
/// that it allows itself, near 0x7fffffff): the copy states the length that is there.
fn with_wav_length(wav: &[u8]) -> Result<Cow<'_, [u8]>> {
    let mut at = 12;
    while let Some(&[a, b, c, d, ref size @ ..]) = wav.get(at..at + 8).and_then(|h| h.first_chunk::<8>()) {
        let (start, size) = (at + 8, u32::from_le_bytes(*size));
        if [a, b, c, d] == *b"data" {
            if size < 0x7fff_0000 || (wav.len() - start) as u64 >= u64::from(size) {
                break;
            }
            let mut copy = zeroed::<u8>(wav.len())?;
            copy.copy_from_slice(wav);
            copy[4..8].copy_from_slice(&((wav.len() - 8) as u32).to_le_bytes());
            copy[at + 4..start].copy_from_slice(&((wav.len() - start) as u32).to_le_bytes());
            return Ok(Cow::Owned(copy));
        }
        at = start.saturating_add(size as usize).saturating_add(size as usize % 2);
        if at > wav.len() {
            break;
        }
    }
    Ok(Cow::Borrowed(wav))
}

fn decoder_for(track: &Track, container: Container, options: &MediaOptions) -> Result<Box<dyn AudioDecoder>> {
    let params: &AudioCodecParameters =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| no_track(container))?;
    if let Some(rate) = params.sample_rate {
        check_sample_rate(rate)?;
        if let Some(frames) = track.num_frames.filter(|_| container.states_length()) {
            check_duration(frames, rate, options.max_seconds)?;
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
    options: &MediaOptions,
) -> Result<Option<Mono16k>> {
    let fault = |e: Fault| describe(e, container);
    let mut mono: Option<(Mono16k, usize, u32)> = None;
    let mut samples: Vec<f32> = Vec::new();
    while let Some(packet) = reader.next_packet().map_err(fault)? {
        (options.check)()?;
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
            none => none.insert((Mono16k::new(channels.max(1), rate, options.max_seconds)?, channels, rate)),
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

#[cfg(test)]
mod tests {
    use super::super::Audio;
    use super::super::testing::{level, noise, testdata, wav};
    use super::*;

    fn decode(encoded: &[u8]) -> Result<Vec<f32>> {
        super::decode(encoded, &MediaOptions::default())
    }

    const PCM: u16 = 1;
    const FLOAT: u16 = 3;

    #[test]
    fn integer_and_float_wav_scale_as_documented() {
        let cases: [(u16, u16, Vec<u8>, [f32; 3]); 6] = [
            (PCM, 8, vec![0, 128, 255], [-1.0, 0.0, 127.0 / 128.0]),
            (PCM, 16, vec![0, 0x80, 1, 0, 0xff, 0x7f], [-1.0, 1.0 / 32768.0, 32767.0 / 32768.0]),
            (
                PCM,
                24,
                vec![0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0x7f],
                [-1.0, 1.0 / 8388608.0, 8388607.0 / 8388608.0],
            ),
            (
                PCM,
                32,
                [i32::MIN, 1 << 8, i32::MAX].iter().flat_map(|v| v.to_le_bytes()).collect(),
                [-1.0, 0.5f32.powi(23), 1.0],
            ),
            (FLOAT, 32, [-2.5f32, 0.1, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect(), [-2.5, 0.1, 1.0]),
            (FLOAT, 64, [-2.5f64, 0.1, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect(), [-2.5, 0.1, 1.0]),
        ];
        for (tag, bits, body, want) in cases {
            assert_eq!(decode(&wav(tag, 1, 16_000, bits, &body)).unwrap(), want, "tag {tag}, {bits} bits");
        }
    }

    #[test]
    fn companded_wav_is_read() {
        for tag in [6, 7] {
            // Their format chunk ends in an extension of no bytes.
            let mut file = wav(tag, 1, 16_000, 8, &noise(100, 2));
            (file[4], file[16]) = (file[4] + 2, 18);
            file.splice(36..36, [0, 0]);
            let samples = decode(&file).unwrap();
            assert_eq!(samples.len(), 100);
            assert!(samples.iter().any(|s| s.abs() > 0.1), "tag {tag}");
        }
    }

    #[test]
    fn every_format_gives_the_tone() {
        // 440 Hz at 0.5 on the left, silence on the right: 0.25 in the mean. LAME by itself turns it down by 5%.
        for (name, length, want) in [
            ("tone.flac", 8000, 0.25),
            ("tone.ogg", 8000, 0.25),
            ("tone.mp3", 8000, 0.25),
            ("tone-untagged.mp3", 8778, 0.2375),
        ] {
            let samples = decode(&testdata(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(samples.len(), length, "{name}");
            let (middle, found) = (&samples[1600..6400], level(&samples[1600..6400], 440.0));
            assert!((found - want).abs() < 0.002, "{name}: {found}");
            assert!(level(middle, 700.0) < 0.002 && level(middle, 220.0) < 0.002, "{name}");
        }
    }

    #[test]
    fn the_encoders_delay_is_cut_off() {
        let exact = decode(&testdata("tone.flac")).unwrap();
        for name in ["tone.ogg", "tone.mp3"] {
            let samples = decode(&testdata(name)).unwrap();
            let worst = exact
                .iter()
                .zip(&samples)
                .skip(400)
                .take(7000)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.02, "{name}: {worst}");
        }
    }

    #[test]
    fn a_wav_from_a_pipe_has_the_length_that_is_there() {
        let whole = wav(PCM, 1, 16_000, 16, &noise(200, 2));
        for size in [u32::MAX, 0x7fff_f000] {
            let mut piped = whole.clone();
            piped[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
            piped[40..44].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decode(&piped).unwrap(), decode(&whole).unwrap());
        }
    }

    #[test]
    fn half_a_file_is_an_error_where_its_length_is_known() {
        for whole in [testdata("tone.flac"), wav(PCM, 2, 48_000, 16, &noise(4000, 2))] {
            for cut in [whole.len() / 2, whole.len() - 9] {
                assert!(decode(&whole[..cut]).is_err());
            }
        }
    }

    #[test]
    fn a_damaged_flac_is_an_error() {
        let mut file = testdata("tone.flac");
        let middle = file.len() / 2;
        file[middle] ^= 0x10;
        assert!(decode(&file).is_err());
    }

    #[test]
    fn what_is_not_readable_audio_is_named() {
        for (bytes, says) in [
            (&b""[..], "no bytes"),
            (b"hello world", "begin 68 65 6c 6c 6f"),
            (b"RIFF\0\0\0\0WAVE", "WAV"),
            (b"fLaC", "FLAC"),
            (b"OggS", "OGG"),
            (b"ID3", "MP3"),
            (b"\xff\xfb\x90\x44", "MP3"),
        ] {
            let error = Audio::decode(bytes).unwrap_err();
            assert_eq!(error.code(), crate::error::Code::InvalidMedia);
            assert!(error.message().contains(says) && !error.message().contains('\n'), "{error}");
        }
    }

    #[test]
    fn empty_and_poisoned_and_endless_sounds_are_errors() {
        let error = decode(&wav(PCM, 1, 16_000, 16, b"")).unwrap_err();
        assert!(error.message().contains("no samples"), "{error}");
        let samples = [0.0f32, 0.5, f32::NAN, 0.0];
        let body: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
        let error = decode(&wav(FLOAT, 2, 16_000, 32, &body)).unwrap_err();
        assert!(error.message().contains("(NaN) in frame 1"), "{error}");
        let error = decode(&wav(PCM, 1, 1_000, 8, &vec![128; 3_600_001])).unwrap_err();
        assert!(error.message().contains("longer than 3600 seconds"), "{error}");
        let error = decode(&wav(PCM, 1, 900, 8, &[128; 10])).unwrap_err();
        assert!(error.message().contains("900 Hz"), "{error}");
    }
}
