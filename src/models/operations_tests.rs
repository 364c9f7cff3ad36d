//! How many operations of MLX's graph a decode step takes, on the CPU with kernels of our own: each costs some microseconds
//! there, and a launch on a GPU, whose graph differs in norms, rotations, gates and attention alone.

use std::collections::BTreeMap;

use mlx_rs::Array;
use mlx_rs::transforms::eval;

use super::cases::path;
use super::{Batch, LoadContext, Run, architecture};
use crate::nn::Device;
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
        border: &|| Ok(()),
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

#[test]
fn a_decode_step_takes_no_more_operations_than_it_needs() {
    for folder in [
        "unified-mxfp4",
        "e2b-mxfp4",
        "e4b-nvfp4",
        "moe-mxfp4",
        "dense31-mxfp4",
        "gemma3-mxfp4",
        "qwen3vl-mxfp4",
        "qwen3vlmoe-mxfp4",
    ] {
        let counts = of_a_step(folder);
        println!("{folder} {} {counts:?}", counts.values().sum::<usize>());
    }
}
