//! What a session holds already is not evaluated again, and that changes no number.

use rmlx::ffi::event::RMLX_EVENT_PROGRESS;
use rmlx::ffi::generation_options::rmlx_generation_options_set_progress_events;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case, TOLERANCE, distance, sigma};
use crate::fresh::{self, last_turn};
use crate::harness::{Media, Prompt};

const LONGER_THAN_THE_WINDOW: &str = "The window of this model is short, and this text is made longer than \
    that window, so that the beginning of it is not seen any more by the layers that slide over the text.";

#[track_caller]
fn same_as_fresh(session: &Session, prompt: &Prompt) -> usize {
    fresh::same_as_fresh(fixtures::model(), session, prompt)
}

fn picture(step: usize) -> Media {
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * step % 251) as u8).collect();
    Media::gray(96, 96, &pixels).expect("an image")
}

fn about(image: &Media) -> Prompt {
    Prompt::new().message("user").media(image).text("Describe the picture.")
}

#[test]
fn the_same_prompt_again_evaluates_its_last_token_only() {
    let session = Session::new(fixtures::model());
    let prompt = Prompt::user("Hello");
    assert_eq!(same_as_fresh(&session, &prompt), 0);
    let len = session.stats().prompt_tokens as usize;
    assert_eq!(same_as_fresh(&session, &prompt), len - 1);
}

#[test]
fn a_next_turn_reuses_what_came_before_the_answer() {
    let session = Session::new(fixtures::model());
    let question = "What is a window?";
    same_as_fresh(&session, &Prompt::user(question));
    let held = last_turn(fixtures::model(), &session);
    let next = Prompt::user(question).message("assistant").text("A hole.").message("user").text("Why?");
    assert!(same_as_fresh(&session, &next) >= held);
}

#[test]
fn an_image_in_the_common_beginning_is_reused() {
    let case = Case::load("one_image");
    let end = case.media[0].begin + case.media[0].soft_tokens + 1;
    let session = Session::new(fixtures::model());
    same_as_fresh(&session, &case.prompt());
    let next = case.prompt().message("assistant").text("A strip.").message("user").text("Which colour?");
    assert!(same_as_fresh(&session, &next) > end);
    assert_eq!(session.stats().media_tokens as usize, case.media[0].soft_tokens);
}

#[test]
fn an_equal_image_made_anew_is_reused() {
    let session = Session::new(fixtures::model());
    same_as_fresh(&session, &about(&picture(10)));
    let media = session.stats().media_tokens as usize;
    assert!(media > 0);
    assert!(same_as_fresh(&session, &about(&picture(10))) > media);
}

#[test]
fn another_image_of_the_same_size_is_not_reused() {
    let session = Session::new(fixtures::model());
    let first = session.answer(&about(&picture(10)), &Options::endless(5));
    let ids = session.prompt_tokens().expect("ids");
    let begin = ids.iter().position(|id| *id == 721).expect("soft tokens");
    assert!(same_as_fresh(&session, &about(&picture(90))) <= begin);
    assert_eq!(session.prompt_tokens().expect("ids"), ids, "only the content differs");
    let second = session.answer(&about(&picture(90)), &Options::endless(5));
    assert!(distance(&first.first_row, &second.first_row, sigma(&first.first_row)) > 20.0 * TOLERANCE);
}

#[test]
fn another_sound_of_the_same_length_is_not_reused() {
    let sound = |pitch: f32| {
        let samples: Vec<f32> = (0..6400).map(|i| (i as f32 * pitch).sin()).collect();
        Media::pcm(&samples, 16_000).expect("a sound")
    };
    let ask = |sound: &Media| Prompt::new().message("user").text("What is it?").media(sound);
    let session = Session::new(fixtures::model());
    same_as_fresh(&session, &ask(&sound(0.1)));
    let begin = session.prompt_tokens().expect("ids").iter().position(|id| *id == 722).expect("soft tokens");
    assert!(same_as_fresh(&session, &ask(&sound(0.3))) <= begin);
    assert!(same_as_fresh(&session, &ask(&sound(0.3))) > begin);
}

