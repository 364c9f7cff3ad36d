//! Videos, which are images and their times, and sounds that are cut into clips.

use rmlx::ffi::status::{RMLX_ERROR_INVALID_MEDIA, RMLX_ERROR_UNSUPPORTED};

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{Media, Model, Prompt};

fn frame(step: usize) -> Media {
    let pixels: Vec<u8> = (0..96 * 64).map(|i| (i * step % 251) as u8).collect();
    Media::gray(96, 64, &pixels).expect("an image")
}

fn about(medium: &Media) -> Prompt {
    Prompt::new().message("user").text("Look: ").media(medium).text(" What is it?")
}

/// The ids of a special token.
fn id(spelling: &str) -> u32 {
    fixtures::model().tokenize(spelling, true).expect("an id")[0]
}

fn count(ids: &[u32], spelling: &str) -> usize {
    let wanted = id(spelling);
    ids.iter().filter(|id| **id == wanted).count()
}

#[test]
fn a_video_is_shown_as_its_times_and_frames() {
    let (first, second) = (frame(10), frame(70));
    let video = Media::video(&[&first, &second], &[0.0, 61.7]).expect("a video");
    let session = Session::new(fixtures::model());
    session.answer(&about(&video), &Options::endless(3));
    let ids = session.prompt_tokens().expect("ids");
    let soft = session.stats().media_tokens as usize;
    assert_eq!(count(&ids, "<|video|>"), soft);
    let each = soft / 2;
    let frames = |time: &str| format!("{time} <|image>{}<image|>", "<|video|>".repeat(each));
    let shown = format!("{} {}", frames("00:00"), frames("01:01"));
    let text = fixtures::model().detokenize(&ids, false).expect("text");
    assert!(text.contains(&shown), "{text}");
    let rendered = text.replace(&shown, "<|video|>");
    assert_eq!(rendered, fixtures::model().render(&about(&video)).expect("a text"));
    // As the whole text is tokenized, so are the ids.
    assert_eq!(fixtures::model().tokenize(&text, true).expect("ids"), ids);
}

#[test]
fn frames_and_times_tell_videos_apart() {
    let (first, second) = (frame(10), frame(70));
    let video = |frames: [&Media; 2], seconds| Media::video(&frames, seconds).expect("a video");
    let row =
        |session: &Session, video: &Media| session.answer(&about(video), &Options::endless(2)).first_row;
    let model = Model::load(fixtures::path("unified-bf16-mlx")).expect("a model");
    let session = Session::new(&model);
    let told = row(&session, &video([&first, &second], &[0.0, 1.0]));
    assert_eq!(session.stats().encoded_media, 2);
    row(&session, &video([&first, &second], &[0.0, 1.0]));
    let stats = session.stats();
    assert!(stats.reused_tokens == stats.prompt_tokens - 1 && stats.encoded_media == 0);
    // Another time: the first frame is held, the second one is at another place, but encoded already.
    assert_ne!(row(&session, &video([&first, &second], &[0.0, 2.0])), told);
    let stats = session.stats();
    assert!(stats.reused_tokens > stats.media_tokens / 2 && stats.reused_tokens < stats.media_tokens);
    assert_eq!(stats.encoded_media, 0);
    assert_ne!(row(&session, &video([&second, &first], &[0.0, 1.0])), told);
}

#[test]
fn a_frame_may_have_a_budget_of_its_own() {
    let plain = frame(10);
    let detailed = plain.with_budget(280).expect("an image");
    let soft = |media: &Media| {
        let session = Session::new(fixtures::model());
        session.answer(&about(media), &Options::endless(1));
        session.stats().media_tokens
    };
    let alone = soft(&Media::video(&[&plain], &[0.0]).expect("a video"));
    assert!(alone > 0 && alone <= 70);
    let both = soft(&Media::video(&[&plain, &detailed], &[0.0, 1.0]).expect("a video"));
    assert!(both > 3 * alone && both <= alone + 280);
}

#[test]
fn a_video_without_sense_is_refused() {
    let frame = frame(10);
    let refused = |seconds: &[f64]| {
        let frames: Vec<&Media> = seconds.iter().map(|_| &frame).collect();
        Media::video(&frames, seconds).err().expect("an error")
    };
    for seconds in [&[][..], &[-1.0], &[f64::NAN], &[2.0, 1.0]] {
        assert_eq!(refused(seconds).code, RMLX_ERROR_INVALID_MEDIA, "{seconds:?}");
    }
}

#[test]
fn a_sound_longer_than_the_model_takes_is_refused_or_cut() {
    let model = Model::load(fixtures::path("e2b-bf16-hf")).expect("a model");
    let samples: Vec<f32> = (0..496_060).map(|i| (i as f32 * 0.05).sin() * 0.3).collect();
    let sound = Media::pcm(&samples, 16_000).expect("a sound");
    let session = Session::new(&model);
    let failure = session.submit(&about(&sound), &Options::endless(1)).expect_err("an error");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_MEDIA);
    assert!(
        failure.message.contains("31.00 seconds") && failure.message.contains("30 seconds"),
        "{failure:?}"
    );
    let cut = sound.with_split().expect("a sound");
    session.answer(&about(&cut), &Options::endless(1));
    assert_eq!((session.stats().media_tokens, session.stats().encoded_media), (775, 2));
    // The clips as the host itself could cut them.
    let row = |prompt: &Prompt| Session::new(&model).answer(prompt, &Options::endless(1)).first_row;
    let [first, second] =
        [&samples[..480_000], &samples[480_000..]].map(|s| Media::pcm(s, 16_000).expect("a sound"));
    let apart =
        Prompt::new().message("user").text("Look: ").media(&first).media(&second).text(" What is it?");
    assert_eq!(row(&about(&cut)), row(&apart));
    let short = Media::pcm(&samples[..160], 16_000).expect("a sound");
    let failure = session.submit(&about(&short), &Options::endless(1)).expect_err("an error");
    assert!(failure.message.contains("at least 161"), "{failure:?}");
}

#[test]
fn a_model_that_only_sees_takes_no_sound() {
    let model = Model::load(fixtures::path("moe-bf16-hf")).expect("a model");
    let modalities = &model.info()["modalities"];
    assert_eq!(*modalities, serde_json::json!(["text", "image", "video"]));
    let sound = Media::pcm(&[0.1; 1600], 16_000).expect("a sound");
    let failure = Session::new(&model).submit(&about(&sound), &Options::endless(1)).expect_err("an error");
    assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED);
}
