//! What a session takes to hold its positions.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmlx::ffi::load_options::rmlx_load_options_set_media_cache;
use rmlx::ffi::memory::{
    rmlx_memory_set_wired_limit, rmlx_memory_stats, rmlx_memory_trim, rmlx_memory_usage,
};

use crate::answers::{Options, Session};
use crate::around;
use crate::fixtures;
use crate::harness::{LoadOptions, Media, Model, Prompt, check};

/// Bytes of a position in the layers of each kind: keys and values of fp32.
const SLIDING: u64 = 4 * (2 * 2 * 32 * 4);
const FULL: u64 = 2 * (2 * 64 * 4);
const WINDOW: u64 = 48;

fn text(len: usize) -> Prompt {
    let ids: Vec<u32> = (0..len as u32).map(|i| 300 + i % 250).collect();
    Prompt::new().tokens(&ids)
}

/// Room for `positions`: those of the window on sliding layers, all of them on full layers, and some to spare,
/// which is less than the sliding layers would take for the same positions.
#[track_caller]
fn is_bounded_by_the_window(session: &Session) {
    let stats = session.stats();
    let spare = 512;
    let most = FULL * (stats.held_tokens + spare) + SLIDING * (2 * WINDOW + spare);
    assert!(stats.cache_bytes > 0);
    assert!(stats.cache_bytes <= most, "{} bytes for {} positions", stats.cache_bytes, stats.held_tokens);
}

#[test]
fn sliding_layers_hold_no_more_than_their_window_of_a_long_prompt() {
    let session = Session::of_chunk(fixtures::model(), 128);
    session.answer(&text(3000), &Options::endless(4));
    assert!(session.stats().held_tokens >= 3000);
    is_bounded_by_the_window(&session);
}

#[test]
fn sliding_layers_do_not_grow_while_an_answer_does() {
    let session = Session::new(fixtures::model());
    session.submit(&text(60), &Options::endless(700)).expect("an accepted prompt");
    let mut at = vec![];
    loop {
        let event = session.step().expect("an event");
        let stats = session.stats();
        if [100, 600].contains(&stats.generated_tokens) {
            at.push(stats);
        }
        if event.is_finish() {
            break;
        }
    }
    let (early, late) = (at.first().expect("early"), at.last().expect("late"));
    let positions = late.held_tokens - early.held_tokens;
    assert!(positions >= 490, "{positions}");
    let grown = late.cache_bytes.saturating_sub(early.cache_bytes);
    assert!(grown < FULL * positions + SLIDING * positions / 2, "{grown} bytes for {positions} positions");
    is_bounded_by_the_window(&session);
}

#[test]
fn a_reset_gives_back_what_a_session_held() {
    let session = Session::new(fixtures::model());
    session.answer(&text(500), &Options::endless(4));
    let held = session.stats().cache_bytes;
    session.reset().expect("a reset");
    assert!(session.stats().cache_bytes < held);
}

/// A trim takes from all models of the process what the tests of encoded media expect to be kept.
fn alone() -> MutexGuard<'static, ()> {
    static TRIMS: Mutex<()> = Mutex::new(());
    TRIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn usage() -> rmlx_memory_usage {
    let mut usage = rmlx_memory_usage {
        struct_size: size_of::<rmlx_memory_usage>(),
        active: 0,
        cache: 0,
        peak: 0,
        limit: 0,
        media: 0,
    };
    // SAFETY: the structure is as large as it says.
    check(|error| unsafe { rmlx_memory_stats(&mut usage, error) }).expect("memory");
    usage
}

fn trim() {
    check(|error| rmlx_memory_trim(error)).expect("a trim");
}

#[test]
fn the_memory_of_the_process_is_told_and_trimmed() {
    let _alone = alone();
    Session::new(fixtures::model()).answer(&text(10), &Options::greedy(1));
    let before = usage();
    assert!(before.active > 0 && before.peak >= before.active);
    trim();
    assert!(usage().peak >= before.peak);
}

