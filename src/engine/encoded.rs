//! Media that have been encoded, kept for the next session that shows them to the same model.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::media::ContentHash;
use crate::models::SoftTokens;

/// How many bytes of soft tokens a model keeps, where the host does not say: some twenty images of the largest model
/// on a GPU.
pub(crate) const DEFAULT_LIMIT: usize = 64 << 20;

/// The contents that a model has encodings of, for any thread to ask. What it says may be over a moment later.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<HashSet<ContentHash>>>);

impl Known {
    pub fn has(&self, hash: &ContentHash) -> bool {
        self.set().contains(hash)
    }

    // A panic while the lock was held leaves plain data behind, so the lock stays usable.
    fn set(&self) -> MutexGuard<'_, HashSet<ContentHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Soft tokens of one model by content, the least recently used given up first. Lives on the MLX thread.
pub(crate) struct EncodedMedia {
    limit: usize,
    bytes: usize,
    entries: HashMap<ContentHash, Entry>,
    /// The keys of `entries`.
    known: Known,
    /// Counts uses, so that entries can be put in their order.
    clock: u64,
}

struct Entry {
    soft: SoftTokens,
    bytes: usize,
    used: u64,
}

impl EncodedMedia {
    /// Keeps at most `limit` bytes, nothing for 0, and tells `known` of what it keeps.
    pub fn new(limit: usize, known: Known) -> Self {
        Self { limit, bytes: 0, entries: HashMap::new(), known, clock: 0 }
    }

    /// What a medium of this content was encoded to.
    pub fn get(&mut self, hash: &ContentHash) -> Option<SoftTokens> {
        self.clock += 1;
        let entry = self.entries.get_mut(hash)?;
        entry.used = self.clock;
        Some(entry.soft.clone())
    }

    /// Keeps an encoding that has been evaluated, unless it is larger than everything that may be kept.
    pub fn insert(&mut self, hash: ContentHash, soft: &SoftTokens) {
        let bytes = soft.arrays().map(|array| array.nbytes()).sum();
        if bytes > self.limit {
            return;
        }
        self.clock += 1;
        let entry = Entry { soft: soft.clone(), bytes, used: self.clock };
        let replaced = self.entries.insert(hash, entry);
        self.known.set().insert(hash);
        self.bytes += bytes;
        self.bytes -= replaced.map_or(0, |old| old.bytes);
        while self.bytes > self.limit {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(hash, _)| *hash) else {
                return;
            };
            self.bytes -= self.entries.remove(&oldest).map_or(0, |old| old.bytes);
            self.known.set().remove(&oldest);
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.known.set().clear();
        self.bytes = 0;
    }

    /// Of all that is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlx_rs::Array;

    /// 4 bytes a value.
    fn soft(values: usize) -> SoftTokens {
        let features = Array::from_slice(&vec![values as f32; values], &[values as i32, 1]);
        SoftTokens { features, extra: Vec::new() }
    }

    fn hash(n: u8) -> ContentHash {
        [n; 32]
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut kept = EncodedMedia::new(100, Known::default());
        kept.insert(hash(1), &soft(10));
        kept.insert(hash(2), &soft(10));
        assert_eq!(kept.get(&hash(1)).unwrap().features.size(), 10);
        kept.insert(hash(3), &soft(5));
        assert_eq!(kept.bytes(), 100);
        kept.insert(hash(4), &soft(1));
        assert!(kept.get(&hash(2)).is_none());
        assert!(kept.get(&hash(1)).is_some() && kept.get(&hash(3)).is_some() && kept.get(&hash(4)).is_some());
        assert_eq!(kept.bytes(), 64);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_nothing_is_lost_for_it() {
        let mut kept = EncodedMedia::new(100, Known::default());
        kept.insert(hash(1), &soft(20));
        kept.insert(hash(2), &soft(26));
        assert!(kept.get(&hash(2)).is_none() && kept.get(&hash(1)).is_some());
        let mut none = EncodedMedia::new(0, Known::default());
        none.insert(hash(1), &soft(1));
        assert_eq!((none.bytes(), none.get(&hash(1)).is_none()), (0, true));
    }

    #[test]
    fn the_same_content_again_counts_once() {
        let mut kept = EncodedMedia::new(100, Known::default());
        kept.insert(hash(1), &soft(10));
        kept.insert(hash(1), &soft(10));
        assert_eq!(kept.bytes(), 40);
        kept.clear();
        assert_eq!((kept.bytes(), kept.get(&hash(1)).is_none()), (0, true));
    }
}
