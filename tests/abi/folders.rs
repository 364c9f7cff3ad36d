//! Snapshots as they are found on disks: the same weights under other names, in other files, with more or less around
//! them. Each gives the logits of the folder that it was made from, or is refused in words that say what would be right;
//! and inspect says what load says.

use std::fs;

use rmlx::ffi::status::*;
use serde_json::{Value, json};

use crate::folder::{Folder, Loaded, SHARDS, Tensor, Tensors, index, load, refused, write};
use crate::harness::{Media, Outcome, Prompt};

/// Kinds of models, dense, with names as transformers writes them.
const DENSE: [&str; 9] =
    ["unified", "e4b", "moe", "dense31", "gemma3", "gemma3text", "gemma4text", "qwen3vltied", "qwen3vlmoe"];

fn dense(kind: &str) -> Folder {
    Folder::of(&format!("{kind}-bf16-hf"))
}

fn row(folder: &Folder) -> Vec<f32> {
    load(folder.written().path()).unwrap_or_else(|failure| panic!("{failure:?}")).row
}

#[track_caller]
fn same(loaded: Outcome<Loaded>, expected: &[f32], what: &str) -> Loaded {
    let loaded = loaded.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    assert!(loaded.row == expected, "{what}: other logits");
    loaded
}

/// The same but for the order in which products are added up.
#[track_caller]
fn close(loaded: Outcome<Loaded>, expected: &[f32], what: &str) {
    let row = loaded.unwrap_or_else(|failure| panic!("{what}: {failure:?}")).row;
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let off = row.iter().zip(expected).fold(0.0f32, |off, (a, b)| off.max((a - b).abs()));
    assert!(row.len() == expected.len() && off < 1e-5 * most, "{what}: off by {off} of {most}");
}

fn is_text(name: &str) -> bool {
    !["vision", "audio", "visual", "multi_modal", "lm_head"].iter().any(|part| name.contains(part))
}

/// A name with other modules around the language model, and around its output layer.
fn under(prefix: &str, head: &str, name: &str) -> String {
    let mut bare = name;
    while let Some(rest) = bare.strip_prefix("model.").or(bare.strip_prefix("language_model.")) {
        bare = rest;
    }
    if bare.starts_with("lm_head") {
        return format!("{head}{bare}");
    }
    if is_text(bare) { format!("{prefix}{bare}") } else { name.to_owned() }
}

#[test]
fn the_language_model_may_be_under_any_prefix() {
    for kind in DENSE {
        let folder = dense(kind);
        let expected = row(&folder);
        for (prefix, head) in [
            ("", ""),
            ("model.", "language_model."),
            ("language_model.", "language_model."),
            ("language_model.model.", "model."),
            ("model.language_model.", "model.language_model."),
        ] {
            let other = folder.clone().renamed(|name| under(prefix, head, name));
            same(load(other.written().path()), &expected, &format!("{kind} under {prefix:?}"));
        }
    }
}

#[test]
fn towers_may_be_under_any_prefix() {
    let picture = |loaded: &Loaded| {
        let image = Media::gray(96, 96, &[90; 96 * 96]).expect("an image");
        let prompt = Prompt::new().message("user").media(&image).text("What is it?");
        loaded.model.count(&prompt).expect("a prompt")
    };
    for kind in ["unified", "e4b", "gemma3", "qwen3vltied"] {
        let folder = dense(kind);
        let plain = load(folder.written().path()).expect("it loads");
        let moved = |name: &str| match is_text(name) || name.contains("lm_head") {
            true => name.to_owned(),
            false => name.strip_prefix("model.").map_or_else(|| format!("model.{name}"), str::to_owned),
        };
        let newer = |name: &str| {
            let name = name.replace("vision_tower.vision_model.", "vision_tower.");
            let name = name.replace("vision_embedder.", "embed_vision.");
            let inner = "embed_vision.multimodal_embedder.embedding_projection";
            name.replace("embed_vision.embedding_projection", inner).replace("model.visual.", "vision_tower.")
        };
        for (what, other) in [("moved", folder.clone().renamed(moved)), ("newer", folder.renamed(newer))] {
            let loaded = same(load(other.written().path()), &plain.row, &format!("{kind}, {what}"));
            assert_eq!(picture(&loaded), picture(&plain));
            assert_eq!(
                (&loaded.told["modalities"], &loaded.told["notes"]),
                (&plain.told["modalities"], &json!([]))
            );
        }
    }
}

