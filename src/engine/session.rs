//! A conversation with a model: submit a prompt, step the answer out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Event, EventKind};
use super::fit::{Fitting, Shortened};
use super::guide::Guide;
use super::host_row::HostRow;
use super::model::Model;
use super::options::{GenerationOptions, LogitsProcessor, SessionOptions, ToolChoice};
use super::output::{Ends, Output};
use super::queue::{Answered, Deadline, Next, Queue};
use super::run::{Job, SessionState};
use super::stats::Stats;
use super::waker::{Listed, Waker};
use super::worker::{self, Kind, Worker};
use crate::dialect::Mark;
use crate::error::{Error, Result};
use crate::media::ContentHash;
use crate::models::Prepared;
use crate::prompt::{Asked, Part, Placed, Prompt};
use crate::sampling::Settings;

/// What a submit is to end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Answer,
    Prefill,
}

/// Holds a KV cache and at most one running answer.
///
/// Any thread may call any method. Operations do not overlap: a second one answers `BUSY` at once, except
/// [`Session::cancel`], which always works.
pub struct Session {
    pub(super) id: u64,
    model: Model,
    pub(super) queue: Arc<Queue>,
    pub(super) settings: SessionSettings,
    /// Something was submitted since the session was made or reset, or it was loaded with something.
    pub(super) holds: AtomicBool,
    /// The host's own, of the answer in the making. It stays here, for its end may run code of the host, which must not
    /// happen on the MLX thread.
    processor: Mutex<Option<LogitsProcessor>>,
    /// What the last submit left out of its conversation, so that the next one begins where it did.
    shortened: Mutex<Option<Shortened>>,
}

/// Its options, with what they leave open decided.
#[derive(Clone, Debug)]
pub(super) struct SessionSettings {
    pub context_length: usize,
    pub prefill_chunk: usize,
    pub checkpoints: usize,
    pub keep_turns: Option<usize>,
}

