//! What is told of memory before a load, beside what is taken then.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rmlx::ffi::load_options::*;
use rmlx::ffi::memory::rmlx_memory_trim;
use rmlx::ffi::model::{rmlx_model_estimate, rmlx_model_inspect};
use rmlx::ffi::session::rmlx_session_new;
use rmlx::ffi::session_options::*;
use rmlx::ffi::status::*;
use serde_json::Value;

use crate::answers::{Options, Session};
use crate::harness::{LoadOptions, Model, Outcome, Prompt, check, make_object, owned_text};
use crate::scratch::Scratch;
use crate::{around, fixtures, sound};

/// What is told of a folder for a session of `context` positions.
pub fn estimate(dir: &Path, options: &LoadOptions, context: usize) -> Outcome<Value> {
    let dir = CString::new(dir.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: `dir` ends with a NUL and lives through the call.
    let text = owned_text(|out, error| unsafe {
        rmlx_model_estimate(dir.as_ptr(), options.raw(), context, out, error)
    })?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

fn bytes(told: &Value, key: &str) -> u64 {
    told[key].as_u64().unwrap_or_else(|| panic!("{key} of {told}"))
}

/// Every snapshot of the fixtures.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(root).expect("the fixtures").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|dir| dir.join("config.json").exists()).collect();
    found.sort();
    found
}

fn active() -> u64 {
    mlx_rs::memory::active_memory().expect("a number") as u64
}

/// The most that `work` takes above what is held before it.
fn peak<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = active();
    mlx_rs::memory::reset_peak_memory().expect("a reset");
    let result = work();
    (result, (mlx_rs::memory::peak_memory().expect("a number") as u64).saturating_sub(before))
}

fn text(len: usize) -> Prompt {
    let ids: Vec<u32> = (0..len as u32).map(|i| 300 + i % 200).collect();
    Prompt::new().tokens(&ids)
}

/// The most that `work` takes, of as many looks as it needs until that is `enough`: MLX goes ahead of its work as far as
/// its threads happen to run, so that one look may see less than the most.
fn most<R>(enough: impl Fn(u64) -> bool, mut work: impl FnMut() -> R) -> (R, u64) {
    let mut most = 0;
    let mut look = 1;
    loop {
        check(|error| rmlx_memory_trim(error)).expect("what was there before is gone");
        let (result, taken) = peak(&mut work);
        most = most.max(taken);
        if look == LOOKS || enough(most) {
            return (result, most);
        }
        look += 1;
    }
}

/// `told` is at most `percent` below `measured` and half more above it, or off by a few buffers of these small models: how much
/// MLX holds at once depends on how far it goes ahead, which on a busy machine is less than is told. With `RMLX_TEST_TABLE` set, both
/// are printed instead.
#[track_caller]
fn close(told: u64, measured: u64, percent: u64, what: &str) {
    if std::env::var_os("RMLX_TEST_TABLE").is_some() {
        return println!("{what}: {told} {measured} {:+.1}", 100.0 * told as f64 / measured as f64 - 100.0);
    }
    assert!(is_close(told, measured, percent), "{what}: {told} were told, {measured} measured");
}

fn is_close(told: u64, measured: u64, percent: u64) -> bool {
    let off = told.abs_diff(measured);
    let allowed = if told > measured { percent + percent / 2 } else { percent };
    off * 100 <= measured * allowed || off < FEW
}

/// Bytes that do not matter.
const FEW: u64 = 128 << 10;
const LOOKS: usize = 8;

/// Peaks are the process's: nothing else may run in it.
#[test]
fn what_is_told_of_every_storage_is_what_is_taken() {
    around::alone("estimate::what_is_told_of_every_storage_is_what_is_taken", || {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/mxfp4");
        for dir in folders().into_iter().chain([demo]) {
            let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
            let cpu = LoadOptions::new().set(|o, e| rmlx_load_options_set_device(o, RMLX_DEVICE_CPU, e));
            let told = estimate(&dir, &cpu, 0).expect("an estimate");
            let load_peak = bytes(&told, "load_peak");
            let (model, load) =
                most(|most| is_close(load_peak, most, 15), || Model::load_with(&dir, &cpu).expect("a model"));
            let held = bytes(&model.info(), "loaded_bytes");
            assert_eq!(bytes(&told, "weights"), held, "{name}");
            let parts = ["text_weights", "vision_weights", "audio_weights"].map(|part| bytes(&told, part));
            assert_eq!(parts.iter().sum::<u64>(), held, "{name}");
            // Sources may be gone before the next array is made, or not.
            close(load_peak, load, 15, &format!("the load of {name}"));
            for positions in [100, 600, 1500] {
                let told = estimate(&dir, &cpu, positions).expect("an estimate");
                // How far MLX goes ahead of its work depends on the machine, and is most of what is not weights or cache:
                // no scores are kept.
                let percent = 15;
                let answered = |session: Session| {
                    session.answer(&text(positions), &Options::endless(1));
                    session
                };
                let kept = answered(Session::new(&model)).stats().checkpoint_bytes;
                assert!(kept <= bytes(&told, "checkpoints"), "{name} with {positions}");
                let all = held + bytes(&told, "cache") + bytes(&told, "prefill");
                // Places to come back to cut a prompt of many small windows into shorter chunks, which take less.
                let without = |options: Option<&mut rmlx_session_options>| {
                    rmlx_session_options_set_checkpoints(options, 0, None)
                };
                let answer = || answered(Session::with(&model, without));
                let (session, taken) = most(|most| is_close(all, held + most, percent), answer);
                assert_eq!(bytes(&told, "cache"), session.stats().cache_bytes, "{name} with {positions}");
                let (told, taken) = (all, held + taken);
                close(told, taken, percent, &format!("{positions} positions of {name}"));
            }
        }
    });
}