/// `[a, b, c]` → `[a, c, b]`, of 2 bytes each.
fn turned(tensor: &Tensor) -> Tensor {
    let &[count, rows, columns] = &tensor.shape[..] else { panic!("three dimensions") };
    let at = |expert: usize, row: usize, column: usize| 2 * ((expert * rows + row) * columns + column);
    let mut data = Vec::with_capacity(tensor.data.len());
    for expert in 0..count {
        for column in 0..columns {
            for row in 0..rows {
                let from = at(expert, row, column);
                data.extend(&tensor.data[from..from + 2]);
            }
        }
    }
    Tensor { dtype: tensor.dtype, shape: vec![count, columns, rows], data }
}

/// Rows of every expert.
fn part(tensor: &Tensor, rows: std::ops::Range<usize>) -> Tensor {
    let (count, all) = (tensor.shape[0], tensor.shape[1]);
    let row = tensor.data.len() / count / all;
    let data = tensor.data.chunks(all * row).flat_map(|one| &one[rows.start * row..rows.end * row]);
    let shape = [&[count, rows.len()], &tensor.shape[2..]].concat();
    Tensor { dtype: tensor.dtype, shape, data: data.copied().collect() }
}

/// The matrices of experts as one tensor for gate, up and down each: `path` and `name` as [`Tensors`] has them, and the
/// tensor.
fn apart(folder: &Folder, straight: bool) -> Vec<(String, &'static str, &'static str, Tensor)> {
    let mut all = Vec::new();
    for (name, tensor) in &folder.tensors {
        let straightened = |tensor: &Tensor| if straight { tensor.clone() } else { turned(tensor) };
        if let Some(path) = name.strip_suffix(".experts.gate_up_proj") {
            let tensor = straightened(tensor);
            let half = tensor.shape[1] / 2;
            all.push((path.to_owned(), "gate_proj", "weight", part(&tensor, 0..half)));
            all.push((path.to_owned(), "up_proj", "weight", part(&tensor, half..2 * half)));
        } else if let Some(path) = name.strip_suffix(".experts.down_proj") {
            all.push((path.to_owned(), "down_proj", "weight", straightened(tensor)));
        }
    }
    assert!(!all.is_empty());
    all
}

/// Each expert by itself.
fn one_by_one(tensor: &Tensor) -> impl Iterator<Item = Tensor> {
    let one = tensor.data.len() / tensor.shape[0];
    let (dtype, shape) = (tensor.dtype, tensor.shape[1..].to_vec());
    tensor.data.chunks(one).map(move |data| Tensor { dtype, shape: shape.clone(), data: data.to_vec() })
}

#[test]
fn experts_may_be_fused_or_apart_or_one_by_one() {
    for (kind, straight) in [("moe", true), ("qwen3vlmoe", false)] {
        let folder = dense(kind);
        let expected = row(&folder);
        let is_of_experts = |name: &str| name.contains(".experts.");
        let rest = folder.clone().only(|name| !is_of_experts(name));
        let with = |more: Vec<(String, Tensor)>| {
            let mut folder = rest.clone();
            folder.tensors.extend(more);
            folder
        };
        let parts = apart(&folder, straight);
        let fused = || folder.tensors.iter().filter(|(name, _)| is_of_experts(name));
        let other_way = fused().map(|(name, tensor)| (name.clone(), turned(tensor))).collect();
        let modules = fused().map(|(name, tensor)| (format!("{name}.weight"), tensor.clone())).collect();
        let mut variants = vec![("turned", with(other_way)), ("fused, of modules", with(modules))];
        for module in ["switch_mlp", "switch_glu", "experts", "experts.switch_glu"] {
            let all =
                parts.iter().map(|(path, name, end, t)| (format!("{path}.{module}.{name}.{end}"), t.clone()));
            variants.push((module, with(all.collect())));
        }
        let mut single = Vec::new();
        for (path, name, end, tensor) in &parts {
            let named = |i: usize| format!("{path}.experts.{i}.{name}.{end}");
            single.extend(one_by_one(tensor).enumerate().map(|(i, one)| (named(i), one)));
        }
        variants.push(("one by one", with(single)));
        for (what, variant) in variants {
            same(load(variant.written().path()), &expected, &format!("{kind}, {what}"));
        }
    }
}

