//! The published models without their weights: files that have the published tensors' names, types and shapes, and
//! holes for data, go through the code that loads and runs a model, with nothing evaluated.

mod facts;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use mlx_rs::Array;
use serde_json::{Value, json};

use self::facts::{Cache, Picture, Published, Tensors, all, one};
use super::{Architecture, Batch, LanguageModel, LoadContext, Prepared, Run, SoftTokens, architecture};
use crate::error::Result;
use crate::media::{Image, Media, PixelDesc, PixelFormat};
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::prompt::{Grid, Placed, PlacedMedia};
use crate::snapshot::Snapshot;
use crate::vision::patches::Patches;

/// A tensor of a file.
struct Stored {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
}

fn dense(tensors: &Tensors) -> Vec<Stored> {
    let stored = |(name, shape): &(String, Vec<usize>)| Stored {
        name: name.clone(),
        dtype: "BF16",
        shape: shape.clone(),
    };
    tensors.iter().map(stored).collect()
}

/// A mode of 4 bits, and the values that share a scale.
const MODES: [(&str, usize); 3] = [("mxfp4", 32), ("nvfp4", 16), ("affine", 64)];

/// What MLX's converters do with the modules of a converted file, and the `quantization` that they write. Towers stay.
fn quantized(converted: &Tensors, (mode, group): (&str, usize)) -> (Vec<Stored>, Value) {
    let mut all = Vec::new();
    let mut config = json!({ "group_size": group, "bits": 4, "mode": mode });
    for (name, shape) in converted {
        let module = name.strip_suffix(".weight").filter(|_| shape.len() >= 2);
        let Some(module) = module.filter(|m| !m.contains("vision") && !m.contains("audio_tower")) else {
            all.push(Stored { name: name.clone(), dtype: "BF16", shape: shape.clone() });
            continue;
        };
        let (rows, width) = shape.split_at(shape.len() - 1);
        let mut add = |suffix: &str, dtype, last| {
            let shape = [rows, &[last]].concat();
            all.push(Stored { name: format!("{module}.{suffix}"), dtype, shape });
        };
        // Gemma 4's routers have a mode of their own.
        let own = module.ends_with("router.proj");
        let (group, bits) = if own { (64, 8) } else { (group, 4) };
        if own {
            config[module] = json!({ "group_size": group, "bits": bits });
        }
        add("weight", "U32", width[0] * bits / 32);
        if own || mode == "affine" {
            add("scales", "BF16", width[0] / group);
            add("biases", "BF16", width[0] / group);
        } else {
            add("scales", "U8", width[0] / group);
        }
    }
    (all, config)
}

