//! The published Gemma 4 models without their weights: files that have the published tensors' names, types and shapes,
//! and holes for data, go through the code that loads and runs a model, with nothing evaluated.

mod facts;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use mlx_rs::Array;
use serde_json::{Value, json};

use self::facts::{ALL, Facts, HEAD_DIM, Scope, Tensors, VOCAB};
use super::{Batch, LanguageModel, LoadContext, Run, SoftTokens, architecture};
use crate::error::Result;
use crate::nn::Device;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::snapshot::Snapshot;

/// A tensor of a file.
struct Stored {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
}

/// As transformers publishes them.
fn published(tensors: Tensors) -> Vec<Stored> {
    tensors.into_iter().map(|(name, shape)| Stored { name, dtype: "BF16", shape }).collect()
}

/// As mlx_vlm.convert writes them: `model.` moves, experts are split, convolutions have their channels last.
fn converted(tensors: Tensors) -> Tensors {
    let mut all = Tensors::new();
    for (name, shape) in tensors {
        let name = match name.strip_prefix("model.language_model.") {
            Some(rest) => format!("language_model.model.{rest}"),
            None => name.replacen("model.", "", 1),
        };
        if let Some(at) = name.strip_suffix("experts.gate_up_proj") {
            let half = vec![shape[0], shape[1] / 2, shape[2]];
            all.push((format!("{at}experts.switch_glu.gate_proj.weight"), half.clone()));
            all.push((format!("{at}experts.switch_glu.up_proj.weight"), half));
        } else if let Some(at) = name.strip_suffix("experts.down_proj") {
            all.push((format!("{at}experts.switch_glu.down_proj.weight"), shape));
        } else if name.contains("conv") && shape.len() >= 3 {
            let channels_last = [&shape[..1], &shape[2..], &shape[1..2]].concat();
            all.push((name, channels_last));
        } else {
            all.push((name, shape));
        }
    }
    all
}

