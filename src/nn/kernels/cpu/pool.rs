//! Threads that share the blocks of a kernel's work.
//!
//! A job's blocks are handed out one by one, to whoever is free: the thread that brings the job works too, so a helper that
//! the system gives no time holds up nothing but the block it has. Helpers sleep while there is no job. They are
//! started with the first job that is large enough; where the system starts none, the caller does all by itself.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// More helps nobody: products are limited by the memory's speed long before.
const MOST_THREADS: usize = 64;
/// Of a helper: a kernel's tile takes a quarter, and a BLAS in the process may take 150 KB for its own.
const STACK_BYTES: usize = 1 << 20;
/// How often the caller looks, some microseconds, whether a last block is done before it sleeps.
const LOOKS: usize = 200;

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
                let _jobs = pool.lock();
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
    jobs: Mutex<Vec<Arc<Job>>>,
    /// There is a job for helpers.
    wanted: Condvar,
    /// A job is done.
    finished: Condvar,
    /// That work on a job, the caller's included.
    threads: usize,
}

/// Calls `work` with each number below `blocks`, on several threads, and returns when all are done. False if one panicked.
pub fn run<F: Fn(usize) + Sync>(blocks: usize, work: F) -> bool {
    unsafe fn call<F: Fn(usize)>(work: *const c_void, block: usize) {
        // SAFETY: `work` is the closure below, of this type, which lives until all blocks are done.
        unsafe { (*work.cast::<F>())(block) }
    }
    let pool = pool();
    let job = Arc::new(Job {
        call: call::<F>,
        work: (&raw const work).cast(),
        blocks,
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
    });
    let shared = blocks > 1 && pool.threads > 1;
    if shared {
        pool.lock().push(Arc::clone(&job));
        for _ in 1..blocks.min(pool.threads) {
            pool.wanted.notify_one();
        }
    }
    job.work(pool);
    if shared {
        pool.finish(&job);
    }
    job.failed.load(Ordering::Relaxed) == 0
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let pool = POOL.get_or_init(|| Pool {
        jobs: Mutex::default(),
        wanted: Condvar::new(),
        finished: Condvar::new(),
        threads: wanted_threads(std::env::var("RMLX_THREADS").ok().as_deref()),
    });
    STARTED.get_or_init(|| {
        for number in 1..pool.threads {
            let helper = thread::Builder::new().name(format!("rmlx-cpu-{number}")).stack_size(STACK_BYTES);
            if helper.spawn(move || pool.help()).is_err() {
                // A limit of the system; what is there is enough.
                break;
            }
        }
    });
    pool
}

/// As many as the environment says, if that is a number from 1 up; else the processors that this process may use, by its
/// affinity and its control group.
fn wanted_threads(said: Option<&str>) -> usize {
    let said = said.and_then(|said| said.trim().parse().ok()).filter(|&threads: &usize| threads > 0);
    let threads = said.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    threads.min(MOST_THREADS)
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A helper's life.
    fn help(&self) {
        leave_signals_to_the_host();
        let mut jobs = self.lock();
        loop {
            match jobs.iter().find(|job| job.has_blocks()).cloned() {
                Some(job) => {
                    drop(jobs);
                    job.work(self);
                    jobs = self.lock();
                }
                None => jobs = self.wanted.wait(jobs).unwrap_or_else(PoisonError::into_inner),
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
        let mut jobs = self.lock();
        while !job.is_done() {
            jobs = self.finished.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
        jobs.retain(|other| !Arc::ptr_eq(other, job));
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
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_block_is_done_once_whoever_brings_jobs_at_the_same_time() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for blocks in [0, 1, 2, 7, 100] {
                        let counts: Vec<AtomicU32> = (0..blocks).map(|_| AtomicU32::new(0)).collect();
                        let whole = run(blocks, |block| {
                            counts[block].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(whole && counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_of_a_block_is_told_and_harms_no_later_job() {
        assert!(!run(5, |block| assert_ne!(block, 3)));
        assert!(run(5, |_| {}));
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
