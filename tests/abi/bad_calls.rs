//! NULL where something must be, and numbers out of range.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;

use rmlx::ffi::cancel::*;
use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::load_options::*;
use rmlx::ffi::log::rmlx_set_log_callback;
use rmlx::ffi::media::*;
use rmlx::ffi::memory::rmlx_memory_stats;
use rmlx::ffi::model::*;
use rmlx::ffi::probe::rmlx_probe;
use rmlx::ffi::prompt::*;
use rmlx::ffi::session::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::stats::rmlx_session_stats;
use rmlx::ffi::status::*;
use rmlx::ffi::string::rmlx_string_release;
use rmlx::ffi::version::rmlx_has_feature;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{ErrorOut, Failure, Media, Prompt, c_text, check};
use crate::sound;

/// The call must refuse its NULL and name the argument; it must also do without a place for its error.
#[track_caller]
fn refuses_null(argument: &str, mut call: impl FnMut(ErrorOut<'_>) -> rmlx_status) {
    let failure = check(&mut call).expect_err("NULL is refused");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
    assert!(failure.message.contains(argument) && failure.message.contains("NULL"), "{failure:?}");
    assert_eq!(failure.details["argument"], argument);
    assert_eq!(call(None), RMLX_ERROR_INVALID_ARGUMENT, "without a place for the error");
}

fn slot<T>() -> MaybeUninit<*mut T> {
    MaybeUninit::new(ptr::null_mut())
}

const NO_TEXT: *const c_char = ptr::null();
const DIR: *const c_char = c"a folder".as_ptr();

#[test]
fn functions_of_models_refuse_null() {
    let model = fixtures::model();
    let prompt = Prompt::user("Hello");
    let (mut out, mut text, mut count) = (slot(), slot(), MaybeUninit::new(0));
    let abc: *const c_char = c"abc".as_ptr();
    // SAFETY: what is not NULL is what it says.
    unsafe {
        refuses_null("dir", |e| rmlx_model_load(NO_TEXT, None, Some(&mut out), e));
        refuses_null("out", |e| rmlx_model_load(DIR, None, None, e));
        refuses_null("dir", |e| rmlx_model_inspect(NO_TEXT, Some(&mut text), e));
        refuses_null("out_json", |e| rmlx_model_inspect(DIR, None, e));
        refuses_null("model", |e| {
            rmlx_model_tokenize(None, abc, 3, true, ptr::null_mut(), 0, Some(&mut count), e)
        });
        refuses_null("utf8", |e| {
            rmlx_model_tokenize(model.raw(), NO_TEXT, 3, true, ptr::null_mut(), 0, Some(&mut count), e)
        });
        refuses_null("out_count", |e| {
            rmlx_model_tokenize(model.raw(), abc, 3, true, ptr::null_mut(), 0, None, e)
        });
        refuses_null("out", |e| {
            rmlx_model_tokenize(model.raw(), abc, 3, true, ptr::null_mut(), 9, Some(&mut count), e)
        });
        refuses_null("model", |e| {
            rmlx_model_detokenize(None, [1].as_ptr(), 1, true, Some(&mut text), None, e)
        });
        refuses_null("ids", |e| {
            rmlx_model_detokenize(model.raw(), ptr::null(), 1, true, Some(&mut text), None, e)
        });
        refuses_null("out_utf8", |e| {
            rmlx_model_detokenize(model.raw(), [1].as_ptr(), 1, true, None, None, e)
        });
    }
    refuses_null("model", |e| rmlx_model_info_json(None, Some(&mut text), e));
    refuses_null("out_json", |e| rmlx_model_info_json(model.raw(), None, e));
    refuses_null("model", |e| rmlx_model_render_prompt(None, prompt.raw(), None, Some(&mut text), None, e));
    refuses_null("prompt", |e| rmlx_model_render_prompt(model.raw(), None, None, Some(&mut text), None, e));
    refuses_null("out_utf8", |e| rmlx_model_render_prompt(model.raw(), prompt.raw(), None, None, None, e));
    refuses_null("model", |e| rmlx_model_count_tokens(None, prompt.raw(), None, Some(&mut count), e));
    refuses_null("prompt", |e| rmlx_model_count_tokens(model.raw(), None, None, Some(&mut count), e));
    refuses_null("out_count", |e| rmlx_model_count_tokens(model.raw(), prompt.raw(), None, None, e));
    refuses_null("model", |e| rmlx_probe(None, Some(&mut text), e));
    refuses_null("out_json", |e| rmlx_probe(model.raw(), None, e));
    // SAFETY: nothing was written.
    assert!(unsafe { out.assume_init().is_null() && text.assume_init().is_null() });
    sound::host_is_sound();
}

#[test]
fn functions_of_sessions_refuse_null() {
    let model = fixtures::model();
    let session = Session::new(model);
    let (prompt, options) = (Prompt::user("Hello"), Options::greedy(1));
    let (mut out, mut event, mut count) = (slot(), slot(), MaybeUninit::new(0));
    refuses_null("model", |e| rmlx_session_new(None, None, Some(&mut out), e));
    refuses_null("out", |e| rmlx_session_new(model.raw(), None, None, e));
    // SAFETY: what is not NULL is what it says.
    unsafe {
        refuses_null("session", |e| rmlx_session_submit(None, prompt.raw(), options.raw(), e));
        refuses_null("prompt", |e| rmlx_session_submit(session.raw(), None, options.raw(), e));
        refuses_null("session", |e| rmlx_session_step(None, Some(&mut event), e));
        refuses_null("session", |e| rmlx_session_reset(None, e));
        refuses_null("session", |e| rmlx_session_logits(None, ptr::null_mut(), 0, Some(&mut count), e));
        refuses_null("out_count", |e| rmlx_session_logits(session.raw(), ptr::null_mut(), 0, None, e));
        refuses_null("session", |e| {
            rmlx_session_prompt_tokens(None, ptr::null_mut(), 0, Some(&mut count), e)
        });
        refuses_null("out_count", |e| rmlx_session_prompt_tokens(session.raw(), ptr::null_mut(), 0, None, e));
        refuses_null("session", |e| rmlx_session_stats(None, &mut session.stats(), e));
        refuses_null("inout_stats", |e| rmlx_session_stats(session.raw(), ptr::null_mut(), e));
        refuses_null("inout_usage", |e| rmlx_memory_stats(ptr::null_mut(), e));
        rmlx_session_cancel(None);
    }
    rmlx_session_release(None);
    sound::is_usable(&session);
}

#[test]
fn a_step_without_a_place_for_its_event_loses_none() {
    let session = Session::new(fixtures::model());
    session.submit(&Prompt::user("Hello"), &Options::endless(2)).expect("an accepted prompt");
    // SAFETY: the session lives.
    refuses_null("out_event", |e| unsafe { rmlx_session_step(session.raw(), None, e) });
    assert_eq!(session.rest().events.len(), 3);
    sound::is_usable(&session);
}

#[test]
fn functions_of_media_refuse_null() {
    let image = Media::gray(2, 2, &[0; 4]).expect("an image");
    let mut out = slot();
    // SAFETY: what is not NULL is what it says.
    unsafe {
        refuses_null("bytes", |e| rmlx_image_from_encoded(ptr::null(), 9, None, Some(&mut out), e));
        refuses_null("out", |e| rmlx_image_from_encoded([0u8; 9].as_ptr().cast(), 9, None, None, e));
        refuses_null("desc", |e| rmlx_image_from_pixels(ptr::null(), Some(&mut out), e));
        refuses_null("bytes", |e| rmlx_audio_from_encoded(ptr::null(), 9, None, Some(&mut out), e));
        refuses_null("out", |e| rmlx_audio_from_encoded([0u8; 9].as_ptr().cast(), 9, None, None, e));
        refuses_null("samples", |e| rmlx_audio_from_pcm_f32(ptr::null(), 9, 1, 16_000, Some(&mut out), e));
        refuses_null("out", |e| rmlx_audio_from_pcm_f32([0f32; 9].as_ptr(), 9, 1, 16_000, None, e));
        assert!(rmlx_media_retain(ptr::null()).is_null());
        rmlx_media_release(None);
    }
    refuses_null("image", |e| rmlx_image_with_soft_token_budget(None, 70, Some(&mut out), e));
    refuses_null("out", |e| rmlx_image_with_soft_token_budget(image.raw(), 70, None, e));
    refuses_null("image", |e| rmlx_image_with_pan_and_scan(None, true, Some(&mut out), e));
    refuses_null("out", |e| rmlx_image_with_pan_and_scan(image.raw(), true, None, e));
    refuses_null("image", |e| rmlx_image_with_pixel_range(None, 1, 2, Some(&mut out), e));
    refuses_null("out", |e| rmlx_image_with_pixel_range(image.raw(), 1, 2, None, e));
    assert_eq!((rmlx_media_kind(None), rmlx_image_width(None), rmlx_image_height(None)), (0, 0, 0));
    assert_eq!(rmlx_audio_seconds(None), 0.0);
    assert_eq!(rmlx_audio_lost_seconds(None), 0.0);
    // SAFETY: nothing was written.
    assert!(unsafe { out.assume_init() }.is_null());
}

#[test]
fn functions_of_prompts_refuse_null() {
    let image = Media::gray(2, 2, &[0; 4]).expect("an image");
    let mut prompt = rmlx_prompt_new();
    // SAFETY: what is not NULL is what it says.
    unsafe {
        refuses_null("prompt", |e| rmlx_prompt_begin_message(None, c"user".as_ptr(), e));
        refuses_null("role", |e| rmlx_prompt_begin_message(prompt.as_deref_mut(), NO_TEXT, e));
        check(|e| rmlx_prompt_begin_message(prompt.as_deref_mut(), c"user".as_ptr(), e)).expect("a role");
        refuses_null("prompt", |e| rmlx_prompt_add_text(None, c"a".as_ptr(), 1, e));
        refuses_null("utf8", |e| rmlx_prompt_add_text(prompt.as_deref_mut(), NO_TEXT, 1, e));
        refuses_null("prompt", |e| rmlx_prompt_set_tools_json(None, c"[]".as_ptr(), 2, e));
        refuses_null("json", |e| rmlx_prompt_set_tools_json(prompt.as_deref_mut(), NO_TEXT, 2, e));
        refuses_null("json", |e| rmlx_prompt_set_template_vars_json(prompt.as_deref_mut(), NO_TEXT, 2, e));
        refuses_null("ids", |e| rmlx_prompt_set_tokens(prompt.as_deref_mut(), ptr::null(), 2, e));
    }
    refuses_null("prompt", |e| rmlx_prompt_add_media(None, image.raw(), e));
    refuses_null("media", |e| rmlx_prompt_add_media(prompt.as_deref_mut(), None, e));
    rmlx_prompt_release(prompt);
    rmlx_prompt_release(None);
}

#[test]
fn parts_before_the_first_message_and_json_of_the_wrong_kind_are_refused() {
    let mut prompt = rmlx_prompt_new();
    let mut refused = |call: &mut dyn FnMut(Option<&mut rmlx_prompt>, ErrorOut<'_>) -> rmlx_status| {
        let failure = check(|e| call(prompt.as_deref_mut(), e)).expect_err("refused");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
    };
    // SAFETY: the texts are as long as their lengths say.
    unsafe {
        refused(&mut |p, e| rmlx_prompt_add_text(p, c"a".as_ptr(), 1, e));
        refused(&mut |p, e| rmlx_prompt_begin_message(p, c"".as_ptr(), e));
        refused(&mut |p, e| rmlx_prompt_set_tools_json(p, c"{}".as_ptr(), 2, e));
        refused(&mut |p, e| rmlx_prompt_set_tools_json(p, c"[1]".as_ptr(), 3, e));
        refused(&mut |p, e| rmlx_prompt_set_tools_json(p, c"[".as_ptr(), 1, e));
        refused(&mut |p, e| rmlx_prompt_set_template_vars_json(p, c"[]".as_ptr(), 2, e));
        refused(&mut |p, e| rmlx_prompt_set_template_vars_json(p, c"\xff".as_ptr(), 1, e));
    }
    rmlx_prompt_release(prompt);
}

#[test]
fn options_out_of_range_are_refused_and_stay_as_they_were() {
    let mut options = rmlx_generation_options_new();
    type Setter<'a> = &'a dyn Fn(Option<&mut rmlx_generation_options>, ErrorOut<'_>) -> rmlx_status;
    let setters: [Setter<'_>; 12] = [
        &|o, e| rmlx_generation_options_set_max_tokens(o, 0, e),
        &|o, e| rmlx_generation_options_set_temperature(o, -0.1, e),
        &|o, e| rmlx_generation_options_set_temperature(o, f32::NAN, e),
        &|o, e| rmlx_generation_options_set_temperature(o, f32::INFINITY, e),
        &|o, e| rmlx_generation_options_set_top_p(o, 1.1, e),
        &|o, e| rmlx_generation_options_set_min_p(o, -1.0, e),
        &|o, e| rmlx_generation_options_set_repetition_penalty(o, 0.0, e),
        &|o, e| rmlx_generation_options_set_presence_penalty(o, 101.0, e),
        &|o, e| rmlx_generation_options_set_frequency_penalty(o, f32::NEG_INFINITY, e),
        &|o, e| rmlx_generation_options_add_logit_bias(o, 1, f32::NAN, e),
        // SAFETY: no byte is read.
        &|o, e| unsafe { rmlx_generation_options_add_stop(o, c"".as_ptr(), 0, e) },
        // SAFETY: the text is one byte long.
        &|o, e| unsafe { rmlx_generation_options_add_stop(o, c"\xff".as_ptr(), 1, e) },
    ];
    for setter in setters {
        let failure = check(|e| setter(options.as_deref_mut(), e)).expect_err("out of range");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_ARGUMENT, "{failure:?}");
        assert_eq!(setter(None, None), RMLX_ERROR_INVALID_ARGUMENT, "NULL options");
    }
    rmlx_generation_options_release(options);
    rmlx_generation_options_release(None);
    // Options that refused everything still work.
    let refusing = Options::endless(2);
    let answer = Session::new(fixtures::model()).answer(&Prompt::user("Hello"), &refusing);
    assert_eq!(answer.tokens().len(), 2);
}

#[test]
fn limits_of_zero_are_refused() {
    let mut load = rmlx_load_options_new();
    let mut session = rmlx_session_options_new();
    let refused = |outcome: Result<(), Failure>| {
        assert_eq!(outcome.expect_err("0 is refused").code, RMLX_ERROR_INVALID_ARGUMENT);
    };
    refused(check(|e| rmlx_load_options_set_memory_limit(load.as_deref_mut(), 0, e)));
    refused(check(|e| rmlx_load_options_set_context_length(load.as_deref_mut(), 0, e)));
    refused(check(|e| rmlx_session_options_set_context_length(session.as_deref_mut(), 0, e)));
    refused(check(|e| rmlx_session_options_set_prefill_chunk(session.as_deref_mut(), 0, e)));
    refuses_null("options", |e| rmlx_load_options_set_memory_limit(None, 1, e));
    refuses_null("options", |e| rmlx_load_options_set_cancel(None, None, e));
    refuses_null("options", |e| rmlx_session_options_set_prefill_chunk(None, 1, e));
    rmlx_load_options_release(load);
    rmlx_session_options_release(session);
}

#[test]
fn releases_and_questions_take_null() {
    rmlx_load_options_release(None);
    rmlx_session_options_release(None);
    rmlx_event_release(None);
    rmlx_error_release(None);
    rmlx_cancel_trigger(None);
    // SAFETY: NULL is what these take.
    unsafe {
        rmlx_model_release(None);
        rmlx_cancel_release(None);
        rmlx_string_release(ptr::null_mut());
        assert!(rmlx_model_retain(ptr::null()).is_null());
        assert!(rmlx_cancel_retain(ptr::null()).is_null());
        assert!(!rmlx_has_feature(NO_TEXT));
    }
    assert_eq!((rmlx_event_kind(None), rmlx_event_finish_reason(None)), (0, RMLX_FINISH_NONE));
    assert!(!rmlx_event_token(None, None) && !rmlx_event_logprob(None, None));
    assert!(!rmlx_event_progress(None, None, None) && rmlx_event_error(None).is_none());
    assert_eq!(c_text(rmlx_event_text(None, None)), "");
    assert_eq!(rmlx_event_top_logprob_count(None), 0);
    assert_eq!(c_text(rmlx_event_top_logprob_text(None, 0)), "");
    assert_eq!(rmlx_error_code(None), RMLX_OK);
    assert_eq!(c_text(rmlx_error_message(None)), "");
    assert_eq!(c_text(rmlx_error_details_json(None)), "{}");
    assert_eq!(c_text(rmlx_status_name(12345)), "RMLX_ERROR_UNKNOWN");
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    // SAFETY: there is no callback.
    let failure = check(|e| unsafe { rmlx_set_log_callback(99, None, ptr::null_mut(), None, e) });
    assert_eq!(failure.expect_err("unknown").code, RMLX_ERROR_INVALID_ARGUMENT);
}