/// Packed experts one by one, and without a word about them in the configuration.
#[test]
fn packed_experts_may_be_one_by_one_and_the_shapes_tell_their_storage() {
    for fixture in ["moe-affine4", "moe-mxfp4", "qwen3vlmoe-nvfp4", "qwen3vlmoe-mxfp8"] {
        let folder = Folder::of(fixture);
        let plain = load(folder.written().path()).expect("it loads");
        let mut single = folder.clone().only(|name| !name.contains(".switch_"));
        for (name, tensor) in folder.tensors.iter().filter(|(name, _)| name.contains(".switch_")) {
            let (path, rest) = name.split_once(".switch_").expect("a module");
            let path = path.strip_suffix(".experts").unwrap_or(path);
            let (_, end) = rest.split_once('.').expect("a matrix");
            let named = |i: usize| format!("{path}.experts.{i}.{end}");
            single.tensors.extend(one_by_one(tensor).enumerate().map(|(i, one)| (named(i), one)));
        }
        let silent = single.with_config(|config| {
            let config = config.as_object_mut().expect("an object");
            config.remove("quantization");
            config.remove("quantization_config");
        });
        let loaded = same(load(silent.written().path()), &plain.row, fixture);
        let mode = |told: &Value| told["quantization"]["mode"].clone();
        assert_eq!(mode(&loaded.told), mode(&plain.told), "{fixture}");
    }
}

#[test]
fn overrides_are_found_or_not_needed() {
    for fixture in
        ["unified-mixed-affine", "unified-mixed-fp", "gemma3-mixed", "moe-mixed", "qwen3vlmoe-mixed"]
    {
        let folder = Folder::of(fixture);
        let plain = load(folder.written().path()).expect("it loads");
        for (what, prefix, end) in
            [("none", None, ""), ("bare", Some(""), ""), ("tensors", Some("model."), ".weight")]
        {
            let other = folder.clone().with_config(|config| {
                config.as_object_mut().expect("an object").remove("quantization_config");
                let quantization = config["quantization"].as_object_mut().expect("an object");
                let (own, mut rest): (Vec<_>, Vec<_>) =
                    std::mem::take(quantization).into_iter().partition(|(_, value)| value.is_object());
                assert!(!own.is_empty(), "{fixture}");
                let named = |path: &str, prefix: &str| format!("{}{end}", under(prefix, prefix, path));
                rest.extend(own.into_iter().filter_map(|(path, value)| Some((named(&path, prefix?), value))));
                quantization.extend(rest);
            });
            let loaded = same(load(other.written().path()), &plain.row, &format!("{fixture}: {what}"));
            assert_eq!(loaded.told["quantization"], plain.told["quantization"], "{fixture}: {what}");
        }
    }
}

/// The rows of a matrix in the other order.
fn backwards(tensor: &Tensor) -> Tensor {
    let row = tensor.data.len() / tensor.shape[0];
    let data = tensor.data.chunks(row).rev().flatten().copied().collect();
    Tensor { data, ..tensor.clone() }
}

#[test]
fn an_output_layer_counts_where_it_is_there() {
    for kind in ["unified", "e4b", "gemma3", "gemma3text", "gemma4text", "qwen3vltied"] {
        let folder = dense(kind);
        let expected = row(&folder);
        let table = folder
            .tensors
            .keys()
            .find(|name| name.ends_with("embed_tokens.weight"))
            .expect("a table")
            .clone();
        let with_head = |head: Tensor| {
            let mut other = folder.clone();
            other.tensors.insert("lm_head.weight".into(), head);
            other
        };
        let copy = folder.tensors[&table].clone();
        let reversed: Vec<f32> = expected.iter().rev().copied().collect();
        let other = with_head(backwards(&copy));
        same(load(with_head(copy.clone()).written().path()), &expected, &format!("{kind}, a copy"));
        close(load(other.written().path()), &reversed, &format!("{kind}, another one"));
        let untied = other.clone().with_config(|config| config["tie_word_embeddings"] = json!(false));
        close(load(untied.written().path()), &reversed, &format!("{kind}, not tied"));
        let alone = with_head(copy).only(|name| name != table);
        same(load(alone.written().path()), &expected, &format!("{kind}, alone"));
        let none = folder.clone().with_config(|config| config["tie_word_embeddings"] = json!(false));
        let failure = refused(none.written().path());
        assert_eq!(failure.code, RMLX_ERROR_INVALID_SNAPSHOT);
        assert!(failure.message.contains("tensor language_model.lm_head.weight is missing"), "{failure:?}");
    }
}