#[test]
fn a_conversation_longer_than_the_window_goes_on_as_if_it_were_new() {
    let session = Session::new(fixtures::model());
    let mut prompt = Prompt::user(LONGER_THAN_THE_WINDOW);
    let mut held = 0;
    for turn in 0..4 {
        let reused = same_as_fresh(&session, &prompt);
        assert!(reused >= held, "turn {turn}: {reused} of {held}");
        held = last_turn(fixtures::model(), &session);
        assert!(held > 48);
        prompt = prompt.message("assistant").text("I see.").message("user").text(&format!("More, {turn}!"));
    }
}

#[test]
fn a_conversation_that_forks_early_is_evaluated_from_the_fork() {
    let session = Session::new(fixtures::model());
    let begun = |text: &str| Prompt::user(LONGER_THAN_THE_WINDOW).message("assistant").text(text);
    same_as_fresh(&session, &begun("Yes.").message("user").text("Go on."));
    same_as_fresh(&session, &begun("No.").message("user").text("Go on."));
    same_as_fresh(&session, &Prompt::user("Something else"));
    same_as_fresh(&session, &begun("Yes.").message("user").text("Go on."));
}

#[test]
fn every_conversation_in_one_session_gets_its_own_answer() {
    let session = Session::new(fixtures::model());
    for case in Case::all() {
        let answer = session.answer(&case.prompt(), &Options::endless(2));
        assert_eq!(session.prompt_tokens().expect("ids"), case.prompt_ids, "{}", case.name);
        let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
        assert!(off <= TOLERANCE, "{}: off by {off}", case.name);
    }
}

/// The first is evaluated token by token too.
const NAMES: [&str; 4] = ["image_longer_than_window", "interleaved", "image_and_audio", "long_text"];

#[test]
fn a_prompt_in_small_chunks_gives_the_row_of_the_whole() {
    for (chunk, names) in [(1, &NAMES[..1]), (16, &NAMES), (50, &NAMES)] {
        for name in names {
            let case = Case::load(name);
            let session = Session::of_chunk(fixtures::model(), chunk);
            let answer = session.answer(&case.prompt(), &Options::endless(1));
            let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
            assert!(off <= TOLERANCE, "{name} in chunks of {chunk}: off by {off}");
        }
    }
}

#[test]
fn chunks_are_reported_up_to_the_whole_prompt_and_never_cut_an_image() {
    let case = Case::load("interleaved");
    let session = Session::of_chunk(fixtures::model(), 16);
    let options = Options::endless(1).set(|o, e| rmlx_generation_options_set_progress_events(o, true, e));
    let answer = session.answer(&case.prompt(), &options);
    let progress: Vec<_> = answer.events.iter().filter(|e| e.kind == RMLX_EVENT_PROGRESS).collect();
    let mut before = 0;
    for event in &progress {
        let (done, total) = event.progress.expect("how far it is");
        assert_eq!(total, case.prompt_ids.len());
        assert!(done > before && done <= total, "{done} after {before}");
        let cut = case.media.iter().find(|m| done > m.begin + 1 && done <= m.begin + m.soft_tokens);
        assert!(cut.is_none(), "an image was cut at {done}");
        before = done;
    }
    assert!(progress.len() > 3, "{} chunks", progress.len());
    assert_eq!(before, case.prompt_ids.len());
}

#[test]
fn a_reset_session_holds_nothing() {
    let session = Session::new(fixtures::model());
    let prompt = Prompt::user("Hello");
    same_as_fresh(&session, &prompt);
    session.reset().expect("a reset");
    assert_eq!(session.prompt_tokens(), Ok(vec![]));
    assert_eq!(session.stats().held_tokens, 0);
    assert_eq!(same_as_fresh(&session, &prompt), 0);
}
