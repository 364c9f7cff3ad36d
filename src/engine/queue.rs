//! The meeting place of a session's host and the MLX thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Event, EventKind, FinishReason};
use super::host_row::HostRow;
use super::stats::Stats;
use super::waker::Listed;
use crate::error::{Code, Error, Result};
use crate::json;
use crate::log;
use crate::prompt::{Asked, Message, Part, ToolCall};

/// Events the MLX thread may be ahead of the host: one is computed while the host holds another.
const RUN_AHEAD: usize = 1;

/// Where a session stands, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    /// A submit has not yet delivered its FINISH. A doomed one went through a panic: the session is poisoned after it.
    Running {
        doomed: bool,
    },
    /// A panic went through the session: only a reset mends it.
    Poisoned,
}

impl Phase {
    /// `BUSY` or `POISONED` where no submit can begin.
    fn require_idle(self) -> Result<()> {
        match self {
            Phase::Idle => Ok(()),
            Phase::Running { .. } => Err(Error::new(
                Code::Busy,
                "the previous submit has not delivered its FINISH event; step until it comes (cancel makes it come soon)",
            )),
            Phase::Poisoned => Err(poisoned()),
        }
    }
}

struct Inner {
    phase: Phase,
    events: VecDeque<Event>,
    /// What the host has to see before the next event can come.
    host_row: Option<HostRow>,
    /// Of the last token handed out, its logits row; a token that had to come has none.
    row: Option<Option<u64>>,
    stats: Stats,
    prompt: Vec<u32>,
    /// What the host has taken of the last submit's events.
    answer: Option<Answered>,
    waker: Option<Listed>,
}

impl Inner {
    /// The next event, handed out.
    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Some(answer) = &mut self.answer {
            answer.take(&event);
        }
        if event.token.is_some() {
            self.row = Some(event.row);
        }
        if event.kind == EventKind::Finish {
            let doomed = self.phase == Phase::Running { doomed: true };
            self.phase = if doomed { Phase::Poisoned } else { Phase::Idle };
        }
        if self.has_something() {
            self.tell_waker();
        }
        Some(event)
    }

    /// Whether a host that steps finds something to see to.
    fn has_something(&self) -> bool {
        !self.events.is_empty() || self.host_row.is_some()
    }

    fn tell_waker(&self) {
        if let Some(listed) = &self.waker {
            listed.wake();
        }
    }
}

/// How long a host waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    /// A time that no clock reaches is never.
    pub fn within(time: Duration) -> Deadline {
        Instant::now().checked_add(time).map_or(Deadline::Never, Deadline::At)
    }
}

/// An answer as a message.
#[derive(Clone)]
pub(super) struct Answered {
    pub message: Message,
    /// The prompt's last message was to be continued.
    pub continues: bool,
    /// What it answers, where it may stay as it was generated.
    pub asked: Option<Asked>,
    /// Its tokens, unless they are not those of the message.
    pub tokens: Option<Vec<u32>>,
}

impl Answered {
    pub fn new(continues: bool, asked: Option<Asked>) -> Self {
        let tokens = asked.is_some().then(Vec::new);
        Self { message: Message::text("assistant", ""), continues, asked, tokens }
    }

    fn take(&mut self, event: &Event) {
        self.take_token(event);
        let message = &mut self.message;
        match (&event.kind, &event.tool_call) {
            (EventKind::Reasoning, _) => message.reasoning.get_or_insert_default().push_str(&event.text),
            (EventKind::ToolCall, Some(call)) => match json::parse(call.arguments.as_bytes()) {
                Ok(arguments) => {
                    let (id, name) = (Some(call.id.clone()), call.name.clone());
                    message.tool_calls.push(ToolCall { id, name, arguments });
                }
                // A message has no place for them but its text.
                Err(e) => {
                    log::warning(&format!(
                        "the call of {} is text in the answer's message, for its arguments are no JSON object: {e}",
                        call.name
                    ));
                    self.say(&event.text);
                }
            },
            (EventKind::Text | EventKind::Finish, _) => self.say(&event.text),
            (EventKind::ToolCall | EventKind::Progress, _) => {}
        }
    }

