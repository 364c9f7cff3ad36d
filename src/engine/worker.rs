//! The one thread that owns every MLX array of the process.
//!
//! MLX streams belong to the thread that made them, so models and sessions live here and the rest of the
//! crate sends closures. Between closures the thread advances the sessions that have work, in turn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::decode;
use super::encoded::EncodedMedia;
use super::group::follower::Follower;
pub(crate) use super::inbox::Kind;
use super::inbox::{self, Act, Inbox, Suspended, Taking};
use super::limits::Machine;
use super::metallib;
use super::queue::Queue;
use super::run::{Job, SessionState};
use super::scheduler::{Pace, Scheduler, Unit};
use crate::error::{Code, Error, Result};
use crate::log;
use crate::models::{Architecture, LanguageModel};
use crate::nn::self_test::SelfTest;
use crate::nn::{self, Device, mlx};
use crate::panics;
use crate::system::{self, Platform, Urgency, threads};

/// A model, and the media that were encoded for it.
#[derive(Clone)]
pub(super) struct LoadedModel {
    pub id: u64,
    pub architecture: Arc<dyn Architecture>,
    pub model: Rc<dyn LanguageModel>,
    pub encoded: Rc<RefCell<EncodedMedia>>,
    pub device: Device,
    pub budget: Arc<Budget>,
}

impl LoadedModel {
    /// Runs `f` with MLX's operations where the model's arrays are.
    pub fn on_its_device<R>(&self, f: impl FnOnce() -> R) -> R {
        mlx::with_waits(self.model.waits(), || nn::on(self.device, f))
    }
}

/// What lives on the MLX thread.
#[derive(Default)]
pub(crate) struct Worker {
    pub(super) models: HashMap<u64, LoadedModel>,
    /// This process's part of a model that rank 0 of a group has sessions of.
    pub(super) follower: Option<Follower>,
    pub(super) self_test: SelfTest,
    sessions: HashMap<u64, SessionState>,
    scheduler: Scheduler,
    gathering: Gathering,
    /// Sessions whose answers ended while MLX could do no work: what they share with others is parted later.
    unparted: Vec<u64>,
    /// Units of answers that were done between two parts of a load.
    #[cfg(test)]
    pub(super) within_loads: u64,
    /// The host's limit of wired memory; rmlx's own follows the weights.
    wired_limit: Option<u64>,
}

/// How long a step waits for sessions that could join it.
#[derive(Default)]
struct Gathering {
    since: Option<Instant>,
    /// Wall clock of the last step.
    last_step: Duration,
}

impl Gathering {
    /// Longest wait: a host takes an event in far less, and a step of few rows costs more than that.
    const MOST: Duration = Duration::from_millis(2);

    /// What is left of a twentieth of a step.
    fn left(&self) -> Duration {
        let all = (self.last_step / 20).min(Self::MOST);
        self.since.map_or(all, |since| all.saturating_sub(since.elapsed()))
    }
}

static INBOX: Inbox<Worker> = Inbox::new();
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// How long the process's end waits for a unit of work that is running; past this it ends regardless.
const LAST_WORK: Duration = Duration::from_secs(5);

/// How long a fork waits for it.
const WORK_BEFORE_FORK: Duration = Duration::from_secs(1);

/// The MLX thread, and the one that MLX starts for its stream.
const FIRST_THREADS: usize = 2;

/// Starts the thread with the first call that can start it.
fn open() -> Result<()> {
    if INBOX.is_forked() {
        return Err(forked());
    }
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if thread.is_none() && !INBOX.is_stopping() {
        threads::require(FIRST_THREADS)?;
        INBOX.open()?;
        let builder = std::thread::Builder::new().name("rmlx-mlx".into());
        let started = builder.spawn(|| Worker::default().run());
        let started = started
            .map_err(|e| Error::new(Code::OutOfMemory, format!("the MLX thread cannot be started: {e}")))?;
        *thread = Some(started);
    }
    Ok(())
}

/// An error in a child that `fork` made of a process in which rmlx had begun to work.
pub(crate) fn require_own_process() -> Result<()> {
    if INBOX.is_forked() { Err(forked()) } else { Ok(()) }
}

