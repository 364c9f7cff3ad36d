//! The front of a saved session: what it says of the parts behind it, and what it has to say.

use std::mem::size_of;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::contents::Contents;
use crate::error::{Code, Error, Result};
use crate::json;
use crate::media::ContentHash;
use crate::nn::kept::{KeptLayer, KeptState, LayerMemory};
use crate::nn::state::{SPARE, Shape};

const MAGIC: [u8; 8] = *b"rmlxsess";
/// Grows with each change of the format or of what rows mean.
const VERSION: u32 = 2;
/// Before the header.
pub const PRELUDE: usize = 72;
/// Bytes of the prelude that its checksum covers, which comes right behind them.
const COVERED: usize = 40;
/// Bytes of a part's checksum in the table.
const CHECKSUM: usize = size_of::<Checksum>();
/// A longer header is not believed.
const MOST_HEADER: u64 = 64 << 20;
/// Checkpoints of a session; more are not believed.
const MOST_STATES: usize = 64;

/// Of a part: it tells chance from content, at the speed of memory.
pub type Checksum = u128;

/// What a session must have been saved from to be loaded.
pub struct Expected<'a> {
    pub snapshot: &'a [u8; 32],
    pub template: &'a [u8; 32],
    pub shapes: &'a [Shape],
    pub vocab: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    snapshot: String,
    template: String,
    layers: Vec<Layer>,
    /// Position that comes next.
    pub next: i32,
    media: Vec<Medium>,
    /// The session's own state, then its checkpoints.
    pub states: Vec<Extent>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    window: Option<usize>,
    kv_heads: usize,
    head_dim: usize,
    dtype: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Medium {
    first: usize,
    end: usize,
    hash: String,
}

/// Which rows there are of a state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    pub positions: usize,
    /// For each layer its first position; none where the layer is not among the parts.
    pub first: Vec<Option<usize>>,
}

/// Whether rows are added to the state of this number: to the session's own, and to no checkpoint.
pub fn grows(index: usize) -> bool {
    index == 0
}

impl From<Shape> for Layer {
    fn from(shape: Shape) -> Layer {
        let Shape { window, kv_heads, head_dim, .. } = shape;
        Layer { window, kv_heads, head_dim, dtype: shape.type_name() }
    }
}

impl Extent {
    fn of(state: &KeptState) -> Extent {
        let first = |layer: &Option<KeptLayer>| layer.as_ref().map(|layer| layer.first);
        Extent { positions: state.positions, first: state.layers.iter().map(first).collect() }
    }
}

impl Header {
    /// Positions that the session holds.
    pub fn positions(&self) -> usize {
        self.states.first().map_or(0, |own| own.positions)
    }

    /// Bytes of the memory that the rows are read into. The header has been checked.
    pub fn memory(&self, shapes: &[Shape]) -> u64 {
        let of = |(index, first, shape): (usize, usize, Shape)| {
            LayerMemory::bytes(shape, first, self.states[index].positions, grows(index))
        };
        self.rows(shapes).map(of).sum()
    }

    pub fn media(&self) -> Result<Vec<(Range<usize>, ContentHash)>> {
        let of = |medium: &Medium| {
            let hash = blake3::Hash::from_hex(&medium.hash).map_err(|_| damaged("a medium has no hash"))?;
            Ok((medium.first..medium.end, *hash.as_bytes()))
        };
        self.media.iter().map(of).collect()
    }

