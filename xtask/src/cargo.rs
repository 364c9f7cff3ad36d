//! Asking Cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::{library, paths, process, traces};

/// Cargo, in the folder of the workspace.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

/// The workspace and all that it could depend on.
pub fn metadata() -> Result<Value> {
    metadata_with(&[])
}

/// The workspace and what it depends on when it is built for the target.
pub fn metadata_for(target: &str) -> Result<Value> {
    metadata_with(&["--filter-platform", target])
}

fn metadata_with(arguments: &[&str]) -> Result<Value> {
    let mut command = command();
    let printed =
        process::capture(command.args(["metadata", "--format-version=1", "--locked"]).args(arguments))?;
    Ok(serde_json::from_str(&printed)?)
}

/// The package of that name.
pub fn package<'a>(metadata: &'a Value, name: &str) -> Result<&'a Value> {
    metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == name))
        .ok_or_else(|| anyhow!("{name} is not among the packages of this workspace"))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    Dev,
    Release,
    /// Of the demo: built in little time, and quick enough for a small model.
    Quick,
}

/// The version of rmlx.
pub fn version() -> Result<String> {
    let metadata = metadata()?;
    let version = package(&metadata, "rmlx")?["version"].as_str();
    version.map(str::to_owned).ok_or_else(|| anyhow!("the package has no version"))
}

/// Builds the libraries of the package and returns the folder that they are in.
pub fn build(profile: Profile) -> Result<PathBuf> {
    build_parts(profile, &["--lib"])?;
    linkable(profile)
}

/// Builds the release libraries without this machine's folders in them, and returns the folder that they are in.
pub fn build_to_ship() -> Result<PathBuf> {
    let mut build = command();
    build.args(["build", "--workspace", "--lib", "--release"]).args(traces::cargo_arguments()?);
    process::run(build.env(traces::SHIPPED, "1"))?;
    linkable(Profile::Release)
}

/// The folder of the library, which programs that are linked with it find there.
fn linkable(profile: Profile) -> Result<PathBuf> {
    let folder = output_folder(profile)?;
    library::link_soname(&folder)?;
    Ok(folder)
}

/// Builds the shared library alone, with what takes least time, and returns the folder that it is in.
pub fn build_quickly() -> Result<PathBuf> {
    let mut build = command();
    build.args(["rustc", "--package", "rmlx", "--lib", "--crate-type", "cdylib", "--profile", "quick"]);
    process::run(&mut build)?;
    linkable(Profile::Quick)
}

/// Builds some of the examples and returns the folder that they are in.
pub fn build_examples(profile: Profile, names: &[&str]) -> Result<PathBuf> {
    let parts: Vec<&str> = names.iter().flat_map(|name| ["--example", *name]).collect();
    build_parts(profile, &parts)?;
    Ok(output_folder(profile)?.join("examples"))
}

fn build_parts(profile: Profile, parts: &[&str]) -> Result<()> {
    let mut build = command();
    build.args(["build", "--workspace"]).args(parts);
    if profile == Profile::Release {
        build.arg("--release");
    }
    process::run(&mut build)
}

/// Where Cargo puts what it builds.
pub fn output_folder(profile: Profile) -> Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata["target_directory"]
        .as_str()
        .ok_or_else(|| anyhow!("cargo metadata names no target directory"))?;
    let name = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
        Profile::Quick => "quick",
    };
    Ok(PathBuf::from(target).join(name))
}
