//! `cargo xtask check-apple`: the Rust code for macOS and iOS, and its tests, through the compiler and clippy on any machine. The
//! bindings are those that clang makes of mlx-c's headers for Apple's processors; nothing is linked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Slice;
use crate::setup::{self, config};
use crate::{cargo, paths, process, tools};

/// Rust has no standard library to fetch for the simulator everywhere, whose code is the device's.
const SLICES: [Slice; 2] = [Slice::Mac, Slice::Device];

/// `cargo xtask check-apple [--if-possible]`
pub fn command(arguments: &[String]) -> Result<()> {
    let if_possible = match arguments {
        [] => false,
        [flag] if flag == "--if-possible" => true,
        _ => bail!("usage: cargo xtask check-apple [--if-possible]"),
    };
    for slice in SLICES {
        if let Err(error) = install(slice.target()) {
            ensure!(if_possible, "{error:#}");
            println!("not checked for {}: {error:#}", slice.target());
            return Ok(());
        }
    }
    let configuration = configuration()?;
    for slice in SLICES {
        println!("checking for {}", slice.target());
        process::run(&mut clippy(slice, &configuration))?;
    }
    Ok(())
}

/// Sees to it that Rust's standard library for the target is here.
fn install(target: &str) -> Result<()> {
    let printed =
        process::capture(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(printed.trim()).is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    process::capture(add.args(["target", "add", target]).current_dir(paths::root()))
        .map(drop)
        .with_context(|| format!("there is no standard library for {target} here, and rustup brings none"))
}

/// The tables of both targets. They name libraries that a check does not open.
fn configuration() -> Result<PathBuf> {
    let folder = paths::root().join("target/check-apple");
    let bindings = folder.join("bindings");
    fs::create_dir_all(&folder)?;
    setup::bind_for_apple_elsewhere(&tools::zig()?.with_file_name("lib"), &bindings)?;
    let table = |slice: Slice| config::table(slice.target(), &[], &folder, &bindings, "check");
    let file = folder.join("mlx.toml");
    fs::write(&file, SLICES.map(table).join("\n"))?;
    Ok(file)
}

fn clippy(slice: Slice, configuration: &Path) -> Command {
    let mut command = cargo::command();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--target",
        slice.target(),
        "--config",
    ]);
    command.arg(configuration).args(["--", "-D", "warnings"]);
    command
}