    /// The number of the state, the first position and the shape of each layer that there are rows of.
    fn rows<'a>(&'a self, shapes: &'a [Shape]) -> impl Iterator<Item = (usize, usize, Shape)> {
        self.states.iter().enumerate().flat_map(move |(index, state)| {
            let layers = state.first.iter().zip(shapes);
            layers.filter_map(move |(first, shape)| Some((index, (*first)?, *shape)))
        })
    }

    /// Lengths of the parts: ids, then keys and values of the layers of each state. The header has been checked.
    fn parts(&self, shapes: &[Shape]) -> Vec<u64> {
        let mut lengths = vec![(self.positions() * size_of::<u32>()) as u64];
        for (index, first, shape) in self.rows(shapes) {
            let bytes = (self.states[index].positions - first) as u64 * (shape.row_bytes() / 2) as u64;
            lengths.extend([bytes, bytes]);
        }
        lengths
    }

    /// Whether this is a session of what is expected, as far as that goes.
    fn check_origin(&self, expected: &Expected) -> Result<()> {
        let is = |hash: &str, of: &[u8; 32]| hash == blake3::Hash::from_bytes(*of).to_hex().as_str();
        if !is(&self.snapshot, expected.snapshot) {
            return Err(foreign("snapshot", "it was saved from another snapshot"));
        }
        if !is(&self.template, expected.template) {
            return Err(foreign("template", "it was saved with another chat template"));
        }
        let wanted: Vec<Layer> = expected.shapes.iter().map(|shape| Layer::from(*shape)).collect();
        let types = |layers: &[Layer]| layers.iter().map(|layer| layer.dtype.clone()).collect::<Vec<_>>();
        let (saved, here) = (types(&self.layers), types(&wanted));
        if let Some((saved, here)) = saved.iter().zip(&here).find(|(saved, here)| saved != here) {
            let message =
                format!("its numbers are {saved}, and those of the model on this device are {here}");
            return Err(foreign("dtype", &message));
        }
        if self.layers != wanted {
            return Err(foreign("layers", "its layers are not those of the model"));
        }
        Ok(())
    }

    /// Whether it says something that can be, before anything is made of it.
    fn check(&self, expected: &Expected) -> Result<()> {
        let Some((own, checkpoints)) = self.states.split_first() else {
            return Err(damaged("it has no state"));
        };
        if self.states.len() > MOST_STATES || own.positions > i32::MAX as usize / 2 {
            return Err(damaged("it says to be larger than sessions are"));
        }
        if self.next < 0 || (own.positions == 0 && self.next != 0) {
            return Err(damaged("its next position cannot be"));
        }
        own.check(expected.shapes, true)?;
        for checkpoint in checkpoints {
            if checkpoint.positions == 0 || checkpoint.positions > own.positions {
                return Err(damaged("a checkpoint is outside of the session"));
            }
            checkpoint.check(expected.shapes, false)?;
        }
        let mut end = 0;
        for medium in &self.media {
            if medium.first < end || medium.end <= medium.first || medium.first >= own.positions {
                return Err(damaged("a medium's place cannot be"));
            }
            end = medium.end;
        }
        self.media().map(drop)
    }
}

impl Extent {
    fn check(&self, shapes: &[Shape], whole: bool) -> Result<()> {
        let fits = |(first, shape): (&Option<usize>, &Shape)| match (first, shape.window) {
            (Some(first), window) => {
                let rows = self.positions.checked_sub(*first);
                let seen = window.map_or(self.positions, |w| self.positions.min(w - 1));
                let most = window.map_or(self.positions, |w| w - 1 + SPARE);
                (whole || window.is_some()) && rows.is_some_and(|rows| (seen..=most).contains(&rows))
            }
            (None, window) => !whole && window.is_none(),
        };
        match self.first.len() == shapes.len() && self.first.iter().zip(shapes).all(fits) {
            true => Ok(()),
            false => Err(damaged("the rows of a layer are not those of its window")),
        }
    }
}

/// How a session is going to be written.
pub struct Plan {
    /// Prelude and header, without checksums.
    front: Vec<u8>,
    lengths: Vec<u64>,
    total: u64,
}

impl Plan {
    /// `marks` are the snapshot's fingerprint and the template's hash.
    pub fn new(contents: &Contents, marks: (&[u8; 32], &[u8; 32])) -> Result<Plan> {
        let hex = |hash: &[u8; 32]| blake3::Hash::from_bytes(*hash).to_hex().to_string();
        let medium = |(range, hash): &(Range<usize>, ContentHash)| Medium {
            first: range.start,
            end: range.end,
            hash: hex(hash),
        };
        let header = Header {
            snapshot: hex(marks.0),
            template: hex(marks.1),
            layers: contents.shapes.iter().map(|shape| Layer::from(*shape)).collect(),
            next: contents.next,
            media: contents.media.iter().map(medium).collect(),
            states: contents.states.iter().map(Extent::of).collect(),
        };
        let json = serde_json::to_vec(&header).map_err(|e| Error::new(Code::Backend, e.to_string()))?;
        let lengths = header.parts(&contents.shapes);
        let table = lengths.len() * CHECKSUM;
        let total = (PRELUDE + json.len() + table) as u64 + lengths.iter().sum::<u64>();
        let mut front = Vec::with_capacity(PRELUDE + json.len() + table);
        front.extend_from_slice(&MAGIC);
        front.extend_from_slice(&VERSION.to_le_bytes());
        front.extend_from_slice(&0u32.to_le_bytes());
        for number in [json.len() as u64, lengths.len() as u64, total] {
            front.extend_from_slice(&number.to_le_bytes());
        }
        front.extend_from_slice(&[0; PRELUDE - COVERED]);
        front.extend_from_slice(&json);
        Ok(Plan { front, lengths, total })
    }

