//! Asking Cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::{paths, process};

/// Cargo, in the folder of the workspace.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

pub fn metadata() -> Result<Value> {
    let printed = process::capture(command().args(["metadata", "--format-version=1", "--locked"]))?;
    Ok(serde_json::from_str(&printed)?)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    Dev,
    Release,
}

/// Builds the libraries of the package and returns the folder that they are in.
pub fn build(profile: Profile) -> Result<PathBuf> {
    let mut build = command();
    build.args(["build", "--package", "rmlx", "--lib"]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    process::run(&mut build)?;
    let metadata = metadata()?;
    let target = metadata["target_directory"]
        .as_str()
        .ok_or_else(|| anyhow!("cargo metadata names no target directory"))?;
    Ok(PathBuf::from(target).join(folder))
}
