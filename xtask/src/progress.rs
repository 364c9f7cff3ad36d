//! One line that says how far a step of many parts is.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Progress {
    what: &'static str,
    all: usize,
    done: AtomicUsize,
}

impl Progress {
    pub fn new(what: &'static str, all: usize) -> Self {
        let progress = Self { what, all, done: AtomicUsize::new(0) };
        if is_seen() {
            progress.show(0);
        } else {
            println!("{what} ({all} files)");
        }
        progress
    }

    /// One part more is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if is_seen() {
            self.show(done);
        }
    }

    fn show(&self, done: usize) {
        let end = if done == self.all { "\n" } else { "" };
        print!("\r{}: {done} of {}{end}", self.what, self.all);
        // A line that is not shown is no reason to stop.
        let _ = std::io::stdout().flush();
    }
}

fn is_seen() -> bool {
    std::io::stdout().is_terminal()
}
