//! A process that has no room for the library's thread.

use rmlx::ffi::memory::rmlx_memory_trim;
use rmlx::ffi::status::RMLX_ERROR_OUT_OF_MEMORY;

use crate::around;
use crate::harness::check;

/// A process of its own: the thread is started once, and limits are the process's.
#[test]
fn a_thread_that_could_not_be_started_is_started_later() {
    around::alone("limits::a_thread_that_could_not_be_started_is_started_later", || {
        let before = address_space_limit();
        // Less than a thread's stack, and enough for everything small.
        set_address_space_limit(address_space() + (1 << 20));
        let refused = check(|error| rmlx_memory_trim(error));
        set_address_space_limit(before);
        let refused = refused.expect_err("there is no room for a thread");
        assert_eq!(refused.code, RMLX_ERROR_OUT_OF_MEMORY, "{refused:?}");
        assert!(refused.message.contains("thread"), "{refused:?}");
        check(|error| rmlx_memory_trim(error)).expect("the thread");
    });
}

fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 = pages.split(' ').next().and_then(|n| n.parse().ok()).expect("pages");
    // SAFETY: asks for a number.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}

fn address_space_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) }, 0);
    limit.rlim_cur
}

/// The soft limit.
fn set_address_space_limit(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written, and read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limit), 0);
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
    }
}
