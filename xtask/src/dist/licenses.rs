//! The licences of everything that a distribution has inside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::copy;
use crate::cargo;
use crate::setup::Stage;

/// Writes `crates.txt`, and one folder of licence texts for each crate and each wheel.
pub fn collect(folder: &Path, stage: Option<&Stage>, target: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    crates(folder, target)?;
    if let Some(stage) = stage {
        for (name, texts) in stage.wheel_licenses()? {
            copy_texts(&texts, &folder.join(name))?;
        }
    }
    Ok(())
}

fn crates(folder: &Path, target: &str) -> Result<()> {
    let metadata = cargo::metadata()?;
    let linked = linked_packages(&metadata, target)?;
    let mut list = String::from("The Rust crates inside rmlx, and their licences.\n\n");
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        if linked.contains(text("id")) {
            packages.insert((text("name"), text("version")), (text("license"), text("manifest_path")));
        }
    }
    for ((name, version), (license, manifest)) in packages {
        writeln!(list, "{name} {version}: {license}")?;
        let sources = Path::new(manifest).parent().context("a manifest has no folder")?;
        let mut texts = license_files(sources)?;
        if name == "mlx-sys" {
            texts.extend(license_files(&sources.join("src/mlx-c"))?);
        }
        copy_texts(&texts, &folder.join(format!("{name}-{version}")))?;
    }
    fs::write(folder.join("crates.txt"), list)?;
    Ok(())
}

/// The ids of the packages that rmlx's code calls on the target, without build scripts and tests.
fn linked_packages(metadata: &Value, target: &str) -> Result<BTreeSet<String>> {
    let metadata_for_target = cargo::metadata_for(target)?;
    let nodes = metadata_for_target["resolve"]["nodes"].as_array().context("cargo metadata has no nodes")?;
    let root = cargo::package(metadata, "rmlx")?["id"].as_str().context("the package has no id")?;
    let mut linked = BTreeSet::new();
    let mut queue = vec![root.to_owned()];
    while let Some(id) = queue.pop() {
        if !linked.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id.as_str());
        let node = node.ok_or_else(|| anyhow!("cargo metadata does not resolve {id}"))?;
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            // A normal dependency has no kind.
            if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null())) {
                queue.extend(dependency["pkg"].as_str().map(str::to_owned));
            }
        }
    }
    Ok(linked)
}

/// The files of a folder whose names begin as licence texts' names do.
fn license_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        let starts = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "ACKNOWLEDGMENTS"];
        if path.is_file() && starts.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    Ok(files)
}

fn copy_texts(texts: &[PathBuf], folder: &Path) -> Result<()> {
    for text in texts {
        fs::create_dir_all(folder)?;
        let name = text.file_name().context("a licence text has no name")?;
        // Two of one name, as a crate and the sources inside it have, stay apart.
        let mut target = folder.join(name);
        if target.exists() {
            target = folder.join(format!("{}.2", name.to_string_lossy()));
        }
        copy(text, &target)?;
    }
    Ok(())
}
