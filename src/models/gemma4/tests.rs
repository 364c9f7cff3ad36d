//! What all kinds of Gemma 4 do alike, over the fixtures of `tests/fixtures`.

use std::path::{Path, PathBuf};

use mlx_rs::Array;
use mlx_rs::transforms::eval;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use serde_json::Value;

use crate::media::{Image, Media};
use crate::models::cases::{Case, Part, bytes, path, sigma};
use crate::models::{Batch, LanguageModel, LoadContext, Run, architecture};
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::nn::testing::host;
use crate::snapshot::Snapshot;

const KINDS: [&str; 4] = ["e2b", "e4b", "moe", "dense31"];

fn fixtures() -> PathBuf {
    path("")
}

fn load(dir: &Path, device: Device) -> Box<dyn LanguageModel> {
    let snapshot = Snapshot::open(dir).unwrap();
    let mut context = LoadContext {
        snapshot: &snapshot,
        device,
        progress: &mut |_| Ok(()),
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    architecture(&snapshot).unwrap().load(&mut context).unwrap()
}

fn ids(count: usize, seed: usize) -> Vec<i32> {
    (0..count).map(|i| (20 + (i * i * 31 + i * 7 + seed * 113) % 600) as i32).collect()
}

/// Logits after `ids`, which go in in one chunk.
fn append(model: &dyn LanguageModel, ids: &[i32], state: &mut State) -> Vec<f32> {
    let positions = Positions::Consecutive { start: state.len() as i32, count: ids.len() };
    let run = Run::text(Array::from_slice(ids, &[ids.len() as i32]), positions);
    let hidden = model.forward(&Batch::of(run), &mut [state]).unwrap();
    eval(state.arrays()).unwrap();
    host(&model.logits(&hidden, 0..1).unwrap())
}

#[track_caller]
fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / sigma(expected);
    assert!(off < tolerance, "off by {off} sigma");
}

#[test]
fn positions_that_are_taken_back_leave_nothing() {
    for kind in KINDS {
        let model = load(&fixtures().join(format!("{kind}-bf16-hf")), Device::Cpu);
        let (kept, dropped, next) = (ids(90, 1), ids(20, 2), ids(5, 3));
        let mut fresh = model.new_state();
        append(&*model, &kept, &mut fresh);
        let expected = append(&*model, &next, &mut fresh);

        let mut state = model.new_state();
        append(&*model, &kept, &mut state);
        append(&*model, &dropped, &mut state);
        assert!(state.trim(kept.len()), "{kind}");
        close(&append(&*model, &next, &mut state), &expected, 1e-4);
        // Far enough for the windows to wrap: only a checkpoint brings them back.
        let mut state = model.new_state();
        append(&*model, &kept, &mut state);
        let checkpoint = state.checkpoint().unwrap();
        for _ in 0..40 {
            append(&*model, &dropped, &mut state);
        }
        assert!(!state.trim(kept.len()), "{kind}");
        state.restore(&checkpoint);
        close(&append(&*model, &next, &mut state), &expected, 1e-4);
    }
}

#[test]
fn only_layers_with_keys_of_their_own_have_states() {
    for kind in KINDS {
        let dir = fixtures().join(format!("{kind}-bf16-hf"));
        let text = &Snapshot::open(&dir).unwrap().config["text_config"];
        let count = |key: &str| text[key].as_u64().unwrap() as usize;
        let model = load(&dir, Device::Cpu);
        let mut state = model.new_state();
        append(&*model, &ids(3, 1), &mut state);
        let owners = count("num_hidden_layers") - count("num_kv_shared_layers");
        assert_eq!(state.arrays().len(), 2 * owners, "{kind}");
    }
}

/// Logits after a text that is longer than a window, from a fresh state.
fn of_text(model: &dyn LanguageModel) -> Vec<f32> {
    append(model, &ids(90, 1), &mut model.new_state())
}

