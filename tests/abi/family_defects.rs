//! Mistakes that other implementations make with Gemma 3, Qwen3-VL and the text-only models. Each has its own wrong answer,
//! which must not be given.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Model, Prompt};
use crate::mistakes::{self, Answered, asked, near_the_right_row};
use crate::scratch::Scratch;

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("the snapshot loads")
}

/// A module for each kind: its folder, and a test for each mistake that its golden cases know of.
macro_rules! kinds {
    ($($kind:ident: $folder:literal { $($test:ident: $mistake:literal,)* })*) => {
        $(mod $kind {
            use super::*;

            fn answered() -> &'static [Answered] {
                static ANSWERED: OnceLock<Vec<Answered>> = OnceLock::new();
                ANSWERED.get_or_init(|| mistakes::answered(&load($folder), kind_of($folder)))
            }

            $(#[test]
            fn $test() {
                mistakes::never_made(answered(), $mistake);
            })*

            #[test]
            fn every_mistake_of_the_fixtures_is_looked_for() {
                let known: BTreeSet<&str> =
                    answered().iter().flat_map(|(case, ..)| case.wrong.keys().map(String::as_str)).collect();
                assert_eq!(known, BTreeSet::from([$($mistake),*]));
            }
        })*
    };
}

/// The golden cases of a snapshot.
fn kind_of(folder: &str) -> &str {
    folder.split("-bf16").next().expect("a kind")
}

kinds! {
    gemma3: "gemma3-bf16-mlx" {
        the_bos_is_there_exactly_once: "double_bos",
        an_image_goes_into_its_turn_and_not_behind_the_bos: "image_after_bos",
        soft_tokens_of_an_image_see_each_other_both_ways: "causal_images",
        images_are_not_scaled_like_words: "image_scale",
        images_are_not_scaled_down: "image_scale_down",
        each_image_has_its_own_place: "second_image_as_first",
        positions_of_full_layers_are_scaled: "no_rope_scaling",
        sliding_layers_turn_by_their_own_frequencies: "sliding_rope",
        queries_are_scaled_as_the_configuration_says: "scale_of_heads",
    }
    gemma3_in_crops: "gemma3-panscan" {
        the_bos_is_there_exactly_once: "double_bos",
        an_image_goes_into_its_turn_and_not_behind_the_bos: "image_after_bos",
        soft_tokens_of_a_crop_see_each_other_both_ways: "causal_images",
        crops_are_not_scaled_like_words: "image_scale",
        crops_are_not_scaled_down: "image_scale_down",
        each_crop_has_its_own_place: "second_image_as_first",
        positions_of_full_layers_are_scaled: "no_rope_scaling",
        sliding_layers_turn_by_their_own_frequencies: "sliding_rope",
        queries_are_scaled_as_the_configuration_says: "scale_of_heads",
    }
    gemma3_of_text_alone: "gemma3text-bf16-hf" {
        the_bos_is_there_exactly_once: "double_bos",
        sliding_layers_turn_by_their_own_frequencies: "sliding_rope",
        queries_are_scaled_as_the_configuration_says: "scale_of_heads",
    }
    gemma4_of_text_alone: "gemma4text-bf16-hf" {
        the_bos_is_there_exactly_once: "doubled_bos",
        every_layer_has_its_inputs: "no_per_layer_inputs",
    }
    qwen3_vl: "qwen3vl-bf16-mlx" {
        soft_tokens_have_positions_of_three_axes: "plain_positions",
        the_axes_of_positions_are_interleaved: "mrope_not_interleaved",
        deeper_features_of_pictures_are_added: "no_deepstack",
        deeper_features_are_added_from_the_first_layer_on: "deepstack_late",
        the_tower_and_its_mergers_have_different_gelus: "gelu_swapped",
        each_image_has_its_own_place: "second_image_as_first",
        every_part_of_a_video_has_its_own_vision_tokens: "no_outer_vision_tokens",
    }
    qwen3_vl_with_a_tied_head: "qwen3vltied-bf16-hf" {
        soft_tokens_have_positions_of_three_axes: "plain_positions",
        the_axes_of_positions_are_interleaved: "mrope_not_interleaved",
        deeper_features_of_pictures_are_added: "no_deepstack",
        deeper_features_are_added_from_the_first_layer_on: "deepstack_late",
        the_tower_and_its_mergers_have_different_gelus: "gelu_swapped",
        each_image_has_its_own_place: "second_image_as_first",
        every_part_of_a_video_has_its_own_vision_tokens: "no_outer_vision_tokens",
    }
    qwen3_vl_of_experts: "qwen3vlmoe-bf16-mlx" {
        soft_tokens_have_positions_of_three_axes: "plain_positions",
        the_axes_of_positions_are_interleaved: "mrope_not_interleaved",
        deeper_features_of_pictures_are_added: "no_deepstack",
        deeper_features_are_added_from_the_first_layer_on: "deepstack_late",
        the_tower_and_its_mergers_have_different_gelus: "gelu_swapped",
        each_image_has_its_own_place: "second_image_as_first",
        every_part_of_a_video_has_its_own_vision_tokens: "no_outer_vision_tokens",
        weights_of_experts_add_up_to_one: "unnormalized_experts",
    }
}

