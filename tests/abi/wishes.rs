//! What a host may wish of one image: what each family does with it, and what it says where it cannot.

use rmlx::ffi::status::RMLX_ERROR_UNSUPPORTED;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case, TOLERANCE, distance};
use crate::harness::{Media, Model, Outcome, Prompt};
use crate::scratch::Scratch;

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("the snapshot loads")
}

fn picture(width: u32, height: u32) -> Media {
    let pixels: Vec<u8> = (0..width * height).map(|i| (i * 7 % 251) as u8).collect();
    Media::gray(width, height, &pixels).expect("an image")
}

fn about(image: &Media) -> Prompt {
    Prompt::new().message("user").media(image).text("What is it?")
}

/// Soft tokens of an image.
fn soft_tokens(model: &Model, image: &Outcome<Media>) -> usize {
    let session = Session::new(model);
    session.answer(&about(image.as_ref().expect("an image")), &Options::endless(1));
    session.stats().media_tokens as usize
}

/// Counting tokens and submitting must both fail, and say what the model can do; the session of it, which answers.
#[track_caller]
pub fn is_refused(model: &Model, image: Outcome<Media>, says: &[&str]) -> Session {
    let prompt = about(&image.expect("an image"));
    let session = Session::new(model);
    for failure in [model.count(&prompt).err(), session.submit(&prompt, &Options::greedy(1)).err()] {
        let failure = failure.expect("it is refused");
        assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
        for what in says {
            assert!(failure.message.contains(what), "{what:?} is not in {:?}", failure.message);
        }
    }
    let answer = session.answer(&Prompt::user("Hello"), &Options::endless(2));
    assert_eq!(answer.tokens().len(), 2);
    session
}

/// The prompt of `case` with each of its images changed by `wish` must be the golden one.
#[track_caller]
fn is_answered_as(model: &Model, case: &Case, wish: impl Fn(&Media) -> Outcome<Media>) {
    let session = Session::new(model);
    let answer =
        session.answer(&case.prompt_with(|image| wish(&image).expect("an image")), &Options::endless(1));
    assert_eq!(session.prompt_tokens().expect("ids"), case.prompt_ids, "{}", case.name);
    let off = distance(&answer.first_row, &case.tensor("bf16/logits"), case.bf16().sigma);
    assert!(off <= TOLERANCE, "{}: off by {off}", case.name);
}

#[test]
fn gemma3_shows_every_image_with_its_own_number_of_soft_tokens() {
    let model = load("gemma3-bf16-mlx");
    let image = picture(96, 64);
    assert_eq!(soft_tokens(&model, &image.with_budget(16)), 16);
    for other in [15, 70, 256] {
        let asked = format!("budget of {other}");
        is_refused(&model, image.with_budget(other), &[&asked, "16 soft tokens", "pan and scan"]);
    }
}

#[test]
fn gemma3_takes_a_pixel_range_only_around_the_size_of_its_tower() {
    let model = load("gemma3-bf16-mlx");
    let image = picture(96, 64);
    let size = 112 * 112;
    assert_eq!(soft_tokens(&model, &image.with_pixel_range(1000, size)), 16);
    is_refused(&model, image.with_pixel_range(1000, size - 1), &["1000 to 12543 pixels", "112 x 112"]);
    is_refused(&model, image.with_pixel_range(size + 1, 99_999), &["12545 to 99999 pixels", "112 x 112"]);
}

#[test]
fn pan_and_scan_that_is_wished_is_that_of_the_configuration() {
    // The golden crops are those of these numbers, with pan and scan on by itself.
    let numbers = fixtures::path("gemma3-panscan/preprocessor_config.json");
    let numbers = std::fs::read(numbers).expect("a configuration");
    let off = Scratch::of("gemma3-bf16-mlx")
        .with("preprocessor_config.json", numbers)
        .json("preprocessor_config.json", |config| {
            drop(config.insert("do_pan_and_scan".into(), false.into()))
        });
    let model = Model::load(off.path()).expect("the snapshot loads");
    for case in Case::of("gemma3-panscan") {
        is_answered_as(&model, &case, |image| image.with_pan_and_scan(true));
    }
    // Without the wish it stays off.
    for name in ["one_image", "two_images", "interleaved"] {
        let case = Case::load(&format!("gemma3/{name}"));
        is_answered_as(&model, &case, |image| image.with_budget(16));
        is_answered_as(&model, &case, |image| image.with_pan_and_scan(false));
    }
}

