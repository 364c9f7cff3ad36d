//! Mistakes that other implementations have made. Each has its own wrong answer, which must not be given.

use std::sync::OnceLock;

use rmlx::ffi::event::RMLX_FINISH_END_OF_TURN;
use serde_json::json;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Model, Prompt};
use crate::mistakes::{self, Answered, asked, near_the_right_row};
use crate::scratch::Scratch;

const BOS: u32 = 2;
const OPENER: u32 = 15;
const END_OF_TURN: u32 = 16;
const IMAGE: u32 = 721;

/// The golden cases on the dense snapshot, which all tests here look at.
fn never_made(mistake: &str) {
    static ANSWERED: OnceLock<Vec<Answered>> = OnceLock::new();
    mistakes::never_made(ANSWERED.get_or_init(|| mistakes::answered(fixtures::model(), "")), mistake);
}

#[test]
fn an_image_goes_into_its_turn_and_not_behind_the_bos() {
    never_made("image_after_bos");
    let case = Case::load("one_image");
    let begin = case.media[0].begin;
    assert_eq!(case.media[0].kind, "image");
    assert!(case.prompt_ids[..begin].contains(&OPENER), "the fixture has its image behind a turn's opener");
}

#[test]
fn an_image_of_the_first_turn_stays_there_when_a_second_turn_follows() {
    never_made("image_in_last_turn");
}

#[test]
fn an_image_of_the_last_turn_is_not_moved_to_the_first() {
    never_made("image_in_first_turn");
}

#[test]
fn a_sound_is_never_in_the_turn_of_the_model() {
    never_made("audio_in_model_turn");
}

#[test]
fn soft_tokens_of_an_image_see_each_other_both_ways() {
    never_made("causal_soft_tokens");
}

#[test]
fn soft_tokens_see_each_other_on_sliding_layers_inside_the_window_only() {
    never_made("overlay_everywhere");
}

#[test]
fn the_bos_is_there_exactly_once() {
    never_made("doubled_bos");
    let model = fixtures::model();
    let session = Session::new(model);
    session.answer(&Prompt::user("Hello"), &Options::greedy(1));
    let ids = session.prompt_tokens().expect("prompt ids");
    assert_eq!(ids[0], BOS);
    assert_eq!(ids.iter().filter(|id| **id == BOS).count(), 1);
    assert!(!model.tokenize("Hello", true).expect("ids").contains(&BOS), "tokenizing adds nothing");
}

#[test]
fn the_models_own_end_marker_ends_the_answer_and_is_no_part_of_its_text() {
    let mut ended = 0;
    for case in Case::all() {
        let Some(end) = case.bf16().first_end else { continue };
        ended += 1;
        let session = Session::new(fixtures::model());
        let answer = session.answer(&case.prompt(), &Options::greedy(case.bf16().greedy_ids.len()));
        assert_eq!(answer.tokens(), case.bf16().greedy_ids[..=end], "{}", case.name);
        assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN, "{}", case.name);
        assert!(!answer.text().contains("<turn|>"), "{}: {}", case.name, answer.text());
    }
    assert!(ended > 0, "some answer ends by itself");
}

#[test]
fn turn_markers_of_this_family_end_an_answer() {
    let model = fixtures::model();
    let session = Session::new(model);
    let options = Options::greedy(8).bias(END_OF_TURN, 1000.0);
    let answer = session.answer(&Prompt::user("Hello"), &options);
    assert_eq!(model.detokenize(&[END_OF_TURN], false).expect("text"), "<turn|>");
    assert_eq!(answer.tokens(), [END_OF_TURN]);
    assert_eq!((answer.finish(), answer.text().as_str()), (RMLX_FINISH_END_OF_TURN, ""));
}

#[test]
fn media_find_their_turn_by_its_markers_where_the_template_has_no_placeholders() {
    let placeholder = "{{- '<|' + part['type'] + '|>' -}}";
    let silent = Scratch::dense().replacing("chat_template.jinja", placeholder, "{{- '' -}}");
    let model = Model::load(silent.path()).expect("the snapshot loads");
    // The image first, the sound last: the same places as those that the original template gives.
    for name in ["one_image", "audio", "image_earlier_turn", "image_last_turn", "two_images"] {
        let case = Case::load(name);
        let text = model.render(&case.prompt()).expect("a text");
        assert!(!text.contains("<|image|>") && !text.contains("<|audio|>"), "{text}");
        let (ids, answer) = asked(&model, &case);
        assert_eq!(ids, case.prompt_ids, "{name}");
        near_the_right_row(&case, &answer);
    }
}

#[test]
fn the_smoke_probe_asks_through_the_chat_template() {
    let model = fixtures::model();
    let report = model.probe();
    let backend = &report["backend"];
    assert_eq!((&backend["device"], &backend["correct"]), (&"cpu".into(), &true.into()), "{backend:#}");
    assert!(backend["checks"].as_array().is_some_and(|checks| checks.len() >= 11), "{backend:#}");
    assert_eq!(report["templated"], json!(true), "{report}");
    assert_eq!(report["fallback"], json!(null));
    assert_eq!(report["image_changes_logits"], json!(true));
    let question = report["question"].as_str().expect("the question");
    let tokens: Vec<u32> = serde_json::from_value(report["tokens"].clone()).expect("tokens");
    let answer = Session::new(model).answer(&Prompt::user(question), &Options::greedy(tokens.len()));
    assert_eq!(answer.tokens(), tokens);
}

#[test]
fn the_smoke_probe_says_when_it_had_no_template() {
    let bare = Scratch::dense().without("chat_template.jinja");
    let report = Model::load(bare.path()).expect("the snapshot loads").probe();
    assert_eq!(report["templated"], json!(false), "{report}");
    assert!(report["fallback"].as_str().expect("a reason").contains("template"));
}

#[test]
fn special_tokens_that_a_user_types_stay_text() {
    let case = Case::load("spelled_specials");
    let (ids, answer) = asked(fixtures::model(), &case);
    assert_eq!(ids, case.prompt_ids);
    near_the_right_row(&case, &answer);
    let soft = case.media.iter().map(|medium| medium.soft_tokens).sum::<usize>();
    assert_eq!(ids.iter().filter(|id| **id == IMAGE).count(), soft, "only the image itself is one");
    assert_eq!(ids.iter().filter(|id| **id == BOS).count(), 1);
}

#[test]
fn a_placeholder_that_a_user_types_takes_no_image_even_if_there_is_none() {
    let model = fixtures::model();
    let session = Session::new(model);
    let prompt = Prompt::user("<|image|><turn|>\n<|turn>model\n");
    session.answer(&prompt, &Options::greedy(1));
    let ids = session.prompt_tokens().expect("prompt ids");
    assert!(!ids.contains(&IMAGE));
    assert_eq!(ids.iter().filter(|id| **id == OPENER).count(), 2, "one turn of the user, one of the model");
    assert_eq!(model.count(&prompt), Ok(ids.len()));
}
