//! What the process asks of the MLX thread: commands in their order, whether it may work now, and what wakes it. Knows
//! nothing of MLX.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

/// What becomes of a command while the library is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs: it needs no work of MLX.
    Anytime,
    /// Begins an answer, of which only later units are work: not taken in, but it runs if it was.
    Start,
    /// Refused, even when it was taken in already: somebody waits for it.
    Work,
    /// Runs, and pauses at its own borders.
    Load,
}

/// A closure for the MLX thread. It gets an error in place of `W` where it will never run.
struct Command<W> {
    kind: Kind,
    act: Act<W>,
}

pub(super) type Act<W> = Box<dyn FnOnce(Result<&mut W>) + Send>;

/// Which commands the MLX thread takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    All,
    /// In the middle of a load.
    Anytime,
}

struct State<W> {
    commands: VecDeque<Command<W>>,
    suspended: bool,
    /// The thread has set up MLX.
    ready: bool,
    /// MLX may be at work.
    busy: bool,
    stopping: bool,
    stopped: bool,
    /// Threads that are forking the process.
    forking: u32,
    /// The MLX thread waits for them, and MLX does nothing.
    still: bool,
    /// Threads that wait for `changed`.
    waiting: u32,
}

/// Shared by the MLX thread and everybody else.
pub(super) struct Inbox<W> {
    state: Mutex<State<W>>,
    changed: Condvar,
    /// Something has happened that the MLX thread may not have seen.
    rung: AtomicBool,
    asleep: AtomicBool,
    bell: OnceLock<Bell>,
    /// The process that the MLX thread lives in; 0 before there is one.
    process: AtomicU32,
}

/// Two ends of a socket: a byte wakes who reads. A write of it is all that a signal handler may do.
struct Bell {
    /// Full means that there is enough to wake up for.
    ring: UnixStream,
    hear: UnixStream,
}

/// What a call came to that had to wait for the work to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspended {
    /// No work runs, and none will begin.
    Now,
    /// So many units still run.
    After(u32),
    /// Somebody resumed meanwhile.
    Resumed,
}