/// What MLX holds for the demo model in a storage, once a prompt has been through it.
fn held(variant: &str) -> u64 {
    trim();
    let before = usage().active;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo").join(variant);
    let model = Model::load(dir).expect("the demo model");
    Session::new(&model).answer(&text(100), &Options::greedy(1));
    usage().active - before
}

/// The measurement needs a process without other models: the test runs itself in one.
#[test]
fn packed_models_take_little_more_than_their_files() {
    around::alone("memory::packed_models_take_little_more_than_their_files", || {
        let affine = held("affine4");
        for variant in ["mxfp4", "nvfp4"] {
            let bytes = held(variant);
            println!("{variant} takes {bytes} bytes, affine4 {affine}");
            // Half a MB of tables, which all matrices share.
            assert!(bytes < affine + (1 << 20), "{variant}");
        }
    });
}

/// A model that keeps `bytes` of encoded media.
fn keeping(bytes: u64) -> Model {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_media_cache(o, bytes, e));
    Model::load_with(fixtures::path("unified-bf16-mlx"), &options).expect("a model")
}

fn picture(step: usize) -> Media {
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * step % 251) as u8).collect();
    Media::gray(96, 96, &pixels).expect("an image")
}

/// The first row of an answer about media, and how many of them were encoded for it.
fn seen(session: &Session, media: &[&Media]) -> (Vec<f32>, u64) {
    let prompt = media.iter().fold(Prompt::new().message("user"), |prompt, medium| prompt.media(medium));
    let row = session.answer(&prompt.text("What is it?"), &Options::endless(1)).first_row;
    (row, session.stats().encoded_media)
}

#[test]
fn an_image_is_encoded_once_for_all_sessions_of_a_model() {
    let _alone = alone();
    let model = keeping(1 << 20);
    let session = Session::new(&model);
    let (row, encoded) = seen(&session, &[&picture(10)]);
    assert_eq!(encoded, 1);
    // Equal content made anew, in another session, after a reset, and beside another picture.
    assert_eq!(seen(&Session::new(&model), &[&picture(10)]), (row.clone(), 0));
    session.reset().expect("a reset");
    assert_eq!(seen(&session, &[&picture(10)]), (row.clone(), 0));
    assert_eq!(seen(&session, &[&picture(20), &picture(10)]).1, 1);
    // More detail is another encoding.
    assert_eq!(seen(&session, &[&picture(10).with_budget(140).expect("an image")]).1, 1);
    // Another model keeps its own.
    assert_eq!(seen(&Session::new(&keeping(1 << 20)), &[&picture(10)]), (row, 1));
}

#[test]
fn what_is_kept_is_counted_bounded_and_trimmed() {
    let _alone = alone();
    let none = keeping(0);
    for _ in 0..2 {
        assert_eq!(seen(&Session::new(&none), &[&picture(10)]).1, 1);
    }
    let wide = keeping(1 << 20);
    let session = Session::new(&wide);
    seen(&session, &[&picture(10)]);
    // Soft tokens are fp32 on the CPU. Other tests may keep media at the same time, in other models.
    let hidden = wide.info()["hidden_size"].as_u64().expect("a number");
    let one = session.stats().media_tokens * hidden * 4;
    assert!(one > 0 && usage().media >= one && usage().active > usage().media);
    // Room for three pictures: the fourth takes the place of the first.
    let narrow = keeping(3 * one + one / 2);
    (1..=4).for_each(|step| assert_eq!(seen(&Session::new(&narrow), &[&picture(step)]).1, 1));
    assert_eq!(seen(&Session::new(&narrow), &[&picture(4)]).1, 0);
    assert_eq!(seen(&Session::new(&narrow), &[&picture(1)]).1, 1);
    trim();
    assert_eq!(seen(&Session::new(&wide), &[&picture(10)]).1, 1);
    assert_eq!(seen(&Session::new(&wide), &[&picture(10)]).1, 0);
}

#[test]
fn a_wired_limit_is_taken_and_given_up_where_there_is_none() {
    check(|error| rmlx_memory_set_wired_limit(1 << 20, error)).expect("a limit");
    check(|error| rmlx_memory_set_wired_limit(u64::MAX, error)).expect("the default");
}
