//! What goes on around a test: something all the time, or nothing else in its process.

use std::process::Command;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

/// Does `work` while another thread does `other` over and over.
pub fn beside<R>(other: impl Fn() + Send, work: impl FnOnce() -> R) -> R {
    // A panic of `work` drops its end, too.
    let (working, ended) = channel::<()>();
    thread::scope(|scope| {
        let _working = working;
        scope.spawn(move || {
            while ended.try_recv() == Err(TryRecvError::Empty) {
                other();
                thread::yield_now();
            }
        });
        work()
    })
}

/// Runs the test that calls this, whose path is `test`, once more in a process of its own, and there does `work`.
#[track_caller]
pub fn alone(test: &str, work: impl FnOnce()) {
    const ALONE: &str = "RMLX_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return work();
    }
    let program = std::env::current_exe().expect("this program");
    let run = Command::new(program).args(["--exact", test]).env(ALONE, "1").output().expect("a run");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}
