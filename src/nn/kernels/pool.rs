//! Threads that share the blocks of a kernel's work.
//!
//! A job's blocks are handed out one by one, to whoever is free: the thread that brings the job works too, so a helper that
//! the system gives no time holds up nothing but the block it has. Helpers sleep while there is no job. They are
//! started with the first job that is shared; where the system starts none, the caller does all by itself, and a job a second
//! later tries again.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// More helps nobody: products are limited by the memory's speed long before.
const MOST_THREADS: usize = 64;
/// Of a helper: a kernel's tile takes a quarter, and a BLAS in the process may take 150 KB for its own.
const STACK_BYTES: usize = 1 << 20;
/// How often the caller looks, some microseconds, whether a last block is done before it sleeps.
const LOOKS: usize = 200;
/// After a thread could not be started.
const BEFORE_NEXT_TRY: Duration = Duration::from_secs(1);

/// Blocks of work that are handed out.
struct Job {
    call: unsafe fn(*const c_void, usize),
    work: *const c_void,
    blocks: usize,
    next: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
}

// SAFETY: `work` points to a `Sync` closure, which the caller keeps until all blocks are done.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// Does blocks until none is left to hand out.
    fn work(&self, pool: &Pool) {
        loop {
            let block = self.next.fetch_add(1, Ordering::Relaxed);
            if block >= self.blocks {
                return;
            }
            let call = || {
                // SAFETY: the closure lives, since this block is not done yet, and `call` was made for its type.
                unsafe { (self.call)(self.work, block) }
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err() {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            if self.done.fetch_add(1, Ordering::Release) + 1 == self.blocks {
                // The lock orders this after the caller's look, so that its sleep does not miss it.
                let _state = pool.lock();
                pool.finished.notify_all();
            }
        }
    }

    fn has_blocks(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.blocks
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.blocks
    }
}

struct Pool {
    state: Mutex<State>,
    /// There is a job for helpers.
    wanted: Condvar,
    /// A job is done.
    finished: Condvar,
    /// That work on a job, the caller's included.
    threads: usize,
    /// Starts a helper of this number.
    start: fn(&'static Pool, usize) -> std::io::Result<()>,
}

#[derive(Default)]
struct State {
    jobs: Vec<Arc<Job>>,
    /// Threads that have been started.
    helpers: usize,
    /// When it is worth asking the system for a thread again.
    next_try: Option<Instant>,
}

/// Calls `work` with each number below `blocks`, on several threads, and returns when all are done. False if one panicked.
pub fn run<F: Fn(usize) + Sync>(blocks: usize, work: F) -> bool {
    pool().run(blocks, work)
}

/// How many threads work on a job at most, the caller's included.
pub fn threads() -> usize {
    pool().threads
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        Pool::new(wanted_threads(std::env::var("RMLX_THREADS").ok().as_deref()), start_thread)
    })
}

/// As many as the environment says, if that is a number from 1 up; else the processors that this process may use, by its
/// affinity and its control group.
fn wanted_threads(said: Option<&str>) -> usize {
    let said = said.and_then(|said| said.trim().parse().ok()).filter(|&threads: &usize| threads > 0);
    let threads = said.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    threads.min(MOST_THREADS)
}

fn start_thread(pool: &'static Pool, number: usize) -> std::io::Result<()> {
    let helper = thread::Builder::new().name(format!("rmlx-cpu-{number}")).stack_size(STACK_BYTES);
    helper.spawn(move || pool.help()).map(drop)
}