    /// Bytes of all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes before the parts.
    pub fn front_len(&self) -> usize {
        self.front.len() + self.lengths.len() * CHECKSUM
    }

    pub fn lengths(&self) -> &[u64] {
        &self.lengths
    }

    /// The front, once the parts' checksums are known.
    pub fn front(&self, checksums: &[Checksum]) -> Vec<u8> {
        let mut front = self.front.clone();
        checksums.iter().for_each(|checksum| front.extend_from_slice(&checksum.to_le_bytes()));
        let checksum = checksum_of(&front);
        front[COVERED..PRELUDE].copy_from_slice(checksum.as_bytes());
        front
    }
}

/// Of everything before the parts but the checksum itself.
fn checksum_of(front: &[u8]) -> blake3::Hash {
    let mut hash = blake3::Hasher::new();
    hash.update(&front[..COVERED]).update(&front[PRELUDE..]);
    hash.finalize()
}

/// The front of a session that is being loaded.
pub struct Front {
    pub header: Header,
    /// Of each part: where it begins, how long it is, and its checksum.
    pub parts: Vec<(u64, u64, Checksum)>,
}

/// Bytes of the whole front, by its prelude, of a file of `len` bytes.
pub fn front_len(prelude: &[u8], len: u64) -> Result<usize> {
    if !prelude.starts_with(&MAGIC) {
        return Err(foreign("format", "it is no saved session"));
    }
    if prelude.len() < PRELUDE {
        return Err(damaged(&format!("it is truncated: {len} bytes are too few")));
    }
    let version = number(prelude, 8) as u32;
    if version != VERSION {
        let message = format!("it has version {version} of the format, and this library reads {VERSION}");
        return Err(foreign("version", &message).with("version", version));
    }
    let [header, parts, total] = [16, 24, 32].map(|at| number(prelude, at));
    if total != len {
        let what = if total > len { "it is truncated" } else { "something follows it" };
        return Err(damaged(&format!("{what}: {len} bytes are there, and it says to have {total}")));
    }
    let table = parts.checked_mul(CHECKSUM as u64);
    let front = table.and_then(|table| table.checked_add(header)?.checked_add(PRELUDE as u64));
    match front.filter(|front| header <= MOST_HEADER && *front <= total).map(usize::try_from) {
        Some(Ok(front)) => Ok(front),
        _ => Err(damaged("its header says to be longer than the whole")),
    }
}

impl Front {
    /// Checks and reads `front`, of the length that [`front_len`] gave.
    pub fn read(front: &[u8], expected: &Expected) -> Result<Front> {
        let Some((prelude, rest)) = front.split_at_checked(PRELUDE) else {
            return Err(damaged("it is truncated"));
        };
        if checksum_of(front).as_bytes()[..] != prelude[COVERED..] {
            return Err(damaged("the checksum of its header is not that of the header"));
        }
        let [length, total] = [16, 32].map(|at| number(prelude, at));
        let Some((json, table)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) else {
            return Err(damaged("its header is truncated"));
        };
        let header: Header = json::parse(json).map_err(|e| damaged(&format!("its header is broken: {e}")))?;
        header.check_origin(expected)?;
        header.check(expected)?;
        let lengths = header.parts(expected.shapes);
        let sum = lengths.iter().try_fold(front.len() as u64, |sum, length| sum.checked_add(*length));
        if table.len() != lengths.len() * CHECKSUM || sum != Some(total) {
            return Err(damaged("its parts are not as long as its header says"));
        }
        let mut at = front.len() as u64;
        let (checksums, _) = table.as_chunks::<CHECKSUM>();
        let parts = lengths.iter().zip(checksums).map(|(length, checksum)| {
            let part = (at, *length, Checksum::from_le_bytes(*checksum));
            at += length;
            part
        });
        Ok(Front { parts: parts.collect(), header })
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// What was saved is not what was written.
pub fn damaged(message: &str) -> Error {
    foreign("damaged", message)
}

fn foreign(fault: &str, message: &str) -> Error {
    Error::new(Code::InvalidSave, format!("the saved session cannot be loaded: {message}"))
        .with("fault", fault)
}
