//! The generated Cargo configuration that replaces mlx-sys's build script.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::stage::{Backend, Stage};
use crate::{paths, process};

const HEADING: &str = "# Made by `cargo xtask setup`";

pub fn write(stage: &Stage, inputs: &str) -> Result<()> {
    let text = format!(
        "{HEADING} for the backend {backend}.\n\
         # It stands in for the build script of mlx-sys, and it has this checkout's absolute paths.\n\
         [target.{host}.mlx]\n\
         rustc-link-lib = [\"static=mlxc\", \"dylib=mlx\", \"dylib=stdc++\"]\n\
         rustc-link-search = [\"native={libraries}\"]\n\
         libraries = \"{libraries}\"\n\
         # Cargo builds what depends on MLX anew when this changes.\n\
         inputs = \"{digest:016x}\"\n\
         \n\
         [target.{host}.mlx.rustc-env]\n\
         OUT_DIR = \"{bindings}\"\n",
        backend = stage.backend(),
        host = host()?,
        libraries = stage.libraries().display(),
        bindings = stage.bindings().display(),
        digest = digest(inputs),
    );
    let file = paths::mlx_config();
    if fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The backend of the last set-up.
pub fn configured_backend() -> Option<Backend> {
    let text = fs::read_to_string(paths::mlx_config()).ok()?;
    let heading = text.lines().next()?.strip_prefix(HEADING)?;
    heading.trim_start_matches(" for the backend ").trim_end_matches('.').parse().ok()
}

/// The target triple of this machine.
pub fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = process::capture(Command::new(rustc).arg("-vV"))?;
    printed
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("rustc -vV names no host"))
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