fn forked() -> Error {
    Error::unsupported(
        "this process was made by fork after rmlx had begun to work in its parent, whose threads it does not have; fork \
         before the first model is loaded, or start another program",
    )
}

/// [`SUSPENDED`](Code::Suspended) while no answer may begin.
pub(crate) fn require_running() -> Result<()> {
    INBOX.require_running()
}

/// Queues a closure for the MLX thread if `admit` agrees, which a suspension cannot come between, and returns at once. An
/// error means that it will not run, and it is dropped.
pub(crate) fn send(
    kind: Kind,
    admit: impl FnOnce() -> Result<()>,
    command: impl FnOnce(&mut Worker) + Send + 'static,
) -> Result<()> {
    open()?;
    let act: Act<Worker> = Box::new(move |worker| {
        if let Ok(worker) = worker {
            command(worker);
        }
    });
    INBOX.push(kind, admit, act)
}

/// [`send`] for what matters only where the thread runs: giving something back.
pub(crate) fn tell(command: impl FnOnce(&mut Worker) + Send + 'static) {
    if INBOX.is_open() && !INBOX.is_forked() {
        // It fails only once the process is ending: nothing is left to do then.
        let _ = send(Kind::Anytime, || Ok(()), command);
    }
}

/// Wakes the thread: a host has made room for an event.
pub(super) fn nudge() {
    INBOX.nudge();
}

/// Wakes the thread, to see a flag that has been raised. Safe in a signal handler.
pub(crate) fn ring() {
    if !INBOX.is_forked() {
        INBOX.ring();
    }
}

/// Queues a closure for the MLX thread; what it returns arrives in the receiver, or why it will not run. A panic in it
/// comes back as `PANIC`.
pub(crate) fn start<R: Send + 'static>(
    kind: Kind,
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Result<Receiver<Result<R>>> {
    open()?;
    let (reply, answer) = mpsc::sync_channel(1);
    let act: Act<Worker> = Box::new(move |worker| {
        let _ = reply.send(worker.and_then(|worker| panics::catch(|| command(worker))));
    });
    INBOX.push(kind, || Ok(()), act)?;
    Ok(answer)
}

/// Takes the answer of [`start`].
pub(crate) fn wait<R>(answer: &Receiver<Result<R>>) -> Result<R> {
    answer.recv().unwrap_or_else(|_| Err(inbox::stopped()))
}

/// Runs a closure on the MLX thread and waits for what it returns. One of [`Kind::Work`] may evaluate something, one of
/// [`Kind::Anytime`] may not.
pub(crate) fn call<R: Send + 'static>(
    kind: Kind,
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Result<R> {
    wait(&start(kind, command)?)
}

/// See [`Inbox::suspend`].
pub(super) fn suspend(deadline: Option<Instant>) -> Suspended {
    INBOX.suspend(deadline)
}

pub(super) fn resume() {
    INBOX.resume();
}

/// Ends the thread at process exit, before MLX's own statics and the GPU's driver are taken down: what they still
/// own then ends the process with an abort.
extern "C" fn stop_at_exit() {
    // A child that was forked has a copy of this handler, and no thread.
    if INBOX.is_forked() {
        return;
    }
    if INBOX.stop(LAST_WORK)
        && let Some(thread) = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        let _ = thread.join();
    }
}

/// A child that is forked ends MLX's statics when it exits: it must not have a copy of them in the middle of a change.
extern "C" fn before_fork() {
    if !INBOX.is_forked() {
        INBOX.before_fork(WORK_BEFORE_FORK);
    }
}

extern "C" fn after_fork() {
    if !INBOX.is_forked() {
        INBOX.after_fork();
    }
}

impl Worker {
    fn run(mut self) {
        system::hurry(Urgency::Interactive);
        if INBOX.may_begin() {
            metallib::choose();
            // Exit handlers run last-in first-out: ours must come after everything of MLX's that ends then.
            mlx::set_up();
            mlx::at_exit(stop_at_exit);
            mlx::at_fork(before_fork, after_fork);
            system::with_pool(set_cache_limit);
            INBOX.begun();
            while !INBOX.is_stopping() {
                self.turn();
            }
        }
        // Everything that MLX holds for this thread.
        (self.sessions, self.models, self.follower) = Default::default();
        mlx::clear_streams();
        INBOX.close();
    }

