//! Threads that help with the blocks of a product, and sleep otherwise.
//!
//! The thread that has the product works on it itself and waits only for helpers that have begun: where the machine is busy or no
//! thread can be had, it is done alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const MOST: usize = 16;
/// After a thread could not be started.
const BEFORE_NEXT_TRY: Duration = Duration::from_secs(1);

pub struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    left: Condvar,
}

struct State {
    job: Option<Job>,
    /// How many more may join.
    seats: usize,
    /// How many are at work on the job.
    inside: usize,
    /// Threads that have been started.
    threads: usize,
    failed: bool,
    next_try: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Job(*const (dyn Fn() + Sync));

// SAFETY: the function may be called by any thread, and `share` outlives all that do.
unsafe impl Send for Job {}

impl Pool {
    pub const fn new() -> Self {
        let state = State { job: None, seats: 0, inside: 0, threads: 0, failed: false, next_try: None };
        Self { state: Mutex::new(state), wake: Condvar::new(), left: Condvar::new() }
    }

    /// Calls `block` with each number below `blocks` once, on any thread, and returns when all calls have.
    ///
    /// # Panics
    ///
    /// Where a call does.
    pub fn share(&'static self, blocks: usize, block: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= blocks {
                return;
            }
            block(index);
        };
        let helpers = self.helpers().min(blocks - 1);
        if helpers == 0 || !self.offer(&work, helpers) {
            return work();
        }
        let failed = AtomicBool::new(false);
        let leave = Leave { pool: self, failed: &failed };
        work();
        drop(leave);
        assert!(!failed.into_inner(), "a thread that helped with a product panicked");
    }

    /// Lets others join, if they are not busy with another product.
    fn offer(&self, work: &(dyn Fn() + Sync), helpers: usize) -> bool {
        // SAFETY: the lifetime alone is lost; `Leave` takes the job back before it ends.
        let work: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(work) };
        let mut state = self.lock();
        if state.job.is_some() {
            return false;
        }
        (state.job, state.seats, state.failed) = (Some(Job(work)), helpers, false);
        drop(state);
        self.wake.notify_all();
        true
    }

    /// How many threads can help, started now if they have not been.
    fn helpers(&'static self) -> usize {
        let mut state = self.lock();
        let wanted = wanted();
        while state.threads < wanted && state.next_try.is_none_or(|time| Instant::now() >= time) {
            let builder = thread::Builder::new().name("rmlx-product".into()).stack_size(1 << 20);
            match builder.spawn(|| self.help()) {
                Ok(_) => state.threads += 1,
                Err(_) => state.next_try = Some(Instant::now() + BEFORE_NEXT_TRY),
            }
        }
        state.threads
    }

    fn help(&self) {
        let mut state = self.lock();
        loop {
            let Some(Job(work)) = state.job.filter(|_| state.seats > 0) else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.seats -= 1;
            state.inside += 1;
            drop(state);
            // SAFETY: the job is there until nobody is inside.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
            state = self.lock();
            state.failed |= outcome.is_err();
            state.inside -= 1;
            if state.inside == 0 {
                self.left.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the job back and waits for those who have begun.
struct Leave<'a> {
    pool: &'static Pool,
    failed: &'a AtomicBool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.seats = 0;
        while state.inside > 0 {
            state = self.pool.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.job = None;
        self.failed.store(state.failed, Ordering::Relaxed);
    }
}

/// Of the processors that the process may use, all but the caller's.
fn wanted() -> usize {
    static COUNT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(MOST) - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Pool;

    static POOL: Pool = Pool::new();

    #[test]
    fn every_block_is_done_once_whoever_asks() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 1..200 {
                        let done: Vec<AtomicUsize> = (0..round).map(|_| AtomicUsize::new(0)).collect();
                        POOL.share(round, &|index| {
                            done[index].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn a_block_that_panics_is_told_and_the_next_product_is_whole() {
        let outcome = std::panic::catch_unwind(|| POOL.share(64, &|index| assert!(index != 63)));
        assert!(outcome.is_err());
        let count = AtomicUsize::new(0);
        POOL.share(64, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 64);
    }
}