/// A family's towers: section, how their tensors begin, which modalities they are for.
const TOWERS: [(&str, &str, &[&str], &[&str]); 6] = [
    ("unified", "vision_config", &["vision_embedder.", "embed_vision."], &["image", "video"]),
    ("unified", "audio_config", &["embed_audio."], &["audio"]),
    ("e4b", "vision_config", &["vision_tower.", "embed_vision."], &["image", "video"]),
    ("e4b", "audio_config", &["audio_tower.", "embed_audio."], &["audio"]),
    ("gemma3", "vision_config", &["vision_tower.", "multi_modal_projector."], &["image"]),
    ("qwen3vltied", "vision_config", &["visual."], &["image", "video"]),
];

#[test]
fn a_tower_without_its_section_or_a_section_without_its_tower_is_left_out_and_said() {
    for (kind, section, starts, kinds) in TOWERS {
        let folder = dense(kind);
        let plain = load(folder.written().path()).expect("it loads");
        let is_of = |name: &str, starts: &[&str]| {
            let name = name.strip_prefix("model.").unwrap_or(name);
            starts.iter().any(|start| name.starts_with(start))
        };
        let set = |folder: &Folder, value: Option<Value>| {
            folder.clone().with_config(|config| {
                let config = config.as_object_mut().expect("an object");
                match value {
                    Some(value) => config.insert(section.to_owned(), value),
                    None => config.remove(section),
                };
            })
        };
        let stripped = folder.clone().only(|name| !is_of(name, starts));
        let towerless = folder.clone().only(|name| !is_of(name, &starts[..1]));
        for (what, other, notes) in [
            ("stripped, with its section", stripped.clone(), 1),
            ("stripped but for its projection", towerless, 1),
            ("stripped, with {}", set(&stripped, Some(json!({}))), 0),
            ("stripped, with null", set(&stripped, Some(Value::Null)), 0),
            ("stripped, without its section", set(&stripped, None), 0),
            ("whole, with {}", set(&folder, Some(json!({}))), 1),
            ("whole, with null", set(&folder, Some(Value::Null)), 1),
            ("whole, without its section", set(&folder, None), 1),
        ] {
            let loaded =
                same(load(other.written().path()), &plain.row, &format!("{kind}, {section}: {what}"));
            let left = plain.told["modalities"].as_array().expect("a list").iter();
            let left: Vec<&Value> =
                left.filter(|kind| !kinds.contains(&kind.as_str().unwrap_or(""))).collect();
            assert_eq!(loaded.told["modalities"], json!(left), "{kind}, {what}");
            let told = loaded.told["notes"].as_array().expect("a list");
            assert_eq!(told.len(), notes, "{kind}, {what}: {told:?}");
            assert!(
                told.iter().all(|note| note.as_str().is_some_and(|note| note.contains(section))),
                "{told:?}"
            );
        }
    }
}

