//! A session that was saved and loaded answers as the one that it was saved from, and as one that holds nothing.

use rmlx::ffi::load_options::rmlx_load_options_set_media_cache;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case, distance, sigma, snapshots};
use crate::fresh::{last_turn, same_as_fresh};
use crate::harness::{LoadOptions, Media, Model, Prompt};

/// How far a row may be from that of a fresh session, in standard deviations.
const CLOSE: f32 = 1e-4;

/// A model that keeps no encoded media: what is not encoded again is held by the session.
fn load(folder: &str) -> Model {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_media_cache(o, 0, e));
    Model::load_with(fixtures::path(folder), &options).expect("the snapshot loads")
}

#[track_caller]
fn again(model: &Model, session: &Session) -> Session {
    let bytes = session.saved().expect("a saved session");
    let loaded = Session::load_bytes(model, &bytes).expect("a loaded session");
    assert!(
        loaded.saved().expect("the same session again") == bytes,
        "what was loaded is not what was saved"
    );
    let (old, new) = (session.stats(), loaded.stats());
    assert_eq!((old.held_tokens, 0), (new.held_tokens, new.generated_tokens));
    assert_eq!(old.checkpoint_bytes, new.checkpoint_bytes, "no row more than was kept");
    loaded
}

/// Goes on in the session, in what was loaded of it, and in a fresh one.
#[track_caller]
fn goes_on_alike(model: &Model, session: &Session, prompt: &Prompt, what: &str) {
    let loaded = again(model, session);
    let options = Options::endless(6);
    let (old, new) = (session.answer(prompt, &options), loaded.answer(prompt, &options));
    let fresh = Session::new(model).answer(prompt, &options);
    let (before, after) = (session.stats(), loaded.stats());
    assert_eq!(before.reused_tokens, after.reused_tokens, "{what}");
    assert_eq!(before.encoded_media, after.encoded_media, "{what}");
    assert_eq!(old.tokens(), new.tokens(), "{what}");
    assert!(old.first_row == new.first_row, "{what}: the rows differ by bits");
    assert_eq!(fresh.tokens(), new.tokens(), "{what}");
    let off = distance(&new.first_row, &fresh.first_row, sigma(&fresh.first_row));
    assert!(off <= CLOSE, "{what}: off by {off}");
}

/// Snapshots whose folders begin like that, with every conversation of their kind (of packed ones, every fourth).
fn every_conversation_goes_on(family: &str) {
    let (mut tried, mut with_media, mut sees) = (0, 0, false);
    for (folder, (kind, name)) in snapshots().iter().filter(|(folder, _)| folder.starts_with(family)) {
        let model = load(folder);
        let every = if folder.contains("bf16") { 1 } else { 4 };
        for case in Case::of(kind).iter().filter(|case| case.results.contains_key(name)).step_by(every) {
            sees |= !case.media.is_empty();
            let session = Session::new(&model);
            session.answer(&case.prompt(), &Options::endless(4));
            assert!(session.stats().held_tokens as usize >= case.prompt_ids.len());
            let next = case.prompt().message("assistant").text("I see.").message("user").text("Go on.");
            goes_on_alike(&model, &session, &next, &format!("{folder} {}", case.name));
            let end = case.media.iter().map(|medium| medium.begin + medium.soft_tokens).max().unwrap_or(0);
            let stats = session.stats();
            if stats.reused_tokens as usize >= end {
                assert_eq!(stats.encoded_media, 0, "{folder} {}", case.name);
                with_media += usize::from(end > 0);
            }
            tried += 1;
        }
    }
    println!("{family}: {tried} conversations, {with_media} of them with media that were held");
    assert!(tried >= 4 && (with_media > 1 || !sees), "{tried} conversations, {with_media} with media");
}

macro_rules! families {
    ($($test:ident: $family:literal,)*) => {
        $(#[test]
        fn $test() {
            every_conversation_goes_on($family);
        })*

        #[test]
        fn every_snapshot_of_the_fixtures_is_saved() {
            let families = [$($family),*];
            for folder in snapshots().keys() {
                assert_eq!(families.iter().filter(|family| folder.starts_with(**family)).count(), 1, "{folder}");
            }
        }
    };
}

families! {
    the_unified_model_goes_on: "unified-",
    e2b_goes_on: "e2b-",
    e4b_goes_on: "e4b-",
    experts_go_on: "moe-",
    the_dense_one_goes_on: "dense31-",
    gemma3_goes_on: "gemma3-",
    gemma3_of_text_alone_goes_on: "gemma3text-",
    gemma4_of_text_alone_goes_on: "gemma4text-",
    qwen3_vl_goes_on: "qwen3vl-",
    qwen3_vl_with_a_tied_head_goes_on: "qwen3vltied-",
    qwen3_vl_of_experts_goes_on: "qwen3vlmoe-",
}

const LONG: &str = "The window of this model is short, and this text is made longer than that window, so that the \
    beginning of it is not seen any more by the layers that slide over the text.";

