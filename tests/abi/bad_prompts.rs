//! Conversations that cannot be answered, and templates that misbehave.

use rmlx::ffi::event::{RMLX_FINISH_CONTEXT_FULL, RMLX_FINISH_MAX_TOKENS};
use rmlx::ffi::generation_options::*;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Failure, Model, Prompt};
use crate::scratch::Scratch;
use crate::sound;

/// The submit must fail with `code` and name each of `what`, and the session must go on.
#[track_caller]
fn refused(session: &Session, prompt: &Prompt, code: rmlx_status, what: &[&str]) -> Failure {
    let failure = session.submit(prompt, &Options::greedy(4)).expect_err("the submit fails");
    assert_eq!(failure.code, code, "{failure:?}");
    for what in what {
        assert!(failure.message.contains(what), "{what:?} is not in {:?}", failure.message);
    }
    assert_eq!(session.step().expect_err("no event follows").code, RMLX_ERROR_INVALID_ARGUMENT);
    failure
}

#[track_caller]
fn template_is_refused(template: &str, what: &[&str]) {
    let scratch = Scratch::dense().with_template(template);
    let model = Model::load(scratch.path()).expect("the template compiles");
    let session = Session::new(&model);
    refused(&session, &Prompt::user("Hello"), RMLX_ERROR_INVALID_PROMPT, what);
    let failure = model.render(&Prompt::user("Hello")).expect_err("it cannot be shown either");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_PROMPT);
    // Without the template the same session answers.
    let case = Case::load("text");
    let answer = session.answer(&Prompt::new().tokens(&case.prompt_ids), &Options::endless(4));
    assert_eq!(answer.tokens(), case.bf16().greedy_ids[..4]);
}

#[test]
fn a_template_that_loops_forever_is_stopped() {
    let range = "range(10000)";
    template_is_refused(
        &format!(
            "{{% for a in {range} %}}{{% for b in {range} %}}{{% for c in {range} %}}{{% endfor %}}{{% endfor %}}{{% endfor %}}"
        ),
        &["chat_template.jinja"],
    );
}

#[test]
fn a_template_that_calls_itself_forever_is_stopped() {
    template_is_refused("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", &["chat_template.jinja"]);
}

#[test]
fn what_a_template_raises_is_passed_on() {
    template_is_refused("{{ raise_exception('Roles must alternate') }}", &["Roles must alternate"]);
    let session = Session::new(fixtures::model());
    let prompt = Prompt::new().message("wizard").text("Hello");
    refused(&session, &prompt, RMLX_ERROR_INVALID_PROMPT, &["This model has no role wizard"]);
    sound::is_usable(&session);
}

#[test]
fn a_prompt_without_messages_is_refused() {
    let session = Session::new(fixtures::model());
    refused(&session, &Prompt::new(), RMLX_ERROR_INVALID_PROMPT, &["no messages"]);
    sound::is_usable(&session);
}

#[test]
fn text_that_is_not_utf8_is_told_with_the_byte() {
    let mut prompt = Prompt::new().message("user");
    for (text, byte) in [(&b"ab\xffcd"[..], 2), (b"\xc3", 0), (b"ok \xed\xa0\x80", 3), (b"\xf8\x88\x80", 0)] {
        let failure = prompt.add_bytes(text).expect_err("not UTF-8");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT);
        assert_eq!(failure.details["byte"], byte, "{failure:?}");
        assert!(failure.message.contains("UTF-8"), "{failure:?}");
    }
    // The message holds nothing of the texts that were refused.
    let prompt = prompt.text("Hello");
    let model = fixtures::model();
    assert_eq!(model.render(&prompt), model.render(&Prompt::user("Hello")));
}

#[test]
fn a_text_may_hold_a_nul() {
    let session = Session::new(fixtures::model());
    let answer = session.answer(&Prompt::user("a\0b"), &Options::endless(2));
    assert_eq!(answer.finish(), RMLX_FINISH_MAX_TOKENS);
}

