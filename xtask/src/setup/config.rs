//! The generated Cargo configuration that replaces mlx-sys's build script.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::stage::{Backend, Stage};
use crate::{paths, process};

const HEADING: &str = "# Made by `cargo xtask setup`";
/// What the file is, below its heading.
pub const WHAT: &str =
    "# It stands in for the build script of mlx-sys, and it has this checkout's absolute paths.\n";

pub fn write(stage: &Stage, inputs: &str) -> Result<()> {
    let link = ["static=mlxc", "dylib=rmlx_mlx", "dylib=rmlx_blas", "dylib=stdc++"].map(str::to_owned);
    let table = table(&host()?, &link, &stage.libraries(), &stage.bindings(), inputs);
    let text = format!("{HEADING} for the backend {}.\n{WHAT}{table}", stage.backend());
    let file = paths::mlx_config();
    if fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// What stands in for mlx-sys's build script on a target: what to `link`, and the folders of the libraries and of the
/// bindings. `inputs` are all that those were made of.
pub fn table(target: &str, link: &[String], libraries: &Path, bindings: &Path, inputs: &str) -> String {
    let link: Vec<String> = link.iter().map(|name| format!("\"{name}\"")).collect();
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    format!(
        "[target.{target}.mlx]\n\
         rustc-link-lib = [{link}]\n\
         rustc-link-search = [\"native={libraries}\"]\n\
         libraries = \"{libraries}\"\n\
         # Cargo builds what depends on MLX anew when this changes.\n\
         inputs = \"{digest:016x}\"\n\
         \n\
         [target.{target}.mlx.rustc-env]\n\
         OUT_DIR = \"{bindings}\"\n",
        link = link.join(", "),
        libraries = libraries.display(),
        digest = hasher.finish(),
        bindings = bindings.display(),
    )
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
