//! What a session holds is not evaluated again by Gemma 3 and Qwen3-VL: windows that wrapped, and pictures whose rows are
//! more than their positions.

use rmlx::ffi::generation_options::rmlx_generation_options_set_progress_events;
use rmlx::ffi::load_options::rmlx_load_options_set_media_cache;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case, distance, sigma};
use crate::fresh::{last_turn, same_as_fresh};
use crate::harness::{LoadOptions, Media, Model, Prompt};

/// How far a row may be from that of another way to it, in standard deviations.
const CLOSE: f32 = 1e-4;

/// A model that keeps no encoded media: what is not encoded again is held by the session.
fn load(kind: &str) -> Model {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_media_cache(o, 0, e));
    Model::load_with(fixtures::path(&format!("{kind}-bf16-mlx")), &options).expect("the snapshot loads")
}

fn picture(width: u32, height: u32, step: u32) -> Media {
    let pixels: Vec<u8> = (0..width * height).map(|i| (i * step % 251) as u8).collect();
    Media::gray(width, height, &pixels).expect("an image")
}

fn about(image: &Media) -> Prompt {
    Prompt::new().message("user").text("Look.").media(image).text("What is it?")
}

/// Where the soft tokens of the only picture in the session's prompt begin and end.
fn place_of_picture(session: &Session) -> (usize, usize) {
    let (ids, count) = (session.prompt_tokens().expect("ids"), session.stats().media_tokens as usize);
    let begin = (0..ids.len()).find(|at| {
        let run = ids[*at..].iter().take(count);
        run.len() == count && run.clone().all(|id| *id == ids[*at])
    });
    let begin = begin.expect("soft tokens");
    (begin, begin + count)
}

fn a_conversation_goes_on_behind_a_picture(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    let image = picture(96, 160, 10);
    assert_eq!(same_as_fresh(&model, &session, &about(&image)), 0);
    assert_eq!(session.stats().encoded_media, 1);
    let (held, (_, end)) = (last_turn(&model, &session), place_of_picture(&session));
    assert!(end > 5 && held > end);
    // An equal picture made anew, two turns further.
    let second =
        about(&picture(96, 160, 10)).message("assistant").text("A strip.").message("user").text("Why?");
    assert!(same_as_fresh(&model, &session, &second) >= held);
    assert_eq!(session.stats().encoded_media, 0);
    assert_eq!(session.stats().media_tokens as usize, end - place_of_picture(&session).0);
    let held = last_turn(&model, &session);
    let third = second.message("assistant").text("So.").message("user").text("And then?");
    assert!(same_as_fresh(&model, &session, &third) >= held);
    assert_eq!(session.stats().encoded_media, 0);
}

fn a_second_picture_goes_behind_the_first(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    let (one, other) = (picture(96, 160, 10), picture(160, 64, 90));
    same_as_fresh(&model, &session, &about(&one));
    let held = last_turn(&model, &session);
    let next =
        about(&one).message("assistant").text("A strip.").message("user").media(&other).text("And this?");
    assert!(same_as_fresh(&model, &session, &next) >= held);
    assert_eq!(session.stats().encoded_media, 1, "only the new one");
}

fn another_picture_in_the_same_place_is_not_reused(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    let first = session.answer(&about(&picture(96, 96, 10)), &Options::endless(5));
    let (ids, (begin, _)) = (session.prompt_tokens(), place_of_picture(&session));
    assert!(same_as_fresh(&model, &session, &about(&picture(96, 96, 90))) <= begin);
    assert_eq!(session.stats().encoded_media, 1);
    assert_eq!(session.prompt_tokens(), ids, "only the content differs");
    let second = session.answer(&about(&picture(96, 96, 90)), &Options::endless(5));
    assert!(distance(&first.first_row, &second.first_row, sigma(&first.first_row)) > 0.02);
    // Without a picture, and with it in another place.
    let none = Prompt::user("Look.");
    assert!(same_as_fresh(&model, &session, &none) <= begin);
    let later = Prompt::new().message("user").text("Look. What is it?").media(&picture(96, 96, 90));
    same_as_fresh(&model, &session, &later);
    same_as_fresh(&model, &session, &about(&picture(96, 96, 10)));
}

