//! Snapshots that cannot be loaded: what the errors say, and that the host is none the worse for them.

use std::fs;
use std::path::Path;

use rmlx::ffi::status::*;
use serde_json::json;

use crate::fixtures;
use crate::folder::inspect;
use crate::harness::{Failure, Model};
use crate::scratch::{Scratch, WEIGHTS};
use crate::sound;

/// The load must fail with `code` and name each of `what`; afterwards a good model must answer as ever.
#[track_caller]
fn refused(dir: &Path, code: rmlx_status, what: &[&str]) -> Failure {
    let failure = Model::load(dir).err().expect("the load fails");
    assert_eq!(failure.code, code, "{failure:?}");
    for what in what {
        assert!(failure.message.contains(what), "{what:?} is not in {:?}", failure.message);
    }
    // Only the texts of the tokenizer and the template are not looked at without a load.
    match inspect(dir) {
        Err(told) => assert_eq!(told, failure),
        Ok(_) => {
            assert!(["tokenizer.json", "chat_template"].iter().any(|file| failure.message.contains(file)))
        }
    }
    sound::host_is_sound();
    failure
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    refused(&dir.path().join("gone"), RMLX_ERROR_NOT_FOUND, &["gone"]);
}

#[test]
fn a_file_in_place_of_the_folder_is_named() {
    let file = fixtures::path("unified-bf16-mlx/config.json");
    let folder = fixtures::path("unified-bf16-mlx");
    let told = format!("config.json is a file: give the folder that it is in, {}", folder.display());
    refused(&file, RMLX_ERROR_NOT_FOUND, &[&told]);
}

#[test]
fn an_empty_folder_lacks_its_config() {
    let dir = tempfile::tempdir().expect("a folder");
    refused(dir.path(), RMLX_ERROR_NOT_FOUND, &["config.json"]);
}

/// A folder around the snapshot's, as downloads leave it.
#[test]
fn a_folder_around_the_snapshot_is_told_with_it() {
    let cache = tempfile::tempdir().expect("a folder");
    let inner = cache.path().join("snapshots").join("0a1b2c");
    fs::create_dir_all(&inner).expect("folders");
    fs::copy(fixtures::path("unified-bf16-mlx/config.json"), inner.join("config.json")).expect("a copy");
    let named = inner.display().to_string();
    refused(cache.path(), RMLX_ERROR_NOT_FOUND, &["Hugging Face's cache", &named]);
    refused(&cache.path().join("snapshots"), RMLX_ERROR_NOT_FOUND, &["give the folder in it", &named]);
    refused(&inner, RMLX_ERROR_INVALID_SNAPSHOT, &["there is no .safetensors file"]);
}

#[test]
fn a_missing_tokenizer_is_named() {
    refused(Scratch::dense().without("tokenizer.json").path(), RMLX_ERROR_NOT_FOUND, &["tokenizer.json"]);
}

#[test]
fn a_broken_tokenizer_is_named() {
    let broken = Scratch::dense().with("tokenizer.json", "{\"model\":");
    refused(broken.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["tokenizer.json"]);
}

#[test]
fn a_missing_shard_is_told_by_what_it_held() {
    let scratch = Scratch::of("unified-bf16-hf").without("model-00002-of-00003.safetensors");
    refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["layers.2"]);
}

#[test]
fn a_truncated_shard_is_named() {
    let name = "model-00002-of-00003.safetensors";
    let scratch = Scratch::of("unified-bf16-hf");
    let whole = fs::read(scratch.file(name)).expect("a shard");
    for len in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(scratch.file(name), &whole[..len]).expect("a shorter shard");
        refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &[name]);
    }
}

#[test]
fn a_header_that_claims_more_than_the_file_has_is_refused() {
    for len in [u64::MAX, 1 << 62, 1 << 40] {
        let scratch = Scratch::dense().with(WEIGHTS, [&len.to_le_bytes()[..], b"{}"].concat());
        refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &[WEIGHTS]);
    }
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named_with_both_shapes() {
    let name = "language_model.model.layers.3.mlp.up_proj.weight";
    let scratch = Scratch::dense().weights(|header, _| header[name]["shape"] = json!([64, 256]));
    refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["layers.3.mlp.up_proj", "64", "256", "128"]);
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    let name = "language_model.model.layers.4.self_attn.q_proj.weight";
    let scratch = Scratch::dense().weights(|header, _| {
        let tensor = header.remove(name).expect("the tensor");
        // Its bytes go to a tensor that nobody asks for: a file without gaps.
        header.insert("stray.weight".into(), tensor);
    });
    refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["layers.4.self_attn.q_proj"]);
}

#[test]
fn an_unknown_architecture_is_named() {
    let scratch = Scratch::dense().json("config.json", |config| {
        config["model_type"] = json!("abacus");
        config["architectures"] = json!(["AbacusForConditionalGeneration"]);
    });
    refused(scratch.path(), RMLX_ERROR_UNSUPPORTED, &["abacus"]);
}

#[test]
fn a_config_that_is_no_json_is_named() {
    for content in ["", "{", "[]", "null", "{\"model_type\": \u{1}}", "\u{feff}x"] {
        let scratch = Scratch::dense().with("config.json", content);
        refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["config.json"]);
    }
    let deep = "[".repeat(100_000);
    refused(Scratch::dense().with("config.json", deep).path(), RMLX_ERROR_INVALID_SNAPSHOT, &["config.json"]);
    let bytes = Scratch::dense().with("config.json", [0xff, 0xfe, 0x00]);
    refused(bytes.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["config.json"]);
}

#[test]
fn a_number_of_the_config_that_cannot_be_is_named() {
    for (key, value) in [
        ("hidden_size", json!("many")),
        ("num_hidden_layers", json!(-1)),
        ("num_attention_heads", json!(0)),
        ("head_dim", json!(1e300)),
    ] {
        let scratch = Scratch::dense().json("config.json", |config| config["text_config"][key] = value);
        refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &[key]);
    }
}

#[test]
fn a_template_that_cannot_be_compiled_is_named_with_its_line() {
    let scratch = Scratch::dense().with_template("{{ bos_token }}\n{% for %}");
    let failure = refused(scratch.path(), RMLX_ERROR_INVALID_SNAPSHOT, &["chat_template.jinja"]);
    assert_eq!(failure.details["line"], json!(2), "{failure:?}");
}

#[test]
fn an_index_of_files_that_are_not_there_does_not_stop_the_load() {
    let index = json!({"metadata": {}, "weight_map": {"gone.weight": "model-00009-of-00009.safetensors"}});
    let scratch = Scratch::dense().with("model.safetensors.index.json", index.to_string());
    sound::answers_as_ever(&Model::load(scratch.path()).expect("a stale index is no obstacle"));
}