    fn say(&mut self, more: &str) {
        if let Some(Part::Text(text)) = self.message.parts.last_mut() {
            text.push_str(more);
        }
    }
}

impl Answered {
    /// Of a stop string there are tokens that the message lacks, and a stop token is no part of it.
    fn take_token(&mut self, event: &Event) {
        match event.finish {
            Some(FinishReason::StopString | FinishReason::Error) => self.tokens = None,
            Some(FinishReason::StopToken) => drop(self.tokens.as_mut().and_then(Vec::pop)),
            _ => self.tokens.iter_mut().for_each(|tokens| tokens.extend(event.token)),
        }
    }
}

/// What the host is to see to.
// One at a time, taken apart at once.
#[allow(clippy::large_enum_variant)]
pub(super) enum Next {
    Event(Event),
    /// Before another event can come, the host's processor has to see this.
    Row(HostRow),
}

/// Shared by a session handle and the MLX thread.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
    cancel: AtomicBool,
    operation: AtomicBool,
}

/// Held while an operation of the host runs on the session.
pub(super) struct Operation<'a>(&'a Queue);

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.0.operation.store(false, Ordering::Release);
    }
}

impl Queue {
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                phase: Phase::Idle,
                events: VecDeque::new(),
                host_row: None,
                row: None,
                stats: Stats::default(),
                prompt: Vec::new(),
                answer: None,
                waker: None,
            }),
            ready: Condvar::new(),
            cancel: AtomicBool::new(false),
            operation: AtomicBool::new(false),
        }
    }

    // A panic while the lock was held leaves plain data behind, so the lock stays usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `BUSY` while another thread is inside an operation on this session.
    pub fn begin(&self) -> Result<Operation<'_>> {
        if self.operation.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Code::Busy, "another operation is running on this session"));
        }
        Ok(Operation(self))
    }

    pub fn request_cancel(&self) {
        self.cancel.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Acquire)
    }

    /// At the beginning of a submit: cancels of earlier ones no longer count, those from here on do.
    pub fn forget_cancel(&self) {
        self.cancel.store(false, Ordering::Release);
    }

    /// Idle to running; `BUSY` or `POISONED` otherwise. Without an answer where none is asked for.
    pub fn start(&self, prompt: Vec<u32>, answer: impl Into<Option<Answered>>) -> Result<()> {
        let mut inner = self.lock();
        inner.phase.require_idle()?;
        inner.phase = Phase::Running { doomed: false };
        inner.events.clear();
        inner.host_row = None;
        inner.row = None;
        inner.prompt = prompt;
        inner.answer = answer.into();
        Ok(())
    }

    /// The queue of a session that has been through the same as this one, which must idle. It has no waker.
    pub fn fork(&self) -> Result<Queue> {
        let (fork, inner) = (Queue::new(), self.lock());
        inner.phase.require_idle()?;
        let mut other = fork.lock();
        (other.row, other.stats) = (inner.row, inner.stats.clone());
        (other.prompt, other.answer) = (inner.prompt.clone(), inner.answer.clone());
        drop(other);
        Ok(fork)
    }

    pub fn require_usable(&self) -> Result<()> {
        self.lock().phase.require_idle()
    }

    /// Blocks until there is something to see to, or until the deadline: `TIMEOUT`.
    pub fn pop(&self, deadline: Deadline) -> Result<Next> {
        let mut inner = self.lock();
        loop {
            if let Some(event) = inner.take() {
                return Ok(Next::Event(event));
            }
            if let Some(row) = inner.host_row.take() {
                return Ok(Next::Row(row));
            }
            match inner.phase {
                Phase::Running { .. } => inner = self.wait(inner, deadline)?,
                Phase::Poisoned => return Err(poisoned()),
                Phase::Idle => {
                    return Err(Error::invalid_argument(
                        "there is nothing to step: no prompt was submitted since the last FINISH event",
                    ));
                }
            }
        }
    }

    fn wait<'a>(&'a self, inner: MutexGuard<'a, Inner>, deadline: Deadline) -> Result<MutexGuard<'a, Inner>> {
        match deadline {
            Deadline::Never => Ok(self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner)),
            Deadline::At(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => {
                    Err(Error::new(Code::Timeout, "no event has come in time; the answer goes on"))
                }
                left => Ok(self.ready.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0),
            },
        }
    }

    /// Called on the MLX thread.
    pub fn push(&self, event: Event) {
        let mut inner = self.lock();
        if inner.phase == Phase::Poisoned {
            return;
        }
        if event.kind == EventKind::Finish {
            // Nothing will be drawn from it.
            inner.host_row = None;
        }
        inner.events.push_back(event);
        inner.tell_waker();
        drop(inner);
        self.ready.notify_all();
    }

    /// Called on the MLX thread.
    pub fn show(&self, row: HostRow) {
        let mut inner = self.lock();
        // Nobody gives it back to an answer that has ended.
        if !matches!(inner.phase, Phase::Running { .. }) {
            return;
        }
        inner.host_row = Some(row);
        inner.tell_waker();
        drop(inner);
        self.ready.notify_all();
    }

    /// Whom to tell when there is something to step; what was told before hears no more.
    pub fn set_waker(&self, listed: Option<Listed>) {
        let mut inner = self.lock();
        inner.waker = listed;
        if inner.has_something() || inner.phase == Phase::Poisoned {
            inner.tell_waker();
        }
    }

    /// Called on the MLX thread: whether it may compute one more event.
    pub fn has_room(&self) -> bool {
        self.is_cancelled() || self.lock().events.len() < RUN_AHEAD
    }

    /// Called on the MLX thread before the FINISH of a run that panicked.
    pub fn doom(&self) {
        self.lock().phase = Phase::Running { doomed: true };
    }

    /// A panic went through an operation of the host: whatever was to come is dropped.
    pub fn poison(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Poisoned;
        inner.events.clear();
        inner.host_row = None;
        inner.tell_waker();
        drop(inner);
        self.ready.notify_all();
    }

    /// `POISONED` once a panic went through the session.
    pub fn require_sound(&self) -> Result<()> {
        if self.lock().phase == Phase::Poisoned { Err(poisoned()) } else { Ok(()) }
    }

    /// Back to idle, whatever happened before; undelivered events are dropped.
    pub fn reset(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Idle;
        inner.events.clear();
        inner.host_row = None;
        inner.row = None;
        inner.prompt.clear();
        inner.answer = None;
        inner.stats = Stats::default();
        if let Some(listed) = &inner.waker {
            listed.hush();
        }
        drop(inner);
        self.ready.notify_all();
    }

    pub fn last_row(&self) -> Option<Option<u64>> {
        self.lock().row
    }

    pub fn answer(&self) -> Option<Answered> {
        self.lock().answer.clone()
    }

    pub fn prompt(&self) -> Vec<u32> {
        self.lock().prompt.clone()
    }

    pub fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub fn update_stats(&self, update: impl FnOnce(&mut Stats)) {
        update(&mut self.lock().stats);
    }
}

