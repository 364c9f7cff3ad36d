//! A session's parts, hashed and written side by side.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::path::Path;

use twox_hash::XxHash3_128;

use super::contents::Contents;
use super::file::failed;
use super::format::Plan;
use super::side_by_side;
use crate::error::{Code, Error, Result};

/// Bytes that are hashed and written at a time: they stay in a core's cache between the two.
pub const PIECE: usize = 1 << 20;

/// Where bytes go, one after the other.
enum Place<'a> {
    File { file: &'a File, path: &'a Path, at: u64 },
    Memory(&'a mut [MaybeUninit<u8>]),
}

impl Place<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Place::File { file, path, at } => {
                file.write_all_at(bytes, *at).map_err(|error| failed(path, "written", &error))?;
                *at += bytes.len() as u64;
            }
            Place::Memory(room) => {
                let Some((here, rest)) = std::mem::take(room).split_at_mut_checked(bytes.len()) else {
                    return Err(Error::new(Code::Backend, "a part is longer than was planned"));
                };
                here.write_copy_of_slice(bytes);
                *room = rest;
            }
        }
        Ok(())
    }
}

/// Writes to a file that has the length of the plan.
pub fn to_file(plan: &Plan, contents: &Contents, file: &File, path: &Path) -> Result<()> {
    let mut at = plan.front_len() as u64;
    let places = plan.lengths().iter().map(|length| {
        let place = Place::File { file, path, at };
        at += length;
        place
    });
    let front = write_parts(plan, contents, places.collect())?;
    Place::File { file, path, at: 0 }.put(&front)
}

/// Fills `out`, which has the length of the plan.
pub fn to_memory(plan: &Plan, contents: &Contents, out: &mut [MaybeUninit<u8>]) -> Result<()> {
    let short = || Error::new(Code::Backend, "there is less room than was planned");
    let (front, mut rest) = out.split_at_mut_checked(plan.front_len()).ok_or_else(short)?;
    let mut places = Vec::new();
    for length in plan.lengths() {
        let (part, behind) = rest.split_at_mut_checked(*length as usize).ok_or_else(short)?;
        places.push(Place::Memory(part));
        rest = behind;
    }
    let bytes = write_parts(plan, contents, places)?;
    Place::Memory(front).put(&bytes)
}

/// Writes the parts to their places; the front that goes before them.
fn write_parts(plan: &Plan, contents: &Contents, places: Vec<Place>) -> Result<Vec<u8>> {
    let ids: Vec<u8> = contents.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let layers = contents.states.iter().flat_map(|state| state.layers.iter().flatten());
    let mut parts: Vec<Vec<&[u8]>> = vec![vec![&ids]];
    for layer in layers {
        match &layer.rows {
            Some(rows) => parts.extend(rows.iter().map(|rows| rows.runs().collect())),
            None => parts.extend([Vec::new(), Vec::new()]),
        }
    }
    let fits =
        |(runs, length): (&Vec<&[u8]>, &u64)| runs.iter().map(|run| run.len() as u64).sum::<u64>() == *length;
    if parts.len() != places.len() || !parts.iter().zip(plan.lengths()).all(fits) {
        return Err(Error::new(Code::Backend, "the rows of a layer are not as many as was planned"));
    }
    let checksums = side_by_side(parts.into_iter().zip(places).collect(), |(runs, mut place)| {
        let mut hash = XxHash3_128::new();
        for piece in runs.into_iter().flat_map(|run| run.chunks(PIECE)) {
            hash.write(piece);
            place.put(piece)?;
        }
        Ok(hash.finish_128())
    })?;
    Ok(plan.front(&checksums))
}
