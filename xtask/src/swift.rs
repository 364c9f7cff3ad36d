//! `cargo xtask swift-test`: the Swift package, built and tested on Linux against the library and the demo model.

mod apple;
mod consumer;
mod objc;
mod release;
mod root;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cargo::{self, Profile};
use crate::report::Report;
use crate::{paths, process, setup};
use root::Root;

const USAGE: &str = "usage: cargo xtask swift-test [--install] [--filter TEXT]";

/// `cargo xtask swift-test [--install] [--filter TEXT]`
pub fn command(arguments: &[String]) -> Result<()> {
    let (mut install, mut filter) = (false, "");
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--install" => install = true,
            "--filter" => filter = rest.next().context(USAGE)?,
            _ => bail!("unknown option {flag}\n{USAGE}"),
        }
    }
    ensure!(
        cfg!(target_os = "linux"),
        "on a Mac, run `cargo xtask xcframework` and then `swift test` in swift/"
    );
    let mut report = Report::new(filter);
    run(&mut report, install)?;
    report.finish()
}

fn run(report: &mut Report, install: bool) -> Result<()> {
    let stage = setup::ensure()?.context("MLX is not staged on this platform")?;
    let toolchain = Toolchain::new(cargo::build(Profile::Dev)?, stage.libraries(), install)?;
    report.check("Swift manifest for Linux", || manifests(&toolchain, "system", linux_target));
    report.check("Swift manifest for Apple", || manifests(&toolchain, "xcframework", apple_target));
    report.check("Swift format", || {
        let line = "swift format lint --strict --recursive Package.swift Sources Tests Examples";
        toolchain.run(&package(), &[], line)
    });
    report.check("Swift tests", || tests(&toolchain, "tests", ""));
    report.check("ThreadSanitizer catches a race", || race_is_caught(&toolchain));
    report.check("Swift tests under ThreadSanitizer", || tests(&toolchain, "tsan", "--sanitize=thread"));
    report.check("Swift documentation", || documentation(&toolchain));
    apple::run(report, &toolchain);
    consumer::run(report, &toolchain, &stage);
    release::run(report, &toolchain);
    objc::run(report, &toolchain);
    Ok(())
}

/// Swift, and what it links with.
pub struct Toolchain {
    root: Root,
    /// The folder of `librmlx.so`, and that of what it needs.
    libraries: [PathBuf; 2],
}

impl Toolchain {
    fn new(built: PathBuf, staged: PathBuf, install: bool) -> Result<Self> {
        let mut root = Root::ensure(install)?;
        root.show(&built);
        root.show(&staged);
        Ok(Self { root, libraries: [built, staged] })
    }

    /// Runs a line of a shell, and shows what it printed only when it fails.
    fn run(&self, folder: &Path, variables: &[(&str, String)], line: &str) -> Result<()> {
        self.capture(folder, variables, line).map(drop)
    }

    /// Runs a line of a shell, and returns what it printed to standard output.
    fn capture(&self, folder: &Path, variables: &[(&str, String)], line: &str) -> Result<String> {
        let output = process::output(&mut self.root.command(folder, &self.variables(variables), line))?;
        if !output.status.success() {
            bail!("{line} failed ({})\n{}", output.status, process::text(&output).trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn variables<'a>(&self, more: &[(&'a str, String)]) -> Vec<(&'a str, String)> {
        let [built, staged] = self.libraries.each_ref().map(|folder| folder.display().to_string());
        let mut variables = vec![("LD_LIBRARY_PATH", format!("{built}:{staged}")), ("LIBRARY_PATH", built)];
        variables.extend_from_slice(more);
        variables
    }
}

/// The folder of the Swift package.
pub fn package() -> PathBuf {
    paths::root().join("swift")
}

