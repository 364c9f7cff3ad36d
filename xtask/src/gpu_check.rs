//! `cargo xtask gpu-check`: our own kernels and the tiny models of the tests on this machine's GPU beside its CPU, and models
//! of the published sizes, with random weights, on the GPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::{self, Profile};
use crate::setup::{self, Backend};
use crate::{bench, paths, process, python};

/// How far the GPU's logits may be from the CPU's, in standard deviations (root of the mean square). Rounding to bf16 makes
/// 0.01 to 0.03, and 0.2 where it makes a router choose another expert; unrelated logits are 1.4 apart.
const TOLERANCE: f64 = 0.35;
/// How far a session that went on, was forked, cut back or loaded may be from a fresh one, as many times as a prompt in other
/// pieces is; and what rounding may make in any case.
const TIMES: f64 = 4.0;
const ROUNDING: f64 = 0.06;
const MODELS: [&str; 2] = ["e4b", "26b-a4b"];
const FORMATS: [&str; 2] = ["mxfp4", "nvfp4"];
const TOKENS: usize = 64;
/// A square picture of 256 soft tokens, or nearly, and this text make a prompt of about 300.
const IMAGE: &str = "tests/fixtures/media/square.png";
const PROMPT: &str = "Describe this picture in a few words, and say what is in the middle of it.";

/// `cargo xtask gpu-check`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask gpu-check");
    if cfg!(target_os = "linux") {
        setup::stage(Backend::Cuda)?;
    }
    let examples = cargo::build_examples(Profile::Release, &["bench", "devices", "past"])?;
    if cfg!(target_os = "linux") {
        let mut kernels = cargo::command();
        kernels.args(["test", "--release", "--workspace", "--lib", "on_cuda", "--", "--ignored"]);
        process::run(&mut kernels)?;
    }
    compare(&examples.join("devices"))?;
    sessions(&examples.join("past"))?;
    let driver = examples.join("bench");
    let folder = paths::root().join("target/gpu-check");
    let numpy = folder.join("python");
    python::install(&numpy, &["numpy".to_owned()], &[])?;
    println!(
        "{:18}{:>8}{:>10}{:>12}{:>12}{:>12}",
        "", "prompt", "load, s", "prefill/s", "decode/s", "peak, GB"
    );
    for model in MODELS {
        for format in FORMATS {
            let snapshot = make(&folder, &numpy, model, format)?;
            check(&driver, &snapshot, &format!("{model} {format}"))?;
            std::fs::remove_dir_all(&snapshot)?;
        }
    }
    Ok(())
}

/// What the program prints of every snapshot of the tests.
fn each_snapshot(
    program: &Path,
    device: Option<&str>,
    mut judge: impl FnMut(&str, &Value) -> Result<()>,
) -> Result<()> {
    let fixtures = paths::root().join("tests/fixtures");
    let names: Value = serde_json::from_str(&std::fs::read_to_string(fixtures.join("snapshots.json"))?)?;
    for name in names.as_object().into_iter().flatten().map(|(name, _)| name) {
        let mut command = Command::new(program);
        command.arg(fixtures.join(name)).arg(paths::root().join(IMAGE)).args(device);
        judge(name, &serde_json::from_str(&process::capture(&mut command)?)?)?;
    }
    Ok(())
}

/// Sessions with a past beside fresh ones, on the GPU.
fn sessions(past: &Path) -> Result<()> {
    const WAYS: [&str; 5] = ["chunked", "continued", "forked", "loaded", "truncated"];
    print!("{:24}", "from a fresh session");
    WAYS.iter().for_each(|way| print!("{way:>12}"));
    println!();
    each_snapshot(past, Some("gpu"), |name, result| {
        let distances = WAYS.map(|way| result[way].as_f64().unwrap_or(f64::NAN));
        print!("{name:24}");
        distances.iter().for_each(|distance| print!("{distance:>12.4}"));
        println!();
        let most = ROUNDING.max(TIMES * distances[0]);
        ensure!(distances.iter().all(|distance| *distance <= most), "{name}: the past of a session shows");
        Ok(())
    })
}

/// Every snapshot of the tests, on both devices.
fn compare(devices: &Path) -> Result<()> {
    println!("{:24}{:>12}{:>12}", "GPU from CPU, sigma", "text", "image");
    each_snapshot(devices, None, |name, result| {
        let distance = |prompt: &str| result[prompt].as_f64().unwrap_or(f64::NAN);
        let (text, image) = (distance("text"), distance("image"));
        println!("{name:24}{text:>12.4}{image:>12.4}");
        ensure!(text < TOLERANCE && image < TOLERANCE, "{name}: the GPU's logits are not the CPU's");
        Ok(())
    })
}

fn make(folder: &Path, numpy: &Path, model: &str, format: &str) -> Result<PathBuf> {
    let root = paths::root();
    let mut command = Command::new(python::find()?);
    command.env("PYTHONPATH", numpy).arg(root.join("tools/make_fullsize.py"));
    command.args(["--model", model, "--format", format]);
    command.arg("--base").arg(root.join("tests/fixtures")).arg("--out").arg(folder);
    process::capture(&mut command)?;
    Ok(folder.join(format!("{model}-{format}")))
}

/// Loads the snapshot, asks about a picture, and generates [`TOKENS`] tokens.
fn check(driver: &Path, snapshot: &Path, name: &str) -> Result<()> {
    let mut command = Command::new(driver);
    command.arg("--model").arg(snapshot).arg("--image").arg(paths::root().join(IMAGE));
    command.args(["--prompt", PROMPT, "--tokens", &TOKENS.to_string(), "--repeats", "1"]);
    let result = bench::run_driver(&mut command).with_context(|| name.to_owned())?;
    let number =
        |field: &str| result[field].as_f64().with_context(|| format!("{name}: no {field} was measured"));
    println!(
        "{name:18}{:>8}{:>10.1}{:>12.0}{:>12.1}{:>12.1}",
        result["prompt_tokens"],
        number("load_ms")? / 1e3,
        number("prefill_tps")?,
        number("decode_tps")?,
        number("peak_mlx_bytes")? / 1e9,
    );
    ensure!(result["device"] == "gpu", "{name} ran on {}", result["device"]);
    ensure!(result["finite_logits"] == true, "{name}: the logits are not finite");
    let tokens = result["tokens"].as_array().map_or(0, Vec::len);
    ensure!(tokens == TOKENS, "{name} generated {tokens} tokens instead of {TOKENS}");
    Ok(())
}