#[test]
fn pan_and_scan_that_is_not_wished_is_left_out() {
    let model = load("gemma3-panscan");
    for case in Case::of("gemma3") {
        is_answered_as(&model, &case, |image| image.with_pan_and_scan(false));
    }
}

#[test]
fn long_images_are_shown_in_crops_besides_the_whole_where_that_is_wished() {
    let model = load("gemma3-bf16-mlx");
    let of = |image: Media| [false, true].map(|on| soft_tokens(&model, &image.with_pan_and_scan(on)));
    assert_eq!(of(picture(1024, 300)), [16, 16 * 4]);
    assert_eq!(of(picture(300, 1024)), [16, 16 * 4]);
    assert_eq!(of(picture(600, 600)), [16, 16]);
    assert_eq!(of(picture(200, 100)), [16, 16], "crops would be smaller than crops may be");
}

#[test]
fn qwen3_vl_spends_what_the_budget_and_the_range_allow() {
    for folder in ["qwen3vl-bf16-mlx", "qwen3vlmoe-bf16-mlx"] {
        let model = load(folder);
        let (image, small) = (picture(160, 160), picture(20, 20));
        let soft = |image| soft_tokens(&model, &image);
        assert_eq!(soft(picture(160, 160).with_pan_and_scan(false)), 25);
        assert_eq!(soft(image.with_budget(25)), 25);
        assert_eq!(soft(image.with_budget(9)), 9);
        assert_eq!(soft(image.with_budget(1)), 1);
        assert_eq!(soft(image.with_pixel_range(1024, 4 * 1024)), 4);
        assert_eq!(soft(image.with_pixel_range(36 * 1024, 64 * 1024)), 36);
        assert_eq!(soft(small.with_pixel_range(1024, 4 * 1024)), 1);
        assert_eq!(soft(small.with_pixel_range(25 * 1024, 64 * 1024)), 25);
        let both = image.with_pixel_range(1024, 64 * 1024).expect("an image");
        assert_eq!(soft(both.with_budget(9)), 9);
    }
}

#[test]
fn the_same_picture_of_two_sizes_is_encoded_twice() {
    let model = load("qwen3vl-bf16-mlx");
    let image = picture(160, 160);
    let (small, large) = (image.with_budget(4).expect("an image"), image.with_budget(25).expect("an image"));
    let session = Session::new(&model);
    let prompt =
        Prompt::new().message("user").media(&small).media(&large).media(&small).text("Which is larger?");
    session.answer(&prompt, &Options::endless(1));
    let stats = session.stats();
    assert_eq!((stats.media_tokens, stats.encoded_media), (4 + 25 + 4, 2));
    session.answer(&about(&large), &Options::endless(1));
    assert_eq!((session.stats().media_tokens, session.stats().encoded_media), (25, 0));
}

#[test]
fn qwen3_vl_says_what_it_can_do_where_a_wish_cannot_be() {
    let model = load("qwen3vl-bf16-mlx");
    let image = picture(160, 160);
    let can = "one soft token for 32 x 32 pixels";
    is_refused(&model, image.with_pan_and_scan(true), &["pan and scan", can]);
    is_refused(&model, image.with_pixel_range(10, 1023), &["10 to 1023 pixels", can]);
    let range = image.with_pixel_range(10 * 1024, 20 * 1024).expect("an image");
    is_refused(&model, range.with_budget(4), &["10240 to 20480 pixels in 4 soft tokens", can]);
}

#[test]
fn gemma4_says_what_it_can_do_where_a_wish_cannot_be() {
    for folder in ["unified-bf16-mlx", "e2b-bf16-hf", "moe-bf16-hf"] {
        let model = load(folder);
        let image = picture(160, 160);
        is_refused(
            &model,
            image.with_pan_and_scan(true),
            &["pan and scan", "Gemma 4 shows it whole", "[70, 140"],
        );
        is_refused(&model, image.with_pixel_range(1024, 4096), &["1024 to 4096 pixels", "[70, 140"]);
        is_refused(&model, image.with_budget(71), &["budget of 71", "[70, 140, 280, 560, 1120]"]);
    }
}