fn picture() -> Media {
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * 10 % 251) as u8).collect();
    Media::gray(96, 96, &pixels).expect("an image")
}

/// The windows have dropped rows by then: the beginning of the answer is reached through what was kept there.
fn a_long_answer_is_taken_back_after_a_load(folder: &str) {
    let model = load(folder);
    let session = Session::new(&model);
    let asked = || Prompt::new().message("user").media(&picture()).text(LONG);
    session.answer(&asked(), &Options::endless(420));
    let began = last_turn(&model, &session);
    let next = asked().message("assistant").text("It is a strip.").message("user").text("Why?");
    let loaded = again(&model, &session);
    assert!(same_as_fresh(&model, &loaded, &next) >= began, "{folder}");
    assert_eq!(loaded.stats().encoded_media, 0);
    goes_on_alike(&model, &session, &next, folder);
    // From there, saved once more, and back to before everything.
    goes_on_alike(
        &model,
        &loaded,
        &next.message("assistant").text("So.").message("user").text("And?"),
        folder,
    );
    same_as_fresh(&model, &again(&model, &loaded), &Prompt::user("Something else"));
}

/// All that was evaluated is reused where the next prompt holds it, behind windows that have wrapped, too.
fn what_was_decoded_is_held_after_a_load(folder: &str) {
    let model = load(folder);
    for tokens in [1, 5, 90, 420] {
        let session = Session::new(&model);
        let ids: Vec<u32> = (0..40).map(|i| 300 + i * 7 % 200).collect();
        let answer = session.answer(&Prompt::new().tokens(&ids), &Options::endless(tokens));
        let next = [ids.clone(), answer.tokens(), vec![310, 311, 312]].concat();
        let loaded = again(&model, &session);
        let reused = same_as_fresh(&model, &loaded, &Prompt::new().tokens(&next));
        assert_eq!(reused, ids.len() + tokens - 1, "{folder} after {tokens}");
        goes_on_alike(&model, &session, &Prompt::new().tokens(&next), folder);
    }
}

#[test]
fn windows_that_have_wrapped_are_saved_with_the_place_to_go_back_to() {
    for folder in ["unified-bf16-mlx", "gemma3-bf16-mlx", "gemma3-affine4", "qwen3vl-bf16-mlx", "e2b-bf16-hf"]
    {
        a_long_answer_is_taken_back_after_a_load(folder);
    }
}

#[test]
fn decoded_rows_are_saved() {
    for folder in
        ["unified-bf16-mlx", "unified-mxfp4", "gemma3-bf16-mlx", "moe-bf16-hf", "qwen3vlmoe-bf16-mlx"]
    {
        what_was_decoded_is_held_after_a_load(folder);
    }
}

#[test]
fn a_session_that_holds_nothing_is_saved_as_that() {
    let model = fixtures::model();
    let session = Session::new(model);
    let empty = again(model, &session);
    assert_eq!(same_as_fresh(model, &empty, &Prompt::user("Hello")), 0);
    session.answer(&Prompt::user("Hello"), &Options::endless(3));
    session.reset().expect("a reset");
    assert_eq!(session.saved(), Session::new(model).saved());
    assert_eq!(again(model, &empty).stats().held_tokens, empty.stats().held_tokens);
}

/// Their rows lay side by side in one buffer while they decoded.
#[test]
fn sessions_that_decoded_together_are_saved_apart() {
    let model = fixtures::model();
    let sessions: Vec<Session> = (0..3).map(|_| Session::new(model)).collect();
    let asked =
        |n: usize| Prompt::user(&format!("Question {n}, which is longer than {}", "x ".repeat(n * 9)));
    for (n, session) in sessions.iter().enumerate() {
        session.submit(&asked(n), &Options::endless(40)).expect("an accepted prompt");
    }
    std::thread::scope(|scope| sessions.iter().for_each(|session| drop(scope.spawn(|| session.rest()))));
    for (n, session) in sessions.iter().enumerate() {
        let next = asked(n).message("assistant").text("I see.").message("user").text("Go on.");
        goes_on_alike(model, session, &next, &format!("session {n}"));
    }
}

/// Any number of sessions of one save go on apart.
#[test]
fn a_save_may_be_loaded_more_than_once_and_a_loaded_session_may_be_reset() {
    let model = fixtures::model();
    let session = Session::new(model);
    session.answer(&Prompt::user(LONG), &Options::endless(5));
    let bytes = session.saved().expect("a saved session");
    let both = [0, 1].map(|_| Session::load_bytes(model, &bytes).expect("a loaded session"));
    for (n, loaded) in both.iter().enumerate() {
        let next = Prompt::user(LONG).message("assistant").text("So.").message("user").text(&format!("{n}?"));
        assert!(same_as_fresh(model, loaded, &next) > 0);
    }
    both[0].reset().expect("a reset");
    assert_eq!(same_as_fresh(model, &both[0], &Prompt::user(LONG)), 0);
    drop(session);
    assert!(same_as_fresh(model, &both[1], &Prompt::user(LONG)) > 0);
}
