//! Media of which only what a model takes is left: to the model and its sessions, they are the same.

use rmlx::ffi::status::{RMLX_ERROR_CANCELLED, RMLX_ERROR_INVALID_ARGUMENT, RMLX_ERROR_UNSUPPORTED};

use crate::answers::{Answer, Options, Session};
use crate::fixtures;
use crate::harness::{Media, Model, Prompt};

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("the snapshot loads")
}

/// A picture that every family makes smaller; each `step` makes another one.
fn photo(width: u32, height: u32, step: u32) -> Media {
    let pixels: Vec<u8> = (0..width * height).map(|i| (i / 3 * step % 251) as u8).collect();
    Media::gray(width, height, &pixels).expect("an image")
}

fn about(medium: &Media) -> Prompt {
    Prompt::new().message("user").text("Look: ").media(medium).text(" What is it?")
}

/// The answer of a session and a model that have not seen anything.
fn fresh(folder: &str, medium: &Media) -> Answer {
    Session::new(&load(folder)).answer(&about(medium), &Options::endless(6))
}

#[track_caller]
fn same(one: &Answer, other: &Answer, what: &str) {
    let bits = |answer: &Answer| answer.first_row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(one.tokens(), other.tokens(), "{what}");
    assert!(bits(one) == bits(other), "{what}: the first row has other bits");
}

const FOLDERS: [&str; 4] = ["gemma3-bf16-mlx", "qwen3vl-bf16-mlx", "unified-bf16-mlx", "e2b-bf16-hf"];

#[test]
fn a_prepared_picture_is_the_same_to_the_model() {
    for folder in FOLDERS {
        let model = load(folder);
        let whole = photo(2000, 1100, 3);
        let small = whole.prepare(&model).expect("a picture");
        assert!(small.bytes() < whole.bytes(), "{folder}: {} of {}", small.bytes(), whole.bytes());
        assert_eq!(small.prepare(&model).expect("a picture").bytes(), small.bytes());
        same(&fresh(folder, &small), &fresh(folder, &whole), folder);
        // Each is found where the other was seen.
        let session = Session::new(&model);
        session.answer(&about(&whole), &Options::endless(2));
        session.answer(&about(&small), &Options::endless(2));
        let stats = session.stats();
        assert_eq!((stats.encoded_media, stats.reused_tokens), (0, stats.prompt_tokens - 1), "{folder}");
        let other = Session::new(&model);
        other.answer(&about(&small), &Options::endless(2));
        assert_eq!(other.stats().encoded_media, 0, "{folder}");
    }
}

#[test]
fn crops_and_wishes_are_prepared_too() {
    let folder = "gemma3-bf16-mlx";
    let model = load(folder);
    let long = photo(2400, 800, 5).with_pan_and_scan(true).expect("a picture");
    let small = long.prepare(&model).expect("a picture");
    assert!(small.bytes() < long.bytes());
    same(&fresh(folder, &small), &fresh(folder, &long), "pan and scan");
    // Without the crops it is another picture, and the crops are those of the whole one.
    let plain = small.with_pan_and_scan(false).expect("a picture");
    let whole = long.with_pan_and_scan(false).expect("a picture");
    same(&fresh(folder, &plain), &fresh(folder, &whole), "without crops");
}

#[test]
fn videos_are_prepared_and_sounds_stay() {
    for folder in ["qwen3vl-bf16-mlx", "unified-bf16-mlx"] {
        let model = load(folder);
        let frames = [photo(900, 700, 3), photo(900, 700, 5), photo(900, 700, 7)];
        let whole = Media::video(&frames.each_ref(), &[0.0, 0.5, 1.0]).expect("a video");
        let small = whole.prepare(&model).expect("a video");
        assert!(small.bytes() < whole.bytes(), "{folder}: {} of {}", small.bytes(), whole.bytes());
        same(&fresh(folder, &small), &fresh(folder, &whole), folder);
    }
    let sound = Media::pcm(&[0.1; 16_000], 16_000).expect("a sound");
    let model = load("unified-bf16-mlx");
    assert_eq!(sound.prepare(&model).expect("a sound").bytes(), sound.bytes());
    let refusal = sound.prepare(&load("qwen3vl-bf16-mlx")).err().expect("it cannot hear");
    assert_eq!(refusal.code, RMLX_ERROR_UNSUPPORTED);
}

#[test]
fn what_would_grow_is_left_as_it_is_and_serves_every_model() {
    let tiny = photo(20, 20, 3);
    let prepared = tiny.prepare(&load("gemma3-bf16-mlx")).expect("a picture");
    assert_eq!(prepared.bytes(), tiny.bytes());
    same(&fresh("unified-bf16-mlx", &prepared), &fresh("unified-bf16-mlx", &tiny), "tiny");
}

#[test]
fn another_model_says_that_it_needs_the_picture_itself() {
    let (gemma, qwen) = (load("gemma3-bf16-mlx"), load("qwen3vl-bf16-mlx"));
    let whole = photo(2000, 1100, 3);
    let small = whole.prepare(&gemma).expect("a picture");
    let session = Session::new(&qwen);
    for failure in [
        small.prepare(&qwen).err().expect("refused"),
        session.submit(&about(&small), &Options::greedy(1)).expect_err("refused"),
    ] {
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
        assert!(
            failure.message.contains("prepared for a model that takes it at another size"),
            "{failure:?}"
        );
    }
    session.answer(&about(&whole), &Options::endless(2));
}

#[test]
fn a_cancel_ends_a_preparation() {
    let failure = photo(2000, 1100, 3).prepare_cancelled(fixtures::model()).err().expect("cancelled");
    assert_eq!(failure.code, RMLX_ERROR_CANCELLED);
}
