//! Whether the process may start threads, asked before MLX does: where it cannot start one of its own, a process ends or waits
//! for ever.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

use crate::error::{Code, Error, Result};

/// What MLX's threads get for their stacks, where nobody has said otherwise.
const STACK: usize = 8 << 20;

/// `OUT_OF_MEMORY` where the process cannot have `count` threads more at this time. They are not kept: somebody else may take
/// their place.
pub fn require(count: usize) -> Result<()> {
    let gate = Mutex::new(());
    let started = thread::scope(|scope| {
        // They end when all have been started.
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = || drop(gate.lock());
        let start = |_| Builder::new().stack_size(STACK).spawn_scoped(scope, wait).map(drop);
        let started = (0..count).try_for_each(start);
        drop(closed);
        started
    });
    started.map_err(|error| {
        let message = format!("{count} threads more are needed, and the process cannot have them: {error}");
        Error::new(Code::OutOfMemory, message).with("threads", count as u64)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn threads_that_can_be_had_are_let_go() {
        for count in [0, 1, 20] {
            super::require(count).unwrap();
        }
    }
}