#[test]
fn files_that_no_index_names_are_left_alone_but_for_towers() {
    let folder = dense("e4b");
    let plain = load(folder.written().path()).expect("it loads");
    let some = |name: &str, end: &str| -> Tensors {
        let (_, tensor) = folder.tensors.iter().find(|(name, _)| name.ends_with(end)).expect("a tensor");
        [(name.to_owned(), tensor.clone())].into()
    };
    let projection = "self_attn.q_proj.weight";
    let adapter = some("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", projection);
    let extra = [
        ("adapter_model.safetensors", adapter),
        ("0000100_adapters.safetensors", some("model.layers.0.self_attn.q_proj.lora_a", projection)),
        ("mtp.safetensors", some("mtp.layers.0.self_attn.q_proj.weight", projection)),
        ("model-00001-of-00002.safetensors", some("model.language_model.norm.weight", "layernorm.weight")),
        ("stray.safetensors", some("model.language_model.layers.99.mlp.up_proj.weight", projection)),
        (
            "tower.safetensors",
            some("model.vision_tower.patch_embedder.input_proj.weight", "input_proj.weight"),
        ),
    ];
    let is_of_tower = |name: &str| name.contains("vision_tower");
    for whole in [true, false] {
        let language = folder.clone().only(|name| !is_of_tower(name));
        let tower = folder.clone().only(is_of_tower).tensors;
        let dir = if whole { folder.written() } else { language.in_shards() };
        if !whole {
            write(dir.path(), "vision.safetensors", &tower);
        }
        let mut count = 0;
        for (name, tensors) in &extra {
            if !whole && SHARDS.contains(name) {
                continue;
            }
            write(dir.path(), name, tensors);
            count += 1;
            let loaded = same(load(dir.path()), &plain.row, name);
            let notes = loaded.told["notes"].as_array().expect("notes");
            assert!(
                notes.iter().any(|note| note.as_str().is_some_and(|n| n.starts_with(name))),
                "{name}: {notes:?}"
            );
            assert_eq!(
                (notes.len(), &loaded.told["modalities"]),
                (count, &plain.told["modalities"]),
                "{notes:?}"
            );
        }
        fs::write(dir.path().join("vision-copy.safetensors"), b"cut").expect("a file");
        same(load(dir.path()), &plain.row, "a file that cannot be read");
    }
}

#[test]
fn an_index_counts_where_its_files_are_there() {
    let folder = dense("qwen3vltied");
    let expected = row(&folder);
    let whole = folder.written();
    let gone = json!({ "model.norm.weight": "model-00007-of-00009.safetensors" });
    index(whole.path(), &gone);
    same(load(whole.path()), &expected, "a stale index beside model.safetensors");
    fs::write(whole.path().join("model.safetensors.index.json"), "{").expect("a file");
    same(load(whole.path()), &expected, "a broken index");

    let shards = folder.in_shards();
    same(load(shards.path()), &expected, "two shards and their index");
    let stale = folder.clone().only(|name| name.contains("layers.0"));
    write(shards.path(), "model-00003-of-00003.safetensors", &stale.tensors);
    same(load(shards.path()), &expected, "a shard that the index does not name");
    fs::remove_file(shards.path().join("model.safetensors.index.json")).expect("an index");
    same(load(shards.path()), &expected, "two shards, and one of another series");

    let named = folder.without_weights();
    let (a, b) =
        (folder.clone().only(|n| n.contains("visual")), folder.clone().only(|n| !n.contains("visual")));
    write(named.path(), "a.safetensors", &a.tensors);
    write(named.path(), "b.safetensors", &b.tensors);
    same(load(named.path()), &expected, "files of any name");
    write(named.path(), "c.safetensors", &stale.tensors);
    let failure = refused(named.path());
    assert!(
        failure.message.contains("is there twice") && failure.message.contains("c.safetensors"),
        "{failure:?}"
    );
}

#[test]
fn a_shard_that_is_not_there_is_told_with_or_without_an_index() {
    for kind in ["gemma3", "qwen3vlmoe", "e4b"] {
        for (gone, lacking) in [(0, SHARDS[0]), (1, SHARDS[1])] {
            for indexed in [true, false] {
                let dir = dense(kind).in_shards();
                fs::remove_file(dir.path().join(SHARDS[gone])).expect("a shard");
                if !indexed {
                    fs::remove_file(dir.path().join("model.safetensors.index.json")).expect("an index");
                }
                let failure = refused(dir.path());
                assert_eq!(failure.code, RMLX_ERROR_INVALID_SNAPSHOT);
                for what in [lacking, "is missing", "the download is not complete"] {
                    assert!(failure.message.contains(what), "{kind} without {lacking}: {failure:?}");
                }
            }
        }
    }
}

