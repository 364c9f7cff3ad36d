//! Sounds in ISO media files and QuickTime's: by their index, whatever of the samples is there. Samples behind the end of a
//! file that is cut off are lost, as those are that are damaged.

mod boxes;
mod description;
mod edit;
mod samples;

use std::borrow::Cow;

use miniz_oxide::inflate;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};

use super::blocks::{self, Blocks, Codec};
use super::container::{Container, READABLE};
use super::packets::{Indexed, Piece, decode_indexed};
use super::sink::Sink;
use crate::error::{Error, Result};
use boxes::{big, boxes as boxes_in, child, descend, time_scale};
pub(super) use description::stream_config;
use description::{Coding, Description};
use samples::{Chunk, Samples, Sizes};

/// Bytes of a compressed index beyond the file's own.
const MOST_INDEX: usize = 1 << 24;

/// How often an edit list may go back, as the track is decoded anew then.
const MOST_WALKS: usize = 64;

pub(super) fn decode(file: &[u8], sink: &mut Sink) -> Result<()> {
    let movie = movie(file)?;
    let track = Track::find(file, &movie)?;
    let samples = samples(file, &movie, track.body)?;
    let walks = edit::walks(&movie, track.body, track.rate);
    if walks.is_empty() {
        return track.decode(file, &samples, sink);
    }
    if walks.len() > MOST_WALKS {
        return Err(Error::unsupported(format!(
            "the MP4 audio's edit list goes back {} times, and up to {MOST_WALKS} are read: export it anew, or hand over its samples",
            walks.len()
        )));
    }
    let mut first_fault = None;
    for ranges in walks {
        sink.cut_ranges(ranges, track.rate);
        match track.decode(file, &samples, sink) {
            Err(fault) if sink.has_refused() => return Err(fault),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
            Ok(()) => {}
        }
    }
    first_fault.filter(|_| sink.taken_seconds() == 0.0).map_or(Ok(()), Err)
}

/// What is in the file's index, which QuickTime may compress.
fn movie(file: &[u8]) -> Result<Cow<'_, [u8]>> {
    let movie = child(file, b"moov").ok_or_else(|| {
        Error::media(
            "the MP4 file has no index (moov), without which nothing in it can be found: it is cut off, as recorders write \
             the index last; copy the whole file, or let the recorder end it",
        )
    })?;
    let Some(packed) = descend(movie, &[b"cmov", b"cmvd"]) else { return Ok(Cow::Borrowed(movie)) };
    let fault = || Error::media("the MP4 file is damaged: its compressed index (cmov) cannot be read");
    let size = big(packed).u32(0).ok_or_else(fault)? as usize;
    // The index of an hour takes less than a megabyte.
    let most = size.min(file.len().saturating_add(MOST_INDEX));
    let unpacked = inflate::decompress_to_vec_zlib_with_limit(&packed[4..], most).map_err(|_| fault())?;
    child(&unpacked, b"moov").map(|movie| Cow::Owned(movie.to_vec())).ok_or_else(fault)
}

/// A track of sound.
struct Track<'a> {
    body: &'a [u8],
    descriptions: Vec<Result<Description>>,
    /// Of the first description that is read.
    rate: u32,
}

impl<'a> Track<'a> {
    /// The first one of whose descriptions one is read, or what is wrong with the first track of sound.
    fn find(file: &[u8], movie: &'a [u8]) -> Result<Self> {
        // A file without brands is older than they are.
        let is_quicktime =
            child(file, b"ftyp").is_none_or(|brands| brands.chunks_exact(4).any(|brand| brand == b"qt  "));
        let mut first_fault = None;
        for body in boxes_in(movie).filter(|found| found.kind == b"trak").map(|found| found.body) {
            let handler = descend(body, &[b"mdia", b"hdlr"]);
            if handler.and_then(|handler| handler.get(8..12)) != Some(b"soun") {
                continue;
            }
            let stsd = descend(body, &[b"mdia", b"minf", b"stbl", b"stsd"]).unwrap_or_default();
            let descriptions = description::read(stsd, is_quicktime);
            match descriptions.iter().flatten().next() {
                Some(Description { rate, .. }) => return Ok(Track { body, rate: *rate, descriptions }),
                None => first_fault = first_fault.or(descriptions.into_iter().find_map(Result::err)),
            }
        }
        Err(first_fault.unwrap_or_else(|| {
            Error::unsupported(format!("the MP4 file has no audio track in a codec that is read: {READABLE}"))
        }))
    }

    /// Decodes all samples, with the description of each. What is described in a way that is not read is lost.
    fn decode(&self, file: &[u8], samples: &Samples, sink: &mut Sink) -> Result<()> {
        let scale = descend(self.body, &[b"mdia", b"mdhd"]).and_then(time_scale).unwrap_or(self.rate);
        let seconds = samples.duration as f64 / samples.count.max(1) as f64 / f64::from(scale.max(1));
        let (mut first_fault, taken_before) = (None, sink.taken_seconds());
        for run in samples.chunks.chunk_by(|one, next| one.description == next.description) {
            sink.check()?;
            let described = self.descriptions.get(run[0].description).or(self.descriptions.first());
            let decoded = match described {
                Some(Ok(description)) => decode_run(file, run, description, seconds, sink),
                Some(Err(fault)) => Err(fault.clone()),
                None => Ok(()),
            };
            if let Err(fault) = decoded {
                if sink.has_refused() {
                    return Err(fault);
                }
                let packets: u64 = run.iter().map(|chunk| chunk.count).sum();
                sink.lose_seconds(packets as f64 * seconds);
                first_fault.get_or_insert(fault);
            }
        }
        first_fault.filter(|_| sink.taken_seconds() == taken_before).map_or(Ok(()), Err)
    }
}