    /// A command or a unit of work, or a wait for one of them. Commands come first.
    fn turn(&mut self) {
        INBOX.stand_still(mlx::synchronize);
        if let Some(command) = INBOX.take(Taking::All) {
            return system::with_pool(|| self.obey(command));
        }
        let pace = match INBOX.is_resting(mlx::synchronize) {
            true => Pace::Rest,
            false if self.gathering.left().is_zero() => Pace::Prompt,
            false => Pace::Patient,
        };
        if pace != Pace::Rest {
            self.part_later_ones();
        }
        match self.next_unit(pace) {
            Some(Unit::Gather) => INBOX.doze(self.gathering.left()),
            Some(unit) => system::with_pool(|| self.perform(unit, pace)),
            None => {
                if pace != Pace::Rest {
                    system::with_pool(|| self.models.values().for_each(|loaded| loaded.model.settle()));
                }
                INBOX.sleep();
            }
        }
    }

    /// Where a load may pause, and where others need not wait for it: answers are cancelled, and commands that need no work
    /// are obeyed, until work may go on; then others' answers go on by a unit. An error ends the load.
    pub(super) fn border(&mut self, check: impl Fn() -> Result<()>) -> Result<()> {
        loop {
            INBOX.stand_still(mlx::synchronize);
            if INBOX.is_stopping() {
                return Err(inbox::stopped());
            }
            check()?;
            if let Some(command) = INBOX.take(Taking::Anytime) {
                self.obey(command);
            } else if let Some(unit) = self.next_unit(Pace::Rest) {
                self.perform(unit, Pace::Rest);
            } else if INBOX.is_resting(mlx::synchronize) {
                INBOX.sleep();
            } else {
                self.go_on_between();
                return Ok(());
            }
        }
    }

    /// A unit of others' answers, within a load.
    fn go_on_between(&mut self) {
        self.part_later_ones();
        if let Some(unit) = self.next_unit(Pace::Prompt) {
            system::hurry(Urgency::Interactive);
            self.perform(unit, Pace::Prompt);
            system::hurry(Urgency::Loading);
            #[cfg(test)]
            {
                self.within_loads += 1;
            }
        }
    }

    /// A panic in a command has been told to the log by then, and its caller sees that no answer comes.
    fn obey(&mut self, command: Act<Worker>) {
        let _ = panics::catch(|| {
            command(Ok(self));
            Ok(())
        });
    }

    fn next_unit(&mut self, pace: Pace) -> Option<Unit> {
        let sessions = &self.sessions;
        let standing = |id: u64| sessions.get(&id).map(SessionState::standing);
        let unit = self.scheduler.next(standing, pace);
        match unit {
            Some(Unit::Gather) => drop(self.gathering.since.get_or_insert_with(Instant::now)),
            _ => self.gathering.since = None,
        }
        unit
    }

    fn perform(&mut self, unit: Unit, pace: Pace) {
        match unit {
            Unit::Cancel(id) => {
                self.attempt(&[id], |sessions| sessions.for_each(|s| s.cancel(pace != Pace::Rest)));
                if pace == Pace::Rest {
                    self.unparted.push(id);
                }
            }
            Unit::Encode(id) => {
                self.attempt(&[id], |sessions| sessions.for_each(|s| s.work(SessionState::encode)));
            }
            Unit::Prefill(id) => {
                self.attempt(&[id], |sessions| sessions.for_each(|s| s.work(SessionState::prefill)));
            }
            Unit::Decode(ids) => {
                let began = Instant::now();
                self.attempt(&ids, |sessions| decode::step(sessions));
                self.gathering.last_step = began.elapsed();
            }
            Unit::Gather => {}
        }
    }

    /// Works on some sessions; a panic poisons them.
    fn attempt(&mut self, ids: &[u64], work: impl FnOnce(std::slice::IterMut<SessionState>)) {
        let taken = ids.iter().filter_map(|id| Some((*id, self.sessions.remove(id)?)));
        let (ids, mut taken): (Vec<u64>, Vec<SessionState>) = taken.unzip();
        let outcome = panics::catch(|| {
            work(taken.iter_mut());
            Ok(())
        });
        if let Err(error) = outcome {
            taken.iter_mut().for_each(|session| session.fail_by_panic(error.clone()));
        }
        self.sessions.extend(ids.into_iter().zip(taken));
    }

