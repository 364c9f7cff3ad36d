//! The processes of a group find each other.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::options::CancelToken;
use super::setup::Setup;
use crate::error::{Code, Error, Result};
use crate::nn::group::bond::Bond;
use crate::nn::mlx::group::{Handle, set_environment};
use crate::system::links::{self, Links};

/// How often a host's cancel is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long a thread that was stopped may take to end.
const LAST: Duration = Duration::from_secs(2);

/// MLX has one group for a process and a back end, for good.
enum Joined {
    No,
    /// It could not be brought to an end.
    Stuck,
    To(Setup, Arc<Bond>),
}

static JOINED: Mutex<Joined> = Mutex::new(Joined::No);

/// Joins the group, or gives the one that the process joined before. Blocks for the setup's timeout at most.
///
/// Errors: `Timeout` where not all ranks came, `Cancelled`, `Backend` where MLX failed or the group is no more,
/// `InvalidArgument` for another group than the first one.
pub fn join(setup: &Setup, cancel: &CancelToken) -> Result<Arc<Bond>> {
    let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*joined {
        Joined::No => {}
        Joined::Stuck => {
            let message = "this process waits for a group that never formed; a group forms in a new process";
            return Err(Error::new(Code::Backend, message));
        }
        Joined::To(first, bond) if first.is_same(setup) => {
            bond.check()?;
            return Ok(Arc::clone(bond));
        }
        Joined::To(..) => {
            return Err(Error::invalid_argument("this process belongs to another group already"));
        }
    }
    let earlier = links::connections();
    match find_others(setup, cancel) {
        Ok(()) => {
            let bond = Bond::new(setup.backend, setup.shard, earlier, setup.timeout)?;
            if !setup.ports.is_empty() {
                bond.link(Links::among(links::open_descriptors(), |local, remote| setup.peer(local, remote)));
            }
            *joined = Joined::To(setup.clone(), Arc::clone(&bond));
            Ok(bond)
        }
        Err((error, ended)) => {
            if !ended {
                *joined = Joined::Stuck;
            }
            Err(error)
        }
    }
}

impl Setup {
    /// Whether it is the same group, with the same rank in it.
    fn is_same(&self, other: &Setup) -> bool {
        *self == Setup { timeout: self.timeout, ..other.clone() }
    }
}

/// MLX connects to the neighbours. An error comes with whether its attempt has ended.
fn find_others(setup: &Setup, cancel: &CancelToken) -> Result<(), (Error, bool)> {
    let deadline = Instant::now() + setup.timeout;
    let (sender, outcome) = mpsc::sync_channel(1);
    let of_thread = setup.clone();
    let attempt = move || {
        let _ = sender.send(attempt(&of_thread, deadline));
    };
    // MLX's threads for the group inherit what this one blocks.
    let started = thread::Builder::new()
        .name("rmlx-group".into())
        .spawn(move || links::without_broken_pipes(attempt))
        .map_err(|e| (Error::new(Code::OutOfMemory, format!("cannot start a thread: {e}")), true))?;
    match wait(&outcome, deadline, cancel) {
        Ok(result) => {
            let _ = started.join();
            result.map_err(|error| (error, true))
        }
        Err(error) => {
            let own = &setup.ports.get(setup.shard.rank()).cloned().unwrap_or_default();
            links::stop_listening(links::open_descriptors(), own);
            let ended = !matches!(outcome.recv_timeout(LAST), Err(RecvTimeoutError::Timeout));
            Err((error.unwrap_or_else(|| incomplete(setup)), ended))
        }
    }
}

/// Tries until it is time to give up: others may come later.
fn attempt(setup: &Setup, deadline: Instant) -> Result<()> {
    for (name, value) in &setup.variables {
        set_environment(name, value);
    }
    loop {
        match Handle::join(setup.backend) {
            Ok(handle) if handle.size() == setup.shard.size() && handle.rank() == setup.shard.rank() => {
                return Ok(());
            }
            Ok(handle) => {
                let (rank, size) = (handle.rank(), handle.size());
                let message = format!("MLX takes this process for rank {rank} of {size}");
                return Err(Error::new(Code::Backend, message));
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// What came of the attempt; an error, or nothing for the deadline, where it did not end.
fn wait(
    outcome: &Receiver<Result<()>>,
    deadline: Instant,
    cancel: &CancelToken,
) -> Result<Result<()>, Option<Error>> {
    loop {
        match outcome.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Some(Error::new(Code::Panic, "a bug in rmlx was caught while a group formed")));
            }
            Err(RecvTimeoutError::Timeout) => {
                cancel.check().map_err(Some)?;
                if Instant::now() > deadline {
                    return Err(None);
                }
            }
        }
    }
}

fn incomplete(setup: &Setup) -> Error {
    let (rank, size) = (setup.shard.rank(), setup.shard.size());
    let neighbours = match (setup.ports.is_empty(), (rank + size - 1) % size, (rank + 1) % size) {
        (true, ..) => "not all of the others came".to_owned(),
        (false, left, right) if left == right => format!("rank {left} did not come"),
        (false, left, right) => format!("rank {left} or rank {right} did not come"),
    };
    let seconds = setup.timeout.as_secs_f32();
    let message = format!("the group of {size} did not form around rank {rank} in {seconds} s: {neighbours}");
    Error::new(Code::Timeout, message).with("rank", rank).with("size", size)
}