impl SessionSettings {
    /// `OUT_OF_MEMORY` where such a session does not fit into the limit of the load.
    fn new(model: &Model, options: &SessionOptions) -> Result<Self> {
        if options.prefill_chunk == Some(0) || options.context_length == Some(0) {
            return Err(Error::invalid_argument("context length and prefill chunk must be at least 1"));
        }
        let (memory, most) = (model.memory(), model.context_length());
        let context_length = options.context_length.map_or(most, |n| n.min(most));
        let prefill_chunk = options.prefill_chunk.unwrap_or_else(|| memory.prefill_chunk(context_length));
        let checkpoints =
            options.checkpoints.unwrap_or_else(|| memory.checkpoints(context_length, prefill_chunk));
        memory.check_session(context_length, prefill_chunk, checkpoints)?;
        Ok(Self { context_length, prefill_chunk, checkpoints, keep_turns: options.keep_turns })
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Session {
    /// A session that holds nothing yet. Errors: `OUT_OF_MEMORY`, `BACKEND`.
    pub fn new(model: &Model, options: &SessionOptions) -> Result<Self> {
        let session = Self::unlisted(model, options)?;
        let (id, model_id, shared) = (session.id, model.id(), Arc::clone(&session.queue));
        let checkpoints = session.settings.checkpoints;
        // The handle of the model keeps it there, so there is nothing to wait for: a load may be under way.
        let add = move |worker: &mut Worker| {
            if let Ok(loaded) = worker.model(model_id) {
                worker.add_session(id, SessionState::new(loaded, shared, checkpoints));
            }
        };
        worker::send(Kind::Anytime, || Ok(()), add)?;
        Ok(session)
    }

    /// One that the MLX thread does not know yet.
    pub(super) fn unlisted(model: &Model, options: &SessionOptions) -> Result<Self> {
        let settings = SessionSettings::new(model, options)?;
        Ok(Self {
            id: next_id(),
            model: model.clone(),
            queue: Arc::new(Queue::new()),
            settings,
            holds: AtomicBool::new(false),
            processor: Mutex::new(None),
            shortened: Mutex::new(None),
        })
    }

    /// A second session that has been through the same: what it holds, its options, the last submit's prompt, answer,
    /// logits row and stats. It has no waker. Buffers are shared until one of the two goes on; then that one copies what it
    /// writes to. `BUSY` while an answer is in the making.
    pub fn fork(&self) -> Result<Self> {
        let _operation = self.queue.begin()?;
        let (id, queue) = (next_id(), Arc::new(self.queue.fork()?));
        let (parent, shared) = (self.id, Arc::clone(&queue));
        let add = move |worker: &mut Worker| {
            // Without the parent, which its handle keeps there, every operation of the fork says that it is gone.
            let _ = worker.fork_session(parent, id, shared);
        };
        worker::send(Kind::Anytime, || Ok(()), add)?;
        Ok(Self {
            id,
            model: self.model.clone(),
            queue,
            settings: self.settings.clone(),
            holds: AtomicBool::new(self.holds.load(Ordering::Acquire)),
            processor: Mutex::new(None),
            shortened: Mutex::new(self.shortened().clone()),
        })
    }

    /// Forgets what is held from position `positions` on; how many positions are still held. They are fewer than asked for
    /// where a medium would be cut in two, or where a window has moved on and the nearest state that was kept is further
    /// back. `BUSY` while an answer is in the making.
    pub fn truncate(&self, positions: usize) -> Result<usize> {
        let _operation = self.queue.begin()?;
        self.queue.require_usable()?;
        let id = self.id;
        worker::call(Kind::Anytime, move |worker| Ok(worker.session(id)?.truncate(positions)))
    }

    /// The model that it is a session of.
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    // A panic while the lock was held leaves plain data behind, so the lock stays usable.
    pub(super) fn shortened(&self) -> MutexGuard<'_, Option<Shortened>> {
        self.shortened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders, tokenizes, places and prepares the whole conversation on the calling thread, then starts the answer.
    ///
    /// The longest beginning that the session already holds is not evaluated again, and media that it holds, or that
    /// the model has encoded before, are not prepared again. An error here leaves the session as it was, and no event
    /// follows; after `Ok`, events follow up to exactly one FINISH. While the library is suspended: `SUSPENDED`.
    pub fn submit(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<()> {
        self.begin(prompt, options, Wanted::Answer)
    }

    /// [`submit`](Self::submit) that only evaluates the prompt: the FINISH has the reason `Prefilled`, and no token comes
    /// before it. A submit of a conversation that begins alike evaluates what is left.
    pub fn prefill(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<()> {
        self.begin(prompt, options, Wanted::Prefill)
    }

    fn begin(&self, prompt: &Prompt, options: &GenerationOptions, wanted: Wanted) -> Result<()> {
        let submitted = Instant::now();
        let _operation = self.queue.begin()?;
        self.queue.require_usable()?;
        worker::require_running()?;
        self.queue.forget_cancel();
        options.validate(self.model.vocab_size())?;
        let sampling = self.sampling(options)?;
        let Fitting { prompt, placed, shortened } = self.fit(prompt, options)?;
        let (memory, chunk) = (self.model.memory(), self.settings.prefill_chunk);
        memory.check_prompt(placed.ids.len(), chunk, self.stats().cache_bytes)?;
        let placed = Arc::new(placed);
        let prepared = self.prepare(&placed)?;
        let guide = match wanted {
            Wanted::Answer => self.model.guide(&prompt, options)?,
            Wanted::Prefill => None,
        };
        let mut job = self.job(placed, prepared, guide, sampling, options, submitted);
        if wanted == Wanted::Prefill {
            // What follows may be of any length.
            (job.prefill_only, job.max_tokens) = (true, usize::MAX);
        }
        let asked =
            options.exact_history.then(|| Asked::new(&prompt, self.model.setting(options), &job.prompt));
        let answered =
            (wanted == Wanted::Answer).then(|| Answered::new(prompt.continue_final_message, asked));
        let ids = job.prompt.ids.clone();
        let media: usize = job.prompt.media.iter().map(|m| m.tokens.len()).sum();
        let stats = Stats {
            prompt_tokens: ids.len() as u64,
            media_tokens: media as u64,
            dropped_messages: shortened.as_ref().map_or(0, |s| s.dropped as u64),
            prepare_ms: submitted.elapsed().as_secs_f64() * 1e3,
            ..Stats::default()
        };
        let begin = || {
            self.queue.start(ids, answered)?;
            self.queue.update_stats(|s| *s = stats);
            *self.shortened() = shortened;
            Ok(())
        };
        let (id, queue) = (self.id, Arc::clone(&self.queue));
        self.set_processor(options.logits_processor.clone());
        let sent = worker::send(Kind::Start, begin, move |worker| {
            if let Err(error) = worker.start(id, job) {
                queue.push(Event::failed(error));
            }
        });
        if sent.is_err() {
            self.set_processor(None);
        }
        sent?;
        self.holds.store(true, Ordering::Release);
        Ok(())
    }

    /// The media of a prompt, by number, that are neither held by the session nor encoded for the model. The MLX thread
    /// is asked only where its answer can matter.
    fn missing(&self, prompt: &Arc<Placed>) -> Result<Vec<usize>> {
        let unknown = |index: &usize| !self.model.encoded().has(prompt.media[*index].media.hash());
        let mut missing: Vec<usize> = (0..prompt.media.len()).filter(unknown).collect();
        if !missing.is_empty() && self.holds.load(Ordering::Acquire) {
            let (id, shared) = (self.id, Arc::clone(prompt));
            let covered = worker::call(Kind::Anytime, move |worker| Ok(worker.session(id)?.covers(&shared)))?;
            missing.retain(|index| prompt.media[*index].tokens.end > covered);
        }
        Ok(missing)
    }

    /// What the encoders take of the media that have to be encoded. A cancel stops it: then nothing will be encoded.
    fn prepare(&self, prompt: &Arc<Placed>) -> Result<Vec<Option<Arc<Prepared>>>> {
        let mut prepared: Vec<Option<Arc<Prepared>>> = prompt.media.iter().map(|_| None).collect();
        if prompt.media.is_empty() {
            return Ok(prepared);
        }
        let missing = self.missing(prompt)?;
        let media = self.model.architecture().media();
        let check = || match self.queue.is_cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        };
        let mut done: HashMap<ContentHash, Arc<Prepared>> = HashMap::new();
        for index in missing {
            let medium = &prompt.media[index].media;
            let ready = match done.get(medium.hash()) {
                Some(same) => Ok(Arc::clone(same)),
                None => media.prepare(medium, &check).map(Arc::new),
            };
            match ready {
                Ok(ready) => {
                    done.insert(*medium.hash(), Arc::clone(&ready));
                    prepared[index] = Some(ready);
                }
                Err(_) if self.queue.is_cancelled() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(prepared)
    }

    fn sampling(&self, options: &GenerationOptions) -> Result<Settings> {
        let mut settings = options.settings(self.model.defaults());
        if options.tool_choice == ToolChoice::None {
            // A model that may call nothing cannot open a call.
            settings.suppressed.extend(self.model.marks().id(Mark::CallBegins));
        }
        settings.require_choice(self.model.vocab_size())?;
        if let Some(dry) = &mut settings.repeats.dry {
            for breaker in options.breakers() {
                // Behind a letter, as in the middle of a text.
                dry.breakers.extend(self.model.tokenize(&format!("a{breaker}"), false)?.last());
            }
        }
        Ok(settings)
    }

    fn job(
        &self,
        prompt: Arc<Placed>,
        prepared: Vec<Option<Arc<Prepared>>>,
        guide: Option<Guide>,
        settings: Settings,
        options: &GenerationOptions,
        submitted: Instant,
    ) -> Job {
        let ends = Ends {
            tokens: if options.ignore_eos { Default::default() } else { self.model.end_tokens().clone() },
            stop_tokens: options.stop_tokens.iter().copied().collect(),
            stop: options.stop.clone(),
            thinking_budget: options.thinking_budget,
            loops: options.loop_detection,
        };
        let formatter = self.model.formatter();
        let output = Output::new(formatter, self.model.marks().clone(), ends, &prompt.ids);
        Job {
            host_processes: options.logits_processor.is_some(),
            speculate: options.speculate,
            settings,
            vocab_size: self.model.vocab_size(),
            output,
            guide,
            formatter: Arc::clone(formatter),
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            context_length: self.settings.context_length,
            prefill_chunk: self.settings.prefill_chunk,
            top_logprobs: options.top_logprobs,
            progress_events: options.progress_events,
            turns: formatter.turn_starts(&prompt.ids),
            prefill_only: false,
            positions: self.model.architecture().media().positions(&prompt),
            prepared,
            prompt,
            submitted,
        }
    }

    /// Blocks until the next event. After a FINISH there is nothing to step until the next submit. While the library is
    /// suspended, no event is made.
    ///
    /// The host's own logits processor runs in here, so an answer with one goes on only while somebody steps it; this
    /// also of the calls that do not wait, whose deadline does not stop it.
    pub fn step(&self) -> Result<Event> {
        self.step_until(Deadline::Never)
    }

    /// [`step`](Self::step) that waits for at most so long, and then answers `TIMEOUT`: nothing is lost by that.
    pub fn step_timeout(&self, most: Duration) -> Result<Event> {
        self.step_until(Deadline::within(most))
    }

    /// The next event if it is there; `TIMEOUT` if not.
    pub fn try_step(&self) -> Result<Event> {
        self.step_timeout(Duration::ZERO)
    }

    fn step_until(&self, deadline: Deadline) -> Result<Event> {
        let _operation = self.queue.begin()?;
        loop {
            match self.queue.pop(deadline)? {
                Next::Row(row) => self.process(row),
                Next::Event(event) => {
                    // The MLX thread may be waiting for room.
                    worker::nudge();
                    if event.kind == EventKind::Finish {
                        self.set_processor(None);
                    }
                    return Ok(event);
                }
            }
        }
    }

    /// Lets the host's processor have a row, and gives it back to the MLX thread.
    fn process(&self, mut row: HostRow) {
        let processor = self.processor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outcome = processor.map_or(Ok(()), |processor| row.process(&processor));
        let id = self.id;
        worker::tell(move |worker| {
            if let Ok(session) = worker.session(id) {
                session.take_back(row, outcome);
            }
        });
    }

    fn set_processor(&self, processor: Option<LogitsProcessor>) {
        let mut held = self.processor.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, processor);
        drop(held);
        // The host's code may run here, so nothing is locked.
        drop(before);
    }

    /// Submits, waits for the whole answer, and returns what is said in it. A failure of the model is an error.
    pub fn respond(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<String> {
        self.submit(prompt, options)?;
        let mut said = String::new();
        loop {
            let event = self.step()?;
            if matches!(event.kind, EventKind::Text | EventKind::Finish) {
                said += &event.text;
            }
            if event.kind == EventKind::Finish {
                return event.error.map_or(Ok(said), Err);
            }
        }
    }

    /// Lets `waker` tell, under this tag, when there is an event to step; `None` ends that.
    pub fn set_waker(&self, waker: Option<(&Arc<Waker>, u64)>) -> Result<()> {
        let _operation = self.queue.begin()?;
        self.queue.set_waker(waker.map(|(waker, tag)| Listed::new(waker, tag)));
        Ok(())
    }

    /// Adds the answer of the last submit to the conversation that it answers: as the assistant's message, with its
    /// thoughts and calls, or to the last message where the answer continued that.
    pub fn add_answer(&self, prompt: &mut Prompt) -> Result<()> {
        let _operation = self.queue.begin()?;
        self.queue.require_usable()?;
        let missing = || {
            Error::invalid_argument(
                "the session has no answer: nothing was submitted since it was made or reset, or only evaluated",
            )
        };
        let Answered { message, continues, asked, tokens } = self.queue.answer().ok_or_else(missing)?;
        let asked = asked.filter(|asked| asked.is(prompt));
        match prompt.messages.last_mut().filter(|_| continues && prompt.continue_final_message) {
            Some(last) => {
                match (last.parts.last_mut(), message.parts.into_iter().next()) {
                    (Some(Part::Text(begun)), Some(Part::Text(more))) => begun.push_str(&more),
                    (_, more) => last.parts.extend(more),
                }
                last.tool_calls.extend(message.tool_calls);
                if let Some(thought) = message.reasoning {
                    last.reasoning.get_or_insert_default().push_str(&thought);
                }
                prompt.continue_final_message = false;
            }
            None => prompt.messages.push(message),
        }
        if let (Some(asked), Some(tokens)) = (asked, tokens) {
            asked.keep(prompt, &tokens);
        }
        Ok(())
    }

    /// Makes a running answer end with a FINISH event of reason `Cancelled`: after the unit of work that is running, which
    /// may be another session's. Safe in a signal handler.
    pub fn cancel(&self) {
        self.queue.request_cancel();
        worker::ring();
    }

    /// `POISONED` once a panic went through the session, until it is reset.
    pub(crate) fn require_sound(&self) -> Result<()> {
        self.queue.require_sound()
    }

    /// Called after a panic in one of the operations: only a reset mends the session.
    pub(crate) fn poison(&self) {
        self.queue.request_cancel();
        self.queue.poison();
    }

    /// Forgets everything held; a running answer ends without further events. Mends a poisoned session.
    pub fn reset(&self) -> Result<()> {
        let _operation = self.queue.begin()?;
        self.queue.request_cancel();
        let id = self.id;
        worker::call(Kind::Anytime, move |worker| {
            worker.session(id)?.reset();
            Ok(())
        })?;
        self.queue.reset();
        self.set_processor(None);
        *self.shortened() = None;
        self.holds.store(false, Ordering::Release);
        Ok(())
    }

    /// The row that the last returned token was sampled from, before any processor: `f32 [vocabulary]`.
    pub fn logits(&self) -> Result<Vec<f32>> {
        let _operation = self.queue.begin()?;
        self.queue.require_sound()?;
        let row = self.queue.last_row().ok_or_else(|| {
            Error::invalid_argument(
                "there is no logits row: no token has been returned since the last submit",
            )
        })?;
        let row = row.ok_or_else(|| {
            Error::invalid_argument("there is no logits row: the last token had to come, by the constraint")
        })?;
        let id = self.id;
        worker::call(Kind::Work, move |worker| worker.session(id)?.row(row))
    }

    /// The ids of the last submitted prompt, after placement.
    pub fn prompt_tokens(&self) -> Result<Vec<u32>> {
        let _operation = self.queue.begin()?;
        Ok(self.queue.prompt())
    }

    /// Numbers of the last submit; they grow while it runs.
    pub fn stats(&self) -> Stats {
        self.queue.stats()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.queue.request_cancel();
        self.queue.set_waker(None);
        let id = self.id;
        worker::tell(move |worker| worker.remove_session(id));
    }
}
