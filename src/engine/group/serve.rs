//! A rank that is not the first: it loads its part of a model and follows rank 0 until that lets the model go.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::super::memory::Memory;
use super::super::model::{Planned, require_platform};
use super::super::options::{CancelToken, LoadOptions};
use super::super::worker::{self, Kind};
use super::form;
use super::setup::Setup;
use crate::error::{Code, Error, Result};
use crate::log;
use crate::nn::group::bond::Bond;

/// How long a rank listens before it looks for a cancel.
const LISTEN: Duration = Duration::from_millis(100);

/// Runs this process's part of the snapshot `dir` for rank 0. Blocks until rank 0 lets the model go.
///
/// Errors: `InvalidArgument` without a group, or for rank 0; those of a load, on this rank or another; `Timeout` where the
/// others did not come or went on waiting; `Backend` where one is gone; `Cancelled`.
pub fn serve(dir: &Path, options: &LoadOptions) -> Result<()> {
    let cancel = options.cancel.clone().unwrap_or_default();
    cancel.check()?;
    require_platform()?;
    let setup = Setup::of_load(options)?;
    let setup = setup.ok_or_else(|| Error::invalid_argument("the load options name no group"))?;
    setup.prepare();
    if setup.shard.rank() == 0 {
        return Err(Error::invalid_argument("rank 0 of a group loads the model, and does not follow"));
    }
    let planned = Planned::open(dir, options, setup.shard, &cancel)?;
    let most = planned.architecture.facts().context_length;
    Memory::fit(Arc::clone(&planned.budget), most, options)?;
    let bond = form::join(&setup, &cancel)?;
    let _occupied = bond.occupy()?;
    planned.start_following(&bond, &cancel, options.progress.as_deref())?;
    log::info(&format!("rank {} follows rank 0 with {}", setup.shard.rank(), dir.display()));
    let outcome = follow(&bond, &cancel);
    worker::tell(|worker| drop(worker.follower.take()));
    outcome
}

/// What came of a step. Where nothing can be looked at, it waits for rank 0.
fn outcome(step: &Receiver<Result<bool>>, bond: &Bond, cancel: &CancelToken) -> Result<bool> {
    loop {
        match step.recv_timeout(LISTEN) {
            Err(RecvTimeoutError::Timeout) if cancel.check().is_err() => drop(bond.break_up(cancelled())),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return worker::wait(step),
            Ok(outcome) => return outcome,
        }
    }
}

fn cancelled() -> Error {
    Error::new(Code::Cancelled, "the host cancelled it")
}

fn follow(bond: &Bond, cancel: &CancelToken) -> Result<()> {
    loop {
        if let Err(error) = cancel.check() {
            bond.break_up(cancelled());
            return Err(error);
        }
        if bond.hears() && !bond.listen(LISTEN) {
            continue;
        }
        let step = worker::start(Kind::Work, |worker| match &mut worker.follower {
            Some(follower) => follower.step(),
            None => Ok(false),
        });
        match step.and_then(|step| outcome(&step, bond, cancel)) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.code() == Code::Suspended => thread::sleep(LISTEN),
            Err(error) => return Err(error),
        }
    }
}
