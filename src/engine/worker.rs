//! The one thread that owns every MLX array of the process.
//!
//! MLX streams belong to the thread that made them, so models and sessions live here and the rest of the
//! crate sends closures. Between closures the thread advances the sessions that have work, in turn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use super::budget::Budget;
use super::decode;
use super::encoded::EncodedMedia;
use super::limits::Machine;
use super::metallib;
use super::run::SessionState;
use super::scheduler::{Scheduler, Unit};
use crate::error::{Code, Error, Result};
use crate::log;
use crate::models::{Architecture, LanguageModel};
use crate::nn::self_test::SelfTest;
use crate::nn::{self, Device, mlx};
use crate::panics;
use crate::system::{self, Platform, Urgency};

type Command = Box<dyn FnOnce(&mut Worker) + Send>;

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
        nn::on(self.device, f)
    }
}

/// What lives on the MLX thread.
#[derive(Default)]
pub(crate) struct Worker {
    pub(super) models: HashMap<u64, LoadedModel>,
    pub(super) self_test: SelfTest,
    sessions: HashMap<u64, SessionState>,
    scheduler: Scheduler,
    gathering: Gathering,
    /// The host's limit of wired memory; rmlx's own follows the weights.
    wired_limit: Option<u64>,
    stopping: bool,
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

static COMMANDS: OnceCell<Mutex<Sender<Command>>> = OnceCell::new();
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// How long the process's end waits for a unit of work that is running; past this it ends regardless.
const LAST_WORK: Duration = Duration::from_secs(5);

/// The way to the thread, which is started with the first call that can start it.
fn commands() -> Result<&'static Mutex<Sender<Command>>> {
    COMMANDS.get_or_try_init(|| {
        let (sender, receiver) = mpsc::channel();
        let builder = std::thread::Builder::new().name("rmlx-mlx".into());
        let thread = builder
            .spawn(move || Worker::default().run(&receiver))
            .map_err(|e| Error::new(Code::OutOfMemory, format!("the MLX thread cannot be started: {e}")))?;
        *THREAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Mutex::new(sender))
    })
}

/// Queues a closure for the MLX thread and returns at once. An error means that there is no such thread, and nothing
/// that could have work for it.
pub(crate) fn send(command: impl FnOnce(&mut Worker) + Send + 'static) -> Result<()> {
    let sender = commands()?.lock().unwrap_or_else(PoisonError::into_inner);
    // A send fails only once the process is ending and the thread has stopped: nothing is left to do then.
    let _ = sender.send(Box::new(command));
    Ok(())
}

/// [`send`] for what matters only where the thread runs: giving something back, or waking it.
pub(crate) fn tell(command: impl FnOnce(&mut Worker) + Send + 'static) {
    if COMMANDS.get().is_some() {
        let _ = send(command);
    }
}

/// Queues a closure for the MLX thread; what it returns arrives in the receiver. A panic in it comes back as
/// `PANIC`, and nothing arrives once the thread has stopped.
pub(crate) fn start<R: Send + 'static>(
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Result<Receiver<Result<R>>> {
    let (reply, answer) = mpsc::sync_channel(1);
    send(move |worker| {
        let _ = reply.send(panics::catch(|| command(worker)));
    })?;
    Ok(answer)
}

/// Takes the answer of [`start`].
pub(crate) fn wait<R>(answer: &Receiver<Result<R>>) -> Result<R> {
    answer.recv().unwrap_or_else(|_| Err(Error::new(Code::Backend, "the MLX thread has stopped")))
}

/// Runs a closure on the MLX thread and waits for what it returns.
pub(crate) fn call<R: Send + 'static>(
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Result<R> {
    wait(&start(command)?)
}

/// Ends the thread at process exit, before MLX's own statics and the GPU's driver are taken down: what they still
/// own then ends the process with an abort.
extern "C" fn stop_at_exit() {
    let (done, stopped) = mpsc::sync_channel(1);
    tell(move |worker| {
        worker.stop();
        let _ = done.send(());
    });
    let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if stopped.recv_timeout(LAST_WORK).is_ok()
        && let Some(thread) = thread
    {
        let _ = thread.join();
    }
}

impl Worker {
    fn run(mut self, commands: &Receiver<Command>) {
        system::hurry(Urgency::Interactive);
        metallib::choose();
        // Touch MLX first: exit handlers run last-in first-out, so ours then runs before its destructors.
        let _ = mlx_rs::Array::from_int(0).eval();
        // SAFETY: `stop_at_exit` is a plain function that lives as long as the library's image.
        unsafe { libc::atexit(stop_at_exit) };
        system::with_pool(set_cache_limit);
        while !self.stopping {
            // Commands come before units of work.
            match commands.try_recv() {
                Ok(command) => system::with_pool(|| self.obey(command)),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => match self.next_unit() {
                    Some(Unit::Gather) => match commands.recv_timeout(self.gathering.left()) {
                        Ok(command) => system::with_pool(|| self.obey(command)),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    },
                    Some(unit) => system::with_pool(|| self.perform(unit)),
                    None => match commands.recv() {
                        Ok(command) => system::with_pool(|| self.obey(command)),
                        Err(_) => return,
                    },
                },
            }
        }
    }

    /// A panic in a command has been told to the log by then, and its caller sees that no answer comes.
    fn obey(&mut self, command: Command) {
        let _ = panics::catch(|| {
            command(self);
            Ok(())
        });
    }

    fn next_unit(&mut self) -> Option<Unit> {
        let sessions = &self.sessions;
        let standing = |id: u64| sessions.get(&id).map(SessionState::standing);
        let unit = self.scheduler.next(standing, !self.gathering.left().is_zero());
        match unit {
            Some(Unit::Gather) => drop(self.gathering.since.get_or_insert_with(Instant::now)),
            _ => self.gathering.since = None,
        }
        unit
    }

    fn perform(&mut self, unit: Unit) {
        match unit {
            Unit::Cancel(id) => self.attempt(&[id], |sessions| sessions.for_each(SessionState::cancel)),
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

    /// Gives up everything that MLX holds for this thread.
    fn stop(&mut self) {
        self.stopping = true;
        self.sessions.clear();
        self.models.clear();
        mlx::clear_streams();
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
        let weights = self.models.values().map(|loaded| loaded.model.held().bytes()).sum();
        machine().wired_limit(weights)
    }

    /// Bytes of the encoded media of all models.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.models.values().map(|loaded| loaded.encoded.borrow().bytes()).sum()
    }

    /// Gives up the encoded media of all models.
    pub(crate) fn forget_encoded(&self) {
        self.models.values().for_each(|loaded| loaded.encoded.borrow_mut().clear());
    }

    pub(super) fn model(&self, id: u64) -> Result<LoadedModel> {
        self.models.get(&id).cloned().ok_or_else(|| Error::new(Code::Backend, "the model is gone"))
    }

    pub(super) fn add_session(&mut self, id: u64, session: SessionState) {
        self.sessions.insert(id, session);
        self.scheduler.add(id);
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