fn poisoned() -> Error {
    Error::new(Code::Poisoned, "an earlier bug went through this session; reset or release it")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::waker::Waker;
    use super::*;
    use crate::dialect::Call;

    #[test]
    fn a_cancel_counts_from_the_beginning_of_the_submit_that_it_means() {
        let queue = Queue::new();
        queue.request_cancel();
        queue.forget_cancel();
        queue.start(vec![1], Answered::new(false, None)).unwrap();
        assert!(!queue.is_cancelled(), "the cancel of an earlier answer");

        let queue = Queue::new();
        queue.forget_cancel();
        // The prompt is being rendered, placed and tokenized here.
        queue.request_cancel();
        queue.start(vec![1], Answered::new(false, None)).unwrap();
        assert!(queue.is_cancelled(), "a cancel before the answer began");
    }

    #[test]
    fn a_wait_ends_with_an_event_or_at_its_deadline_and_loses_nothing() {
        let queue = Queue::new();
        let soon = || Deadline::within(Duration::from_millis(5));
        assert_eq!(queue.pop(soon()).err().unwrap().code(), Code::InvalidArgument, "nothing was submitted");
        queue.start(vec![1], Answered::new(false, None)).unwrap();
        for deadline in [soon(), Deadline::within(Duration::ZERO)] {
            assert_eq!(queue.pop(deadline).err().unwrap().code(), Code::Timeout);
        }
        queue.push(Event::progress(1, 2));
        assert_eq!(progress(queue.pop(Deadline::within(Duration::ZERO))), Some((1, 2)));
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push(Event::progress(2, 2)));
            assert_eq!(progress(queue.pop(Deadline::within(Duration::MAX))), Some((2, 2)));
        });
    }

    #[test]
    fn arguments_that_are_no_json_object_stay_in_the_message_as_they_were_spelled() {
        let mut answered = Answered::new(false, None);
        for (text, arguments) in [("<a>", "{\"n\":1e999}"), ("<b>", "{\"n\":1}"), ("<c>", "3"), ("<d>", "{")]
        {
            let mut event = Event::progress(0, 0);
            let call = Call { id: "1".into(), name: "f".into(), arguments: arguments.into() };
            (event.kind, event.text, event.tool_call) = (EventKind::ToolCall, text.into(), Some(call));
            answered.take(&event);
        }
        assert!(matches!(&answered.message.parts[..], [Part::Text(text)] if text == "<a><c><d>"));
        assert_eq!(answered.message.tool_calls.len(), 1);
        assert_eq!(answered.message.tool_calls[0].arguments["n"], 1);
    }

    fn progress(next: Result<Next>) -> Option<(usize, usize)> {
        match next.unwrap() {
            Next::Event(event) => event.progress,
            Next::Row(_) => None,
        }
    }

    fn is_row(next: &Result<Next>) -> bool {
        matches!(next, Ok(Next::Row(_)))
    }

    fn row() -> HostRow {
        HostRow { ids: vec![1], logits: vec![0.0] }
    }

    #[test]
    fn a_row_for_the_host_comes_after_the_events_before_it_and_goes_with_the_end() {
        let now = || Deadline::within(Duration::ZERO);
        let queue = Queue::new();
        queue.show(row());
        assert_eq!(queue.pop(now()).err().unwrap().code(), Code::InvalidArgument, "nothing was submitted");
        queue.start(vec![1], Answered::new(false, None)).unwrap();
        queue.push(Event::progress(1, 1));
        queue.show(row());
        assert_eq!(progress(queue.pop(now())), Some((1, 1)));
        assert!(is_row(&queue.pop(now())));
        assert_eq!(queue.pop(now()).err().unwrap().code(), Code::Timeout, "once");
        queue.show(row());
        queue.push(Event::finish(FinishReason::Cancelled));
        assert!(matches!(queue.pop(now()), Ok(Next::Event(_))));
        assert_eq!(queue.pop(now()).err().unwrap().code(), Code::InvalidArgument, "it has ended");
    }

    #[test]
    fn a_waker_tells_of_rows_for_the_host_as_of_events() {
        let waker = Arc::new(Waker::new().unwrap());
        let queue = Queue::new();
        queue.set_waker(Some(Listed::new(&waker, 7)));
        queue.start(vec![1], Answered::new(false, None)).unwrap();
        queue.push(Event::progress(1, 1));
        queue.show(row());
        assert_eq!(waker.take(9), [7]);
        assert!(matches!(queue.pop(Deadline::Never), Ok(Next::Event(_))));
        assert_eq!(waker.take(9), [7], "the row is left");
        assert!(is_row(&queue.pop(Deadline::Never)));
        assert!(waker.take(9).is_empty());
        queue.show(row());
        assert_eq!(waker.take(9), [7]);
        queue.set_waker(Some(Listed::new(&waker, 8)));
        assert_eq!(waker.take(9), [8], "a row that was there before the waker");
    }
}