/// What Swift builds stays in the checkout, where /tmp of the root does not.
fn scratch(name: &str) -> Result<PathBuf> {
    let folder = paths::root().join("target/swift").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn tests(toolchain: &Toolchain, name: &str, flags: &str) -> Result<()> {
    let line = format!("swift test {flags} --scratch-path '{}'", scratch(name)?.display());
    let printed = toolchain.capture(&package(), &[], &format!("{line} 2>&1"))?;
    // One line of each of the two test libraries; a run that finds no test passes, too.
    let summaries =
        printed.lines().filter(|line| line.contains("Test run with") || line.contains("Executed "));
    let summaries: Vec<_> = summaries.map(str::trim).collect();
    ensure!(summaries.len() >= 2, "swift test does not say how many tests it ran\n{printed}");
    for summary in [summaries.first(), summaries.last()].into_iter().flatten() {
        ensure!(!summary.contains(" 0 tests"), "no test was run\n{printed}");
        println!("  {summary}");
    }
    ensure!(!printed.contains("WARNING: ThreadSanitizer"), "ThreadSanitizer warned\n{printed}");
    ensure!(!printed.contains(": warning: "), "the compiler warned\n{printed}");
    Ok(())
}

/// The sanitizer is really on: it stops a program that has a race.
fn race_is_caught(toolchain: &Toolchain) -> Result<()> {
    let folder = scratch("race")?;
    let source = paths::root().join("xtask/checks/race.swift");
    let line = format!("swiftc -sanitize=thread -parse-as-library '{}' -o race && ./race", source.display());
    let output = process::output(&mut toolchain.root.command(&folder, &[], &line))?;
    let printed = process::text(&output);
    ensure!(
        !output.status.success() && printed.contains("WARNING: ThreadSanitizer"),
        "a data race went unnoticed\n{printed}"
    );
    Ok(())
}

/// Reads the manifest as it is on a platform of that packaging, in its own folder and through the link in the root, where
/// the paths of its targets are others.
fn manifests(toolchain: &Toolchain, packaging: &str, check: fn(&Value) -> Result<()>) -> Result<()> {
    for (folder, prefix) in [(package(), ""), (paths::root(), "swift/")] {
        let line = format!("swift package --scratch-path '{}' dump-package", scratch("manifest")?.display());
        let printed = toolchain.capture(&folder, &[("RMLX_PACKAGING", packaging.to_owned())], &line)?;
        let manifest: Value = serde_json::from_str(&printed)?;
        let target = manifest_is_right(&manifest)?;
        check(target)?;
        let path = target["path"].as_str().unwrap_or(prefix);
        ensure!(path.starts_with(prefix), "in {}, CRmlx is at {path}", folder.display());
    }
    Ok(())
}

/// The target that the packaging decides on.
fn manifest_is_right(manifest: &Value) -> Result<&Value> {
    let platforms = manifest["platforms"].as_array().context("no platforms")?;
    for (name, version) in [("macos", "14.0"), ("ios", "17.0")] {
        let found = platforms.iter().any(|p| p["platformName"] == name && p["version"] == version);
        ensure!(found, "the package is not for {name} {version}");
    }
    for name in ["Rmlx", "RmlxFoundationModels"] {
        let products = manifest["products"].as_array().context("no products")?;
        ensure!(products.iter().any(|product| product["name"] == name), "the package has no product {name}");
    }
    ensure!(manifest["dependencies"].as_array().is_some_and(Vec::is_empty), "the package has dependencies");
    let targets = manifest["targets"].as_array().context("no targets")?;
    targets.iter().find(|target| target["name"] == "CRmlx").context("no target CRmlx")
}

fn linux_target(target: &Value) -> Result<()> {
    ensure!(
        target["type"] == "system" && target["pkgConfig"] == "rmlx",
        "not the system's library: {target}"
    );
    Ok(())
}

fn apple_target(target: &Value) -> Result<()> {
    let (path, url) = (target["path"].as_str(), target["url"].as_str());
    ensure!(target["type"] == "binary", "not a binary: {target}");
    ensure!(
        path.is_some_and(|path| path.ends_with("Binaries/CRmlx.xcframework"))
            || (url.is_some() && target["checksum"].is_string()),
        "neither a path nor an address with a checksum: {target}"
    );
    Ok(())
}

/// The symbols of a build, and the catalog with its tutorial, become one archive without a warning.
fn documentation(toolchain: &Toolchain) -> Result<()> {
    let folder = scratch("documentation")?;
    let graphs = folder.join("graphs");
    if graphs.exists() {
        fs::remove_dir_all(&graphs)?;
    }
    fs::create_dir_all(&graphs)?;
    let line = format!(
        "swift build --target Rmlx --scratch-path '{folder}/build' \
         -Xswiftc -emit-symbol-graph -Xswiftc -emit-symbol-graph-dir -Xswiftc '{graphs}' && \
         rm -f '{graphs}'/*@*.symbols.json && \
         docc convert Sources/Rmlx/Rmlx.docc --additional-symbol-graph-dir '{graphs}' \
         --fallback-display-name Rmlx --fallback-bundle-identifier org.rmlx.Rmlx \
         --warnings-as-errors --output-path '{folder}/Rmlx.doccarchive'",
        folder = folder.display(),
        graphs = graphs.display()
    );
    if folder.join("build").exists() {
        // Symbols are only written for what is compiled.
        fs::remove_dir_all(folder.join("build"))?;
    }
    toolchain.run(&package(), &[], &line)?;
    let archive = folder.join("Rmlx.doccarchive/data");
    for page in ["documentation/rmlx/session.json", "tutorials/rmlx/describe-a-photo.json"] {
        ensure!(archive.join(page).is_file(), "the documentation has no page {page}");
    }
    Ok(())
}
