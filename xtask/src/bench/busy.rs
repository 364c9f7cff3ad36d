//! Threads that keep the machine busy, as the rest of a host's machine may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Ends the threads when it is dropped.
pub struct Busy(Arc<AtomicBool>);

/// Keeps so many threads of this process computing.
pub fn keep(threads: usize) -> Busy {
    let done = Arc::new(AtomicBool::new(false));
    for _ in 0..threads {
        let done = done.clone();
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
    }
    Busy(done)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
