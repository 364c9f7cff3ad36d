//! Waiting for many sessions in one place.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use super::boundary::{call, required, room, shared};
use super::session::rmlx_session;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::Waker;
use crate::error::Error;

/// A file descriptor that is readable while sessions have something to step, for an event loop: poll, epoll, kqueue,
/// libuv, or a DispatchSource in Swift. One thread can so go through any number of answers: it polls until
/// rmlx_waker_fd is readable, takes the tags of the sessions that have something (rmlx_waker_take), and calls
/// rmlx_session_try_step on each of them, once. examples/c/event_loop.c is such a program.
///
/// Thread-safe.
///
/// Lifetime: reference-counted. rmlx_waker_new gives you one reference; a session that uses it has its own.
pub struct rmlx_waker {
    waker: Arc<Waker>,
}

/// Makes a waker.
///
/// - `out`: gets a reference for you
///
/// Errors: OUT_OF_MEMORY (the process has no file descriptor left; it takes two).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_waker_new(
    out: Option<&mut MaybeUninit<*mut rmlx_waker>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let out = required(out, "out")?;
        let waker = rmlx_waker { waker: Arc::new(Waker::new()?) };
        out.write(Arc::into_raw(Arc::new(waker)).cast_mut());
        Ok(())
    })
}

/// The file descriptor, which is readable exactly while rmlx_waker_take has tags to give. Wait for it as you like, but do
/// not read from it, write to it or close it.
///
/// Returns: a descriptor that lives as long as the waker; -1 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_waker_fd(waker: Option<&rmlx_waker>) -> i32 {
    waker.map_or(-1, |waker| waker.waker.fd())
}

/// Takes the tags of sessions that have something to step. Each of them is given once; one that still has an event after
/// you have stepped one is given again. Never waits.
///
/// - `out_tags`, `capacity`: room for the tags
/// - `out_count`: gets how many were written. Those that there was no room for come with the next call
///
/// Errors: INVALID_ARGUMENT (`capacity` is 0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_waker_take(
    waker: Option<&rmlx_waker>,
    out_tags: *mut u64,
    capacity: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let waker = &required(waker, "waker")?.waker;
        let out_count = required(out_count, "out_count")?;
        if capacity == 0 {
            return Err(Error::invalid_argument("`capacity` is 0: there is no room for a tag")
                .with("argument", "capacity"));
        }
        // SAFETY: the caller passes `capacity` writable elements.
        let out = unsafe { room(out_tags, capacity, "out_tags") }?;
        let tags = waker.take(capacity);
        for (place, tag) in out.iter_mut().zip(&tags) {
            place.write(*tag);
        }
        out_count.write(tags.len());
        Ok(())
    })
}

/// Lets a waker tell when a session has something to step, at once if it has. It holds from one answer to the next, until
/// another call of this or the session's release; after that the tag is not given any more.
///
/// - `waker`: or NULL, to be told by none
/// - `tag`: what rmlx_waker_take gives for this session: a number or a pointer of yours
///
/// Errors: BUSY; POISONED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_session_set_waker(
    session: Option<NonNull<rmlx_session>>,
    waker: Option<&rmlx_waker>,
    tag: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a session that it has not released.
        let session = unsafe { shared(session, "session") }?;
        session.session()?.set_waker(waker.map(|waker| (&waker.waker, tag)))
    })
}

/// Adds a reference.
///
/// Returns: `waker`; NULL for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_waker_retain(waker: *const rmlx_waker) -> *mut rmlx_waker {
    // SAFETY: the caller holds a reference, which `into_raw` made, or passes NULL.
    unsafe { super::boundary::retain(waker) }
}

/// Gives a reference back. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_waker_release(waker: Option<NonNull<rmlx_waker>>) {
    // SAFETY: the caller gives back a reference of its own, or passes NULL.
    unsafe { super::boundary::release(waker) };
}
