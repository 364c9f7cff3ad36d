//! What a release refuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::git::Repository;
use crate::{cargo, process};

const CHANGELOG: &str = "CHANGELOG.md";

/// What Cargo.toml says.
pub struct Package {
    pub version: String,
    /// Without a slash at its end.
    pub repository: String,
}

pub fn package(root: &Path) -> Result<Package> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"])
        .arg(root.join("Cargo.toml"));
    let metadata: Value = serde_json::from_str(&process::capture(&mut command)?)?;
    let package = cargo::package(&metadata, "rmlx")?;
    let version = package["version"].as_str().context("Cargo.toml has no version")?.to_owned();
    let repository = package["repository"].as_str().context(
        "Cargo.toml does not say where the repository is: give [package] a line like \
         repository = \"https://github.com/OWNER/rmlx\"",
    )?;
    ensure!(
        repository.starts_with("https://"),
        "SwiftPM takes binaries from https:// addresses only; the repository in Cargo.toml is {repository}"
    );
    let repository = repository.trim_end_matches('/').trim_end_matches(".git").to_owned();
    Ok(Package { version, repository })
}

pub fn version(wanted: &str, of_package: &str) -> Result<()> {
    ensure!(
        wanted == of_package,
        "the version in Cargo.toml is {of_package}, and {wanted} is to be released: change one of them"
    );
    Ok(())
}

pub fn clean(repository: &Repository) -> Result<()> {
    let changes = repository.ask(&["status", "--porcelain"])?;
    ensure!(changes.is_empty(), "the checkout has changes that no commit has:\n{changes}");
    Ok(())
}

pub fn tag_is_free(repository: &Repository, tag: &str, remote: &str) -> Result<()> {
    let here = repository.ask(&["tag", "--list", tag])?;
    ensure!(here.is_empty(), "there is a tag {tag} already; a published version is never changed");
    let there = repository.ask(&["ls-remote", "--tags", remote, tag])?;
    ensure!(there.is_empty(), "{remote} has a tag {tag} already; a published version is never changed");
    Ok(())
}

/// What the changelog says under the version's heading.
pub fn notes(root: &Path, version: &str) -> Result<String> {
    let text =
        fs::read_to_string(root.join(CHANGELOG)).with_context(|| format!("cannot read {CHANGELOG}"))?;
    let section = text.split("\n## ").skip(1).find_map(|section| {
        let (heading, body) = section.split_once('\n')?;
        (heading.split_whitespace().next()? == version).then(|| body.trim())
    });
    let notes = section.with_context(|| format!("{CHANGELOG} has no heading \"## {version}\""))?;
    ensure!(!notes.is_empty(), "{CHANGELOG} says nothing under \"## {version}\"");
    Ok(format!("{notes}\n"))
}

/// The name of the file, which is the last part of its address.
pub fn archive(file: &Path) -> Result<&str> {
    ensure!(
        file.is_file(),
        "there is no file {}: build it first, with `cargo xtask xcframework`",
        file.display()
    );
    let name = file.file_name().and_then(|name| name.to_str()).context("the file's name is not UTF-8")?;
    ensure!(name.ends_with(".zip"), "SwiftPM takes a .zip, not {name}");
    Ok(name)
}
