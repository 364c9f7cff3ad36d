//! Loads that are watched, limited and cancelled.

use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmlx::ffi::cancel::*;
use rmlx::ffi::load_options::*;
use rmlx::ffi::status::*;
use rmlx::ffi::version::rmlx_has_feature;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{LoadOptions, Model, check};
use crate::sound;

/// What a progress callback sees, and what it does.
struct Watch {
    fractions: Mutex<Vec<f32>>,
    destroyed: AtomicUsize,
    cancel: *mut rmlx_cancel,
    cancel_at: f32,
}

impl Watch {
    /// A watch that cancels as soon as `cancel_at` is reached.
    fn new(cancel_at: f32) -> Self {
        let cancel = rmlx_cancel_new();
        assert!(!cancel.is_null());
        Self { fractions: Mutex::default(), destroyed: AtomicUsize::new(0), cancel, cancel_at }
    }

    fn data(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    fn options(&self) -> LoadOptions {
        LoadOptions::new()
            .set(|o, e| rmlx_load_options_set_progress(o, Some(progress), self.data(), Some(destroy), e))
            // SAFETY: this watch holds a reference.
            .set(|o, e| rmlx_load_options_set_cancel(o, unsafe { self.cancel.as_ref() }, e))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: this watch gives its reference back.
        unsafe { rmlx_cancel_release(ptr::NonNull::new(self.cancel)) };
    }
}

unsafe extern "C" fn progress(fraction: f32, data: *mut c_void) {
    // SAFETY: the watch outlives the options that point to it.
    let watch = unsafe { &*data.cast::<Watch>() };
    watch.fractions.lock().expect("fractions").push(fraction);
    if fraction >= watch.cancel_at {
        // SAFETY: the watch holds a reference.
        rmlx_cancel_trigger(unsafe { watch.cancel.as_ref() });
    }
}

unsafe extern "C" fn destroy(data: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*data.cast::<Watch>() }.destroyed.fetch_add(1, Ordering::AcqRel);
}

const DENSE: &str = "unified-bf16-hf";

#[test]
fn progress_goes_from_0_to_1_and_never_back() {
    let watch = Watch::new(f32::INFINITY);
    let options = watch.options();
    let model = Model::load_with(fixtures::path(DENSE), &options).expect("the snapshot loads");
    let fractions = watch.fractions.lock().expect("fractions").clone();
    assert!(fractions.len() > 2, "{fractions:?}");
    assert!(fractions.windows(2).all(|two| two[0] <= two[1]), "{fractions:?}");
    assert!(fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "{fractions:?}");
    assert_eq!(fractions.last(), Some(&1.0));
    assert_eq!(watch.destroyed.load(Ordering::Acquire), 0, "the options still hold it");
    drop(options);
    assert_eq!(watch.destroyed.load(Ordering::Acquire), 1);
    sound::answers_as_ever(&model);
}

#[test]
fn a_load_is_cancelled_from_its_progress_callback() {
    for cancel_at in [0.0, 0.3] {
        let watch = Watch::new(cancel_at);
        let failure = Model::load_with(fixtures::path(DENSE), &watch.options()).err().expect("cancelled");
        assert_eq!(failure.code, RMLX_ERROR_CANCELLED, "{failure:?}");
        assert!(watch.fractions.lock().expect("fractions").iter().all(|fraction| *fraction < 1.0));
        assert_eq!(watch.destroyed.load(Ordering::Acquire), 1, "once, with its options");
        sound::host_is_sound();
    }
}

#[test]
fn a_load_whose_cancel_was_triggered_before_does_not_begin() {
    let watch = Watch::new(f32::INFINITY);
    // SAFETY: the watch holds a reference.
    rmlx_cancel_trigger(unsafe { watch.cancel.as_ref() });
    let failure = Model::load_with(fixtures::path(DENSE), &watch.options()).err().expect("cancelled");
    assert_eq!(failure.code, RMLX_ERROR_CANCELLED);
    assert!(watch.fractions.lock().expect("fractions").is_empty());
    sound::host_is_sound();
}

#[test]
fn a_model_over_the_memory_limit_is_refused_with_both_numbers() {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_memory_limit(o, 1000, e));
    let failure = Model::load_with(fixtures::path(DENSE), &options).err().expect("too large");
    assert_eq!(failure.code, RMLX_ERROR_OUT_OF_MEMORY);
    assert!(failure.message.contains("1000"), "{failure:?}");
    let enough = LoadOptions::new().set(|o, e| rmlx_load_options_set_memory_limit(o, 1 << 30, e));
    assert!(Model::load_with(fixtures::path(DENSE), &enough).is_ok());
}

#[test]
fn a_context_length_of_the_load_holds_for_every_session() {
    let case = Case::load("text");
    let positions = case.prompt_ids.len() + 2;
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_context_length(o, positions, e));
    let model = Model::load_with(fixtures::path(DENSE), &options).expect("the snapshot loads");
    assert_eq!(model.info()["context_length"], positions);
    for session in [Session::new(&model), Session::of_context(&model, 4000)] {
        let answer = session.answer(&case.prompt(), &Options::endless(100));
        assert_eq!(answer.tokens(), case.bf16().greedy_ids[..2]);
    }
}

#[test]
fn a_device_that_is_none_is_refused() {
    let mut options = rmlx_load_options_new();
    let failure = check(|e| rmlx_load_options_set_device(options.as_deref_mut(), 77, e));
    assert_eq!(failure.expect_err("unknown").code, RMLX_ERROR_INVALID_ARGUMENT);
    rmlx_load_options_release(options);
}

#[test]
fn a_gpu_that_is_not_there_is_refused() {
    // SAFETY: the name ends with a NUL.
    if unsafe { rmlx_has_feature(c"gpu".as_ptr()) } {
        return;
    }
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_device(o, RMLX_DEVICE_GPU, e));
    let failure = Model::load_with(fixtures::path(DENSE), &options).err().expect("no GPU");
    assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
    assert!(failure.message.contains("GPU"), "{failure:?}");
}