    /// Makes up for what a cancel could not do while there was to be no work.
    fn part_later_ones(&mut self) {
        for id in std::mem::take(&mut self.unparted) {
            self.attempt(&[id], |sessions| sessions.for_each(SessionState::part));
        }
    }

    /// Adds a model, and wires the weights where the platform does.
    pub(super) fn add_model(&mut self, loaded: LoadedModel) {
        self.models.insert(loaded.id, loaded);
        self.wire();
    }

    pub(super) fn remove_model(&mut self, id: u64) {
        self.models.remove(&id);
        self.wire();
    }

    /// The host's own limit of wired memory; `None` lets it follow the weights again.
    pub(crate) fn set_wired_limit(&mut self, bytes: Option<u64>) -> Result<()> {
        self.wired_limit = bytes;
        // 0 is MLX's own default.
        let bytes = bytes.or_else(|| self.wired_by_default()).unwrap_or(0);
        Ok(mlx_rs::memory::set_wired_limit(to_usize(bytes)).map(drop)?)
    }

    fn wire(&self) {
        if self.wired_limit.is_none()
            && let Some(bytes) = self.wired_by_default()
            && let Err(error) = mlx_rs::memory::set_wired_limit(to_usize(bytes))
        {
            log::warning(&format!("the weights may be paged out: {error}"));
        }
    }

    fn wired_by_default(&self) -> Option<u64> {
        let weights = self.models.values().map(|loaded| loaded.model.held().memory()).sum();
        machine().wired_limit(weights)
    }

    /// Bytes of the encoded media of all models.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.models.values().map(|loaded| loaded.encoded.borrow().bytes()).sum()
    }

    /// Gives up the encoded media of all models, and what edits of older turns would save in all sessions.
    pub(crate) fn give_up_spare(&mut self) {
        self.models.values().for_each(|loaded| loaded.encoded.borrow_mut().clear());
        self.sessions.values_mut().for_each(SessionState::give_up_older);
    }

    pub(super) fn model(&self, id: u64) -> Result<LoadedModel> {
        self.models.get(&id).cloned().ok_or_else(|| Error::new(Code::Backend, "the model is gone"))
    }

    pub(super) fn add_session(&mut self, id: u64, session: SessionState) {
        self.sessions.insert(id, session);
    }

    /// Adds a session that holds the same as another one.
    pub(super) fn fork_session(&mut self, parent: u64, id: u64, queue: Arc<Queue>) -> Result<()> {
        let fork = self.session(parent)?.fork(queue);
        if self.unparted.contains(&parent) {
            self.unparted.push(id);
        }
        self.add_session(id, fork);
        Ok(())
    }

    /// Begins the answer of a submit.
    pub(super) fn start(&mut self, id: u64, job: Job) -> Result<()> {
        self.session(id)?.start(job);
        self.scheduler.add(id);
        Ok(())
    }

    pub(super) fn remove_session(&mut self, id: u64) {
        self.sessions.remove(&id);
        self.scheduler.remove(id);
    }

    pub(super) fn session(&mut self, id: u64) -> Result<&mut SessionState> {
        self.sessions.get_mut(&id).ok_or_else(|| Error::new(Code::Backend, "the session is gone"))
    }
}

/// What the rules of memory are about, here and now. On the MLX thread: it asks MLX.
pub(super) fn machine() -> Machine {
    let platform = Platform::current();
    // Only Metal's answer is needed, and asking starts the GPU.
    let working_set =
        (platform != Platform::Other).then(|| mlx::gpu_fact(c"max_recommended_working_set_size")).flatten();
    Machine { platform, working_set }
}

/// Once, before any host can have said something else.
fn set_cache_limit() {
    if let Some(bytes) = machine().cache_limit()
        && let Err(error) = mlx_rs::memory::set_cache_limit(to_usize(bytes))
    {
        log::warning(&format!("MLX's cache has no limit of rmlx's: {error}"));
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
