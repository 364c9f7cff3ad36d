//! Keeps panics inside the library: caught at the boundary, never printed, told to the log.
//!
//! Rust's default hook prints a panic to stderr, which a library must not do. Ours takes over for the threads that are
//! inside rmlx at that moment and for rmlx's own threads, and leaves every other thread of a Rust host to the hook that
//! was there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::thread;

use crate::error::{Code, Error, Result};

thread_local! {
    /// How many boundary frames are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic inside the boundary began (`file:line`), kept by the hook for the error.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes an error of code PANIC that says what and where.
pub fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    install_hook();
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome.unwrap_or_else(|payload| {
        let error = to_error(&*payload);
        crate::log::error(error.message());
        // The payload's own destructor may panic too: one more catch, and whatever that throws is leaked.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Err(error)
    })
}

/// The error that a caught panic turns into.
fn to_error(payload: &(dyn Any + Send)) -> Error {
    let what = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let error = Error::new(Code::Panic, format!("a bug in rmlx was caught: {what}"));
    match PLACE.with(RefCell::take) {
        Some(place) => error.with("at", place),
        None => error,
    }
}

/// Puts our hook before the process's, once.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_ours() {
                keep_place(info);
            } else {
                previous(info);
            }
        }));
    });
}

/// Whether the panicking thread is inside a boundary call or is one of rmlx's own (they are named
/// `rmlx…`).
fn is_ours() -> bool {
    DEPTH.with(Cell::get) > 0 || thread::current().name().is_some_and(|name| name.starts_with("rmlx"))
}

fn keep_place(info: &PanicHookInfo<'_>) {
    if let Some(at) = info.location() {
        PLACE.with(|place| *place.borrow_mut() = Some(format!("{}:{}", at.file(), at.line())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_what_and_where() {
        let error = catch(|| -> Result<()> { panic!("the answer is {}", 42) }).unwrap_err();
        assert_eq!(error.code(), Code::Panic);
        assert!(error.message().contains("the answer is 42"), "{}", error.message());
        assert!(error.details()["at"].as_str().is_some_and(|at| at.contains("panics.rs")));
    }

    #[test]
    fn values_and_errors_pass_through() {
        assert_eq!(catch(|| Ok(3)), Ok(3));
        let busy = Error::new(Code::Busy, "busy");
        assert_eq!(catch(|| Err::<(), _>(busy.clone())), Err(busy));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let error = catch(|| -> Result<()> { panic::panic_any(Bomb) }).unwrap_err();
        assert_eq!(error.code(), Code::Panic);
    }
}