#[test]
fn a_prompt_past_the_context_is_refused_and_one_that_just_fits_gets_one_token() {
    let case = Case::load("image_and_audio");
    let len = case.prompt_ids.len();
    let model = fixtures::model();
    let failure = {
        let session = Session::of_context(model, len);
        let failure = session.submit(&case.prompt(), &Options::greedy(4)).expect_err("too long");
        sound::is_usable(&session);
        failure
    };
    assert_eq!(failure.code, RMLX_ERROR_CONTEXT_FULL);
    assert!(failure.message.contains(&len.to_string()), "{failure:?}");
    let session = Session::of_context(model, len + 1);
    let answer = session.answer(&case.prompt(), &Options::endless(4));
    assert_eq!(answer.tokens(), case.bf16().greedy_ids[..1]);
    assert_eq!(answer.finish(), RMLX_FINISH_CONTEXT_FULL);
}

#[test]
fn an_answer_that_fills_the_context_ends_there() {
    let case = Case::load("text");
    let session = Session::of_context(fixtures::model(), case.prompt_ids.len() + 6);
    let answer = session.answer(&case.prompt(), &Options::endless(100));
    assert_eq!(answer.tokens(), case.bf16().greedy_ids[..6]);
    assert_eq!(answer.finish(), RMLX_FINISH_CONTEXT_FULL);
    sound::is_usable(&session);
}

#[test]
fn token_ids_outside_of_the_vocabulary_are_refused() {
    let session = Session::new(fixtures::model());
    for id in [768, u32::MAX] {
        let prompt = Prompt::new().tokens(&[2, id]);
        let failure = refused(&session, &prompt, RMLX_ERROR_INVALID_ARGUMENT, &[&id.to_string()]);
        assert_eq!(failure.details["token"], id);
        let counted = fixtures::model().count(&prompt).expect_err("it cannot be counted either");
        assert_eq!(counted.code, RMLX_ERROR_INVALID_ARGUMENT);
    }
    sound::is_usable(&session);
}

#[test]
fn options_that_only_the_model_can_judge_are_refused_at_the_submit() {
    let session = Session::new(fixtures::model());
    for options in [
        Options::greedy(1).bias(768, 1.0),
        Options::greedy(1).set(|o, e| rmlx_generation_options_set_top_logprobs(o, 769, e)),
    ] {
        let failure = session.submit(&Prompt::user("Hello"), &options).expect_err("out of range");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
        assert!(failure.message.contains("768"), "{failure:?}");
    }
    sound::is_usable(&session);
}

#[test]
fn media_that_the_model_does_not_understand_are_refused() {
    let scratch = Scratch::dense()
        .json("config.json", |config| {
            config.remove("audio_config");
            config.remove("audio_token_id");
        })
        .weights(|header, data| {
            // The first tensor of the file: what follows moves to the front.
            let audio = header.remove("embed_audio.embedding_projection.weight").expect("the projection");
            let len = audio["data_offsets"][1].as_u64().expect("an offset");
            data.drain(..len as usize);
            for (_, tensor) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
                let offsets = tensor["data_offsets"].as_array().expect("offsets");
                tensor["data_offsets"] =
                    offsets.iter().map(|offset| offset.as_u64().expect("an offset") - len).collect();
            }
        });
    let model = Model::load(scratch.path()).expect("a model that only sees");
    let session = Session::new(&model);
    let failure = session.submit(&Case::load("audio").prompt(), &Options::greedy(1)).expect_err("it is deaf");
    assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
    assert!(failure.message.contains("audio"), "{failure:?}");
    sound::is_usable(&session);
}

/// JSON is taken apart on the host's thread, whose stack may be small.
#[test]
fn json_that_is_nested_deeply_is_refused_on_a_small_stack() {
    let schema = |depth: usize| format!("[{}1{}]", "{\"a\":".repeat(depth), "}".repeat(depth));
    let work = move || {
        for depth in [41, 120, 100_000] {
            let failure = Prompt::from_json_text(&schema(depth), &[]).err().expect("too deep");
            assert!(failure.message.contains("nested deeper than 40 levels"), "{failure:?}");
        }
    };
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(work)
        .expect("a thread")
        .join()
        .expect("no overflow");
}
