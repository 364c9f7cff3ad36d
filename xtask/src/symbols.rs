//! `cargo xtask symbols --check`: what the shared library exports is what the header declares.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, Profile};
use crate::{header, library, process, setup};

/// `cargo xtask symbols --check`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments == ["--check"], "usage: cargo xtask symbols --check");
    setup::ensure()?;
    check_linked_by_rustc(&cargo::build(Profile::Release)?.join(library::file_name("rmlx")))
}

/// Beginnings of what rustc exports beside the header's functions on a Mac, as mlx-rs and llguidance declare it `#[no_mangle]`.
/// On Linux the build script hides it; on a Mac only the libraries that are shipped are without it, which xtask links.
const OF_DEPENDENCIES: [&str; 2] = ["default_mlx_error_handler", "llg_"];

/// The check of what a plain `cargo build` makes.
pub fn check_linked_by_rustc(shared_library: &Path) -> Result<()> {
    let mut exported = exported(shared_library)?;
    if cfg!(target_vendor = "apple") {
        exported.retain(|name| !OF_DEPENDENCIES.iter().any(|beginning| name.starts_with(beginning)));
    }
    compare(shared_library, &exported)
}

/// An error if the library exports anything but the header's functions, or lacks one of them.
pub fn check(shared_library: &Path) -> Result<()> {
    compare(shared_library, &exported(shared_library)?)
}

fn compare(shared_library: &Path, exported: &BTreeSet<String>) -> Result<()> {
    let declared = declared()?;
    ensure!(!declared.is_empty(), "include/rmlx.h declares no function");
    let foreign: Vec<_> = exported.difference(&declared).map(String::as_str).collect();
    let missing: Vec<_> = declared.difference(exported).map(String::as_str).collect();
    if !foreign.is_empty() || !missing.is_empty() {
        bail!(
            "{} exports what include/rmlx.h does not declare: [{}]; and lacks: [{}]",
            shared_library.display(),
            foreign.join(", "),
            missing.join(", ")
        );
    }
    Ok(())
}

fn exported(shared_library: &Path) -> Result<BTreeSet<String>> {
    let mut command = Command::new("nm");
    if cfg!(target_vendor = "apple") {
        command.arg("-gUj");
    } else {
        command.args(["--dynamic", "--defined-only", "--format=just-symbols"]);
    }
    let printed = process::capture(command.arg(shared_library))?;
    // Mach-O puts an underscore before each C name.
    let prefix = if cfg!(target_vendor = "apple") { "_" } else { "" };
    Ok(printed.lines().map(|line| line.strip_prefix(prefix).unwrap_or(line).to_owned()).collect())
}

/// The functions that include/rmlx.h declares.
pub fn declared() -> Result<BTreeSet<String>> {
    let file = header::path();
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(functions(&without_comments(&text)))
}

/// A header's text without its block comments.
pub fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// The `rmlx_` names that an argument list follows: pointers to functions have their name in parentheses.
fn functions(declarations: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    declarations
        .match_indices('(')
        .filter_map(|(at, _)| {
            let before = &declarations[..at];
            let name = &before[before.trim_end_matches(is_part).len()..];
            name.starts_with("rmlx_").then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_declared_functions_only() {
        let header = "/* rmlx_comment() */\n\
            typedef void (*rmlx_callback)(void *user);\n\
            rmlx_status rmlx_model_load(const char *dir,\n    rmlx_error **error);\n\
            const char *rmlx_version(void);";
        let names: Vec<_> = functions(&without_comments(header)).into_iter().collect();
        assert_eq!(names, ["rmlx_model_load", "rmlx_version"]);
    }
}