/// The next prompt holds the tokens of the answer, so that what was decoded is reused too.
fn an_answer_about_a_picture_is_reused_with_it(kind: &str) {
    let model = load(kind);
    let image = picture(96, 160, 10);
    let ids = model.tokenize(&model.render(&about(&image)).expect("a text"), true).expect("ids");
    let of = |ids: &[u32]| Prompt::new().tokens(ids).message("user").media(&image);
    let session = Session::new(&model);
    let answer = session.answer(&of(&ids), &Options::endless(12));
    let evaluated = session.prompt_tokens().expect("ids").len() + answer.tokens().len() - 1;
    let more = model.tokenize("And why is that so?", false).expect("ids");
    let next = [ids, answer.tokens(), more].concat();
    assert!(same_as_fresh(&model, &session, &of(&next)) >= evaluated);
    assert_eq!(session.stats().encoded_media, 0);
}

const LONG: &str = "The window of this model is short, and this text is made longer than that window, so that the \
    beginning of it is not seen any more by the layers that slide over the text.";

fn a_conversation_longer_than_the_window_goes_on_as_if_it_were_new(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    let begun = || Prompt::new().message("user").media(&picture(96, 96, 10)).text(LONG);
    let mut prompt = begun();
    let mut held = 0;
    for turn in 0..4 {
        assert!(same_as_fresh(&model, &session, &prompt) >= held, "turn {turn}");
        assert_eq!(session.stats().encoded_media, u64::from(turn == 0), "turn {turn}");
        held = last_turn(&model, &session);
        assert!(held > 48, "longer than the window");
        prompt = prompt.message("assistant").text("I see.").message("user").text(&format!("More, {turn}!"));
    }
    // Forks behind the window, in the window, and before everything.
    same_as_fresh(&model, &session, &begun().message("assistant").text("No.").message("user").text(LONG));
    same_as_fresh(&model, &session, &begun().message("assistant").text("No.").message("user").text("Go on."));
    same_as_fresh(&model, &session, &Prompt::user("Something else"));
    same_as_fresh(&model, &session, &begun());
}

/// So many tokens that windows have let go of the place where the answer began.
fn a_long_answer_is_taken_back_to_where_it_began(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    let asked = || Prompt::new().message("user").media(&picture(96, 96, 10)).text(LONG);
    session.answer(&asked(), &Options::endless(500));
    let began = last_turn(&model, &session);
    let of = |answer: &str| asked().message("assistant").text(answer).message("user").text("Why?");
    assert!(same_as_fresh(&model, &session, &of("It is a strip.")) >= began);
    assert_eq!(session.stats().encoded_media, 0);
    // Again, from further behind; and back to before.
    session.answer(&of("It is a strip."), &Options::endless(500));
    let next = of("It is a strip.").message("assistant").text("So.").message("user").text("And then?");
    assert!(same_as_fresh(&model, &session, &next) > began);
    session.answer(&next, &Options::endless(500));
    same_as_fresh(&model, &session, &of("No."));
    same_as_fresh(&model, &session, &asked());
}

/// A cancel may come between any two chunks, and for Qwen3-VL between rows of a picture.
fn what_a_cancelled_prompt_left_behind_is_right(kind: &str) {
    let model = load(kind);
    let case = Case::load(&format!("{kind}/interleaved"));
    let session = Session::of_chunk(&model, 5);
    let options = Options::endless(4).set(|o, e| rmlx_generation_options_set_progress_events(o, true, e));
    for events in [1, 2, 3, 4, 6, 8, 11] {
        session.reset().expect("a reset");
        session.submit(&case.prompt(), &options).expect("an accepted prompt");
        for _ in 0..events {
            session.step().expect("an event");
        }
        session.cancel();
        session.rest();
        let off = |session: &Session, case: &Case| {
            let answer = session.answer(&case.prompt(), &Options::endless(4));
            distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma)
        };
        for case in [&case, &Case::load(&format!("{kind}/two_images")), &case] {
            let off = off(&session, case);
            assert!(off <= fixtures::TOLERANCE, "{}: off by {off} after {events} events", case.name);
        }
    }
}

