//! A saved session, checked and read into the memory that becomes its state.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use twox_hash::XxHash3_128;

use super::file::{failed, failed_within};
use super::format::{self, Checksum, Expected, Front, Header, PRELUDE, damaged};
use super::side_by_side;
use super::write::PIECE;
use crate::engine::reuse::{Held, Past};
use crate::error::{Code, Error, Result};
use crate::nn::kept::{self, LayerMemory};
use crate::nn::state::Shape;

/// Where a saved session is.
///
/// A file is read and not mapped: one that somebody cuts short meanwhile would end the process, and every byte goes through
/// its checksum into memory of the session's own anyway.
pub enum Source<'a> {
    File { file: File, len: u64 },
    Memory(&'a [u8]),
}

impl Source<'_> {
    /// A regular file: a pipe or a device may never end.
    pub fn open(path: &Path) -> Result<Source<'static>> {
        let unreadable = |error: io::Error| failed(path, "read", &error);
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        let len = file.metadata().map_err(unreadable)?.len();
        Ok(Source::File { file, len })
    }

    fn len(&self) -> u64 {
        match self {
            Source::File { len, .. } => *len,
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `out` with what is there from `at` on.
    fn read(&self, out: &mut [u8], at: u64) -> Result<()> {
        match self {
            Source::File { file, .. } => file.read_exact_at(out, at).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => damaged("it was truncated while it was read"),
                _ => failed_within(&error, format!("it cannot be read: {error}")),
            }),
            Source::Memory(bytes) => {
                let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..out.len()));
                let from = from.ok_or_else(|| damaged("it is truncated"))?;
                out.copy_from_slice(from);
                Ok(())
            }
        }
    }
}

/// What a saved session says of itself, checked.
pub fn front(source: &Source, expected: &Expected) -> Result<Front> {
    let len = source.len();
    let mut prelude = vec![0; (PRELUDE as u64).min(len) as usize];
    source.read(&mut prelude, 0)?;
    let mut front = zeros(format::front_len(&prelude, len)?)?;
    source.read(&mut front, 0)?;
    Front::read(&front, expected)
}

/// `OUT_OF_MEMORY` in place of the end of the process.
fn zeros(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let refused = |_| Error::new(Code::OutOfMemory, format!("the system gives no {len} bytes"));
    bytes.try_reserve_exact(len).map_err(refused)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// A session that was read, for the MLX thread.
pub struct Saved {
    header: Header,
    held: Held,
    /// Of each state and each of its layers.
    layers: Vec<Vec<Option<LayerMemory>>>,
}

/// Reads the parts behind a front.
pub fn parts(source: &Source, front: Front, expected: &Expected) -> Result<Saved> {
    let Front { header, parts } = front;
    let mut parts = parts.into_iter();
    let mut next = || parts.next().ok_or_else(|| damaged("a part is missing"));
    let mut ids = zeros(header.positions() * size_of::<u32>())?;
    let mut wanted = vec![(next()?, vec![&mut ids[..]])];
    let mut layers = Vec::new();
    for (index, state) in header.states.iter().enumerate() {
        let memory = |(first, shape): (&Option<usize>, &Shape)| {
            first
                .map(|first| LayerMemory::new(*shape, first, state.positions, format::grows(index)))
                .transpose()
        };
        layers.push(state.first.iter().zip(expected.shapes).map(memory).collect::<Result<Vec<_>>>()?);
    }
    for layer in layers.iter_mut().flatten().flatten() {
        let mut runs = layer.runs_mut();
        for _ in ["keys", "values"] {
            wanted.push((next()?, runs.next().unwrap_or_default()));
        }
    }
    side_by_side(wanted, |((at, _, checksum), runs)| read_part(source, at, checksum, runs))?;
    let ids = ids_of(&ids, expected.vocab)?;
    Ok(Saved { held: Held::of(ids, header.media()?), header, layers })
}

fn read_part(source: &Source, at: u64, checksum: Checksum, runs: Vec<&mut [u8]>) -> Result<()> {
    let (mut hash, begin, mut at) = (XxHash3_128::new(), at, at);
    for piece in runs.into_iter().flat_map(|run| run.chunks_mut(PIECE)) {
        source.read(piece, at)?;
        hash.write(piece);
        at += piece.len() as u64;
    }
    match hash.finish_128() == checksum {
        true => Ok(()),
        false => {
            let message = format!("the checksum of bytes {begin} to {at} is not theirs");
            Err(damaged(&message).with("byte", begin))
        }
    }
}

fn ids_of(bytes: &[u8], vocab: usize) -> Result<Vec<u32>> {
    let (ids, _) = bytes.as_chunks::<4>();
    let ids: Vec<u32> = ids.iter().map(|id| u32::from_le_bytes(*id)).collect();
    match ids.iter().all(|id| (*id as usize) < vocab) {
        true => Ok(ids),
        false => Err(damaged("an id is outside of the vocabulary")),
    }
}

impl Saved {
    pub fn positions(&self) -> usize {
        self.header.positions()
    }

    /// What the session holds from now on. On the MLX thread, which does no work for it.
    pub fn into_past(self, most: usize) -> Result<Past> {
        let mut layers = self.layers.into_iter().zip(&self.header.states);
        let (own, extent) = layers.next().ok_or_else(|| damaged("it has no state"))?;
        let own = own.into_iter().flatten().collect();
        let state = kept::state(own, extent.positions, self.header.next)?;
        let checkpoints = layers.map(|(layers, extent)| kept::checkpoint(layers, extent.positions));
        Ok(Past::of(state, self.held, checkpoints.collect::<Result<_>>()?, most))
    }
}
