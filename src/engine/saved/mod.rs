//! Sessions that are written to a file or to memory, and made again of that. `docs/saved-sessions.md` has the format.
//!
//! The MLX thread only hands over where rows lie and takes over the memory that they were read into; hashing, reading and
//! writing are done by the host's thread and a few helpers of its own.

mod contents;
mod file;
mod format;
mod read;
#[cfg(test)]
mod speed_tests;
mod write;

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;

use self::contents::Contents;
use self::format::Expected;
use self::read::{Saved, Source};
use super::model::Model;
use super::options::SessionOptions;
use super::run::SessionState;
use super::session::Session;
use super::worker::{self, Kind};
use crate::error::{Code, Error, Result};
use crate::nn::kept::Reading;
use crate::nn::state::Shape;

/// Threads that hash, read and write at a time.
const HELPERS: usize = 4;

impl Session {
    /// Writes what the session holds to a file, which appears whole or not at all: an error leaves one that was there
    /// before as it was. The session stays as it is.
    ///
    /// Errors: `BUSY` while an answer is in the making; `NOT_FOUND` (no such folder), `IO` (no space, no permission);
    /// `SUSPENDED` where MLX would have to work for it, which it does on CUDA only; `POISONED`, `BACKEND`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let _operation = self.queue.begin()?;
        self.with_contents(|contents, plan| {
            file::replace(path, plan.total(), |file| write::to_file(plan, contents, file, path))
        })
    }

    /// Writes what [`save`](Self::save) would write to where `room` says, which is asked with the number of bytes. Nothing
    /// is written where it answers `None`.
    pub fn save_into<'a>(
        &self,
        room: impl FnOnce(usize) -> Result<Option<&'a mut [MaybeUninit<u8>]>>,
    ) -> Result<()> {
        let _operation = self.queue.begin()?;
        self.with_contents(|contents, plan| {
            let total = usize::try_from(plan.total()).unwrap_or(usize::MAX);
            match room(total)? {
                None => Ok(()),
                Some(out) if out.len() >= total => write::to_memory(plan, contents, &mut out[..total]),
                Some(out) => Err(Error::invalid_argument(format!(
                    "there is room for {} bytes, and the session takes {total}",
                    out.len()
                ))),
            }
        })
    }

    /// A session of `model` that holds what was saved; the next submit goes on from there. The answer that was saved with
    /// it is not: [`add_answer`](Self::add_answer) has nothing to add before the next submit.
    ///
    /// Errors: `NOT_FOUND`, `IO`; `INVALID_SAVE` for what is damaged, or was saved from another snapshot, with another chat
    /// template, on a device with another type of numbers, or in another version of the format: the detail `fault` says
    /// which; `CONTEXT_FULL`, `OUT_OF_MEMORY` and the errors of [`Session::new`].
    pub fn load(model: &Model, options: &SessionOptions, path: &Path) -> Result<Session> {
        let (source, shown) = (Source::open(path)?, path.display().to_string());
        let loaded = Self::load_from(model, options, &source);
        loaded.map_err(|error| error.context(&shown).with("path", shown.as_str()))
    }

    /// [`load`](Self::load) of bytes in memory.
    pub fn load_from_bytes(model: &Model, options: &SessionOptions, bytes: &[u8]) -> Result<Session> {
        Self::load_from(model, options, &Source::Memory(bytes))
    }

    fn with_contents(&self, f: impl FnOnce(&Contents, &format::Plan) -> Result<()>) -> Result<()> {
        let contents = self.contents()?;
        let marks = (self.model().fingerprint(), self.model().formatter().template_hash());
        let outcome = format::Plan::new(&contents, marks).and_then(|plan| f(&contents, &plan));
        // The session may have parted from them meanwhile, and memory of MLX ends on its thread.
        worker::tell(move |_| drop(contents));
        outcome
    }

    /// What is held, without work of MLX if that can be.
    fn contents(&self) -> Result<Contents> {
        self.queue.require_usable()?;
        require_whole(self.model())?;
        let id = self.id;
        let read = move |reading| move |worker: &mut worker::Worker| worker.session(id)?.contents(reading);
        if let Some(contents) = worker::call(Kind::Anytime, read(Reading::InPlace))? {
            return Ok(contents);
        }
        let contents = worker::call(Kind::Work, read(Reading::Copied))?;
        contents.ok_or_else(|| Error::new(Code::Backend, "MLX does not give the rows of the session"))
    }

    fn load_from(model: &Model, options: &SessionOptions, source: &Source) -> Result<Session> {
        require_whole(model)?;
        let session = Session::unlisted(model, options)?;
        let model_id = model.id();
        let shapes: Vec<Shape> = worker::call(Kind::Anytime, move |worker| {
            Ok(worker.model(model_id)?.model.new_state().shapes().collect())
        })?;
        let expected = Expected {
            snapshot: model.fingerprint(),
            template: model.formatter().template_hash(),
            shapes: &shapes,
            vocab: model.vocab_size(),
        };
        let front = read::front(source, &expected)?;
        session.check_room(&front, &shapes)?;
        let saved = read::parts(source, front, &expected)?;
        session.hold(saved)?;
        Ok(session)
    }

    /// Whether the context and the memory have room for what was saved.
    fn check_room(&self, front: &format::Front, shapes: &[Shape]) -> Result<()> {
        let positions = front.header.positions();
        if positions > self.settings.context_length {
            let message = format!(
                "the saved session holds {positions} positions, and the context has {}",
                self.settings.context_length
            );
            return Err(Error::new(Code::ContextFull, message)
                .with("positions", positions)
                .with("context_length", self.settings.context_length));
        }
        let memory = self.model().memory();
        memory.check_prompt(positions, self.settings.prefill_chunk, 0)?;
        memory.check_held(front.header.memory(shapes), "the rows of the saved session")
    }

    /// Gives the session its state, on the MLX thread.
    fn hold(&self, saved: Saved) -> Result<()> {
        let (id, model_id, queue) = (self.id, self.model().id(), self.queue.clone());
        let most = self.settings.checkpoints;
        let positions = saved.positions();
        worker::call(Kind::Anytime, move |worker| {
            let loaded = worker.model(model_id)?;
            let past = loaded.on_its_device(|| saved.into_past(most))?;
            queue.update_stats(|stats| {
                stats.held_tokens = past.held.len() as u64;
                stats.cache_bytes = past.state.bytes() as u64;
                stats.checkpoint_bytes = past.checkpoint_bytes() as u64;
            });
            worker.add_session(id, SessionState::holding(loaded, queue, past));
            Ok(())
        })?;
        self.holds.store(positions > 0, Ordering::Release);
        Ok(())
    }
}

/// Does `f` for each of `items` on a few threads; what came of each, in their order, or the first error.
fn side_by_side<T: Send, R: Send>(items: Vec<T>, f: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    let helpers = cores.min(HELPERS).min(items.len()).saturating_sub(1);
    let waiting = Mutex::new(items.into_iter().enumerate());
    let work = || -> Vec<(usize, Result<R>)> {
        let mut done = Vec::new();
        // The lock is held by nobody who could panic.
        while let Ok(Some((index, item))) = waiting.lock().map(|mut items| items.next()) {
            let outcome = f(item);
            if outcome.is_err() {
                // The others have nothing left to do either.
                let _ = waiting.lock().map(|mut items| items.by_ref().for_each(drop));
            }
            done.push((index, outcome));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().name("rmlx-saved".into()).spawn_scoped(scope, work).ok();
        let threads: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = work();
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Each rank of a group has other heads of keys and values, and no file has all of them.
fn require_whole(model: &Model) -> Result<()> {
    match model.ranks() {
        1 => Ok(()),
        ranks => {
            let message =
                format!("sessions of a model that {ranks} ranks run together cannot be saved or loaded");
            Err(Error::unsupported(message).with("ranks", ranks))
        }
    }
}