/// `seconds` are those of one packet.
fn decode_run(
    file: &[u8],
    chunks: &[Chunk],
    description: &Description,
    seconds: f64,
    sink: &mut Sink,
) -> Result<()> {
    match &description.coding {
        Coding::Blocks(codec) => decode_blocks(file, chunks, *codec, description, sink),
        Coding::Packets(params) => decode_packets(file, chunks, params.clone(), seconds, sink),
    }
}

fn samples<'a>(file: &'a [u8], movie: &'a [u8], track: &'a [u8]) -> Result<Samples<'a>> {
    let mut samples = Samples::default();
    let table = descend(track, &[b"mdia", b"minf", b"stbl"]).unwrap_or_default();
    samples.read_table(table);
    let id =
        child(track, b"tkhd").and_then(|head| big(head).u32(if head.first() == Some(&1) { 20 } else { 12 }));
    if let Some(id) = id.filter(|_| child(movie, b"mvex").is_some()) {
        samples.read_fragments(file, id, movie);
    }
    match samples.chunks.is_empty() {
        true => Err(Error::media("the MP4 audio has no samples: its index names none, or is cut off")),
        false => Ok(samples),
    }
}

fn decode_blocks(
    file: &[u8],
    chunks: &[Chunk],
    codec: Codec,
    description: &Description,
    sink: &mut Sink,
) -> Result<()> {
    let (data, stated) = block_data(file, chunks, codec.block(description.channels))?;
    let Description { channels, rate, .. } = *description;
    let blocks = Blocks::new(codec, channels, rate, &data, stated, Container::Mp4)?;
    blocks::decode_blocks(&blocks, Container::Mp4, sink)
}

/// What is there of the samples, in one piece, and how many bytes of them there should be. A block has so many bytes and
/// frames.
fn block_data<'a>(
    file: &'a [u8],
    chunks: &[Chunk],
    (block_bytes, block_frames): (usize, u64),
) -> Result<(Cow<'a, [u8]>, u64)> {
    let (mut data, mut stated) = (Cow::Borrowed(&file[..0]), 0u64);
    let mut end = 0;
    for chunk in chunks {
        let bytes = match chunk.sizes {
            // Samples are blocks there, and frames otherwise, whatever size is written.
            Sizes::Same(size) if size as usize >= block_bytes => chunk.count * u64::from(size),
            Sizes::Same(_) => (chunk.count / block_frames).saturating_mul(block_bytes as u64),
            sizes => (0..chunk.count).map_while(|index| sizes.get(index)).map(u64::from).sum(),
        };
        stated = stated.saturating_add(bytes);
        let start = usize::try_from(chunk.offset).unwrap_or(usize::MAX).min(file.len());
        let piece = &file[start..][..(file.len() - start).min(usize::try_from(bytes).unwrap_or(usize::MAX))];
        match &data {
            Cow::Borrowed([]) => data = Cow::Borrowed(piece),
            Cow::Borrowed(all) if end == start => {
                data = Cow::Borrowed(&file[start - all.len()..start + piece.len()]);
            }
            _ if data.len() + piece.len() > file.len() => {
                return Err(Error::media(
                    "the MP4 file is damaged: its index names more samples than it has",
                ));
            }
            _ => data.to_mut().extend_from_slice(piece),
        }
        end = start + piece.len();
    }
    Ok((data, stated))
}

/// `seconds` are those of one packet.
fn decode_packets(
    file: &[u8],
    chunks: &[Chunk],
    mut params: AudioCodecParameters,
    seconds: f64,
    sink: &mut Sink,
) -> Result<()> {
    if params.codec == CODEC_ID_MP3 {
        let first = chunks.first().and_then(|chunk| usize::try_from(chunk.offset).ok());
        params.codec = layer(first.and_then(|first| file.get(first..)).unwrap_or_default());
    }
    let pieces = chunks.iter().flat_map(|chunk| chunk_pieces(file, chunk));
    decode_indexed(Indexed { params: &params, container: Container::Mp4, seconds }, pieces, sink)
}

/// The packets of a chunk. Where one of them lies behind the end, those that follow do, too.
fn chunk_pieces<'a>(file: &'a [u8], chunk: &Chunk<'a>) -> impl Iterator<Item = Piece<'a>> {
    let mut at = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
    let (mut index, count, sizes) = (0, chunk.count, chunk.sizes);
    std::iter::from_fn(move || {
        (index < count).then_some(())?;
        let size = sizes.get(index).map(|size| size as usize);
        let Some(bytes) = size.and_then(|size| file.get(at..at.checked_add(size)?)) else {
            return Some(Piece::Missing(count - std::mem::replace(&mut index, count)));
        };
        (index, at) = (index + 1, at + bytes.len());
        (!bytes.is_empty()).then_some(Piece::Packet(bytes))
    })
}

/// The layer of MPEG audio, by a frame's head: the description is the same for all three.
fn layer(frame: &[u8]) -> symphonia::core::codecs::audio::AudioCodecId {
    match frame.get(1).map_or(1, |byte| byte >> 1 & 3) {
        3 => CODEC_ID_MP1,
        2 => CODEC_ID_MP2,
        _ => CODEC_ID_MP3,
    }
}