#[test]
fn a_load_that_does_not_fit_is_refused_with_what_is_missing() {
    let dir = fixtures::path("unified-bf16-mlx");
    let told = estimate(&dir, &LoadOptions::new(), 256).expect("an estimate");
    let weights = bytes(&told, "weights");
    let limited = |limit| LoadOptions::new().set(|o, e| rmlx_load_options_set_memory_limit(o, limit, e));
    assert_eq!(estimate(&dir, &limited(weights), 256).expect("an estimate")["fits"], false);
    let refused = Model::load_with(&dir, &limited(weights)).err().expect("no room for a session");
    assert_eq!(refused.code, RMLX_ERROR_OUT_OF_MEMORY, "{refused:?}");
    let (needed, missing) = (refused.details["needed"].as_u64(), refused.details["missing"].as_u64());
    assert_eq!(missing, needed.map(|needed| needed - weights), "{refused:?}");
    // What was said to be needed is enough, and leaves a small session.
    let limit = needed.expect("a number");
    let model = Model::load_with(&dir, &limited(limit)).expect("enough");
    assert_eq!(model.info()["context_length"], 256);
    assert!(Model::load_with(&dir, &limited(limit - 1)).is_err());
    sound::answers_as_ever(&model);
}

#[test]
fn the_default_context_is_what_fits_and_a_session_that_does_not_is_refused() {
    let dir = fixtures::path("unified-bf16-mlx");
    let whole = Model::load(&dir).expect("a model").info()["context_length"].as_u64().expect("a number");
    let limited = |limit| LoadOptions::new().set(|o, e| rmlx_load_options_set_memory_limit(o, limit, e));
    let least = Model::load_with(&dir, &limited(1)).err().expect("too little").details["needed"].clone();
    let cache =
        |positions| bytes(&estimate(&dir, &LoadOptions::new(), positions).expect("an estimate"), "cache");
    let more = cache(whole as usize / 2) - cache(256);
    let options = limited(least.as_u64().expect("a number") + more);
    let model = Model::load_with(&dir, &options).expect("a model");
    let context = model.info()["context_length"].as_u64().expect("a number");
    assert!((256..whole).contains(&context), "{context} of {whole}");
    drop(Session::new(&model));
    let mut wide = rmlx_session_options_new();
    check(|e| rmlx_session_options_set_prefill_chunk(wide.as_deref_mut(), whole as usize, e))
        .expect("an option");
    let refused = make_object(|out, error| rmlx_session_new(model.raw(), wide.as_deref(), out, error));
    assert_eq!(refused.expect_err("too wide").code, RMLX_ERROR_OUT_OF_MEMORY);
    rmlx_session_options_release(wide);
}

/// What load refuses of the tensors.
#[test]
fn inspect_and_estimate_refuse_what_a_load_refuses_in_the_same_words() {
    let copy = Scratch::dense().json("config.json", |c| c["text_config"]["intermediate_size"] = 96.into());
    let load = Model::load(copy.path()).err().expect("another shape");
    assert_eq!(load.code, RMLX_ERROR_INVALID_SNAPSHOT, "{load:?}");
    assert!(load.message.contains("model.safetensors"), "{load:?}");
    let dir = CString::new(copy.path().to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: `dir` ends with a NUL and lives through the call.
    let inspected = owned_text(|out, error| unsafe { rmlx_model_inspect(dir.as_ptr(), out, error) });
    assert_eq!(inspected.expect_err("the same"), load);
    assert_eq!(estimate(copy.path(), &LoadOptions::new(), 0).expect_err("the same"), load);
}
