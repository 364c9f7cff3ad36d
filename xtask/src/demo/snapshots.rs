//! The snapshots that come with the project.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::paths;

/// The trained ones, the default first.
pub const TRAINED: [&str; 5] = ["bf16", "mxfp8", "mxfp4", "nvfp4", "affine4"];
/// One with random weights, made for the tests.
pub const RANDOM: &str = "tests/fixtures/unified-bf16-mlx";

pub fn trained(name: &str) -> PathBuf {
    paths::root().join("models/demo").join(name)
}

pub fn exists(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

/// Prints the folders that `--model` takes, with their sizes.
pub fn list() -> Result<()> {
    let trained = TRAINED.map(trained).into_iter().filter(|folder| exists(folder));
    for folder in trained.chain([paths::root().join(RANDOM)]) {
        let mut bytes = 0;
        for entry in fs::read_dir(&folder)? {
            bytes += entry?.metadata()?.len();
        }
        let shown = folder.strip_prefix(paths::root()).unwrap_or(&folder);
        println!("{:40} {:6.1} MB", shown.display(), bytes as f64 / 1e6);
    }
    Ok(())
}
