//! One place to wait for many sessions: a file descriptor that is readable while some of them have something to step.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Code, Error, Result};

/// The tags of the sessions that have something to step, each once, in the order in which that came to be.
pub struct Waker {
    ready: Mutex<Vec<Arc<Tag>>>,
    /// A byte is in it while `ready` is not empty.
    hear: UnixStream,
    ring: UnixStream,
}

struct Tag {
    value: u64,
    /// It is in the list; changed under its lock.
    listed: AtomicBool,
}

/// A session's place with a waker. When it goes, the tag is not told any more.
pub(super) struct Listed {
    waker: Arc<Waker>,
    tag: Arc<Tag>,
}

impl Waker {
    /// A waker that no session uses yet. Errors: `OUT_OF_MEMORY` where the process has no file descriptor left.
    pub fn new() -> Result<Self> {
        let cannot =
            |e| Error::new(Code::OutOfMemory, format!("there is no file descriptor for a waker: {e}"));
        let (ring, hear) = UnixStream::pair().map_err(cannot)?;
        ring.set_nonblocking(true).map_err(cannot)?;
        hear.set_nonblocking(true).map_err(cannot)?;
        Ok(Self { ready: Mutex::new(Vec::new()), hear, ring })
    }

    /// Readable while [`take`](Self::take) has tags to give. Only for waiting: nobody else may read or close it.
    pub fn fd(&self) -> RawFd {
        self.hear.as_raw_fd()
    }

    /// Tags of sessions that have something to step, at most `most`. Each is given once for each event.
    pub fn take(&self, most: usize) -> Vec<u64> {
        let mut ready = self.lock();
        let count = most.min(ready.len());
        let taken = ready.drain(..count).map(|tag| {
            tag.listed.store(false, Ordering::Relaxed);
            tag.value
        });
        let taken = taken.collect();
        self.settle(&ready);
        taken
    }

    // A panic while the lock was held leaves plain data behind, so the lock stays usable.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Tag>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor is not readable while there is nothing.
    fn settle(&self, ready: &[Arc<Tag>]) {
        if ready.is_empty() {
            let _ = (&self.hear).read(&mut [0; 8]);
        }
    }
}

impl Listed {
    pub fn new(waker: &Arc<Waker>, tag: u64) -> Self {
        Self { waker: Arc::clone(waker), tag: Arc::new(Tag { value: tag, listed: AtomicBool::new(false) }) }
    }

    pub fn wake(&self) {
        let mut ready = self.waker.lock();
        if self.tag.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        ready.push(Arc::clone(&self.tag));
        if ready.len() == 1 {
            let _ = (&self.waker.ring).write(&[1]);
        }
    }

    /// What was told is not so any more.
    pub fn hush(&self) {
        let mut ready = self.waker.lock();
        if self.tag.listed.swap(false, Ordering::Relaxed) {
            ready.retain(|tag| !Arc::ptr_eq(tag, &self.tag));
            self.waker.settle(&ready);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.hush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(waker: &Waker) -> bool {
        // The host polls it; a look at the byte, which is put back, tells the same.
        let readable = (&waker.hear).read(&mut [0; 8]).is_ok();
        if readable {
            (&waker.ring).write_all(&[1]).unwrap();
        }
        readable
    }

    #[test]
    fn the_descriptor_is_readable_while_there_are_tags() {
        let waker = Arc::new(Waker::new().unwrap());
        let [one, two] = [Listed::new(&waker, 1), Listed::new(&waker, 2)];
        assert!(!is_readable(&waker) && waker.take(9).is_empty());
        two.wake();
        one.wake();
        two.wake();
        assert!(is_readable(&waker));
        assert_eq!(waker.take(1), [2]);
        assert!(is_readable(&waker));
        assert_eq!(waker.take(9), [1]);
        assert!(!is_readable(&waker));
        two.wake();
        assert_eq!((is_readable(&waker), waker.take(9)), (true, vec![2]));
    }

    #[test]
    fn a_session_that_has_gone_is_not_told_of() {
        let waker = Arc::new(Waker::new().unwrap());
        let [one, two] = [Listed::new(&waker, 1), Listed::new(&waker, 2)];
        one.wake();
        two.wake();
        drop(one);
        assert_eq!(waker.take(9), [2]);
        two.wake();
        two.hush();
        assert!(!is_readable(&waker) && waker.take(9).is_empty());
    }
}
