//! Sounds in packets, through `symphonia`'s readers and decoders. A damaged packet is left out, as ffmpeg does, and how much
//! was lost is told.

use std::io::ErrorKind;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::{get_codecs, get_probe};

use super::aac;
use super::container::{Container, READABLE};
use super::ogg::Pages;
use super::opus::Opus;
use super::sink::Sink;
use crate::error::{Error, Result};

/// Packets in a row that cannot be read, after which a file counts as ended.
const MOST_FAULTS: u32 = 256;

/// Seconds that a file may state too many without having lost any: what an encoder pads.
const PADDING: f64 = 0.1;

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Opus>),
}

/// Decodes packets one after another, and remembers what was wrong with those that it cannot.
pub(super) struct PacketDecoder {
    decoder: Decoder,
    container: Container,
    /// Packets in a row that were damaged.
    faults: u32,
    first_fault: Option<Error>,
    /// Of AAC: until it is known whether it has an upper band.
    watch: Option<aac::Watch>,
    /// Seconds that the sink had before.
    taken_before: f64,
}

impl PacketDecoder {
    pub(super) fn new(
        params: Option<&AudioCodecParameters>,
        container: Container,
        sink: &Sink,
    ) -> Result<Self> {
        let decoder = decoder_for(params, container)?;
        let of_aac = params.filter(|params| params.codec == CODEC_ID_AAC);
        let watch = of_aac.and_then(|params| {
            aac::Watch::new(params.extra_data.as_deref(), params.sample_rate.unwrap_or(0), container)
        });
        Ok(PacketDecoder {
            decoder,
            container,
            faults: 0,
            first_fault: None,
            watch,
            taken_before: sink.taken_seconds(),
        })
    }

    /// Goes on with another stream.
    fn renew(&mut self, params: Option<&AudioCodecParameters>) -> Result<()> {
        self.decoder = decoder_for(params, self.container)?;
        Ok(())
    }

    /// Hands a packet's frames to `sink`, or tells it that `seconds` were lost.
    pub(super) fn take(&mut self, packet: &Packet, seconds: f64, sink: &mut Sink) -> Result<()> {
        self.watch.take_if(|watch| !watch.look(packet, self.container));
        match decode_packet(&mut self.decoder, packet, self.container, sink)? {
            None => self.faults = 0,
            Some(fault) => {
                sink.lose_seconds(seconds);
                self.note(fault);
            }
        }
        Ok(())
    }

    /// Leaves out the frames at a stream's beginning that its coder says are not to be heard.
    pub(super) fn skip_start(&self, sink: &mut Sink) {
        if let Decoder::Opus(opus) = &self.decoder {
            sink.cut(opus.pre_skip(), u64::MAX, super::opus::RATE);
        }
    }

    /// Something could not be read.
    pub(super) fn note(&mut self, fault: Error) {
        self.faults += 1;
        self.first_fault.get_or_insert(fault);
    }

    /// Whether the file counts as ended.
    pub(super) fn is_hopeless(&self) -> bool {
        self.faults > MOST_FAULTS
    }

    /// An error where nothing was decoded.
    pub(super) fn finish(self, sink: &Sink) -> Result<()> {
        if sink.taken_seconds() > self.taken_before {
            return Ok(());
        }
        let none = || Error::media(format!("the {} audio has no samples", self.container.name()));
        Err(self.first_fault.unwrap_or_else(none))
    }
}

/// A track whose packets its container's own index names.
pub(super) struct Indexed<'a> {
    pub params: &'a AudioCodecParameters,
    pub container: Container,
    /// Of one packet.
    pub seconds: f64,
}

/// What an index names.
pub(super) enum Piece<'a> {
    Packet(&'a [u8]),
    /// So many packets, which lie behind the end of the file.
    Missing(u64),
}

