//! How long a large session takes, beside a copy of its file: `cargo test --lib -- --ignored --nocapture a_large_session`.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use mlx_rs::{Array, Dtype};

use super::contents::Contents;
use super::format::{Expected, Plan};
use super::read::{self, Source};
use super::{file, write};
use crate::nn::kept::{KeptState, Reading};
use crate::nn::mlx::eval;
use crate::nn::state::{Shape, State};

/// Processor time of the process and the most memory that it has had, where the system says.
fn spent() -> (f64, f64) {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib = line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
    ((ticks(11) + ticks(12)) / 100.0, kib * 1024.0 / 1e6)
}

/// What `f` gives, and how long it takes: on the clock and of the processor.
fn timed<R>(f: impl FnOnce() -> R) -> (R, String) {
    let ((before, _), began) = (spent(), Instant::now());
    let result = f();
    (result, format!("{:.2?} ({:.2} s of CPU)", began.elapsed(), spent().0 - before))
}

const LAYERS: usize = 32;
const POSITIONS: usize = 8192;
const SHAPE: Shape = Shape { window: None, kv_heads: 8, head_dim: 128, dtype: Dtype::Bfloat16 };

fn state() -> State {
    let count = SHAPE.kv_heads * POSITIONS * SHAPE.head_dim;
    let values: Vec<f32> = (0..count).map(|i| (i % 1009) as f32).collect();
    let rows =
        Array::from_slice(&values, &[1, SHAPE.kv_heads as i32, POSITIONS as i32, SHAPE.head_dim as i32]);
    let rows = rows.as_dtype(SHAPE.dtype).unwrap();
    let mut state = State::new([SHAPE; LAYERS]);
    for layer in 0..LAYERS {
        state.layer(layer).append(&rows, &rows).unwrap();
    }
    state.advance(POSITIONS, POSITIONS as i32);
    eval(state.arrays()).unwrap();
    state
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    File::open(to).unwrap().sync_all().unwrap();
}

#[test]
#[ignore = "it takes 4 GB of memory and 2 GB of disk"]
fn a_large_session_is_saved_and_loaded_at_the_speed_of_a_copy() {
    let folder = std::env::var_os("RMLX_SPEED_FOLDER").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let (path, other) = (folder.path().join("a"), folder.path().join("b"));
    let contents = Contents {
        shapes: vec![SHAPE; LAYERS],
        next: POSITIONS as i32,
        states: vec![KeptState::of(&state(), Reading::InPlace).unwrap().unwrap()],
        ids: vec![1; POSITIONS],
        media: Vec::new(),
    };
    let marks = ([1; 32], [2; 32]);
    let shapes = [SHAPE; LAYERS];
    let expected = Expected { snapshot: &marks.0, template: &marks.1, shapes: &shapes, vocab: 2 };
    for _ in 0..3 {
        let plan = Plan::new(&contents, (&marks.0, &marks.1)).unwrap();
        let write = |file: &File| write::to_file(&plan, &contents, file, &path);
        let ((), save) = timed(|| file::replace(&path, plan.total(), write).unwrap());
        let ((), copied) = timed(|| copy(&path, &other));
        // Reset, so that what follows is what the load has had.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let before = spent().1;
        let (saved, read) = timed(|| {
            let source = Source::open(&path).unwrap();
            let front = read::front(&source, &expected).unwrap();
            read::parts(&source, front, &expected).unwrap()
        });
        let (past, taken) = timed(|| saved.into_past(1).unwrap());
        let most = spent().1 - before;
        assert_eq!((past.held.len(), past.state.len()), (POSITIONS, POSITIONS));
        let mb = plan.total() as f64 / 1e6;
        println!(
            "{mb:.0} MB: save {save}, copy and sync {copied}, read {read}, taken over {taken}, {most:.0} MB more at a time"
        );
    }
}