/// In its own order, whatever the session held before.
fn every_conversation_in_one_session_gets_its_own_answer(kind: &str) {
    let model = load(kind);
    let session = Session::new(&model);
    for case in Case::of(kind) {
        let answer = session.answer(&case.prompt(), &Options::endless(2));
        assert_eq!(session.prompt_tokens().expect("ids"), case.prompt_ids, "{}", case.name);
        let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
        assert!(off <= fixtures::TOLERANCE, "{}: off by {off}", case.name);
    }
}

/// The first is evaluated token by token too.
fn a_prompt_in_small_chunks_gives_the_row_of_the_whole(kind: &str) {
    let names = ["interleaved", "long_text", "image_left_behind", "image_across_window", "two_images"];
    small_chunks_give_the_row_of_the_whole(&load(kind), kind, &names);
}

#[track_caller]
fn small_chunks_give_the_row_of_the_whole(model: &Model, kind: &str, names: &[&str]) {
    for (chunk, names) in [(1, &names[..1]), (7, names), (16, names), (50, names)] {
        for name in names {
            let case = Case::load(&format!("{kind}/{name}"));
            let answer = Session::of_chunk(model, chunk).answer(&case.prompt(), &Options::endless(6));
            let whole = Session::new(model).answer(&case.prompt(), &Options::endless(6));
            let off = distance(&answer.first_row, &whole.first_row, case.bf16().sigma);
            assert!(off <= CLOSE, "{} in chunks of {chunk}: off by {off}", case.name);
            assert_eq!(answer.tokens(), whole.tokens(), "{} in chunks of {chunk}", case.name);
        }
    }
}

#[test]
fn crops_videos_and_texts_in_small_chunks_give_the_row_of_the_whole() {
    for (folder, kind, names) in [
        ("gemma3-panscan", "gemma3-panscan", &["wide_crops", "tall_crops"][..]),
        ("gemma3text-bf16-hf", "gemma3text", &["multi_turn", "long_text"]),
        ("gemma4text-bf16-hf", "gemma4text", &["tools", "long_text"]),
        ("qwen3vltied-bf16-hf", "qwen3vltied", &["video", "video_five", "image_and_video"]),
    ] {
        let model = Model::load(fixtures::path(folder)).expect("the snapshot loads");
        small_chunks_give_the_row_of_the_whole(&model, kind, names);
    }
}

/// A module for each kind, with all the tests.
macro_rules! kinds {
    ([$($kind:ident: $folder:literal,)*] $tests:tt) => {
        $(mod $kind {
            kinds!($folder $tests);
        })*
    };
    ($folder:literal { $($test:ident,)* }) => {
        $(#[test]
        fn $test() {
            super::$test($folder);
        })*
    };
}

kinds! {
    [gemma3: "gemma3", qwen3_vl: "qwen3vl", qwen3_vl_of_experts: "qwen3vlmoe",]
    {
        a_conversation_goes_on_behind_a_picture,
        a_second_picture_goes_behind_the_first,
        another_picture_in_the_same_place_is_not_reused,
        an_answer_about_a_picture_is_reused_with_it,
        a_conversation_longer_than_the_window_goes_on_as_if_it_were_new,
        a_long_answer_is_taken_back_to_where_it_began,
        what_a_cancelled_prompt_left_behind_is_right,
        every_conversation_in_one_session_gets_its_own_answer,
        a_prompt_in_small_chunks_gives_the_row_of_the_whole,
    }
}

#[test]
fn a_long_answer_of_the_unified_model_is_taken_back_to_where_it_began() {
    a_long_answer_is_taken_back_to_where_it_began("unified");
}
