//! How many operations of MLX's graph a decode step takes, on the CPU with kernels of our own: each costs some microseconds
//! there, and a launch on a GPU, whose graph differs in norms, rotations, gates and attention alone.

use std::collections::BTreeMap;

use mlx_rs::Array;
use mlx_rs::transforms::eval;

use super::cases::path;
use super::{Batch, LoadContext, Run, architecture};
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::mlx::operations;
use crate::nn::positions::Positions;
use crate::snapshot::Snapshot;

/// The operations of a decode step after a prompt of a few tokens, down to the logits.
fn of_a_step(folder: &str) -> BTreeMap<String, usize> {
    let snapshot = Snapshot::open(&path(folder)).unwrap();
    let architecture = architecture(&snapshot).unwrap();
    let mut context = LoadContext {
        snapshot: &snapshot,
        device: Device::Cpu,
        progress: &mut |_| Ok(()),
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    let model = architecture.load(&mut context).unwrap();
    let mut state = model.new_state();
    let mut step = |ids: &[i32]| {
        let positions = Positions::Consecutive { start: state.position(), count: ids.len() };
        let run = Run::text(Array::from_slice(ids, &[ids.len() as i32]), positions);
        let hidden = model.forward(&Batch::of(run), &mut [&mut state]).unwrap();
        let logits = model.logits(&hidden, 0..1).unwrap();
        let arrays: Vec<Array> = std::iter::once(&logits).chain(state.arrays()).cloned().collect();
        let counts = operations(&arrays);
        eval(&arrays).unwrap();
        counts
    };
    step(&[2, 300, 301]);
    step(&[302])
}

/// The most that a step may take, and the layers of the snapshot.
///
/// A layer of Gemma 4 has 12 kernels: four norms around its two halves, one of all heads, four products, the gate, the
/// rotation and the attention. Beside them two rows are written and two buffers are seen (`SliceUpdate`, `Slice`), heads are
/// parted and brought together (`Slice`, `Reshape`), two results are added, and the layer's own scalar is multiplied
/// (`Multiply`, `Broadcast`). Gemma 3 lacks that scalar, Qwen3-VL also two of the norms; inputs of each layer are four
/// kernels more, experts eight with their norms, and the choice of experts some plain operations. Some twenty come from looking up
/// a packed row, the scale of the embeddings and the logits' cap.
const BUDGET: [(&str, usize, usize); 8] = [
    ("unified-mxfp4", 213, 6),
    ("e2b-mxfp4", 266, 6),
    ("e4b-nvfp4", 257, 6),
    ("moe-mxfp4", 245, 4),
    ("dense31-mxfp4", 155, 4),
    ("gemma3-mxfp4", 252, 8),
    ("qwen3vl-mxfp4", 130, 4),
    ("qwen3vlmoe-mxfp4", 166, 4),
];

#[test]
fn a_decode_step_takes_no_more_operations_than_its_budget() {
    for (folder, most, layers) in BUDGET {
        let counts = of_a_step(folder);
        let all: usize = counts.values().sum();
        println!("{folder}: {all}, of {layers} layers: {counts:?}");
        assert!(all <= most, "{folder}: {all} operations, {most} are its budget: {counts:?}");
    }
}