#[test]
fn what_stands_in_for_a_file_is_told() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 99\n";
    let folder = dense("gemma3text");
    for (file, content, code, told) in [
        (
            "model.safetensors",
            pointer,
            RMLX_ERROR_INVALID_SNAPSHOT,
            "model.safetensors is a pointer of Git LFS",
        ),
        ("tokenizer.json", pointer, RMLX_ERROR_INVALID_SNAPSHOT, "tokenizer.json is a pointer of Git LFS"),
        ("config.json", pointer, RMLX_ERROR_INVALID_SNAPSHOT, "config.json is a pointer of Git LFS"),
        (
            "config.json",
            "",
            RMLX_ERROR_INVALID_SNAPSHOT,
            "config.json is empty: the download is not complete",
        ),
        ("config.json", "<!doctype html>", RMLX_ERROR_INVALID_SNAPSHOT, "config.json is a web page"),
        (
            "model.safetensors.aria2",
            "",
            RMLX_ERROR_INVALID_SNAPSHOT,
            "model.safetensors.aria2 says that the download",
        ),
    ] {
        let dir = folder.written();
        fs::write(dir.path().join(file), content).expect("a file");
        let failure = refused(dir.path());
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(told), "{failure:?}");
    }
    for (file, told) in [("model.safetensors", "link"), ("tokenizer.json", "link"), ("config.json", "link")] {
        let dir = folder.written();
        fs::remove_file(dir.path().join(file)).expect("a file");
        std::os::unix::fs::symlink("../../blobs/5f2c", dir.path().join(file)).expect("a link");
        let failure = refused(dir.path());
        let words = format!(
            "{file} is a {told} to ../../blobs/5f2c, which is not there: the download is not complete"
        );
        assert!(failure.message.starts_with(&words), "{failure:?}");
    }
}

#[test]
fn storages_of_others_are_refused_by_name() {
    let folder = dense("gemma3text");
    let name = "model.layers.0.mlp.up_proj.weight";
    let put = |folder: &mut Folder, name: &str, dtype| {
        folder.tensors.insert(
            name.to_owned(),
            Tensor { dtype, shape: vec![8], data: vec![1; 8 * dtype.bitsize() / 8] },
        );
    };
    use safetensors::Dtype;
    for (method, end, dtype, told) in [
        ("gptq", "qweight", Dtype::I32, "GPTQ"),
        ("awq", "qweight", Dtype::I32, "AWQ"),
        ("compressed-tensors", "weight_packed", Dtype::I32, "compressed-tensors"),
        ("fp8", "weight", Dtype::F8_E4M3, "FP8"),
        ("bitsandbytes", "weight", Dtype::U8, "bitsandbytes"),
        ("modelopt", "weight_scale", Dtype::F32, "NVIDIA's ModelOpt"),
    ] {
        let mut other = folder.clone().only(|found| found != name);
        put(&mut other, &name.replace("weight", end), dtype);
        other.config["quantization_config"] = json!({ "quant_method": method });
        let failure = refused(other.written().path());
        assert_eq!(failure.code, RMLX_ERROR_UNSUPPORTED, "{failure:?}");
        assert!(failure.message.contains(&format!("quantized by {told} (tensor ")), "{failure:?}");
        assert!(failure.message.contains("mlx_lm.convert"), "{failure:?}");
    }
    // Weights that were quantized once, and are not any more.
    let expected = row(&folder);
    let merged = folder
        .with_config(|config| config["quantization_config"] = json!({ "quant_method": "bitsandbytes" }));
    same(load(merged.written().path()), &expected, "dense weights");
}

#[test]
fn a_mark_of_byte_order_and_odd_scalars_do_no_harm() {
    let folder = dense("e4b");
    let plain = load(folder.written().path()).expect("it loads");
    let mut odd = folder.clone().with_config(|config| {
        config["text_config"]["pad_token_id"] = json!(-1);
        config["image_token_id"] = json!([config["image_token_id"]]);
        config["eos_token_id"] = json!([1, -1]);
    });
    for (name, tensor) in &mut odd.tensors {
        if tensor.shape.iter().product::<usize>() == 1 {
            tensor.shape = if tensor.shape.is_empty() { vec![1] } else { vec![] };
            assert!(name.contains("put_") || name.ends_with("layer_scalar"), "{name}");
        }
    }
    let dir = odd.written();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let text = fs::read(dir.path().join(file)).expect("a file");
        fs::write(dir.path().join(file), [b"\xef\xbb\xbf", &text[..]].concat()).expect("a file");
    }
    let loaded = same(load(dir.path()), &plain.row, "odd");
    assert_eq!(loaded.told["modalities"], plain.told["modalities"]);
}
