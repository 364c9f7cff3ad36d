//! Objects of the C ABI that are given back when nobody uses them any more, and calls whose errors are looked at.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use arbitrary::Unstructured;
use rmlx::ffi::event::{RMLX_EVENT_FINISH, rmlx_event, rmlx_event_kind, rmlx_event_release, rmlx_event_text};
use rmlx::ffi::generation_options::*;
use rmlx::ffi::model::{rmlx_model, rmlx_model_load, rmlx_model_release};
use rmlx::ffi::prompt::{rmlx_prompt_new, rmlx_prompt_release, rmlx_prompt_set_tokens};
use rmlx::ffi::session::*;
use rmlx::ffi::status::*;

use super::fixture;
use super::model::FOLDER;

pub type ErrorOut<'a> = Option<&'a mut MaybeUninit<*mut rmlx_error>>;

/// An object and how it is given back.
pub struct Owned<T> {
    pointer: NonNull<T>,
    release: unsafe fn(NonNull<T>),
}

// SAFETY: only objects of which the header says that any thread may use them are handed from thread to thread.
unsafe impl<T> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// The object must be the caller's to give back with `release`.
    pub fn new(pointer: NonNull<T>, release: unsafe fn(NonNull<T>)) -> Self {
        Self { pointer, release }
    }

    pub fn pointer(&self) -> NonNull<T> {
        self.pointer
    }

    pub fn get(&self) -> &T {
        // SAFETY: it lives until `drop`.
        unsafe { self.pointer.as_ref() }
    }

    /// Of a builder, which one thread has.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: it lives until `drop`, and `self` is borrowed alone.
        unsafe { self.pointer.as_mut() }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: given back once, by who has it.
        unsafe { (self.release)(self.pointer) };
    }
}

/// Runs a call, with a place for its error or without, and looks whether status and error agree.
#[track_caller]
pub fn call(with_error: bool, call: impl FnOnce(ErrorOut) -> rmlx_status) -> rmlx_status {
    let mut slot = MaybeUninit::new(ptr::null_mut::<rmlx_error>());
    let status = call(with_error.then_some(&mut slot));
    // SAFETY: it was NULL, and the call may only have put an error there.
    let error = unsafe { slot.assume_init() };
    assert!((0..=17).contains(&status), "status {status}");
    assert!(
        status != RMLX_ERROR_PANIC && status != RMLX_ERROR_POISONED,
        "status {status}: {}",
        message(error)
    );
    assert_eq!(error.is_null(), status == RMLX_OK || !with_error, "status {status}");
    if !error.is_null() {
        // SAFETY: an error of ours.
        assert_eq!(rmlx_error_code(unsafe { error.as_ref() }), status);
        assert!(!message(error).is_empty());
        // SAFETY: given back once.
        rmlx_error_release(Some(unsafe { Box::from_raw(error) }));
    }
    status
}

fn message(error: *mut rmlx_error) -> String {
    // SAFETY: NULL or an error of ours; its texts are NUL-terminated and live as long as it does.
    let text = unsafe { CStr::from_ptr(rmlx_error_message(error.as_ref())) };
    text.to_str().expect("messages are UTF-8").to_owned()
}

/// A call that makes something: it is there exactly if the status says so.
#[track_caller]
pub fn make<T>(
    with_error: bool,
    release: unsafe fn(NonNull<T>),
    make: impl FnOnce(Option<&mut MaybeUninit<*mut T>>, ErrorOut) -> rmlx_status,
) -> Option<Owned<T>> {
    let mut out = MaybeUninit::new(ptr::null_mut());
    let status = call(with_error, |error| make(Some(&mut out), error));
    // SAFETY: it was NULL, and the call may only have put an object there.
    let made = NonNull::new(unsafe { out.assume_init() });
    assert_eq!(status == RMLX_OK, made.is_some(), "status {status}");
    made.map(|pointer| Owned::new(pointer, release))
}

/// A text for an argument that is NUL-terminated, or nothing for NULL.
pub fn c_text(input: &mut Unstructured) -> arbitrary::Result<Option<CString>> {
    if input.ratio(1, 16)? {
        return Ok(None);
    }
    Ok(Some(CString::new(super::edits::text(input)?.replace('\0', "")).expect("no NUL")))
}

pub fn release_model(model: NonNull<rmlx_model>) {
    // SAFETY: a reference of whoever calls.
    unsafe { rmlx_model_release(Some(model)) };
}

pub fn release_session(session: NonNull<rmlx_session>) {
    // SAFETY: nobody else has it.
    rmlx_session_release(Some(unsafe { Box::from_raw(session.as_ptr()) }));
}

/// The smallest model.
pub struct Model(Owned<rmlx_model>);

impl Model {
    pub fn load() -> Self {
        let dir = CString::new(fixture(FOLDER).to_str().expect("a path")).expect("no NUL");
        // SAFETY: a NUL-terminated path.
        let load =
            |out: Option<&mut _>, error: ErrorOut| unsafe { rmlx_model_load(dir.as_ptr(), None, out, error) };
        Self(make(true, release_model, load).expect("the model loads"))
    }

    pub fn get(&self) -> &rmlx_model {
        self.0.get()
    }
}

pub struct Session(Owned<rmlx_session>);

impl Session {
    pub fn new(model: &Model) -> Self {
        let new =
            |out: Option<&mut _>, error: ErrorOut| rmlx_session_new(Some(model.get()), None, out, error);
        Self(make(true, release_session, new).expect("a session"))
    }

    pub fn of(session: NonNull<rmlx_session>) -> Self {
        Self(Owned::new(session, release_session))
    }

    pub fn pointer(&self) -> Option<NonNull<rmlx_session>> {
        Some(self.0.pointer())
    }

    /// Answers these ids to the end.
    pub fn answer(&self, ids: &[u32], most: usize) {
        let mut prompt = rmlx_prompt_new().expect("a prompt");
        let mut options = rmlx_generation_options_new().expect("options");
        call(true, |error| rmlx_generation_options_set_max_tokens(Some(&mut options), most, error));
        // SAFETY: all ids may be read; the session lives.
        unsafe {
            call(true, |error| rmlx_prompt_set_tokens(Some(&mut prompt), ids.as_ptr(), ids.len(), error));
            let begun =
                call(true, |error| rmlx_session_submit(self.pointer(), Some(&prompt), Some(&options), error));
            assert_eq!(begun, RMLX_OK);
            loop {
                let step =
                    |out: Option<&mut _>, error: ErrorOut| rmlx_session_step(self.pointer(), out, error);
                let event = make(true, release_event, step).expect("an event");
                if look_at(&event) {
                    break;
                }
            }
        }
        rmlx_generation_options_release(Some(options));
        rmlx_prompt_release(Some(prompt));
    }
}

pub fn release_event(event: NonNull<rmlx_event>) {
    // SAFETY: given back by who took it.
    rmlx_event_release(Some(unsafe { Box::from_raw(event.as_ptr()) }));
}

/// Its text is valid UTF-8. Whether it is the last one.
pub fn look_at(event: &Owned<rmlx_event>) -> bool {
    // SAFETY: the event's text is NUL-terminated and lives as long as the event.
    let text = unsafe { CStr::from_ptr(rmlx_event_text(Some(event.get()), None)) };
    assert!(text.to_str().is_ok(), "{text:?}");
    rmlx_event_kind(Some(event.get())) == RMLX_EVENT_FINISH
}
