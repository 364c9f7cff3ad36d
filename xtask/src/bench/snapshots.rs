//! What is measured: the tiny snapshot of the tests, and larger random ones.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Case;
use super::mlx_vlm::MlxVlm;
use crate::{paths, process};

/// The formats of `tools/make_midsize.py`.
pub const FORMATS: [&str; 5] = ["bf16", "affine4", "mxfp4", "nvfp4", "mxfp8"];
const TINY: &str = "tests/fixtures/unified-bf16-mlx";
const IMAGE: &str = "tests/fixtures/media/square.png";

pub fn tiny(rounds: usize) -> Result<Vec<Case>> {
    let snapshot = paths::root().join(TINY);
    ensure!(snapshot.is_dir(), "{} is missing", snapshot.display());
    let case = |name: &str, prompt: &str, image: Option<&str>| Case {
        name: name.to_owned(),
        snapshot: snapshot.clone(),
        prompt: prompt.to_owned(),
        image: image.map(|file| paths::root().join(file)),
        rounds,
        repeats: 2,
    };
    Ok(vec![
        case("tiny, text", "What is the capital of France?", None),
        case("tiny, image", "What is in the picture?", Some(IMAGE)),
    ])
}

/// One text prompt of 512 tokens for each format.
pub fn midsize(mlx_vlm: &MlxVlm, formats: &[String], rounds: usize, repeats: usize) -> Result<Vec<Case>> {
    let root = paths::root().join("target/bench/snapshots");
    let case = |format: &String| Ok(Case { rounds, repeats, ..midsize_case(mlx_vlm, &root, format)? });
    formats.iter().map(case).collect()
}

fn midsize_case(mlx_vlm: &MlxVlm, root: &Path, format: &str) -> Result<Case> {
    let snapshot = root.join(format!("midsize-{format}"));
    let prompt = snapshot.join("bench_prompt.txt");
    // The prompt is written last.
    if !prompt.is_file() {
        println!("making {}", snapshot.display());
        let mut make = mlx_vlm.python();
        make.arg(paths::root().join("tools/make_midsize.py"));
        make.arg("--base").arg(paths::root().join(TINY)).arg("--out").arg(root).args(["--formats", format]);
        process::capture(&mut make)?;
    }
    Ok(Case {
        name: format!("midsize {format}, text"),
        prompt: fs::read_to_string(&prompt)?.trim().to_owned(),
        snapshot,
        image: None,
        rounds: 1,
        repeats: 0,
    })
}

/// The bytes of all weight files.
pub fn weight_bytes(snapshot: &Path) -> Result<u64> {
    let entries = fs::read_dir(snapshot).with_context(|| format!("cannot read {}", snapshot.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let weights =
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    weights.map(|file| Ok(fs::metadata(file)?.len())).sum()
}
