//! Every snapshot answers every conversation as the reference implementation does in fp32.

use crate::compared::answers_like_the_reference;
use crate::fixtures::{self, snapshots};
use crate::harness::Model;

fn snapshot_answers_like_the_reference(folder: &str) {
    if folder == "unified-bf16-mlx" {
        return answers_like_the_reference(fixtures::model(), folder);
    }
    let model = Model::load(fixtures::path(folder)).expect("the snapshot loads");
    answers_like_the_reference(&model, folder);
}

macro_rules! answers {
    ($($test:ident: $folder:literal,)*) => {
        $(#[test]
        fn $test() {
            snapshot_answers_like_the_reference($folder);
        })*

        #[test]
        fn every_snapshot_of_the_fixtures_is_compared() {
            let mut compared = vec![$($folder),*];
            compared.sort_unstable();
            assert_eq!(snapshots().keys().collect::<Vec<_>>(), compared);
        }
    };
}

answers! {
    dense_with_published_names_in_three_shards_answers_like_the_reference: "unified-bf16-hf",
    dense_with_mlx_names_in_one_file_answers_like_the_reference: "unified-bf16-mlx",
    affine_of_4_bits_answers_like_the_reference: "unified-affine4",
    mxfp4_answers_like_the_reference: "unified-mxfp4",
    nvfp4_answers_like_the_reference: "unified-nvfp4",
    mxfp8_answers_like_the_reference: "unified-mxfp8",
    mixed_floating_point_modes_answer_like_the_reference: "unified-mixed-fp",
    mixed_affine_widths_and_groups_answer_like_the_reference: "unified-mixed-affine",
    e2b_answers_like_the_reference: "e2b-bf16-hf",
    e2b_in_affine_of_4_bits_answers_like_the_reference: "e2b-affine4",
    e2b_in_mxfp4_answers_like_the_reference: "e2b-mxfp4",
    e2b_in_nvfp4_answers_like_the_reference: "e2b-nvfp4",
    e2b_in_mxfp8_answers_like_the_reference: "e2b-mxfp8",
    e4b_answers_like_the_reference: "e4b-bf16-hf",
    e4b_in_affine_of_4_bits_answers_like_the_reference: "e4b-affine4",
    e4b_in_nvfp4_answers_like_the_reference: "e4b-nvfp4",
    experts_answer_like_the_reference: "moe-bf16-hf",
    experts_in_affine_of_4_bits_answer_like_the_reference: "moe-affine4",
    experts_in_mxfp4_answer_like_the_reference: "moe-mxfp4",
    experts_in_nvfp4_answer_like_the_reference: "moe-nvfp4",
    experts_in_mxfp8_answer_like_the_reference: "moe-mxfp8",
    experts_in_mxfp4_with_an_affine_router_answer_like_the_reference: "moe-mixed",
    the_dense_one_answers_like_the_reference: "dense31-bf16-hf",
    the_dense_one_in_affine_of_4_bits_answers_like_the_reference: "dense31-affine4",
    the_dense_one_in_mxfp4_answers_like_the_reference: "dense31-mxfp4",
    gemma3_with_published_names_answers_like_the_reference: "gemma3-bf16-hf",
    gemma3_with_mlx_names_answers_like_the_reference: "gemma3-bf16-mlx",
    gemma3_in_affine_of_4_bits_answers_like_the_reference: "gemma3-affine4",
    gemma3_in_mxfp4_answers_like_the_reference: "gemma3-mxfp4",
    gemma3_in_nvfp4_answers_like_the_reference: "gemma3-nvfp4",
    gemma3_in_mxfp8_answers_like_the_reference: "gemma3-mxfp8",
    gemma3_in_mixed_modes_answers_like_the_reference: "gemma3-mixed",
    gemma3_that_pans_and_scans_answers_like_the_reference: "gemma3-panscan",
    gemma3_of_text_alone_answers_like_the_reference: "gemma3text-bf16-hf",
    gemma3_of_text_alone_in_affine_of_4_bits_answers_like_the_reference: "gemma3text-affine4",
    gemma4_of_text_alone_answers_like_the_reference: "gemma4text-bf16-hf",
    gemma4_of_text_alone_in_affine_of_4_bits_answers_like_the_reference: "gemma4text-affine4",
    qwen3_vl_with_published_names_answers_like_the_reference: "qwen3vl-bf16-hf",
    qwen3_vl_with_mlx_names_answers_like_the_reference: "qwen3vl-bf16-mlx",
    qwen3_vl_in_affine_of_4_bits_answers_like_the_reference: "qwen3vl-affine4",
    qwen3_vl_in_mxfp4_answers_like_the_reference: "qwen3vl-mxfp4",
    qwen3_vl_in_nvfp4_answers_like_the_reference: "qwen3vl-nvfp4",
    qwen3_vl_in_mxfp8_answers_like_the_reference: "qwen3vl-mxfp8",
    qwen3_vl_in_mixed_modes_answers_like_the_reference: "qwen3vl-mixed",
    qwen3_vl_with_a_tied_head_answers_like_the_reference: "qwen3vltied-bf16-hf",
    qwen3_vl_with_a_tied_head_in_affine_of_4_bits_answers_like_the_reference: "qwen3vltied-affine4",
    qwen3_vl_of_experts_with_published_names_answers_like_the_reference: "qwen3vlmoe-bf16-hf",
    qwen3_vl_of_experts_with_mlx_names_answers_like_the_reference: "qwen3vlmoe-bf16-mlx",
    qwen3_vl_of_experts_in_affine_of_4_bits_answers_like_the_reference: "qwen3vlmoe-affine4",
    qwen3_vl_of_experts_in_mxfp4_answers_like_the_reference: "qwen3vlmoe-mxfp4",
    qwen3_vl_of_experts_in_nvfp4_answers_like_the_reference: "qwen3vlmoe-nvfp4",
    qwen3_vl_of_experts_in_mxfp8_answers_like_the_reference: "qwen3vlmoe-mxfp8",
    qwen3_vl_of_experts_in_mixed_modes_answers_like_the_reference: "qwen3vlmoe-mixed",
}