/// Decodes packets of an index.
pub(super) fn decode_indexed<'a>(
    track: Indexed,
    pieces: impl Iterator<Item = Piece<'a>>,
    sink: &mut Sink,
) -> Result<()> {
    let name = track.container.name();
    let mut decoder = PacketDecoder::new(Some(track.params), track.container, sink)?;
    if let Decoder::Opus(opus) = &decoder.decoder {
        sink.begin_at(opus.pre_skip(), super::opus::RATE);
    }
    for piece in pieces {
        match piece {
            Piece::Packet(bytes) => {
                let packet = Packet::new(0, Timestamp::ZERO, Duration::ZERO, bytes);
                decoder.take(&packet, track.seconds, sink)?;
            }
            Piece::Missing(count) => {
                sink.lose_seconds(count as f64 * track.seconds);
                let what = "its samples lie behind the end of the file";
                decoder.note(Error::media(format!("the {name} audio is truncated: {what}")));
            }
        }
        if decoder.is_hopeless() || sink.is_done() {
            break;
        }
    }
    decoder.finish(sink)
}

pub(super) fn decode(encoded: &[u8], container: Container, sink: &mut Sink) -> Result<()> {
    let pages = (container == Container::Ogg).then(|| Pages::of(encoded));
    let encoded = pages.as_ref().map_or(encoded, |pages| &pages.bytes);
    let mut reader = open(encoded, container).map_err(|e| match &pages {
        Some(pages) if pages.damaged > 0 => Error::media(format!(
            "the OGG audio is damaged: {} of its pages have wrong checksums or are cut off, and without them its head \
             cannot be read",
            pages.damaged
        )),
        _ => e,
    })?;
    let track = audio_track(reader.as_ref(), container)?;
    let mut id = track.id;
    lose_pages(&pages, track, sink);
    let stated = stated_seconds(track, container);
    if let (Some(params), Some(frames)) = (params(track), stated_frames(track, container))
        && let Some(rate) = params.sample_rate
    {
        let channels = params.channels.as_ref().map_or(1, |channels| channels.count());
        sink.expect(frames, channels, rate)?;
    }
    let (taken_before, lost_before) = (sink.taken_seconds(), sink.lost_seconds());
    let mut decoder = PacketDecoder::new(params(track), container, sink)?;
    decoder.skip_start(sink);
    while !decoder.is_hopeless() {
        match reader.next_packet() {
            Ok(Some(packet)) if packet.track_id == id => {
                decoder.take(&packet, packet_seconds(reader.as_ref(), &packet), sink)?;
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            // Another stream follows in the file: OGG allows it.
            Err(Fault::ResetRequired) => {
                let track = audio_track(reader.as_ref(), container)?;
                id = track.id;
                lose_pages(&pages, track, sink);
                decoder.renew(params(track))?;
                decoder.skip_start(sink);
            }
            Err(Fault::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                decoder.note(Error::media(format!("the {} audio is truncated", container.name())));
                break;
            }
            Err(fault) => decoder.note(describe(fault, container)),
        }
    }
    decoder.finish(sink)?;
    let taken = sink.taken_seconds() - taken_before;
    if let Some(stated) = stated.filter(|stated| stated - taken > PADDING) {
        sink.lost_at_least(lost_before + stated - taken);
    }
    Ok(())
}

/// Tells of the pages of an OGG track that are missing.
fn lose_pages(pages: &Option<Pages>, track: &Track, sink: &mut Sink) {
    let rate = match params(track) {
        Some(params) if params.codec == CODEC_ID_OPUS => super::opus::RATE,
        params => params.and_then(|params| params.sample_rate).unwrap_or(0),
    };
    if let Some(pages) = pages {
        sink.lose(pages.lost(track.id), rate);
    }
}

/// A reader of the file. One that looks at the file's end first fails where that is cut off or damaged: then it is read from
/// the start on.
fn open(encoded: &[u8], container: Container) -> Result<Box<dyn FormatReader + '_>> {
    let bytes = || std::io::Cursor::new(encoded);
    let in_order = || probe(Box::new(ReadOnlySource::new(bytes())), container);
    let opened = match container {
        // It would guess a length by the end, and end there.
        Container::Mpeg => in_order(),
        _ => probe(Box::new(bytes()), container).or_else(|_| in_order()),
    };
    opened.map_err(|e| match e {
        // The first bytes are those of the container, so it is not unknown: the rest of its head is not there.
        Fault::Unsupported(what) if what.contains("probe") => {
            Error::media(format!("the {} audio is damaged or truncated in its head", container.name()))
        }
        e => describe(e, container),
    })
}

