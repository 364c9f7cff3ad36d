//! The licences of everything that a distribution has inside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::native;
use crate::files::copy;
use crate::setup::Stage;
use crate::{cargo, paths, process};

/// What a host program has to do; the list of what is inside is put behind it.
const NOTICE: &str = include_str!("../../licenses/NOTICE.txt");

/// The terms under which a crate is taken that brings no text of its own, where it offers them.
const APACHE: &str = include_str!("../../../LICENSE-APACHE");

/// Writes `NOTICE.txt`, which lists everything that is inside, and a folder with the licence of each.
pub fn collect(folder: &Path, stage: Option<&Stage>, target: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut notice = NOTICE.to_owned();
    notice += "\nRust crates\n\n";
    notice += &crates(folder, target)?;
    notice += "\nRust's standard library\n\nrust-std: MIT OR Apache-2.0, and what its text lists\n";
    standard_library(&folder.join("rust-std"))?;
    notice += "\nMLX, and what is compiled into it\n\n";
    for native in native::inside(target) {
        notice += &native.line();
        write_text(native.text, &folder.join(native.name))?;
    }
    if let Some(stage) = stage {
        notice += "\nPackages of PyPI whose libraries lie beside it\n\n";
        for (name, texts) in stage.wheel_licenses()? {
            writeln!(notice, "{name}")?;
            copy_texts(&texts, &folder.join(name))?;
        }
    }
    copy_texts(
        &["LICENSE-APACHE", "LICENSE-MIT"].map(|name| paths::root().join(name)),
        &folder.join("rmlx"),
    )?;
    Ok(fs::write(folder.join("NOTICE.txt"), notice)?)
}

fn crates(folder: &Path, target: &str) -> Result<String> {
    let metadata = cargo::metadata()?;
    let linked = linked_packages(&metadata, target)?;
    let mut list = String::new();
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        // A package without a source is this workspace's own.
        if linked.contains(text("id")) && package["source"].is_string() {
            let sources = Path::new(text("manifest_path")).parent().context("a manifest has no folder")?;
            let facts = (text("license"), text("repository").trim_end_matches(['/', '.']), sources);
            packages.insert((text("name"), text("version")), facts);
        }
    }
    for ((name, version), &(license, repository, sources)) in &packages {
        writeln!(list, "{name} {version}: {license}, https://crates.io/crates/{name}/{version}")?;
        let place = folder.join(format!("{name}-{version}"));
        let mut texts = license_files(sources)?;
        // A part of a larger project may leave the text to that.
        for &(others, home, sources) in packages.values() {
            if texts.is_empty() && others == license && home == repository && !home.is_empty() {
                texts = license_files(sources)?;
            }
        }
        if texts.is_empty() {
            ensure!(license.contains("Apache-2.0"), "{name} {version} ({license}) brings no licence text");
            write_text(APACHE, &place)?;
        }
        copy_texts(&texts, &place)?;
        if *name == "mlx-sys" {
            copy_texts(&license_files(&sources.join("src/mlx-c"))?, &folder.join("mlx-c"))?;
        }
    }
    Ok(list)
}

/// Rust's distribution lists what its standard library has inside.
fn standard_library(folder: &Path) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let root = process::capture(Command::new(rustc).args(["--print", "sysroot"]))?;
    let texts = Path::new(root.trim()).join("share/doc/rust/COPYRIGHT-library.html");
    if texts.is_file() { copy_texts(&[texts], folder) } else { write_text(APACHE, folder) }
}

fn write_text(text: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join("LICENSE.txt"), text)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apple::Slice;

    fn is_text(folder: &Path) -> bool {
        fs::read_dir(folder).is_ok_and(|mut files| {
            files.any(|file| file.and_then(|file| file.metadata()).is_ok_and(|data| data.len() > 100))
        })
    }

    /// What is listed, up to the colon, and the rest of its line.
    fn listed(notice: &str) -> Vec<(&str, &str)> {
        let (_, list) = notice.split_once("\nRust crates\n").expect("a list");
        list.lines().filter_map(|line| line.split_once(": ")).collect()
    }

    #[test]
    fn a_framework_has_the_licence_of_everything_that_is_inside() {
        for slice in Slice::ALL {
            let folder = tempfile::tempdir().expect("a folder");
            let folder = folder.path();
            collect(folder, None, slice.target()).expect("licences");
            let notice = fs::read_to_string(folder.join("NOTICE.txt")).expect("a notice");
            let listed = listed(&notice);
            for (name, _) in &listed {
                let place = folder.join(name.replace(' ', "-"));
                assert!(is_text(&place), "{slice:?}: no text of {name} in {}", place.display());
            }
            let names: Vec<&str> =
                listed.iter().map(|(name, _)| name.split(' ').next().unwrap_or(name)).collect();
            for name in [
                "mlx-rs",
                "mlx-sys",
                "tokenizers",
                "symphonia",
                "rust-std",
                "mlx",
                "pocketfft",
                "fmt",
                "nlohmann-json",
            ] {
                assert!(names.contains(&name), "{slice:?} does not list {name}");
            }
            assert!(names.contains(&"metal-cpp") && !names.contains(&"gguflib"), "{names:?}");
            assert!(
                !names.contains(&"bindgen") && !names.contains(&"rmlx"),
                "only what is inside, and others'"
            );
            assert!(is_text(&folder.join("mlx-c")) && is_text(&folder.join("rmlx")));
        }
    }

    #[test]
    fn the_notice_says_where_the_sources_of_mozillas_licence_are() {
        let folder = tempfile::tempdir().expect("a folder");
        collect(folder.path(), None, Slice::Device.target()).expect("licences");
        let notice = fs::read_to_string(folder.path().join("NOTICE.txt")).expect("a notice");
        let listed = listed(&notice);
        let of_mozilla: Vec<_> = listed.iter().filter(|(_, rest)| rest.contains("MPL-2.0")).collect();
        assert!(!of_mozilla.is_empty());
        for (name, rest) in of_mozilla {
            let (name, version) = name.split_once(' ').expect("a version");
            assert!(rest.contains(&format!("https://crates.io/crates/{name}/{version}")), "{rest}");
        }
        assert!(notice.contains("Mozilla Public License 2.0") && notice.contains("unchanged"));
    }
}
