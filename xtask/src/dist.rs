//! `cargo xtask dist`: the folder that a host program is built with and ships.

mod licenses;
mod native;
pub mod needs;
pub mod package_files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files::{copy, copy_folder};
use crate::setup::{self, Stage};
use crate::{apple, cargo, library, paths, plan, process, symbols, traces};

/// `cargo xtask dist`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask dist");
    println!("rmlx is in {}", build()?.display());
    Ok(())
}

/// Builds the release library and lays it out under `dist/`, which it returns.
pub fn build() -> Result<PathBuf> {
    let stage = setup::ensure()?;
    let built = cargo::build_to_ship()?;
    let dist = paths::root().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("cannot clear {}", dist.display()))?;
    }
    headers(&dist.join("include"))?;
    libraries(&dist.join("lib"), &built, stage.as_ref())?;
    package_files::write(&dist)?;
    licenses::collect(&dist.join("share/licenses/rmlx"), stage.as_ref(), &setup::host()?)?;
    archive(&dist)?;
    Ok(dist)
}

/// The licences of what is inside a library that has MLX in it.
pub fn licenses(folder: &Path, target: &str) -> Result<()> {
    licenses::collect(folder, None, target)
}

/// The folder as one file for a release, in which it is named after version and platform.
fn archive(dist: &Path) -> Result<()> {
    let name = format!("rmlx-{}-{}", cargo::version()?, setup::host()?);
    let folder = paths::root().join("target/dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    copy_folder(dist, &folder.join(&name))?;
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(format!("{name}.tar.gz")).arg(&name).current_dir(&folder);
    process::capture(&mut tar)?;
    fs::remove_dir_all(folder.join(&name)).with_context(|| format!("cannot clear {}", folder.display()))
}

fn headers(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in ["rmlx.h", "rmlx.hpp", "rmlx_apple.h"] {
        let header = paths::root().join("include").join(name);
        copy(&header, &folder.join(name))?;
    }
    Ok(())
}

fn libraries(folder: &Path, built: &Path, stage: Option<&Stage>) -> Result<()> {
    fs::create_dir_all(folder)?;
    let Some(stage) = stage else {
        let rmlx = folder.join(library::file_name("rmlx"));
        // MLX is inside the library here; its Metal kernels are found beside it.
        let exports = paths::root().join("target/exports.txt");
        plan::execute(&apple::link::distribution(&built.join("librmlx.a"), &rmlx, &exports)?)?;
        return copy_metal_kernels(folder);
    };
    let rmlx = library::install(&built.join(library::file_name("rmlx")), folder)?;
    for name in stage.runtime_libraries() {
        copy(&stage.libraries().join(name), &folder.join(name))?;
    }
    // The folder of this checkout's MLX goes: beside itself is where a distributed library looks.
    process::capture(Command::new(stage.patchelf()).args(["--set-rpath", "$ORIGIN"]).arg(&rmlx))?;
    process::capture(Command::new("strip").arg("--strip-unneeded").arg(&rmlx))?;
    symbols::check(&rmlx)?;
    let shipped: Vec<PathBuf> = stage.runtime_libraries().iter().map(|name| folder.join(name)).collect();
    shipped.iter().chain([&rmlx]).try_for_each(|library| traces::check(library))?;
    needs::check(&shipped.iter().chain([&rmlx]).map(PathBuf::as_path).collect::<Vec<_>>())
}

/// The set-up leaves them with its libraries.
fn copy_metal_kernels(folder: &Path) -> Result<()> {
    let from = apple::libraries(apple::Slice::Mac);
    apple::Level::ALL
        .into_iter()
        .try_for_each(|level| copy(&from.join(level.file()), &folder.join(level.file())))
}
