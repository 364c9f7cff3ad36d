//! MLX's Metal kernels, compiled for one of Apple's platforms.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use super::Slice;
use crate::process;

/// As MLX's own CMakeLists.txt has them.
const FLAGS: [&str; 8] = [
    "-x",
    "metal",
    "-Wall",
    "-Wextra",
    "-fno-fast-math",
    "-Wno-c++17-extensions",
    "-Wno-c++20-extensions",
    "-Wmetal-addr-spaces",
];

/// Compiles every kernel that MLX's own build has compiled, and returns the library of them.
pub fn compile(slice: Slice, built: &Path, work: &Path) -> Result<PathBuf> {
    let dependencies = dependencies(built)?;
    let sources = dependencies.join("mlx-src");
    let own = files(&dependencies.join("mlx-build/mlx/backend/metal/kernels"), "air")?;
    ensure!(!own.is_empty(), "MLX's build has compiled no Metal kernel in {}", dependencies.display());
    let by_name: BTreeMap<String, PathBuf> = files(&sources.join("mlx/backend/metal/kernels"), "metal")?
        .into_iter()
        .map(|file| (stem(&file), file))
        .collect();
    let folder = work.join("kernels");
    fs::create_dir_all(&folder)?;
    let minimum = match slice {
        Slice::Mac => format!("-mmacosx-version-min={}", slice.minimum()),
        Slice::Device | Slice::Simulator => format!("-mios-version-min={}", slice.minimum()),
    };
    let mut compiled = Vec::new();
    for name in own.iter().map(|file| stem(file)) {
        let source = by_name.get(&name).with_context(|| format!("MLX's sources have no {name}.metal"))?;
        let object = folder.join(&name).with_extension("air");
        let mut metal = Command::new("xcrun");
        metal.args(["-sdk", slice.sdk(), "metal"]).args(FLAGS).arg(&minimum);
        metal.arg("-c").arg(source).arg("-I").arg(&sources).arg("-o").arg(&object);
        process::capture(&mut metal)?;
        compiled.push(object);
    }
    let library = work.join("mlx.metallib");
    let mut link = Command::new("xcrun");
    link.args(["-sdk", slice.sdk(), "metal"]).arg(&minimum).args(&compiled).arg("-o").arg(&library);
    process::capture(&mut link)?;
    Ok(library)
}

/// The folder of what mlx-sys has fetched and built; an older build may have left another one.
fn dependencies(built: &Path) -> Result<PathBuf> {
    let folder = built.join("build");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in entries {
        let path = entry?.path().join("out/build/_deps");
        let is_mlx = path
            .ancestors()
            .any(|part| part.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mlx-sys-")));
        if let (true, Ok(modified)) = (is_mlx, fs::metadata(&path).and_then(|data| data.modified()))
            && newest.as_ref().is_none_or(|(other, _)| modified > *other)
        {
            newest = Some((modified, path));
        }
    }
    Ok(newest.context("mlx-sys has left no sources of MLX")?.1)
}

/// The files of an extension in a folder and those inside it, sorted.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