impl<W> Inbox<W> {
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                commands: VecDeque::new(),
                suspended: false,
                ready: false,
                busy: false,
                stopping: false,
                stopped: false,
                forking: 0,
                still: false,
                waiting: 0,
            }),
            changed: Condvar::new(),
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bell: OnceLock::new(),
            process: AtomicU32::new(0),
        }
    }

    // A panic while the lock was held leaves plain data behind, so the lock stays usable.
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the MLX thread is started: what wakes it.
    pub fn open(&self) -> Result<()> {
        let cannot = |e| Error::new(Code::OutOfMemory, format!("the MLX thread cannot be started: {e}"));
        let (ring, hear) = UnixStream::pair().map_err(cannot)?;
        ring.set_nonblocking(true).map_err(cannot)?;
        // One that is there from a start that failed will do.
        let _ = self.bell.set(Bell { ring, hear });
        self.process.store(std::process::id(), Ordering::Release);
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.bell.get().is_some()
    }

    /// Whether this is a child that `fork` made after the thread was started: the thread is not in it, and locks may be
    /// held by nobody.
    pub fn is_forked(&self) -> bool {
        let process = self.process.load(Ordering::Acquire);
        process != 0 && process != std::process::id()
    }

    /// Wakes the MLX thread. Safe in a signal handler: atomics, and a write that does not block.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if let Some(bell) = self.bell.get()
            && self.asleep.swap(false, Ordering::SeqCst)
        {
            let _ = (&bell.ring).write(&[1]);
        }
    }

    /// Wakes everybody who waits here.
    pub fn nudge(&self) {
        self.ring();
        if self.lock().waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Takes a command in, if `admit` agrees, which no suspension can come between.
    pub fn push(&self, kind: Kind, admit: impl FnOnce() -> Result<()>, act: Act<W>) -> Result<()> {
        let mut state = self.lock();
        if state.stopping {
            return Err(stopped());
        }
        let needs_work = match kind {
            Kind::Start | Kind::Work => true,
            Kind::Anytime => !state.ready,
            Kind::Load => false,
        };
        if state.suspended && needs_work {
            return Err(suspended());
        }
        admit()?;
        state.commands.push_back(Command { kind, act });
        drop(state);
        self.nudge();
        Ok(())
    }

    /// `SUSPENDED` while no answer may begin.
    pub fn require_running(&self) -> Result<()> {
        if self.lock().suspended { Err(suspended()) } else { Ok(()) }
    }

    /// Returns when MLX does no work and will not begin any, or at the deadline; then it comes to that later. Where
    /// `deadline` is none there is no bound.
    pub fn suspend(&self, deadline: Option<Instant>) -> Suspended {
        let mut state = self.lock();
        state.suspended = true;
        let (refused, kept) = state.commands.drain(..).partition(|command| command.kind == Kind::Work);
        state.commands = kept;
        drop(state);
        let refused: VecDeque<Command<W>> = refused;
        refused.into_iter().for_each(|command| (command.act)(Err(suspended())));
        self.nudge();
        let mut state = self.lock();
        loop {
            if !state.suspended {
                return Suspended::Resumed;
            }
            if !state.busy {
                return Suspended::Now;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Suspended::After(1);
            }
            state = self.wait_changed(state, left);
        }
    }

    pub fn resume(&self) {
        self.lock().suspended = false;
        self.nudge();
    }

    /// Lets the MLX thread end, and waits for that; false if its work does not end in time.
    pub fn stop(&self, patience: Duration) -> bool {
        self.lock().stopping = true;
        self.nudge();
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait_changed(state, Some(left));
        }
        true
    }

    /// Before a fork: returns when MLX stands still, so that the child's copy of it is whole, or when patience ends.
    pub fn before_fork(&self, patience: Duration) {
        self.lock().forking += 1;
        self.nudge();
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while state.ready && !state.stopped && !state.still {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait_changed(state, Some(left));
        }
    }

    /// After it, in the parent.
    pub fn after_fork(&self) {
        let mut state = self.lock();
        state.forking = state.forking.saturating_sub(1);
        drop(state);
        self.nudge();
    }

    fn wait_changed<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<W>>,
        most: Option<Duration>,
    ) -> MutexGuard<'a, State<W>> {
        state.waiting += 1;
        let mut state = match most {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(most) => self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.waiting -= 1;
        state
    }
}

/// For the MLX thread.
impl<W> Inbox<W> {
    /// Waits until MLX may be set up; false if the process ends instead.
    pub fn may_begin(&self) -> bool {
        loop {
            let mut state = self.lock();
            if state.stopping || !state.suspended {
                state.busy = !state.stopping;
                return !state.stopping;
            }
            drop(state);
            self.sleep();
        }
    }

    /// MLX has been set up.
    pub fn begun(&self) {
        self.lock().ready = true;
    }

    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// The next command that may run now.
    pub fn take(&self, taking: Taking) -> Option<Act<W>> {
        let mut state = self.lock();
        let suspended = state.suspended;
        let at = state.commands.iter().position(|command| match command.kind {
            Kind::Anytime | Kind::Start => true,
            Kind::Work => taking == Taking::All && !suspended,
            Kind::Load => taking == Taking::All,
        })?;
        let command = state.commands.remove(at)?;
        state.busy |= command.kind == Kind::Work;
        Some(command.act)
    }

    /// Between two units of work: whether there may be none. `settle` waits for what MLX still does.
    pub fn is_resting(&self, settle: impl Fn()) -> bool {
        let mut state = self.lock();
        if !state.suspended {
            state.busy = true;
            return false;
        }
        if state.busy {
            drop(state);
            settle();
            state = self.lock();
            // A resume and another suspend may have come: no work has begun since.
            state.busy = false;
            drop(state);
            self.changed.notify_all();
        }
        true
    }

    /// Between commands and units of work: waits while the process is being forked. `settle` waits for what MLX still does.
    pub fn stand_still(&self, settle: impl Fn()) {
        if self.lock().forking == 0 {
            return;
        }
        settle();
        let mut state = self.lock();
        state.still = true;
        self.changed.notify_all();
        while state.forking > 0 {
            state = self.wait_changed(state, None);
        }
        state.still = false;
    }

