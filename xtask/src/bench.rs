//! `cargo xtask bench`: rmlx beside mlx-vlm, on the same version of MLX, the same snapshots and the same prompts; or beside
//! llama.cpp, with the same weights as GGUF.
//!
//! The two run in turn, each in a process of its own, so that whatever else the machine does meets both.

mod busy;
mod llama_cpp;
mod measurement;
mod mlx_vlm;
mod sessions;
mod snapshots;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cargo::{self, Profile};
use crate::{paths, process, setup};
use llama_cpp::LlamaCpp;
use measurement::Measurement;
use mlx_vlm::MlxVlm;
use serde_json::Value;

const USAGE: &str = "\
usage: cargo xtask bench [--midsize FORMAT,...|all] [--rounds N] [--busy THREADS] [--peer mlx-vlm|llama.cpp]
                         [--sessions only]";
const TOKENS: &str = "64";

/// One snapshot and one prompt.
struct Case {
    name: String,
    snapshot: PathBuf,
    prompt: String,
    image: Option<PathBuf>,
    /// How often each of the two is started.
    rounds: usize,
    /// Requests in each process after the first; 0 where mlx-vlm takes minutes for one.
    repeats: usize,
}

struct Options {
    midsize: Vec<String>,
    rounds: usize,
    /// Only several sessions at a time, without a peer.
    sessions: bool,
    /// How many threads of this process keep the machine busy meanwhile.
    busy: usize,
    llama_cpp: bool,
}

/// `cargo xtask bench [--midsize FORMAT,...|all] [--rounds N] [--busy THREADS] [--peer mlx-vlm|llama.cpp] [--sessions only]`
pub fn command(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    setup::ensure()?;
    let rmlx = build_driver()?;
    let mlx_vlm = MlxVlm::prepare()?;
    let llama_cpp = options.llama_cpp.then(LlamaCpp::prepare).transpose()?;
    let mut cases = if options.llama_cpp { Vec::new() } else { snapshots::tiny(options.rounds)? };
    if !options.midsize.is_empty() {
        // mlx-vlm takes minutes for one prompt.
        let (rounds, repeats) = if options.llama_cpp { (options.rounds, 2) } else { (1, 0) };
        cases.extend(snapshots::midsize(&mlx_vlm, &options.midsize, rounds, repeats)?);
    }
    let _busy = busy::keep(options.busy);
    if options.sessions {
        let driver = rmlx.with_file_name("sessions");
        let mut texts = cases.iter().filter(|case| case.image.is_none());
        return texts.try_for_each(|case| sessions::measure(&driver, case, options.rounds));
    }
    cases.iter().try_for_each(|case| match &llama_cpp {
        None => compare(&rmlx, case, "mlx-vlm", |_| Ok(with_case(mlx_vlm.driver(), case))),
        Some(llama_cpp) => {
            let model = llama_cpp.model(&mlx_vlm, &case.snapshot)?;
            let driver =
                |ours: &Measurement| llama_cpp.driver(&model, ours.prompt_ids(), TOKENS, case.repeats);
            compare(&rmlx, case, "llama.cpp", driver)
        }
    })
}

/// The two in turn, as often as the case says.
fn compare(
    rmlx: &Path,
    case: &Case,
    peer: &str,
    driver: impl Fn(&Measurement) -> Result<Command>,
) -> Result<()> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for round in 1..=case.rounds {
        println!("{}: round {round} of {}", case.name, case.rounds);
        let measured = run_driver(&mut with_case(Command::new(rmlx), case)).map(Measurement::new)?;
        theirs.push(run_driver(&mut driver(&measured)?).map(Measurement::new)?);
        ours.push(measured);
    }
    measurement::print_table(&case.name, &case.snapshot, &ours, peer, &theirs)
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { midsize: Vec::new(), rounds: 3, sessions: false, busy: 0, llama_cpp: false };
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let Some(value) = rest.next() else { bail!("{flag} has no value\n{USAGE}") };
        match flag.as_str() {
            "--midsize" if value == "all" => options.midsize = snapshots::FORMATS.map(str::to_owned).to_vec(),
            "--midsize" => options.midsize = value.split(',').map(str::to_owned).collect(),
            "--sessions" if value == "only" => options.sessions = true,
            "--peer" if value == "mlx-vlm" => options.llama_cpp = false,
            "--peer" if value == "llama.cpp" => options.llama_cpp = true,
            "--busy" => options.busy = value.parse().context(USAGE)?,
            "--rounds" => options.rounds = value.parse().context(USAGE)?,
            _ => bail!("unknown option {flag}\n{USAGE}"),
        }
    }
    let unknown = options.midsize.iter().find(|format| !snapshots::FORMATS.contains(&format.as_str()));
    ensure!(unknown.is_none(), "there is no midsize snapshot in {}", unknown.map_or("", String::as_str));
    ensure!(
        !options.llama_cpp || !options.midsize.is_empty(),
        "llama.cpp is compared on midsize snapshots: say which by --midsize"
    );
    ensure!(options.rounds > 0, "--rounds has to be 1 or more");
    Ok(options)
}

fn build_driver() -> Result<PathBuf> {
    Ok(cargo::build_examples(Profile::Release, &["bench", "sessions"])?.join("bench"))
}

/// Runs a driver to its end; the line of JSON that it prints.
pub fn run_driver(driver: &mut Command) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let printed =
        process::capture(driver.current_dir(paths::root()).env("RMLX_BENCH_STARTED", now.to_string()))?;
    let line = printed.lines().rfind(|line| line.starts_with('{'));
    let line = line.ok_or_else(|| anyhow!("a benchmark driver printed no result\n{printed}"))?;
    Ok(serde_json::from_str(line)?)
}

fn with_case(mut driver: Command, case: &Case) -> Command {
    driver.arg("--model").arg(&case.snapshot).args(["--prompt", &case.prompt, "--tokens", TOKENS]);
    driver.args(["--repeats", &case.repeats.to_string()]);
    if let Some(image) = &case.image {
        driver.arg("--image").arg(image);
    }
    driver
}