/// Every medium of `case` stands behind the opener of a turn of the user, and before the next turn.
#[track_caller]
fn media_are_in_turns_of_the_user(model: &Model, case: &Case, opener: &str) {
    let [opener] = model.tokenize(opener, true).expect("ids")[..] else { panic!("{opener} is one token") };
    let user = model.tokenize("user", false).expect("ids");
    for medium in &case.media {
        let turn = case.prompt_ids[..medium.begin].iter().rposition(|id| *id == opener).expect("a turn");
        assert!(
            case.prompt_ids[turn + 1..].starts_with(&user),
            "{}: {} is in another turn",
            case.name,
            medium.begin
        );
    }
}

/// A template without placeholders: the media go into their turns by the markers, as the original template puts them.
fn media_find_their_turn_without_placeholders(folder: &str, placeholder: &str, opener: &str) {
    let silent = Scratch::of(folder).replacing("chat_template.jinja", placeholder, "''");
    let model = load(silent.path().to_str().expect("UTF-8"));
    for name in ["one_image", "image_earlier_turn", "image_last_turn", "two_images"] {
        let case = Case::load(&format!("{}/{name}", kind_of(folder)));
        let text = model.render(&case.prompt()).expect("a text");
        assert_ne!(text, case.prompt_text, "{name}");
        media_are_in_turns_of_the_user(&model, &case, opener);
        let (ids, answer) = asked(&model, &case);
        assert_eq!(ids, case.prompt_ids, "{name}");
        near_the_right_row(&case, &answer);
    }
}

#[test]
fn images_of_gemma3_find_their_turn_where_the_template_has_no_placeholders() {
    media_find_their_turn_without_placeholders("gemma3-bf16-mlx", "'<start_of_image>'", "<start_of_turn>");
}

#[test]
fn images_of_qwen3_vl_find_their_turn_where_the_template_has_no_placeholders() {
    let placeholder = "'<|vision_start|><|image_pad|><|vision_end|>'";
    media_find_their_turn_without_placeholders("qwen3vl-bf16-mlx", placeholder, "<|im_start|>");
}

#[test]
fn placeholders_that_a_user_types_take_no_image_even_if_there_is_none() {
    for (folder, typed) in [
        ("gemma3-bf16-mlx", "<start_of_image><image_soft_token><end_of_turn>\n<start_of_turn>model\n"),
        ("qwen3vl-bf16-mlx", "<|vision_start|><|image_pad|><|vision_end|><|video_pad|><|im_end|>\n"),
    ] {
        let model = load(folder);
        let session = Session::new(&model);
        session.answer(&Prompt::user(typed), &Options::greedy(1));
        let ids = session.prompt_tokens().expect("prompt ids");
        session.answer(&Prompt::user(""), &Options::greedy(1));
        let around = session.prompt_tokens().expect("prompt ids");
        // The special ids are those that the template itself writes.
        let special = |ids: &[u32]| {
            let special = |id: &&u32| model.detokenize(&[**id], true).expect("text").is_empty();
            ids.iter().filter(special).copied().collect::<Vec<u32>>()
        };
        assert_eq!(special(&ids), special(&around), "{folder}");
        assert!(ids.len() > around.len() + 10, "{folder}: the text is there");
    }
}
