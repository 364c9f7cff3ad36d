//! `cargo xtask fuzz`: a fuzzer of `fuzz/` with libFuzzer and AddressSanitizer, built as cargo-fuzz builds it, by the
//! toolchain that is here.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo, paths, process, setup};

const USAGE: &str = "usage: cargo xtask fuzz TARGET... [--seconds N]";

/// libFuzzer's own flags: it sees which code an input reaches, and what is compared with what.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// `cargo xtask fuzz TARGET... [--seconds N]`
pub fn command(arguments: &[String]) -> Result<()> {
    let (mut targets, mut seconds) = (Vec::new(), 60_u64);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => seconds = rest.next().context(USAGE)?.parse().context(USAGE)?,
            flag if flag.starts_with('-') => bail!("{USAGE}"),
            name => targets.push(name),
        }
    }
    let known = known()?;
    ensure!(!targets.is_empty(), "{USAGE}\n\nthe targets are {}", known.join(", "));
    for target in &targets {
        ensure!(
            known.iter().any(|name| name == target),
            "no target {target}: there are {}",
            known.join(", ")
        );
    }
    let stage = setup::ensure()?;
    let folder = build(&targets)?;
    for target in &targets {
        let mut fuzzer = Command::new(folder.join(target));
        if let Some(stage) = &stage {
            fuzzer.env("LD_LIBRARY_PATH", stage.libraries());
        }
        run(&mut fuzzer, target, seconds)?;
    }
    Ok(())
}

fn home() -> PathBuf {
    paths::root().join("fuzz")
}

fn known() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home().join("fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds the targets and returns the folder that they are in.
fn build(targets: &[&str]) -> Result<PathBuf> {
    let host = setup::host()?;
    let flags = [&COVERAGE[..], &["--cfg", "fuzzing", "-Ccodegen-units=16", "-Zsanitizer=address"]].concat();
    let mut build = cargo::command();
    // The flags of sanitizers are not stable, and nothing that is shipped is built with them.
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags.join(" ")).current_dir(home());
    build.args(["build", "--release", "--locked", "--target", &host]);
    process::run(build.args(targets.iter().flat_map(|target| ["--bin", *target])))?;
    Ok(home().join("target").join(host).join("release"))
}

/// Begins with the corpus, to which it adds what reaches more, and with what the tests have.
fn run(fuzzer: &mut Command, target: &str, seconds: u64) -> Result<()> {
    let corpus = home().join("corpus").join(target);
    let found = home().join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", found.display()));
    // Values of templates without fields are kept by a pointer to their end, which it does not take for one to them.
    fuzzer.env("ASAN_OPTIONS", "detect_leaks=0");
    fuzzer.args(["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=4096", "-max_len=65536"]).arg(corpus);
    fuzzer.args(seeds(target).iter().map(|folder| paths::root().join(folder)));
    process::run(fuzzer)
}

/// Files of the tests that the target reads.
fn seeds(target: &str) -> &'static [&'static str] {
    match target {
        "images" | "sounds" => &["src/media/testdata", "src/media/testdata/jpeg"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_fuzzers_package() -> Result<()> {
        let manifest = fs::read_to_string(home().join("Cargo.toml"))?;
        for name in known()? {
            assert!(
                manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
        }
        Ok(())
    }

    /// What the lock file of `folder` says that the library needs.
    fn locked(folder: &Path) -> Result<Vec<String>> {
        let lock = fs::read_to_string(folder.join("Cargo.lock"))?;
        let library = lock.split("[[package]]").find(|package| package.contains("name = \"rmlx\"\n"));
        let (_, needs) =
            library.and_then(|library| library.split_once("dependencies = [")).context("rmlx")?;
        let needs = needs.split(']').next().unwrap_or_default().lines().map(str::trim);
        Ok(needs.filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    #[test]
    fn the_fuzzers_lock_file_has_all_that_the_library_needs() -> Result<()> {
        // What only the library's tests need is not in it.
        let of_tests = ["\"arbitrary\",", "\"tempfile\","];
        let mut whole = locked(&paths::root())?;
        whole.retain(|name| !of_tests.contains(&name.as_str()));
        assert_eq!(locked(&home())?, whole, "run `cargo metadata` in fuzz/");
        Ok(())
    }

    #[test]
    fn seeds_are_folders() {
        assert!(seeds("images").iter().all(|folder| paths::root().join(folder).is_dir()));
    }
}