fn probe<'a>(
    source: Box<dyn MediaSource + 'a>,
    container: Container,
) -> std::result::Result<Box<dyn FormatReader + 'a>, Fault> {
    let mut hint = Hint::new();
    hint.with_extension(container.extension());
    let stream = MediaSourceStream::new(source, Default::default());
    get_probe().probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
}

/// The default audio track, or the first one with a codec that is read.
fn audio_track(reader: &dyn FormatReader, container: Container) -> Result<&Track> {
    reader.default_track(TrackType::Audio).ok_or_else(|| {
        Error::unsupported(format!(
            "the {} file has no audio track in a codec that is read: {READABLE}",
            container.name()
        ))
    })
}

fn params(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref()?.audio()
}

/// The number of frames where the file states it exactly. MP3's is an estimate where the file has no Xing tag, and OGG's is
/// read off the last page that is there.
fn stated_frames(track: &Track, container: Container) -> Option<u64> {
    track.num_frames.filter(|_| container == Container::Flac)
}

/// The length that the file states.
fn stated_seconds(track: &Track, container: Container) -> Option<f64> {
    let rate = params(track)?.sample_rate.filter(|&rate| rate > 0)?;
    Some(stated_frames(track, container)? as f64 / f64::from(rate))
}

fn packet_seconds(reader: &dyn FormatReader, packet: &Packet) -> f64 {
    let base =
        reader.tracks().iter().find(|track| track.id == packet.track_id).and_then(|track| track.time_base);
    base.map_or(0.0, |base| {
        packet.dur.get() as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get())
    })
}

fn decoder_for(params: Option<&AudioCodecParameters>, container: Container) -> Result<Decoder> {
    let params = params.ok_or_else(|| {
        Error::unsupported(format!(
            "the {} file has no audio track in a codec that is read: {READABLE}",
            container.name()
        ))
    })?;
    if params.codec == CODEC_ID_OPUS {
        let head = params.extra_data.as_deref().unwrap_or_default();
        let opus = match container {
            Container::Caf => {
                Opus::of_channels(params.channels.as_ref().map_or(1, |channels| channels.count()))
            }
            _ => Opus::new(head),
        };
        return opus.map(|opus| Decoder::Opus(Box::new(opus)));
    }
    // `symphonia` 0.6 gives more channels other samples than libvorbis.
    let channels = params.channels.as_ref().map_or(1, |channels| channels.count());
    if params.codec == CODEC_ID_VORBIS && channels > 2 {
        return Err(Error::unsupported(format!(
            "the Vorbis audio has {channels} channels: 1 and 2 are read; convert it, or hand over its samples"
        )));
    }
    get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map(Decoder::Symphonia)
        .map_err(|e| match e {
            Fault::Unsupported(what) if params.codec == CODEC_ID_AAC => Error::unsupported(format!(
                "the {} audio is AAC of a kind or with channels that are not read ({what}): AAC-LC with 1 and 2 channels is; \
                 convert it, or hand over its samples",
                container.name()
            )),
            e => describe(e, container),
        })
}

/// `Some` with what was wrong if the packet is damaged.
fn decode_packet(
    decoder: &mut Decoder,
    packet: &Packet,
    container: Container,
    sink: &mut Sink,
) -> Result<Option<Error>> {
    match decoder {
        Decoder::Opus(opus) => Ok(match opus.decode(packet, sink)? {
            true => None,
            false => {
                Some(Error::media(format!("the {} audio has a damaged packet of Opus", container.name())))
            }
        }),
        Decoder::Symphonia(decoder) => match decoder.decode(packet) {
            Ok(decoded) => sink.take(decoded).map(|()| None),
            Err(fault) => Ok(Some(describe(fault, container))),
        },
    }
}

fn describe(fault: Fault, container: Container) -> Error {
    let name = container.name();
    match fault {
        Fault::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::media(format!("the {name} audio is truncated"))
        }
        Fault::Unsupported(what) => Error::unsupported(format!(
            "the {name} audio uses a feature that is not read ({what}): {READABLE}"
        )),
        e => Error::media(format!("the {name} audio is corrupt: {e}")),
    }
}