/// A weight file stays open as long as one of its tensors has not been read. One that a load forgets would be read
/// with the first prompt, where nobody asks whether that went well.
#[cfg(target_os = "linux")]
#[test]
fn a_load_leaves_nothing_to_be_read() {
    let is_open = |dir: &Path| {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|file| file.starts_with(dir))
    };
    for folder in
        ["e2b-bf16-hf", "e2b-mxfp4", "moe-bf16-hf", "moe-mixed", "dense31-bf16-hf", "unified-mixed-fp"]
    {
        for device in [Device::Cpu, Device::Gpu] {
            let copy = tempfile::tempdir().unwrap();
            for entry in std::fs::read_dir(fixtures().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
            let _model = load(copy.path(), device);
            // MLX's reading threads let go of a file a moment after its last tensor is there.
            let waited = std::time::Instant::now();
            while is_open(copy.path()) {
                assert!(waited.elapsed().as_secs() < 10, "{folder}");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// The snapshot `dir` with its tensors, which are `bf16`, as `change` wants them; `None` leaves one out.
fn changed(
    dir: &Path,
    change: impl Fn(&str, &[u8]) -> Option<(String, Dtype, Vec<u8>)>,
) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let target = copy.path().join(path.file_name().unwrap());
        if path.extension().is_none_or(|e| e != "safetensors") {
            std::fs::copy(&path, &target).unwrap();
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .filter_map(|(name, tensor)| {
                assert_eq!(tensor.dtype(), Dtype::BF16);
                let (name, dtype, data) = change(name, tensor.data())?;
                Some((name, dtype, tensor.shape().to_vec(), data))
            })
            .collect();
        let views = values.iter().map(|(name, dtype, shape, data)| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        serialize_to_file(views, None, &target).unwrap();
    }
    copy
}

/// The snapshot `dir` with its tensors as `f32`, in which also the GPU's code computes exactly.
fn widened(dir: &Path) -> tempfile::TempDir {
    changed(dir, |name, data| {
        let widen = |half: &[u8]| [0, 0, half[0], half[1]];
        Some((name.to_owned(), Dtype::F32, data.chunks(2).flat_map(widen).collect()))
    })
}

/// The language model of a kind by itself: `prefix` begins its tensors' names, and `config` makes its `config.json` of
/// the whole one.
fn text_alone(kind: &str, prefix: &str, config: impl FnOnce(Value) -> Value) -> tempfile::TempDir {
    let copy = changed(&fixtures().join(format!("{kind}-bf16-hf")), |name, data| {
        let rest = name.strip_prefix("model.language_model.")?;
        Some((format!("{prefix}{rest}"), Dtype::BF16, data.to_vec()))
    });
    let file = copy.path().join("config.json");
    let whole = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    std::fs::write(&file, config(whole).to_string()).unwrap();
    copy
}

/// Causal and windowed masks, blocks, kernels for norms, rotations and attention, sorted and unsorted experts: what
/// the GPU runs is run here by MLX's own fallbacks.
#[test]
fn the_code_for_the_gpu_gives_the_logits_of_the_reference() {
    for kind in KINDS {
        let wide = widened(&fixtures().join(format!("{kind}-bf16-hf")));
        let model = load(wide.path(), Device::Gpu);
        for name in ["long_text", "image_longer_than_window"] {
            let case = Case::load(&format!("{kind}/{name}"));
            let ids: Vec<i32> = case.prompt_ids.iter().map(|id| *id as i32).collect();
            let media = architecture(&Snapshot::open(wide.path()).unwrap()).unwrap();
            let mut run =
                Run::text(Array::from_slice(&ids, &[ids.len() as i32]), Positions::counting(ids.len()));
            let parts = case.messages.iter().flat_map(|message| &message.parts);
            let images = parts.filter_map(|part| match part {
                Part::Image { file, max_soft_tokens } => Some((file, *max_soft_tokens)),
                _ => None,
            });
            for ((file, budget), place) in images.zip(&case.media) {
                let image = Image::decode(&bytes(file)).unwrap().with_soft_token_budget(budget).unwrap();
                let (at, count) = (place.begin + 1, place.soft_tokens);
                let prepared = media.media().prepare(&Media::Image(image), &|| Ok(())).unwrap();
                run.soft.push((at..at + count, model.encode(&prepared).unwrap()));
                run.blocks.push(at..at + count);
            }
            let hidden = model.forward(&Batch::of(run), &mut [&mut model.new_state()]).unwrap();
            let logits = host(&model.logits(&hidden, 0..1).unwrap());
            println!("{kind} {name}: {} ids", ids.len());
            close(&logits, &case.tensor("bf16/logits"), 1e-3);
        }
    }
}

#[test]
fn a_text_model_by_itself_is_the_one_of_the_whole_model() {
    for (kind, prefix, model_type) in [
        ("dense31", "model.", "gemma4_text"),
        ("e2b", "model.", "gemma4_text"),
        ("moe", "language_model.model.", "gemma4_text"),
        ("unified", "model.", "gemma4_unified_text"),
    ] {
        let alone = text_alone(kind, prefix, |mut whole| {
            let mut text = whole["text_config"].take();
            text["model_type"] = model_type.into();
            text["eos_token_id"] = 7.into();
            text
        });
        let architecture = architecture(&Snapshot::open(alone.path()).unwrap()).unwrap();
        let facts = architecture.facts();
        assert_eq!((facts.name.as_str(), &facts.eos[..]), (model_type, &[7][..]));
        assert!(architecture.modalities().is_empty());
        let whole = load(&fixtures().join(format!("{kind}-bf16-hf")), Device::Cpu);
        close(&of_text(&*load(alone.path(), Device::Cpu)), &of_text(&*whole), 1e-6);
    }
}

/// Shared keys, per-layer inputs and experts are parts of the language model, not of a family.
#[test]
fn a_unified_model_runs_with_the_parts_of_the_others() {
    for kind in ["e2b", "moe"] {
        let unified = text_alone(kind, "model.language_model.", |mut whole| {
            whole["model_type"] = "gemma4_unified".into();
            whole["vision_config"] = Value::Null;
            whole["audio_config"] = Value::Null;
            whole
        });
        let whole = load(&fixtures().join(format!("{kind}-bf16-hf")), Device::Cpu);
        close(&of_text(&*load(unified.path(), Device::Cpu)), &of_text(&*whole), 1e-6);
    }
}