impl Pool {
    fn new(threads: usize, start: fn(&'static Pool, usize) -> std::io::Result<()>) -> Pool {
        let (wanted, finished) = (Condvar::new(), Condvar::new());
        Pool { state: Mutex::default(), wanted, finished, threads, start }
    }

    fn run<F: Fn(usize) + Sync>(&'static self, blocks: usize, work: F) -> bool {
        unsafe fn call<F: Fn(usize)>(work: *const c_void, block: usize) {
            // SAFETY: `work` is the closure below, of this type, which lives until all blocks are done.
            unsafe { (*work.cast::<F>())(block) }
        }
        let job = Arc::new(Job {
            call: call::<F>,
            work: (&raw const work).cast(),
            blocks,
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        });
        let shared = blocks > 1 && self.offer(&job);
        job.work(self);
        if shared {
            self.finish(&job);
        }
        job.failed.load(Ordering::Relaxed) == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the job to helpers, if there are any.
    fn offer(&'static self, job: &Arc<Job>) -> bool {
        let mut state = self.lock();
        if state.helpers + 1 < self.threads {
            self.enlist(&mut state, Instant::now());
        }
        if state.helpers == 0 {
            return false;
        }
        state.jobs.push(Arc::clone(job));
        drop(state);
        for _ in 1..job.blocks.min(self.threads) {
            self.wanted.notify_one();
        }
        true
    }

    /// Starts the threads that are missing, unless the system has refused one just now.
    fn enlist(&'static self, state: &mut State, now: Instant) {
        while state.helpers + 1 < self.threads && state.next_try.is_none_or(|time| now >= time) {
            match (self.start)(self, state.helpers + 1) {
                Ok(()) => (state.helpers, state.next_try) = (state.helpers + 1, None),
                // A limit of the system; what is there is enough until then.
                Err(_) => state.next_try = Some(now + BEFORE_NEXT_TRY),
            }
        }
    }

    /// A helper's life.
    fn help(&self) {
        leave_signals_to_the_host();
        let mut state = self.lock();
        loop {
            match state.jobs.iter().find(|job| job.has_blocks()).cloned() {
                Some(job) => {
                    drop(state);
                    job.work(self);
                    state = self.lock();
                }
                None => state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes the job back once all its blocks are done.
    fn finish(&self, job: &Arc<Job>) {
        for _ in 0..LOOKS {
            if job.is_done() {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = self.lock();
        while !job.is_done() {
            state = self.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.jobs.retain(|other| !Arc::ptr_eq(other, job));
    }
}

/// A host's handlers run on threads that it knows.
fn leave_signals_to_the_host() {
    // SAFETY: the set is filled before it is used, and the old mask is not asked for.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicU32};

    use super::*;

    /// One of its own, whose threads end with the process.
    fn pool_of(threads: usize, start: fn(&'static Pool, usize) -> io::Result<()>) -> &'static Pool {
        Box::leak(Box::new(Pool::new(threads, start)))
    }

    fn counts(pool: &'static Pool, blocks: usize) -> Vec<u32> {
        let counts: Vec<AtomicU32> = (0..blocks).map(|_| AtomicU32::new(0)).collect();
        assert!(pool.run(blocks, |block| {
            counts[block].fetch_add(1, Ordering::Relaxed);
        }));
        counts.into_iter().map(AtomicU32::into_inner).collect()
    }

    #[test]
    fn every_block_is_done_once_whoever_brings_jobs_at_the_same_time() {
        for threads in [1, 2, 5] {
            let pool = pool_of(threads, start_thread);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for blocks in (0..200).chain([1000]) {
                            assert_eq!(counts(pool, blocks), vec![1; blocks]);
                        }
                    });
                }
            });
            let state = pool.lock();
            assert_eq!((state.helpers, state.jobs.len()), (threads - 1, 0));
        }
    }

    #[test]
    fn a_block_may_bring_a_job_itself() {
        let (pool, sum) = (pool_of(3, start_thread), AtomicU32::new(0));
        assert!(pool.run(20, |_| {
            sum.fetch_add(counts(pool, 30).iter().sum(), Ordering::Relaxed);
        }));
        assert_eq!(sum.into_inner(), 600);
    }

    #[test]
    fn a_panic_of_a_block_is_told_and_harms_no_later_job() {
        for threads in [1, 4] {
            let (pool, others) = (pool_of(threads, start_thread), AtomicU32::new(0));
            let whole = pool.run(64, |block| {
                assert_ne!(block, 63);
                others.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!((whole, others.into_inner()), (false, 63));
            assert_eq!(counts(pool, 64), [1; 64]);
        }
    }

    #[test]
    fn threads_that_cannot_be_started_are_asked_for_again_after_a_second() {
        static REFUSES: AtomicBool = AtomicBool::new(true);
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let pool = pool_of(4, |pool, number| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            match REFUSES.load(Ordering::Relaxed) && number > 1 {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => start_thread(pool, number),
            }
        });
        let helpers_at = |now: Instant| {
            let mut state = pool.lock();
            pool.enlist(&mut state, now);
            (state.helpers, ASKED.load(Ordering::Relaxed))
        };
        let now = Instant::now();
        assert_eq!(helpers_at(now), (1, 2));
        assert_eq!(counts(pool, 100), [1; 100]);
        REFUSES.store(false, Ordering::Relaxed);
        assert_eq!(helpers_at(now + BEFORE_NEXT_TRY / 2), (1, 2));
        assert_eq!(helpers_at(now + BEFORE_NEXT_TRY), (3, 4));
        assert_eq!(counts(pool, 100), [1; 100]);
    }

    #[test]
    fn without_any_thread_the_caller_does_all() {
        let pool = pool_of(4, |_, _| Err(io::ErrorKind::OutOfMemory.into()));
        assert_eq!(counts(pool, 100), [1; 100]);
        assert_eq!(pool.lock().helpers, 0);
    }

    #[test]
    fn the_environment_says_how_many_threads() {
        let here = wanted_threads(None);
        assert!(here >= 1);
        assert_eq!(wanted_threads(Some("3")), 3);
        assert_eq!(wanted_threads(Some("100000")), MOST_THREADS);
        for wrong in ["0", "-1", "", "many"] {
            assert_eq!(wanted_threads(Some(wrong)), here);
        }
    }
}
