//! mlx-c's sources, inside the mlx-sys crate that Cargo has downloaded.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::cargo;

pub struct Sources {
    /// The folder that holds `mlx/c/*.{h,cpp}`.
    pub mlxc: PathBuf,
    /// The version of the mlx-sys crate.
    pub crate_version: String,
    /// The version of MLX that mlx-c is written against.
    pub mlx_version: String,
}

pub fn find() -> Result<Sources> {
    let metadata = cargo::metadata()?;
    let package = cargo::package(&metadata, "mlx-sys")?;
    let field = |name: &str| package[name].as_str().ok_or_else(|| anyhow!("cargo metadata has no {name}"));
    let mlxc = Path::new(field("manifest_path")?).with_file_name("src").join("mlx-c");
    Ok(Sources { mlx_version: pinned_mlx(&mlxc)?, crate_version: field("version")?.to_owned(), mlxc })
}

/// The tag of MLX that mlx-c's own CMake build would fetch.
fn pinned_mlx(mlxc: &Path) -> Result<String> {
    let file = mlxc.join("CMakeLists.txt");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("GIT_TAG v"))
        .map(|rest| rest.trim_end_matches(')').trim().to_owned())
        .ok_or_else(|| anyhow!("{} names no version of MLX", file.display()))
}
