//! What is given to others has no folder of the machine that built it inside: neither does it tell who built it where, nor does
//! anything look for files there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{paths, setup};

/// Cargo's arguments for a library that is shipped: rustc writes other names in place of this machine's folders.
pub fn cargo_arguments() -> Result<[String; 2]> {
    let flags: Vec<String> = folders()?
        .iter()
        .map(|(folder, name)| format!("\"--remap-path-prefix={}={name}\"", folder.display()))
        .collect();
    Ok(["--config".to_owned(), format!("build.rustflags=[{}]", flags.join(","))])
}

/// With this in its environment, build.rs leaves out where this checkout's Metal kernels are.
pub const SHIPPED: &str = "RMLX_SHIPPED";

/// This checkout, and the sources that Cargo has fetched.
pub fn folders() -> Result<[(PathBuf, &'static str); 2]> {
    let mlxc = setup::sources()?.mlxc;
    // registry/src/<index>/mlx-sys-<version>/src/mlx-c
    let crates = mlxc.ancestors().nth(3).context("the sources of mlx-c are not inside a crate")?;
    Ok([(crates.to_owned(), "crates"), (paths::root(), "rmlx")])
}

/// An error that names the folder, if the file has one of this machine's inside.
pub fn check(file: &Path) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    for (folder, _) in folders()? {
        let found = trace(&bytes, &folder.display().to_string());
        ensure!(
            found.is_none(),
            "{} has a folder of this machine inside: {}. Is RUSTFLAGS set, which overrides what hides it?",
            file.display(),
            found.unwrap_or_default()
        );
    }
    Ok(())
}

/// The text around the first place where the folder is.
fn trace(bytes: &[u8], folder: &str) -> Option<String> {
    let at = bytes.windows(folder.len()).position(|window| window == folder.as_bytes())?;
    let end = bytes[at..].iter().take(200).position(|byte| !byte.is_ascii_graphic()).unwrap_or(200);
    Some(String::from_utf8_lossy(&bytes[at..(at + end).min(bytes.len())]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_this_machine_is_found_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("library");
        let root = paths::root().display().to_string();
        fs::write(&file, format!("\0code\0{root}/src/lib.rs\0")).expect("a file");
        let refusal = check(&file).expect_err("a trace").to_string();
        assert!(refusal.contains(&format!("{root}/src/lib.rs. ")), "{refusal}");
        fs::write(&file, "\0code\0rmlx/src/lib.rs\0").expect("a file");
        check(&file).expect("no trace");
    }

    #[test]
    fn rustc_is_told_a_name_for_every_folder_that_is_looked_for() {
        let [_, flags] = cargo_arguments().expect("arguments");
        for (folder, name) in folders().expect("folders") {
            assert!(
                flags.contains(&format!("\"--remap-path-prefix={}={name}\"", folder.display())),
                "{flags}"
            );
        }
    }
}
