//! What a session holds is not evaluated again, whatever the model is made of: layers that share keys, per-layer inputs,
//! experts, image blocks.

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case, TOLERANCE, distance};
use crate::fresh::{last_turn, same_as_fresh};
use crate::harness::{Media, Model, Prompt};

/// The id of what is under images.
const IMAGE: u32 = 721;

fn model(kind: &str) -> Model {
    Model::load(fixtures::path(&format!("{kind}-bf16-hf"))).expect("the dense snapshot loads")
}

fn an_image_is_reused_with_what_comes_before_it(kind: &str) {
    let model = model(kind);
    let session = Session::new(&model);
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * 10 % 251) as u8).collect();
    let image = || Media::gray(96, 96, &pixels).expect("an image");
    let about = |image: &Media| Prompt::new().message("user").text("See").media(image).text("What is it?");
    assert_eq!(same_as_fresh(&model, &session, &about(&image())), 0);
    let ids = session.prompt_tokens().expect("ids");
    let end = ids.iter().rposition(|id| *id == IMAGE).expect("soft tokens");
    let held = last_turn(&model, &session);
    assert!(held > end);
    let next = about(&image()).message("assistant").text("A strip.").message("user").text("Which colour?");
    assert!(same_as_fresh(&model, &session, &next) >= held);
    // Another picture of the same size: everything from its place on is new.
    let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * 90 % 251) as u8).collect();
    let other = about(&Media::gray(96, 96, &pixels).expect("an image"));
    let begin = ids.iter().position(|id| *id == IMAGE).expect("soft tokens");
    assert!(same_as_fresh(&model, &session, &other) <= begin);
}

fn a_conversation_longer_than_the_window_goes_on_as_if_it_were_new(kind: &str) {
    let model = model(kind);
    let session = Session::new(&model);
    let long = "The window of this model is short, and this text is made longer than that window, so that the \
        beginning of it is not seen any more by the layers that slide over the text.";
    let mut prompt = Prompt::user(long);
    let mut held = 0;
    for turn in 0..3 {
        assert!(same_as_fresh(&model, &session, &prompt) >= held, "turn {turn}");
        held = last_turn(&model, &session);
        assert!(held > 64, "longer than the longest window");
        prompt = prompt.message("assistant").text("I see.").message("user").text(&format!("More, {turn}!"));
    }
    // Forks, the first of them behind the window.
    same_as_fresh(
        &model,
        &session,
        &Prompt::user(long).message("assistant").text("No.").message("user").text("Go on."),
    );
    same_as_fresh(&model, &session, &Prompt::user("Something else"));
}

fn a_prompt_in_small_chunks_gives_the_row_of_the_whole(kind: &str) {
    let model = model(kind);
    for (chunk, name) in [
        (1, "long_text"),
        (16, "long_text"),
        (16, "image_longer_than_window"),
        (16, "interleaved"),
        (50, "two_images"),
    ] {
        let case = Case::load(&format!("{kind}/{name}"));
        let session = Session::of_chunk(&model, chunk);
        let answer = session.answer(&case.prompt(), &Options::endless(1));
        let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
        assert!(off <= TOLERANCE, "{} in chunks of {chunk}: off by {off}", case.name);
    }
}

macro_rules! kinds {
    ($($kind:ident: $folder:literal,)*) => {
        $(mod $kind {
            #[test]
            fn an_image_is_reused_with_what_comes_before_it() {
                super::an_image_is_reused_with_what_comes_before_it($folder);
            }

            #[test]
            fn a_conversation_longer_than_the_window_goes_on_as_if_it_were_new() {
                super::a_conversation_longer_than_the_window_goes_on_as_if_it_were_new($folder);
            }

            #[test]
            fn a_prompt_in_small_chunks_gives_the_row_of_the_whole() {
                super::a_prompt_in_small_chunks_gives_the_row_of_the_whole($folder);
            }
        })*
    };
}

kinds! {
    per_layer_inputs_and_wide_shared_layers: "e2b",
    per_layer_inputs_and_shared_layers: "e4b",
    experts: "moe",
    dense: "dense31",
}
