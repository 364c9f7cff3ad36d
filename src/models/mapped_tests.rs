//! Weights in the pages of their files, over the fixtures of `tests/fixtures`: what MLX takes on Metal as it is, it copies
//! here.

use mlx_rs::Array;
use mlx_rs::transforms::eval;

use super::cases::{path, sigma};
use super::{Batch, LanguageModel, LoadContext, Run, architecture};
use crate::error::Result;
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::positions::Positions;
use crate::nn::testing::host;
use crate::snapshot::Snapshot;

fn load(snapshot: &Snapshot, device: Device) -> Result<Box<dyn LanguageModel>> {
    let mut context = LoadContext {
        snapshot,
        device,
        progress: &mut |_| Ok(()),
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    architecture(snapshot)?.load(&mut context)
}

fn logits(model: &dyn LanguageModel) -> Vec<f32> {
    let ids: Vec<i32> = (0..40).map(|i| 20 + (i * i * 31 + i * 7) % 600).collect();
    let positions = Positions::Consecutive { start: 0, count: ids.len() };
    let run = Run::text(Array::from_slice(&ids, &[ids.len() as i32]), positions);
    let mut state = model.new_state();
    let hidden = model.forward(&Batch::of(run), &mut [&mut state]).unwrap();
    eval(state.arrays()).unwrap();
    host(&model.logits(&hidden, 0..1).unwrap())
}

/// Bytes that stay in the files, and how far the logits are from those of weights that were read.
fn compare(folder: &str, device: Device, tolerance: f32) -> u64 {
    let snapshot = Snapshot::open(&path(folder)).unwrap();
    let read = load(&snapshot, device).unwrap();
    let snapshot = snapshot.with_maps(true);
    let planned = load(&snapshot.clone().without_data(), device).unwrap();
    let mapped = load(&snapshot, device).unwrap();
    assert_eq!(planned.held(), mapped.held(), "{folder}: what was planned is what is held");
    assert_eq!((read.held().mapped, read.held().bytes()), (0, mapped.held().bytes()), "{folder}");
    let (expected, found) = (logits(&*read), logits(&*mapped));
    let off = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / sigma(&expected);
    assert!(off < tolerance, "{folder}: off by {off} sigma");
    mapped.held().mapped
}

#[test]
fn every_kind_answers_alike_with_weights_that_stay_in_their_files() {
    let mut of_packed = 0;
    for folder in std::fs::read_dir(path("")).unwrap() {
        let folder = folder.unwrap().file_name().into_string().unwrap();
        if path(&folder).join("config.json").exists() {
            of_packed += compare(&folder, Device::Cpu, 1e-4);
        }
    }
    assert!(of_packed > 0);
}

#[test]
fn dense_matrices_of_the_snapshots_own_type_stay_too() {
    for folder in ["unified-bf16-hf", "unified-bf16-mlx", "qwen3vl-bf16-hf", "gemma3-bf16-mlx"] {
        let mapped = compare(folder, Device::Gpu, 0.1);
        let snapshot = Snapshot::open(&path(folder)).unwrap().with_maps(true);
        let held = load(&snapshot.without_data(), Device::Gpu).unwrap().held().bytes();
        assert!(mapped * 2 > held, "{folder}: {mapped} of {held} bytes");
    }
}

#[test]
fn a_padded_header_lets_what_is_packed_stay() {
    let (name, folder) = ("e4b-affine4", tempfile::tempdir().unwrap());
    assert_eq!(compare(name, Device::Gpu, 0.1), 0, "its header ends at an odd byte");
    for entry in std::fs::read_dir(path(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    // As tools/align_weights.py does it.
    let file = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let padded = length.next_multiple_of(8);
    bytes[..8].copy_from_slice(&(padded as u64).to_le_bytes());
    bytes.splice(8 + length..8 + length, vec![b' '; padded - length]);
    std::fs::write(&file, bytes).unwrap();
    assert!(compare(folder.path().to_str().unwrap(), Device::Gpu, 0.1) > 0);
}

#[test]
fn a_file_that_is_cut_while_it_is_loaded_ends_the_load_and_not_the_process() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(path("unified-bf16-mlx")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let snapshot = Snapshot::open(folder.path()).unwrap().with_maps(true);
    let weights = snapshot.shards()[0].clone();
    let cut = &mut |done: f32| {
        if done > 0.0 {
            std::fs::File::options().write(true).open(&weights).unwrap().set_len(12_000).unwrap();
        }
        Ok(())
    };
    let mut context = LoadContext {
        snapshot: &snapshot,
        device: Device::Gpu,
        progress: cut,
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    let error = architecture(&snapshot).unwrap().load(&mut context).err().unwrap();
    assert!(error.message().contains("cut to 12000 bytes"), "{error}");
}
