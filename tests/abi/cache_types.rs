//! Keys and values that are kept in other types than the activations are computed in.

use rmlx::ffi::load_options::*;
use rmlx::ffi::session_options::*;
use rmlx::ffi::status::*;

use crate::answers::{Answer, Options, Session};
use crate::estimate::estimate;
use crate::fixtures::{self, Case, distance, sigma, snapshots};
use crate::harness::{LoadOptions, Model, Prompt};

/// One snapshot of each kind, in several storages.
const FOLDERS: [&str; 10] = [
    "unified-mxfp4",
    "e2b-bf16-hf",
    "e4b-affine4",
    "moe-nvfp4",
    "dense31-bf16-hf",
    "gemma3-mixed",
    "gemma3text-bf16-hf",
    "gemma4text-affine4",
    "qwen3vl-nvfp4",
    "qwen3vlmoe-bf16-hf",
];
/// How far logits may be from the reference's, in standard deviations: what rounding keys and values once makes of these small
/// models (0.002 to 0.007 and 0.02 to 0.04), and as far again. In another chunk a key may be rounded the other way.
const FAR: [(rmlx_cache_type, &str, f32); 2] =
    [(RMLX_CACHE_F16, "float16", 0.012), (RMLX_CACHE_BF16, "bfloat16", 0.08)];
/// Where a router chooses other experts.
const ROUTED: f32 = 0.5;

fn options(cache_type: rmlx_cache_type) -> LoadOptions {
    let options = LoadOptions::new().set(|o, e| rmlx_load_options_set_device(o, RMLX_DEVICE_CPU, e));
    options.set(|o, e| rmlx_load_options_set_cache_type(o, cache_type, e))
}

fn load(folder: &str, cache_type: rmlx_cache_type) -> Model {
    Model::load_with(fixtures::path(folder), &options(cache_type)).expect("the snapshot loads")
}

#[test]
fn sixteen_bits_move_logits_by_what_they_round() {
    for folder in FOLDERS {
        let (kind, name) = &snapshots()[folder];
        for (cache_type, named, far) in FAR {
            let model = load(folder, cache_type);
            assert_eq!(model.info()["cache_type"], named);
            let mut offs = Vec::new();
            for case in Case::of(kind) {
                let Some(results) = case.results.get(name) else { continue };
                let answer = Session::new(&model).answer(&case.prompt(), &Options::endless(1));
                let wanted = case.tensor(&format!("{name}/logits"));
                offs.push(distance(&answer.first_row, &wanted, results.sigma));
            }
            offs.sort_by(f32::total_cmp);
            // A router may choose other experts in some conversations, which tells nothing of the rounding.
            let routed = folder.contains("moe");
            let most = if routed { offs[offs.len() / 2] } else { offs[offs.len() - 1] };
            assert!(offs[0] > 0.0 && most < far, "{folder} {named}: off by {most}");
        }
    }
}

#[test]
fn what_is_held_takes_half_and_is_what_was_estimated() {
    let prompt = Prompt::user(&"The window of this model is short. ".repeat(60));
    for folder in FOLDERS {
        let held = [RMLX_CACHE_AUTO, RMLX_CACHE_F32, RMLX_CACHE_F16, RMLX_CACHE_BF16].map(|cache_type| {
            // Places to come back to make other chunks.
            let model = load(folder, cache_type);
            let session = Session::with(&model, |o| rmlx_session_options_set_checkpoints(o, 0, None));
            session.answer(&prompt, &Options::endless(1));
            let rows = session.prompt_tokens().expect("ids").len();
            let told = estimate(&fixtures::path(folder), &options(cache_type), rows).expect("an estimate");
            let stats = session.stats();
            assert_eq!(told["cache"], stats.cache_bytes, "{folder} {cache_type}");
            stats.cache_bytes
        });
        assert_eq!(held, [held[0], held[0], held[0] / 2, held[0] / 2], "{folder}");
    }
}

/// Chunks, edits of older turns, forks, batches and saved sessions: all come to what a fresh session holds.
#[test]
fn sessions_with_a_past_are_as_fresh_ones() {
    let long = "The window of this model is short, and this text is longer than that window is. ".repeat(4);
    for folder in FOLDERS {
        for (cache_type, _, far) in FAR {
            let far = if folder.contains("moe") { ROUTED } else { far };
            let close = |answer: &Answer, wanted: &Answer, what: &str| {
                let off = distance(&answer.first_row, &wanted.first_row, sigma(&wanted.first_row));
                assert!(off < far, "{what} of {folder} with {cache_type}: off by {off}");
            };
            let model = load(folder, cache_type);
            let session = Session::of_chunk(&model, 40);
            let first = Prompt::user(&long);
            let second =
                Prompt::user(&long).message("assistant").text("I see.").message("user").text("More!");
            for (prompt, what) in [(&first, "chunks"), (&second, "another turn"), (&first, "an edit")] {
                let answer = session.answer(prompt, &Options::endless(5));
                close(&answer, &Session::new(&model).answer(prompt, &Options::endless(5)), what);
            }
            let fork = session.fork().expect("a fork");
            let bytes = session.saved().expect("a saved session");
            let loaded = Session::load_bytes(&model, &bytes).expect("a session");
            let together = [&session, &fork, &loaded].map(|session| {
                session.submit(&second, &Options::endless(8)).expect("a submit");
                session
            });
            let together = together.map(|session| session.rest());
            let alone = Session::new(&model).answer(&second, &Options::endless(8));
            for (answer, what) in together.iter().zip(["the session", "its fork", "a loaded one"]) {
                close(answer, &alone, what);
                // They hold the same numbers.
                assert_eq!(answer.tokens(), together[0].tokens(), "{what} of {folder} with {cache_type}");
            }
            let other = Session::load_bytes(&load(folder, RMLX_CACHE_F32), &bytes).map(drop);
            assert_eq!(other.expect_err("another type").code, RMLX_ERROR_INVALID_SAVE);
        }
    }
}
