//! A large picture of one session, which takes long to prepare, beside another session that answers.

use std::thread;

use rmlx::ffi::event::{RMLX_FINISH_CANCELLED, RMLX_FINISH_MAX_TOKENS};
use rmlx::ffi::status::RMLX_ERROR_CANCELLED;

use crate::answers::{Answer, Options, Session};
use crate::around::beside;
use crate::fixtures::{self, Case, distance, sigma};
use crate::harness::{Media, Model, Outcome, Prompt};

/// How far a row may be from the one alone, in standard deviations.
const CLOSE: f32 = 1e-4;

const FOLDERS: [&str; 4] = ["gemma3-bf16-mlx", "qwen3vl-bf16-mlx", "unified-bf16-mlx", "e2b-bf16-hf"];

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("the snapshot loads")
}

/// A picture of 16 million pixels; each `step` makes another one.
fn large(step: usize) -> Media {
    let pixels: Vec<u8> = (0..4096 * 4096).map(|i| (i / 512 * step % 251) as u8).collect();
    Media::gray(4096, 4096, &pixels).expect("an image")
}

fn about(image: &Media) -> Prompt {
    Prompt::new().message("user").media(image).text("Describe the picture.")
}

#[track_caller]
fn same(answer: &Answer, alone: &Answer, what: &str) {
    assert_eq!(answer.tokens(), alone.tokens(), "{what}");
    assert_eq!(answer.finish(), RMLX_FINISH_MAX_TOKENS, "{what}");
    let off = distance(&answer.first_row, &alone.first_row, sigma(&alone.first_row));
    assert!(off <= CLOSE, "{what}: off by {off}");
}

#[test]
fn a_large_picture_beside_an_answer_changes_neither() {
    for folder in FOLDERS {
        let (model, image) = (load(folder), large(3));
        let text = Prompt::user("What is the capital of France?");
        let (seeing, reading) = (Session::new(&model), Session::new(&model));
        let (seen, read) = thread::scope(|scope| {
            let seen = scope.spawn(|| seeing.answer(&about(&image), &Options::endless(12)));
            let read = scope.spawn(|| reading.answer(&text, &Options::endless(60)));
            (seen.join().expect("an answer"), read.join().expect("an answer"))
        });
        assert_eq!((seeing.stats().encoded_media, reading.stats().encoded_media), (1, 0), "{folder}");
        let alone = load(folder);
        let answer = |prompt: &Prompt, tokens| Session::new(&alone).answer(prompt, &Options::endless(tokens));
        same(&seen, &answer(&about(&image), 12), folder);
        same(&read, &answer(&text, 60), folder);
    }
}

/// The session must answer a submit that another thread cancels all the time with an error or a cancelled FINISH.
fn ends_by_a_cancel(session: &Session, image: &Media) -> Outcome<Answer> {
    beside(
        || session.cancel(),
        || {
            session.submit(&about(image), &Options::endless(1000))?;
            Ok(session.rest())
        },
    )
}

#[test]
fn a_cancel_while_a_large_picture_is_submitted_ends_it() {
    for folder in FOLDERS {
        let model = load(folder);
        let session = Session::new(&model);
        for step in [5, 7] {
            match ends_by_a_cancel(&session, &large(step)) {
                Ok(answer) => assert_eq!(answer.finish(), RMLX_FINISH_CANCELLED, "{folder}"),
                Err(failure) => assert_eq!(failure.code, RMLX_ERROR_CANCELLED, "{folder}: {failure:?}"),
            }
            assert_eq!(session.stats().generated_tokens, 0, "{folder}");
        }
        // The same pictures are there for the asking.
        let answer = session.answer(&about(&large(5)), &Options::endless(4));
        assert_eq!(session.stats().encoded_media, 1, "{folder}: nothing of it was kept");
        same(&answer, &Session::new(&model).answer(&about(&large(5)), &Options::endless(4)), folder);
    }
}

#[test]
fn a_cancel_of_one_session_does_not_end_the_other() {
    let model = load("qwen3vl-bf16-mlx");
    let case = Case::load("qwen3vl/interleaved");
    let (cancelled, going) = (Session::new(&model), Session::new(&model));
    let answer = thread::scope(|scope| {
        let going = scope.spawn(|| going.answer(&case.prompt(), &Options::endless(24)));
        for step in [5, 7, 9] {
            let _ = ends_by_a_cancel(&cancelled, &large(step));
        }
        going.join().expect("an answer")
    });
    same(&answer, &Session::new(&model).answer(&case.prompt(), &Options::endless(24)), "interleaved");
}