/// What converters do with modules of a mode of 4 bits, and the `quantization` that they write.
fn quantized(tensors: Tensors, mode: &str, group: usize) -> (Vec<Stored>, Value) {
    let mut all = Vec::new();
    let mut config = json!({ "group_size": group, "bits": 4, "mode": mode });
    for (name, shape) in converted(tensors) {
        let module = name.strip_suffix(".weight").filter(|_| shape.len() >= 2);
        let Some(module) = module.filter(|m| m.starts_with("language_model") || m.starts_with("embed_audio"))
        else {
            all.push(Stored { name, dtype: "BF16", shape });
            continue;
        };
        let (rows, width) = shape.split_at(shape.len() - 1);
        let mut add = |suffix: &str, dtype, last| {
            let shape = [rows, &[last]].concat();
            all.push(Stored { name: format!("{module}.{suffix}"), dtype, shape });
        };
        if module.ends_with("router.proj") {
            config[module] = json!({ "group_size": 64, "bits": 8 });
            add("weight", "U32", width[0] / 4);
            add("scales", "BF16", width[0] / 64);
            add("biases", "BF16", width[0] / 64);
        } else {
            add("weight", "U32", width[0] / 8);
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
    model: Box<dyn LanguageModel>,
    tensor_bytes: usize,
    _dir: tempfile::TempDir,
}

fn load(facts: &Facts, tensors: &[Stored], quantization: Option<Value>) -> Result<Loaded> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = facts.config();
    if let Some(quantization) = quantization {
        config["quantization"] = quantization;
    }
    let tensor_bytes = write(dir.path(), &config, tensors);
    let snapshot = Snapshot::open(dir.path())?.without_data();
    assert_eq!(snapshot.tensor_bytes(), tensor_bytes as u64);
    let mut context = LoadContext { snapshot: &snapshot, device: Device::Gpu, progress: &mut |_| Ok(()) };
    let model = architecture(&snapshot)?.load(&mut context)?;
    Ok(Loaded { model, tensor_bytes, _dir: dir })
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

fn parameters(tensors: &Tensors) -> usize {
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Layers hold a little more than the file (norms laid out for every head), and a little less (the audio tower's
/// distances instead of the layers that project them: 24 MB of E2B).
fn close_bytes(found: usize, expected: usize) -> bool {
    found.abs_diff(expected) * 100 < expected
}

#[test]
fn parameters_are_the_published_ones() {
    for facts in &ALL {
        let (scope, billions, exactness) = &facts.billions;
        let tensors = if *scope == Scope::Text { facts.text_tensors() } else { facts.tensors() };
        let found = parameters(&tensors) as f64 / 1e9;
        assert!((found - billions).abs() <= *exactness, "{}: {found:.3}", facts.name);
    }
    let of = |name: &str| ALL.iter().find(|facts| facts.name == name).unwrap();
    // The tower of the 31B has been taken out by others and counted: huggingface.co/rnagabh/gemma4-vision-encoder.
    let tower: Tensors =
        of("31B").tensors().into_iter().filter(|(name, _)| name.contains("vision_tower")).collect();
    assert_eq!(parameters(&tower), 569_550_384);
    // "2.3B effective": without the table of per-layer inputs.
    let effective: Tensors = of("E2B")
        .text_tensors()
        .into_iter()
        .filter(|(name, _)| !name.contains("embed_tokens_per_layer"))
        .collect();
    assert_eq!((parameters(&effective) as f64 / 1e8).round(), 23.0);
}

#[test]
fn both_layouts_load() {
    for facts in &ALL {
        let count = parameters(&facts.tensors());
        for tensors in [published(facts.tensors()), published(converted(facts.tensors()))] {
            let loaded = load(facts, &tensors, None).unwrap_or_else(|e| panic!("{}: {e}", facts.name));
            assert_eq!(loaded.tensor_bytes, 2 * count, "{}", facts.name);
            let held = loaded.model.weight_bytes();
            assert!(close_bytes(held, 2 * count), "{}: {held} bytes of {}", facts.name, 2 * count);
        }
    }
}

#[test]
fn quantized_layouts_load() {
    for facts in &ALL {
        for (mode, group) in [("mxfp4", 32), ("nvfp4", 16)] {
            let (tensors, quantization) = quantized(facts.tensors(), mode, group);
            let loaded =
                load(facts, &tensors, Some(quantization)).unwrap_or_else(|e| panic!("{}: {e}", facts.name));
            let held = loaded.model.weight_bytes();
            assert!(
                close_bytes(held, loaded.tensor_bytes),
                "{}: {held} of {}",
                facts.name,
                loaded.tensor_bytes
            );
        }
    }
}

#[test]
fn a_missing_a_misshapen_and_a_surplus_tensor_are_told() {
    let facts = &ALL[0];
    let change = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut tensors = published(facts.tensors());
        change(&mut tensors);
        load(facts, &tensors, None).map(|_| ())
    };
    let told = |result: Result<()>, what: &str| {
        let message = result.unwrap_err().message().to_owned();
        assert!(message.contains(what), "{message}");
    };
    let is = |tensor: &Stored, name: &str| tensor.name.ends_with(name);
    let gone = "layers.3.per_layer_input_gate.weight";
    told(change(&|all| all.retain(|tensor| !is(tensor, gone))), gone);
    // Layer 15 is the first with a double-wide feed-forward part.
    let narrow = "language_model.layers.15.mlp.gate_proj.weight";
    let narrowed = change(&|all| {
        all.iter_mut().filter(|tensor| is(tensor, narrow)).for_each(|tensor| tensor.shape[0] /= 2);
    });
    told(narrowed, "[6144, 1536], but must be a float [12288, 1536]");
    let add = |name: &str| {
        let name = format!("model.language_model.layers.{name}");
        change(&|all| all.push(Stored { name: name.clone(), dtype: "BF16", shape: vec![256, 1536] }))
    };
    told(add("3.self_attn.z_proj.weight"), "has no place for it");
    // Published files have these, of layers that use the keys of others.
    for surplus in ["15.self_attn.k_proj.weight", "34.self_attn.v_proj.weight", "20.self_attn.k_norm.weight"]
    {
        add(surplus).unwrap();
    }
}

/// Keys and values in bf16: full layers hold every position, sliding ones their window.
fn cache_bytes(facts: &Facts, positions: usize) -> usize {
    let layer = |i: usize| {
        let (heads, dim) = facts.kv(i);
        let held = if facts.is_full(i) { positions } else { positions.min(facts.window) };
        2 * 2 * heads * dim * held
    };
    (0..facts.layers - facts.shared_layers).map(layer).sum()
}

#[test]
fn a_full_context_fits_the_caches_of_the_owning_layers() {
    let expected: BTreeMap<&str, f64> =
        // Gibibytes, by hand: full layers · 2 · heads · 512 · 2 bytes · context, and 2 · heads · 256 · 2 · window for
        // the sliding ones. E2B keeps 3 + 12 layers, E4B 4 + 20, the 12B 8 + 40, the 26B 5 + 25, the 31B 10 + 50.
        [("E2B", 0.7559), ("E4B", 2.0195), ("12B", 4.3125), ("26B-A4B", 5.1953), ("31B", 20.7813)].into();
    for facts in &ALL {
        let exact = cache_bytes(facts, facts.context);
        let gibibytes = exact as f64 / f64::from(1 << 30);
        assert!((gibibytes - expected[facts.name]).abs() < 1e-4, "{}: {gibibytes:.4}", facts.name);
        let loaded = load(facts, &published(facts.tensors()), None).unwrap();
        let mut cache = loaded.model.new_state();
        assert_eq!(append(&*loaded.model, text(facts.context, 0), &mut cache), [1, VOCAB as i32]);
        assert_eq!(cache.len(), facts.context);
        assert_eq!(cache.arrays().len(), 2 * (facts.layers - facts.shared_layers), "{}", facts.name);
        // Buffers have spare rows: an eighth on full layers, 319 on sliding ones.
        let spare = facts.kv_heads * HEAD_DIM * 320 * facts.layers * 2 * 2;
        let most = exact + exact / 8 + spare;
        assert!((exact..=most).contains(&cache.bytes()), "{}: {} of {exact}", facts.name, cache.bytes());
    }
}

#[test]
fn a_picture_and_a_step_have_the_right_shapes() {
    for facts in &ALL {
        for quantization in [None, Some(("nvfp4", 16))] {
            let loaded = match quantization {
                None => load(facts, &published(facts.tensors()), None),
                Some((mode, group)) => {
                    let (tensors, quantization) = quantized(facts.tensors(), mode, group);
                    load(facts, &tensors, Some(quantization))
                }
            };
            let loaded = loaded.unwrap();
            let features = Array::zeros::<f32>(&[280, facts.hidden as i32]).unwrap();
            let mut prompt = text(300, 0);
            prompt.soft.push((10..290, SoftTokens { features, extra: Vec::new() }));
            prompt.blocks.push(10..290);
            let mut cache = loaded.model.new_state();
            assert_eq!(append(&*loaded.model, prompt, &mut cache), [1, VOCAB as i32]);
            assert_eq!(append(&*loaded.model, text(1, 300), &mut cache), [1, VOCAB as i32]);
            assert_eq!(cache.len(), 301);
        }
    }
}