/// A snapshot with a hole instead of data; the bytes of its tensors.
fn write(dir: &Path, config: &Value, tensors: &[Stored]) -> usize {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for Stored { name, dtype, shape } in tensors {
        let size = match *dtype {
            "BF16" => 2,
            "U8" => 1,
            _ => 4,
        };
        let start = end;
        end += shape.iter().product::<usize>() * size;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        assert!(header.insert(name.clone(), entry).is_none(), "{name} twice");
    }
    let header = Value::Object(header).to_string();
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut file = File::create(dir.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    end
}

struct Loaded {
    host: Box<dyn Architecture>,
    model: Box<dyn LanguageModel>,
    tensor_bytes: usize,
    _dir: tempfile::TempDir,
}

fn load(published: &Published, tensors: &[Stored], quantization: Option<Value>) -> Result<Loaded> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = published.config.clone();
    if let Some(quantization) = quantization {
        config["quantization"] = quantization;
    }
    let tensor_bytes = write(dir.path(), &config, tensors);
    let snapshot = Snapshot::open(dir.path())?.without_data();
    assert_eq!(snapshot.tensor_bytes(), tensor_bytes as u64);
    let mut context = LoadContext {
        snapshot: &snapshot,
        device: Device::Gpu,
        progress: &mut |_| Ok(()),
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    let host = architecture(&snapshot)?;
    let model = host.load(&mut context)?;
    Ok(Loaded { host, model, tensor_bytes, _dir: dir })
}

/// Loads what must load, and looks at the bytes that it holds.
fn loaded(published: &Published, tensors: &[Stored], quantization: Option<Value>) -> Loaded {
    let loaded = load(published, tensors, quantization).unwrap_or_else(|e| panic!("{}: {e}", published.name));
    let (held, stored) = (loaded.model.held().bytes() as usize, loaded.tensor_bytes);
    // Layers hold a little more than the file (norms laid out for every head, routers in f32), and a little less (the
    // audio tower's distances instead of the layers that project them: 24 MB of Gemma 4 E2B).
    assert!(held.abs_diff(stored) * 100 < stored, "{}: {held} bytes of {stored}", published.name);
    loaded
}

/// Rows of text from a position on.
fn text(count: usize, start: i32) -> Run {
    let ids = Array::from_slice(&vec![7i32; count], &[count as i32]);
    Run::text(ids, Positions::Consecutive { start, count })
}

/// The shape of the logits after a run.
fn append(model: &dyn LanguageModel, run: Run, state: &mut State) -> Vec<i32> {
    let hidden = model.forward(&Batch::of(run), &mut [state]).unwrap();
    model.logits(&hidden, 0..1).unwrap().shape().to_vec()
}

fn parameters<'a>(tensors: impl IntoIterator<Item = &'a (String, Vec<usize>)>) -> usize {
    tensors.into_iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

#[test]
fn parameters_are_the_published_ones() {
    for published in all() {
        let count = &published.count;
        let found = parameters(published.tensors.iter().filter(|(name, _)| (count.of)(name)));
        let off = (found as f64 - count.parameters).abs();
        assert!(off <= count.within, "{}: {found}", published.name);
    }
    let of = |model: &str, is: fn(&str) -> bool| {
        parameters(one(model).tensors.iter().filter(|(name, _)| is(name)))
    };
    // The tower of the 31B has been taken out by others and counted: huggingface.co/rnagabh/gemma4-vision-encoder.
    assert_eq!(of("Gemma 4 31B", |name| name.contains("vision_tower")), 569_550_384);
    // "2.3B effective": without the table of per-layer inputs.
    let effective =
        of("Gemma 4 E2B", |name| name.contains("language_model") && !name.contains("embed_tokens_per_layer"));
    assert_eq!((effective as f64 / 1e8).round(), 23.0);
}

#[test]
fn all_layouts_load() {
    for published in all() {
        let layouts = [Some(&published.tensors), published.renamed.as_ref(), Some(&published.converted)];
        for tensors in layouts.into_iter().flatten() {
            let loaded = loaded(&published, &dense(tensors), None);
            assert_eq!(loaded.tensor_bytes, 2 * parameters(tensors), "{}", published.name);
            let host = &loaded.host;
            let facts = host.facts();
            let sizes = (facts.context_length, facts.vocab_size, host.modalities().is_empty());
            let expected = (published.context, published.vocab, published.picture.is_none());
            assert_eq!(sizes, expected, "{}", published.name);
        }
    }
}

/// For `tools/saved_again.py`.
#[test]
#[ignore = "writes the file that RMLX_CONFIGURATIONS names"]
fn configurations_are_written_out() {
    let configs: BTreeMap<String, Value> = all().map(|model| (model.name, model.config)).collect();
    let file = std::env::var("RMLX_CONFIGURATIONS").unwrap();
    std::fs::write(file, serde_json::to_string(&configs).unwrap()).unwrap();
}

/// What a fine-tune of each model has for a configuration: the published one, read and saved by transformers.
#[test]
fn configurations_that_were_saved_again_load() {
    let again: BTreeMap<String, Value> = serde_json::from_str(include_str!("saved_again.json")).unwrap();
    for mut published in all() {
        let facts = |loaded: &Loaded| {
            let facts = loaded.host.facts();
            let state = loaded.model.new_state();
            let rows: Vec<u64> = state.shapes().map(|shape| shape.bytes(4096, 4096)).collect();
            let held = loaded.model.held().bytes();
            (facts.context_length, facts.vocab_size, facts.eos.clone(), loaded.host.modalities(), rows, held)
        };
        let before = facts(&loaded(&published, &dense(&published.tensors), None));
        published.config = again[&published.name].clone();
        let after = loaded(&published, &dense(&published.tensors), None);
        assert_eq!(facts(&after), before, "{}", published.name);
        see_and_step(&published, &after);
    }
}

#[test]
fn quantized_layouts_load() {
    for published in all() {
        for mode in MODES {
            let (tensors, quantization) = quantized(&published.converted, mode);
            loaded(&published, &tensors, Some(quantization));
        }
    }
}

/// The error of the published file after a change.
fn told(published: &Published, change: impl Fn(&mut Vec<Stored>)) -> Result<()> {
    let mut tensors = dense(&published.tensors);
    change(&mut tensors);
    load(published, &tensors, None).map(|_| ())
}

#[test]
fn a_missing_a_misshapen_and_a_surplus_tensor_are_told() {
    // One that is missing; one with half as many rows, and what is said of it.
    for (model, missing, halved, said) in [
        // Layer 15 is the first with a double-wide feed-forward part.
        (
            "Gemma 4 E2B",
            "layers.3.per_layer_input_gate.weight",
            "language_model.layers.15.mlp.gate_proj.weight",
            "[6144, 1536], but must be a float [12288, 1536]",
        ),
        (
            "Gemma 3 1B",
            "layers.25.mlp.up_proj.weight",
            "layers.3.self_attn.q_proj.weight",
            "[512, 1152], but must be a float [1024, 1152]",
        ),
        (
            "Gemma 3 4B",
            "encoder.layers.26.self_attn.out_proj.bias",
            "multi_modal_projector.mm_input_projection_weight",
            "[576, 2560], but must be a float [1152, 2560]",
        ),
        (
            "Qwen3-VL 2B",
            "pos_embed.weight",
            "layers.27.self_attn.k_norm.weight",
            "[64], but must be a float [128]",
        ),
        (
            "Qwen3-VL 8B",
            "lm_head.weight",
            "deepstack_merger_list.1.linear_fc1.weight",
            "[2304, 4608], but must be a float [4608, 4608]",
        ),
        (
            "Qwen3-VL 30B-A3B",
            "layers.47.mlp.gate.weight",
            "layers.0.mlp.experts.gate_up_proj",
            "[64, 2048, 1536], but must be a float [128, 2048, 1536]",
        ),
    ] {
        let published = one(model);
        for end in [missing, halved] {
            let named = published.tensors.iter().filter(|(name, _)| name.ends_with(end));
            assert_eq!(named.count(), 1, "{model}: {end}");
        }
        let is = |tensor: &Stored, name: &str| tensor.name.ends_with(name);
        let check = |result: Result<()>, what: &str| {
            let message = result.unwrap_err().message().to_owned();
            assert!(message.contains(what), "{model}: {message}");
        };
        check(told(&published, |all| all.retain(|tensor| !is(tensor, missing))), missing);
        let halve = |tensor: &mut Stored| tensor.shape[0] /= 2;
        let misshapen = told(&published, |all| {
            all.iter_mut().filter(|tensor| is(tensor, halved)).for_each(halve);
        });
        check(misshapen, said);
        let surplus = told(&published, |all| {
            let at = all.iter().find(|tensor| is(tensor, "layers.3.self_attn.q_proj.weight")).unwrap();
            let name = at.name.replace("q_proj", "z_proj");
            all.push(Stored { name, dtype: "BF16", shape: vec![256, 1536] });
        });
        check(surplus, "has no place for it");
    }
}

/// Published files have these, of layers that use the keys of others.
#[test]
fn surplus_keys_of_gemma_4_are_left_alone() {
    for surplus in ["15.self_attn.k_proj.weight", "34.self_attn.v_proj.weight", "20.self_attn.k_norm.weight"]
    {
        let name = format!("model.language_model.layers.{surplus}");
        let add = |all: &mut Vec<Stored>| {
            all.push(Stored { name: name.clone(), dtype: "BF16", shape: vec![256, 1536] });
        };
        told(&one("Gemma 4 E2B"), add).unwrap();
    }
}

/// Keys and values in bf16, with a count of rows for each layer.
fn cache_bytes(caches: &[Cache], rows: impl Fn(&Cache) -> usize) -> usize {
    caches.iter().map(|cache| 2 * 2 * cache.heads * cache.dim * rows(cache)).sum()
}

#[test]
fn a_full_context_fits_the_caches_of_the_owning_layers() {
    let expected: BTreeMap<&str, f64> =
        // Gibibytes, by hand: full layers · 2 · heads · size · 2 bytes · context, and the same with the window for the
        // sliding ones. Gemma 4 has full heads of 512 and sliding ones of 256: E2B keeps 3 + 12 layers, E4B 4 + 20, the
        // 12B 8 + 40, the 26B 5 + 25, the 31B 10 + 50. Gemma 3: 4 + 22, 5 + 29, 8 + 40, 10 + 52. All of Qwen3-VL's are full.
        [
            ("Gemma 4 E2B", 0.7559),
            ("Gemma 4 E4B", 2.0195),
            ("Gemma 4 12B", 4.3125),
            ("Gemma 4 26B-A4B", 5.1953),
            ("Gemma 4 31B", 20.7813),
            ("Gemma 3 1B", 0.1357),
            ("Gemma 3 4B", 2.6133),
            ("Gemma 3 12B", 8.3125),
            ("Gemma 3 27B", 10.4063),
            ("Qwen3-VL 2B", 28.0),
            ("Qwen3-VL 4B", 36.0),
            ("Qwen3-VL 8B", 36.0),
            ("Qwen3-VL 32B", 64.0),
            ("Qwen3-VL 30B-A3B", 24.0),
            ("Qwen3-VL 235B-A22B", 47.0),
        ]
        .into();
    for published in all() {
        let (name, caches, context) = (&published.name, &published.caches, published.context);
        let exact = cache_bytes(caches, |cache| cache.window.map_or(context, |window| window.min(context)));
        let gibibytes = exact as f64 / f64::from(1 << 30);
        assert!((gibibytes - expected[name.as_str()]).abs() < 1e-4, "{name}: {gibibytes:.4}");
        let loaded = loaded(&published, &dense(&published.tensors), None);
        let mut state = loaded.model.new_state();
        let logits = append(&*loaded.model, text(context, 0), &mut state);
        assert_eq!(logits, [1, published.vocab as i32], "{name}");
        assert_eq!(state.len(), context);
        assert_eq!(state.arrays().len(), 2 * caches.len(), "{name}");
        let planned: u64 = state.shapes().map(|shape| shape.bytes(context, context)).sum();
        assert_eq!(planned, state.bytes() as u64, "{name}");
        // Buffers have spare rows: an eighth on full layers, 319 on sliding ones.
        let most = exact + exact / 8 + cache_bytes(caches, |_| 320);
        assert!((exact..=most).contains(&state.bytes()), "{name}: {} of {exact}", state.bytes());
    }
}

/// What the model's own tower makes of a picture.
fn encoded(loaded: &Loaded, picture: &Picture, hidden: usize) -> SoftTokens {
    let Picture { rows, columns, values, .. } = *picture;
    let patches = Patches { values: vec![0.0; rows * columns * values], rows, columns };
    let soft = loaded.model.encode(&Prepared::Patches(patches)).unwrap();
    assert_eq!(soft.extra.len(), picture.extra);
    for features in soft.arrays() {
        assert_eq!(features.shape(), [picture.soft_tokens as i32, hidden as i32]);
    }
    soft
}

/// Ten rows of text, a picture, ten rows of text.
fn prompt(picture: &Picture) -> Placed {
    let desc = PixelDesc { width: 1, height: 1, row_stride: 0, format: PixelFormat::Gray8 };
    let media = Arc::new(Media::Image(Image::from_pixels(&desc, &[0]).unwrap()));
    let tokens = 10..10 + picture.soft_tokens;
    let grid = picture.grid.map(|(rows, columns)| Grid { rows, columns });
    Placed {
        ids: vec![7; tokens.end + 10],
        media: vec![PlacedMedia { media, tokens, grid, together: picture.together }],
        ..Placed::default()
    }
}

/// A prompt with a picture, if the model has a tower, and a token after it.
fn see_and_step(published: &Published, loaded: &Loaded) {
    let logits = [1, published.vocab as i32];
    let mut state = loaded.model.new_state();
    let (run, next) = match &published.picture {
        None => (text(300, 0), 300),
        Some(picture) => {
            let soft = encoded(loaded, picture, published.hidden);
            let prompt = prompt(picture);
            let positions = loaded.host.media().positions(&prompt);
            // A grid moves the text behind it by its longer side.
            let moved = picture.grid.map_or(picture.soft_tokens, |(rows, columns)| rows.max(columns));
            assert_eq!(positions.next(), 20 + moved as i32, "{}", published.name);
            let run = Run::of_prompt(&prompt, &positions, &[Some(soft)], 0..prompt.ids.len()).unwrap();
            (run, positions.next())
        }
    };
    let count = run.count();
    assert_eq!(append(&*loaded.model, run, &mut state), logits, "{}", published.name);
    assert_eq!(append(&*loaded.model, text(1, next), &mut state), logits, "{}", published.name);
    assert_eq!(state.len(), count + 1);
}

#[test]
fn a_picture_and_a_step_have_the_right_shapes() {
    for published in all() {
        see_and_step(&published, &loaded(&published, &dense(&published.tensors), None));
        for mode in MODES {
            let (tensors, quantization) = quantized(&published.converted, mode);
            see_and_step(&published, &loaded(&published, &tensors, Some(quantization)));
        }
    }
}
