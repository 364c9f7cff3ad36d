//! Whether all ranks have the same: compared before weights are read, and told of once they are.

use mlx_rs::Dtype;

use crate::error::{Code, Error, Result};
use crate::nn::Device;
use crate::nn::group::Group;
use crate::nn::mlx::group::Backend;
use crate::system::links::{self, Links};

/// Bytes of what a rank says of itself, and of how its load ended.
const VERSION: usize = 32;
const FINGERPRINT: usize = 32;
const OUTCOME: usize = 512;

/// What must be alike on all ranks.
pub struct Record {
    pub fingerprint: [u8; FINGERPRINT],
    pub device: Device,
    /// What keys and values are kept as, if not as the activations.
    pub cache: Option<Dtype>,
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        let mut version = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
        version.resize(VERSION, 0);
        let kept = self.cache.map_or(0, |dtype| dtype as u8 + 1);
        [version, self.fingerprint.to_vec(), vec![u8::from(self.device == Device::Gpu), kept]].concat()
    }
}

/// Finds out which of the connections that NCCL made go to which rank: each rank tells the ports of its own.
pub fn introduce(group: &Group) -> Result<()> {
    const MOST: usize = 64;
    if group.bond().backend() != Backend::Nccl || group.bond().is_linked() {
        return Ok(());
    }
    // What is opened for the first operation may be closed after it.
    group.exchange(&[0])?;
    let own = group.bond().candidates();
    let told = own.iter().take(MOST);
    let mut bytes: Vec<u8> = told.flat_map(|(a, b)| [a.to_le_bytes(), b.to_le_bytes()]).flatten().collect();
    bytes.resize(MOST * 4, 0);
    let all = group.exchange(&bytes)?;
    let port = |bytes: &[u8]| bytes.try_into().map(u16::from_le_bytes).unwrap_or(0);
    let told = |bytes: &Vec<u8>, local: u16, remote: u16| {
        bytes.chunks_exact(4).any(|pair| (port(&pair[..2]), port(&pair[2..])) == (remote, local))
    };
    let others = || (0..all.len()).filter(|rank| *rank != group.shard().rank());
    let peer = |local, remote| {
        others().find(|rank| own.contains(&(local, remote)) && told(&all[*rank], local, remote))
    };
    group.bond().link(Links::among(links::open_descriptors(), peer));
    Ok(())
}

/// Compares what all ranks have. All of them come to the same error.
///
/// Errors: `InvalidSnapshot` for other weights or another configuration, `Unsupported` for another version of rmlx or another
/// device, and what a group fails with.
pub fn compare(group: &Group, own: &Record) -> Result<()> {
    let all = group.exchange(&own.bytes())?;
    let Some(first) = all.first() else { return Ok(()) };
    let part = |bytes: &[u8], from: usize, len: usize| bytes.get(from..from + len).map(<[u8]>::to_vec);
    for (rank, other) in all.iter().enumerate() {
        let differs = |from, len| part(other, from, len) != part(first, from, len);
        let error = if differs(0, VERSION) {
            let version = |bytes| text(&part(bytes, 0, VERSION).unwrap_or_default());
            let (theirs, ours) = (version(other), version(first));
            Error::unsupported(format!("rank {rank} runs rmlx {theirs}, and rank 0 runs {ours}"))
        } else if differs(VERSION, FINGERPRINT) {
            Error::snapshot(format!(
                "rank {rank} has another snapshot than rank 0: weights or configuration differ"
            ))
        } else if differs(VERSION + FINGERPRINT, 1) {
            Error::unsupported(format!("rank {rank} and rank 0 are not on the same kind of device"))
        } else if differs(VERSION + FINGERPRINT + 1, 1) {
            Error::unsupported(format!("rank {rank} and rank 0 have other options of the load: cache types"))
        } else {
            continue;
        };
        return Err(error.with("rank", rank));
    }
    Ok(())
}

/// Tells the others how this rank's load ended, and hears how theirs did: the first error of all, with its rank.
pub fn outcome<T>(group: &Group, own: Result<T>) -> Result<T> {
    let message = own.as_ref().err().map(|error| (error.code() as i32, error.message().to_owned()));
    let (code, message) = message.unwrap_or_default();
    let mut bytes = [&code.to_le_bytes()[..], message.as_bytes()].concat();
    bytes.resize(OUTCOME, 0);
    let all = group.exchange(&bytes)?;
    let own = own?;
    for (rank, bytes) in all.iter().enumerate() {
        let Some((code, message)) = bytes.split_first_chunk() else { continue };
        if i32::from_le_bytes(*code) != 0 {
            let code = Code::from_number(i32::from_le_bytes(*code)).unwrap_or(Code::Backend);
            return Err(Error::new(code, format!("rank {rank}: {}", text(message))).with("rank", rank));
        }
    }
    Ok(own)
}

/// Up to the first zero; what was cut in a character ends before it.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end_matches('\u{fffd}').to_owned()
}
