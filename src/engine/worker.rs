//! The one thread that owns every MLX array of the process.
//!
//! MLX streams belong to the thread that made them, so models and sessions live here and the rest of the
//! crate sends closures. Between closures the thread advances the sessions that have work, in turn.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::encoded::EncodedMedia;
use super::run::SessionState;
use crate::error::{Code, Error, Result};
use crate::log;
use crate::models::LanguageModel;
use crate::nn::{self, Device, mlx};

type Command = Box<dyn FnOnce(&mut Worker) + Send>;

/// A model, and the media that were encoded for it.
#[derive(Clone)]
pub(super) struct LoadedModel {
    pub model: Rc<dyn LanguageModel>,
    pub encoded: Rc<RefCell<EncodedMedia>>,
    device: Device,
}

impl LoadedModel {
    /// Keeps at most `limit` bytes of encoded media.
    pub fn new(model: Box<dyn LanguageModel>, device: Device, limit: usize) -> Self {
        Self { model: model.into(), encoded: Rc::new(RefCell::new(EncodedMedia::new(limit))), device }
    }

    /// Runs `f` with MLX's operations where the model's arrays are.
    pub fn on_its_device<R>(&self, f: impl FnOnce() -> R) -> R {
        nn::on(self.device, f)
    }
}

/// What lives on the MLX thread.
#[derive(Default)]
pub(crate) struct Worker {
    pub(super) models: HashMap<u64, LoadedModel>,
    pub(super) sessions: HashMap<u64, SessionState>,
    turns: VecDeque<u64>,
    stopping: bool,
}

static COMMANDS: OnceLock<Mutex<Sender<Command>>> = OnceLock::new();
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// How long the process's end waits for a unit of work that is running; past this it ends regardless.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Queues a closure for the MLX thread and returns at once.
pub(crate) fn send(command: impl FnOnce(&mut Worker) + Send + 'static) {
    let sender = COMMANDS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        let spawned = std::thread::Builder::new()
            .name("rmlx-mlx".into())
            .spawn(move || Worker::default().run(&receiver));
        match spawned {
            Ok(thread) => *THREAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            Err(e) => log::error(&format!("cannot start the MLX thread: {e}")),
        }
        Mutex::new(sender)
    });
    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
    // A send fails only once the process is ending and the thread has stopped: nothing is left to do then.
    let _ = sender.send(Box::new(command));
}

/// Queues a closure for the MLX thread; what it returns arrives in the receiver. A panic in it comes back as
/// `PANIC`, and nothing arrives once the thread has stopped.
pub(crate) fn start<R: Send + 'static>(
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Receiver<Result<R>> {
    let (reply, answer) = mpsc::sync_channel(1);
    send(move |worker| {
        let result = catch_unwind(AssertUnwindSafe(|| command(worker)));
        let _ = reply.send(result.unwrap_or_else(|payload| Err(panic_error(payload.as_ref()))));
    });
    answer
}

/// Takes the answer of [`start`].
pub(crate) fn wait<R>(answer: &Receiver<Result<R>>) -> Result<R> {
    answer.recv().unwrap_or_else(|_| Err(Error::new(Code::Backend, "the MLX thread has stopped")))
}

/// Runs a closure on the MLX thread and waits for what it returns.
pub(crate) fn call<R: Send + 'static>(
    command: impl FnOnce(&mut Worker) -> Result<R> + Send + 'static,
) -> Result<R> {
    wait(&start(command))
}

/// Ends the thread at process exit, before MLX's own statics and the GPU's driver are taken down: what they still
/// own then ends the process with an abort.
extern "C" fn stop_at_exit() {
    let (done, stopped) = mpsc::sync_channel(1);
    send(move |worker| {
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
        // Touch MLX first: exit handlers run last-in first-out, so ours then runs before its destructors.
        let _ = mlx_rs::Array::from_int(0).eval();
        // SAFETY: `stop_at_exit` is a plain function that lives as long as the library's image.
        unsafe { libc::atexit(stop_at_exit) };
        while !self.stopping {
            let command = if self.has_work() {
                commands.try_recv().ok()
            } else {
                match commands.recv() {
                    Ok(command) => Some(command),
                    Err(_) => return,
                }
            };
            match command {
                Some(command) => {
                    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| command(&mut self))) {
                        log::error(&panic_error(payload.as_ref()).to_string());
                    }
                }
                None => self.advance_next(),
            }
        }
    }

    /// Gives up everything that MLX holds for this thread.
    fn stop(&mut self) {
        self.stopping = true;
        self.sessions.clear();
        self.models.clear();
        mlx::clear_streams();
    }

    fn has_work(&self) -> bool {
        self.sessions.values().any(SessionState::has_work)
    }

    /// Advances one session by one unit of work, round robin.
    fn advance_next(&mut self) {
        for _ in 0..self.turns.len() {
            let Some(id) = self.turns.pop_front() else { return };
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            self.turns.push_back(id);
            if session.has_work() {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| session.advance())) {
                    session.fail_by_panic(panic_error(payload.as_ref()));
                }
                return;
            }
        }
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
        self.turns.push_back(id);
    }

    pub(super) fn session(&mut self, id: u64) -> Result<&mut SessionState> {
        self.sessions.get_mut(&id).ok_or_else(|| Error::new(Code::Backend, "the session is gone"))
    }
}

fn panic_error(payload: &(dyn Any + Send)) -> Error {
    let what = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Error::new(Code::Panic, format!("a bug in rmlx was caught: {what}"))
}
