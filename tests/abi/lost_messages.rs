//! A template that drops what a message says is an error that names the message: nothing is left out in silence.

use rmlx::ffi::status::RMLX_ERROR_INVALID_PROMPT;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{Media, Model, Prompt};
use crate::scratch::Scratch;

const FOLDERS: [&str; 4] = ["gemma3-bf16-mlx", "qwen3vl-bf16-mlx", "unified-bf16-mlx", "gemma4text-bf16-hf"];

/// Counting and submitting must both fail for the message `index`, and the session goes on.
#[track_caller]
fn names_the_message(model: &Model, prompt: &Prompt, index: u64, says: &str) {
    let session = Session::new(model);
    for failure in [model.count(prompt).err(), session.submit(prompt, &Options::greedy(1)).err()] {
        let failure = failure.expect("it is refused");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_PROMPT, "{failure:?}");
        assert_eq!(failure.details["message_index"], index, "{failure:?}");
        assert!(failure.message.contains(says), "{says:?} is not in {:?}", failure.message);
    }
    session.answer(&Prompt::user("Hello"), &Options::endless(1));
}

/// A snapshot whose template sees the last message only.
fn forgetful(folder: &str) -> Scratch {
    let scratch = Scratch::of(folder);
    let template = scratch.text("chat_template.jinja");
    scratch.with_template(&format!("{{%- set messages = messages[-1:] -%}}{template}"))
}

#[test]
fn a_message_that_the_template_drops_is_named() {
    for folder in FOLDERS {
        let model = Model::load(forgetful(folder).path()).expect("the snapshot loads");
        let talk = Prompt::user("My name is Ada.").message("assistant").text("Hello, Ada.");
        let talk = talk.message("user").text("What is my name?");
        names_the_message(&model, &talk, 0, "the text of message 0 (role 'user')");
        // The last one is kept, and empty ones are no loss.
        let alone =
            Prompt::user(" \n").message("assistant").text("").message("user").text("What is my name?");
        assert!(model.count(&alone).is_ok(), "{folder}");
    }
}

#[test]
fn a_message_between_others_that_the_template_drops_is_named() {
    // Roles that the template has no branch for.
    let model = Model::load(fixtures::path("qwen3vl-bf16-mlx")).expect("the snapshot loads");
    let talk = Prompt::user("Hello").message("developer").text("Be brief.").message("user").text("Why?");
    names_the_message(&model, &talk, 1, "the text of message 1 (role 'developer')");
    let late = Prompt::user("Hello").message("system").text("Be brief.").message("user").text("Why?");
    names_the_message(&model, &late, 1, "the text of message 1 (role 'system')");
}

#[test]
fn a_message_beside_pictures_that_the_template_drops_is_named() {
    let image = Media::gray(64, 64, &[90; 64 * 64]).expect("an image");
    let model = Model::load(fixtures::path("qwen3vl-bf16-mlx")).expect("the snapshot loads");
    let talk = Prompt::new().message("user").media(&image).text("What is it?");
    let talk = talk.message("developer").text("Be brief.").message("user").media(&image).text("And this?");
    names_the_message(&model, &talk, 1, "the text of message 1 (role 'developer')");
}

#[test]
fn a_tool_result_that_the_template_drops_is_named() {
    let silent = Scratch::of("qwen3vl-bf16-mlx").replacing(
        "chat_template.jinja",
        "'\\n<tool_response>\\n' + parts(message.content) + '\\n</tool_response>'",
        "''",
    );
    let model = Model::load(silent.path()).expect("the snapshot loads");
    let talk =
        Prompt::user("The weather?").message("assistant").text("I ask.").message("tool").text("Sunny.");
    names_the_message(&model, &talk, 2, "the tool result of message 2");
}