    /// Waits until something has happened since the last call of this or of [`doze`](Self::doze).
    pub fn sleep(&self) {
        let Some(bell) = self.bell.get() else { return };
        self.asleep.store(true, Ordering::SeqCst);
        if !self.rung.swap(false, Ordering::SeqCst) {
            // An interruption is a reason to look, too.
            let _ = (&bell.hear).read(&mut [0; 64]);
            self.rung.store(false, Ordering::SeqCst);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// [`sleep`](Self::sleep), but not for long; a signal handler does not end it.
    pub fn doze(&self, most: Duration) {
        let state = self.lock();
        if !self.rung.swap(false, Ordering::SeqCst) && !most.is_zero() {
            drop(self.wait_changed(state, Some(most)));
        }
    }

    /// The thread's last words: what is left will never run.
    pub fn close(&self) {
        let mut state = self.lock();
        let left = std::mem::take(&mut state.commands);
        (state.stopping, state.stopped, state.busy) = (true, true, false);
        drop(state);
        left.into_iter().for_each(|command| (command.act)(Err(stopped())));
        self.changed.notify_all();
    }
}

pub(super) fn suspended() -> Error {
    Error::new(Code::Suspended, "the library is suspended; this goes on after rmlx_resume")
}

pub(super) fn stopped() -> Error {
    Error::new(Code::Backend, "the MLX thread has stopped")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    type Answers = Receiver<Option<Code>>;

    /// A command that counts, and tells what became of it.
    fn act() -> (Act<u32>, Answers) {
        let (sender, receiver) = channel();
        let act: Act<u32> = Box::new(move |counter: Result<&mut u32>| {
            let outcome = counter.map(|counter| *counter += 1);
            let _ = sender.send(outcome.err().map(|e| e.code()));
        });
        (act, receiver)
    }

    fn ready() -> Inbox<u32> {
        let inbox = Inbox::new();
        assert!(inbox.open().is_ok() && inbox.may_begin());
        inbox.begun();
        assert!(!inbox.is_resting(|| ()));
        inbox
    }

    fn push(inbox: &Inbox<u32>, kind: Kind) -> Result<Answers> {
        let (act, answers) = act();
        inbox.push(kind, || Ok(()), act).map(|()| answers)
    }

    /// What the thread takes, until there is nothing.
    fn obey(inbox: &Inbox<u32>, taking: Taking) -> u32 {
        let mut counter = 0;
        while let Some(act) = inbox.take(taking) {
            act(Ok(&mut counter));
        }
        counter
    }

    #[test]
    fn a_pause_refuses_what_needs_work_and_takes_in_the_rest() {
        let inbox = ready();
        let waiting = push(&inbox, Kind::Work).unwrap();
        let begun = push(&inbox, Kind::Start).unwrap();
        assert_eq!(inbox.suspend(Some(Instant::now())), Suspended::After(1));
        assert_eq!(waiting.recv().unwrap(), Some(Code::Suspended), "whoever waits is told");
        for kind in [Kind::Work, Kind::Start] {
            assert_eq!(push(&inbox, kind).map(drop).unwrap_err().code(), Code::Suspended);
        }
        let anytime = push(&inbox, Kind::Anytime).unwrap();
        let load = push(&inbox, Kind::Load).unwrap();
        assert_eq!(obey(&inbox, Taking::Anytime), 2);
        assert_eq!((begun.recv().unwrap(), anytime.recv().unwrap()), (None, None));
        assert_eq!(obey(&inbox, Taking::All), 1);
        assert_eq!(load.recv().unwrap(), None);
        inbox.resume();
        assert!(inbox.require_running().is_ok() && push(&inbox, Kind::Work).is_ok());
        assert_eq!(obey(&inbox, Taking::Anytime), 0, "not in the middle of a load");
        assert_eq!(obey(&inbox, Taking::All), 1);
    }

    #[test]
    fn a_submit_that_is_refused_has_changed_nothing() {
        let inbox = ready();
        inbox.suspend(Some(Instant::now()));
        let refused = inbox.push(Kind::Start, || panic!("the session would have begun"), act().0);
        assert_eq!(refused.unwrap_err().code(), Code::Suspended);
    }

    #[test]
    fn a_pause_holds_once_the_work_has_ended_and_mlx_has_too() {
        let inbox = Arc::new(ready());
        let shared = Arc::clone(&inbox);
        let waits = thread::spawn(move || shared.suspend(None));
        while inbox.require_running().is_ok() {
            thread::yield_now();
        }
        let mut settled = false;
        let settle = std::cell::Cell::new(0);
        while !settled {
            settled = inbox.is_resting(|| settle.set(settle.get() + 1));
        }
        assert_eq!(waits.join().unwrap(), Suspended::Now);
        assert!(inbox.is_resting(|| panic!("there is nothing to settle")));
        assert_eq!((settle.get(), inbox.suspend(Some(Instant::now()))), (1, Suspended::Now));
        inbox.resume();
        assert!(!inbox.is_resting(|| ()));
        assert_eq!(inbox.suspend(Some(Instant::now())), Suspended::After(1));
    }

    #[test]
    fn a_resume_ends_the_wait_for_a_pause() {
        let inbox = Arc::new(ready());
        let shared = Arc::clone(&inbox);
        let waits = thread::spawn(move || shared.suspend(None));
        while inbox.require_running().is_ok() {
            thread::yield_now();
        }
        inbox.resume();
        assert_eq!(waits.join().unwrap(), Suspended::Resumed);
    }

    #[test]
    fn a_fork_waits_until_mlx_stands_still_and_that_lasts_until_it_is_over() {
        let inbox = Arc::new(ready());
        let began = Instant::now();
        inbox.before_fork(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20), "work goes on, and patience ended");
        let shared = Arc::clone(&inbox);
        let (settled, settles) = channel();
        let thread = thread::spawn(move || {
            shared.stand_still(|| settled.send(()).unwrap());
            shared.stand_still(|| panic!("nobody forks"));
        });
        inbox.before_fork(Duration::from_secs(60));
        assert!(settles.try_recv().is_ok() && inbox.lock().still);
        inbox.after_fork();
        assert!(inbox.lock().still, "another thread is forking still");
        inbox.after_fork();
        thread.join().unwrap();
        assert!(!inbox.lock().still);
    }

    #[test]
    fn a_fork_does_not_wait_where_there_is_no_thread() {
        let inbox: Inbox<u32> = Inbox::new();
        inbox.before_fork(Duration::from_secs(60));
        inbox.after_fork();
        let inbox = ready();
        inbox.close();
        inbox.before_fork(Duration::from_secs(60));
    }

    #[test]
    fn before_the_thread_there_is_nothing_to_wait_for_and_it_does_not_begin() {
        let inbox: Inbox<u32> = Inbox::new();
        assert_eq!(inbox.suspend(None), Suspended::Now);
        assert_eq!(push(&inbox, Kind::Anytime).map(drop).unwrap_err().code(), Code::Suspended);
        push(&inbox, Kind::Load).unwrap();
        inbox.open().unwrap();
        let inbox = Arc::new(inbox);
        let shared = Arc::clone(&inbox);
        let thread = thread::spawn(move || shared.may_begin());
        assert_eq!(inbox.suspend(None), Suspended::Now);
        inbox.resume();
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_ring_is_never_lost() {
        let inbox = Arc::new(ready());
        let (shared, flag) = (Arc::clone(&inbox), Arc::new(AtomicU32::new(0)));
        let seen = Arc::clone(&flag);
        let sleeper = thread::spawn(move || {
            for round in 1..=2000 {
                while seen.load(Ordering::Acquire) < round {
                    shared.sleep();
                }
                seen.store(0, Ordering::Release);
            }
        });
        for round in 1..=2000 {
            flag.store(round, Ordering::Release);
            inbox.ring();
            while flag.load(Ordering::Acquire) != 0 {
                thread::yield_now();
            }
        }
        sleeper.join().unwrap();
    }

    #[test]
    fn who_waits_for_a_command_that_will_not_run_is_told() {
        let inbox = ready();
        let left = push(&inbox, Kind::Load).unwrap();
        assert!(!inbox.stop(Duration::from_millis(1)));
        assert!(push(&inbox, Kind::Anytime).is_err());
        inbox.close();
        assert_eq!(left.recv().unwrap(), Some(Code::Backend));
        assert!(inbox.stop(Duration::ZERO));
    }
}
