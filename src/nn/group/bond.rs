//! What holds a group together: whether all ranks are there, how long one waits for another, and why it fell apart.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::nn::mlx::Waits;
use crate::nn::mlx::group::{Backend, leave_nccl};
use crate::nn::split::Shard;
use crate::system::links::{self, Links};

/// A rank's connections to others. Any thread may use it.
pub struct Bond {
    backend: Backend,
    shard: Shard,
    /// The connections to other ranks, once it is known which they are.
    links: OnceLock<Links>,
    /// The ports of those that the process had before: they are the host's.
    earlier: BTreeSet<(u16, u16)>,
    /// How long an operation waits for other ranks.
    timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
    /// A model uses the group.
    occupied: AtomicBool,
}

/// A model's use of a group, which ends with it.
pub struct Occupied(Arc<Bond>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.occupied.store(false, Ordering::Release);
    }
}

#[derive(Default)]
struct State {
    /// Why the group is no more.
    broken: Option<Error>,
    /// When what is being waited for has taken too long.
    deadline: Option<Instant>,
}

/// While it lives, other ranks are waited for no longer than the bond's timeout.
pub struct Waiting<'a>(&'a Bond);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().deadline = None;
    }
}

impl Bond {
    /// Starts the thread that watches over it, which ends with it.
    pub fn new(
        backend: Backend,
        shard: Shard,
        earlier: BTreeSet<(u16, u16)>,
        timeout: Duration,
    ) -> Result<Arc<Bond>> {
        let (links, state, changed, occupied) = Default::default();
        let bond = Arc::new(Bond { backend, shard, links, earlier, timeout, state, changed, occupied });
        let watched = Arc::downgrade(&bond);
        let watch = thread::Builder::new().name("rmlx-group".into()).spawn(move || watch(&watched));
        watch.map_err(|e| Error::new(Code::OutOfMemory, format!("cannot start a thread: {e}")))?;
        Ok(bond)
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Tells it which connections to look at, for good.
    pub fn link(&self, links: Links) {
        self.links.get_or_init(|| links);
    }

    /// Connections that may be to other ranks: those that came with the group.
    pub fn candidates(&self) -> BTreeSet<(u16, u16)> {
        &links::connections() - &self.earlier
    }

    pub fn is_linked(&self) -> bool {
        self.links.get().is_some()
    }

    /// For one model at a time. `BUSY` where another one uses the group.
    pub fn occupy(self: &Arc<Self>) -> Result<Occupied> {
        match self.occupied.swap(true, Ordering::AcqRel) {
            false => Ok(Occupied(Arc::clone(self))),
            true => Err(Error::new(Code::Busy, "the group runs another model: release it first")),
        }
    }

    /// Whether what other ranks say comes through connections that can be looked at.
    pub fn hears(&self) -> bool {
        self.backend == Backend::Ring && self.links.get().is_some_and(|links| !links.is_empty())
    }

    /// Waits until another rank says something, or is gone. False where nothing came for so long.
    pub fn listen(&self, timeout: Duration) -> bool {
        self.links.get().is_some_and(|links| links.wait(timeout))
    }

    /// An error once it is known that the group is no more.
    pub fn told(&self) -> Result<()> {
        self.lock().broken.clone().map_or(Ok(()), Err)
    }

    /// An error once the group is no more.
    pub fn check(&self) -> Result<()> {
        self.told()?;
        let lost = self.links.get().map(Links::lost).unwrap_or_default();
        if lost.is_empty() { Ok(()) } else { Err(self.break_up(self.loss(&lost))) }
    }

    /// Begins to wait for others.
    pub fn wait(&self) -> Waiting<'_> {
        self.begin();
        Waiting(self)
    }

    /// Ends the group, for a reason that is told from then on, or the earlier one. The other ranks see it end.
    pub fn break_up(&self, reason: Error) -> Error {
        let told = self.lock().broken.get_or_insert(reason).clone();
        if self.backend == Backend::Nccl {
            leave_nccl();
        }
        self.links.get().inspect(|links| links.cut());
        told
    }

    /// What an error of a collective operation was, after which there can be no others.
    pub fn explain(&self, error: Error) -> Error {
        match self.check() {
            Err(reason) => reason,
            Ok(()) => self.break_up(error.context(format!("rank {} of the group", self.shard.rank()))),
        }
    }

    fn loss(&self, lost: &BTreeSet<usize>) -> Error {
        let ranks: Vec<String> = lost.iter().map(usize::to_string).collect();
        let (ranks, be) = (ranks.join(" and "), if lost.len() == 1 { "is" } else { "are" });
        let message = format!(
            "rank {ranks} of {} {be} gone: the process ended, or left the group; a group forms again in new processes",
            self.shard.size()
        );
        Error::new(Code::Backend, message).with("ranks", lost.iter().copied().collect::<Vec<_>>())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits for Bond {
    fn begin(&self) {
        self.lock().deadline = Some(Instant::now() + self.timeout);
        self.changed.notify_all();
    }

    fn end(&self) -> Result<()> {
        self.lock().deadline = None;
        self.check()
    }
}

/// Ends the group when what is waited for does not come; and when a rank is gone that NCCL would wait for.
fn watch(bond: &Weak<Bond>) {
    /// How often it looks whether somebody still has the bond.
    const LOOK: Duration = Duration::from_millis(500);
    while let Some(bond) = bond.upgrade() {
        if bond.backend == Backend::Nccl {
            // It is told to who asks next.
            let _ = bond.check();
        }
        let mut state = bond.lock();
        let left = state.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) && state.broken.is_none() {
            state.deadline = None;
            drop(state);
            let message =
                format!("the other ranks of the group did nothing for {} s", bond.timeout.as_secs_f32());
            bond.break_up(Error::new(Code::Timeout, message));
            continue;
        }
        let wait = left.filter(|left| !left.is_zero()).map_or(LOOK, |left| left.min(LOOK));
        state = bond.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        drop(state);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn bonded(timeout: Duration) -> (Arc<Bond>, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ours = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let theirs = listener.accept().unwrap().0;
        let links = Links::among([ours.as_raw_fd()], |_, to| (to == port).then_some(1));
        let bond = Bond::new(Backend::Ring, Shard::new(0, 2).unwrap(), BTreeSet::new(), timeout).unwrap();
        bond.link(links);
        (bond, ours, theirs)
    }

    #[test]
    fn a_rank_that_is_gone_is_named_from_then_on() {
        let (bond, _ours, theirs) = bonded(Duration::from_secs(60));
        bond.check().unwrap();
        drop(theirs);
        assert!(bond.listen(Duration::from_secs(5)));
        let error = bond.check().unwrap_err();
        assert!(error.message().starts_with("rank 1 of 2 is gone"), "{error}");
        assert_eq!(bond.explain(Error::cancelled()), error);
    }

    #[test]
    fn a_rank_that_does_nothing_is_not_waited_for_without_end() {
        let (bond, _ours, mut theirs) = bonded(Duration::from_millis(50));
        drop(bond.wait());
        thread::sleep(Duration::from_millis(120));
        bond.check().unwrap();
        let waiting = bond.wait();
        assert_eq!(std::io::Read::read(&mut theirs, &mut [0]).unwrap(), 0, "the connection was cut");
        drop(waiting);
        assert_eq!(bond.check().unwrap_err().code(), Code::Timeout);
    }
}
