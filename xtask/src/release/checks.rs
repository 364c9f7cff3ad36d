//! What a release refuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::git::Repository;
use crate::{cargo, process};

const CHANGELOG: &str = "CHANGELOG.md";

/// What is released, and where its repository is.
pub struct Package {
    pub version: String,
    /// Without a slash at its end.
    pub repository: String,
}

/// Reads Cargo.toml. Where it names no repository, the address is that of the git remote; where that is none of the web, it
/// is GitHub's for `hosted`, an `owner/name`.
pub fn package(root: &Path, remote: &str, hosted: Option<&str>) -> Result<Package> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"])
        .arg(root.join("Cargo.toml"));
    let metadata: Value = serde_json::from_str(&process::capture(&mut command)?)?;
    let package = cargo::package(&metadata, "rmlx")?;
    let version = package["version"].as_str().context("Cargo.toml has no version")?.to_owned();
    let url = Repository::new(root).ask(&["remote", "get-url", remote]).ok();
    let repository = address(package["repository"].as_str(), url.as_deref(), hosted).with_context(|| {
        format!(
            "no one says where the repository is: neither Cargo.toml ([package] repository) nor the remote {remote} \
             ({}) nor GITHUB_REPOSITORY",
            url.as_deref().unwrap_or("there is none of that name")
        )
    })?;
    ensure!(
        repository.starts_with("https://"),
        "SwiftPM takes binaries from https:// addresses only; the repository in Cargo.toml is {repository}"
    );
    Ok(Package { version, repository })
}

/// The first address that there is, without what git alone needs of it.
fn address(cargo: Option<&str>, remote: Option<&str>, hosted: Option<&str>) -> Option<String> {
    let trimmed = |address: &str| {
        let address = address.trim_end_matches('/');
        address.strip_suffix(".git").unwrap_or(address).to_owned()
    };
    let of_host = |hosted: &str| format!("https://github.com/{hosted}");
    cargo
        .map(trimmed)
        .or_else(|| of_remote(remote?).map(|address| trimmed(&address)))
        .or_else(|| hosted.map(of_host))
}

/// The web address of what git clones by `https://`, by `ssh://` or by the short form `git@host:path`. A folder has none.
fn of_remote(url: &str) -> Option<String> {
    let (rest, has_port) = match (url.strip_prefix("https://"), url.strip_prefix("ssh://")) {
        (Some(rest), _) => (rest.to_owned(), false),
        (_, Some(rest)) => (rest.to_owned(), true),
        _ if url.contains("://") => return None,
        _ => {
            let (host, path) =
                url.split_once(':').filter(|(host, _)| host.contains('@') && !host.contains('/'))?;
            (format!("{host}/{}", path.trim_start_matches('/')), false)
        }
    };
    let (host, path) = rest.split_once('/')?;
    // A name or a token before the host is the cloner's own, and the port of ssh is not the web's.
    let host = host.rsplit('@').next()?;
    let host = if has_port { host.split(':').next()? } else { host };
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
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

#[cfg(test)]
mod tests {
    use super::{address, of_remote};

    #[test]
    fn every_way_to_clone_leads_to_one_address_on_the_web() {
        for url in [
            "https://github.com/someone/rmlx",
            "https://github.com/someone/rmlx.git",
            "https://github.com/someone/rmlx/",
            "https://name:secret@github.com/someone/rmlx.git",
            "git@github.com:someone/rmlx.git",
            "ssh://git@github.com/someone/rmlx.git",
            "ssh://git@github.com:22/someone/rmlx",
        ] {
            assert_eq!(
                address(None, Some(url), None).as_deref(),
                Some("https://github.com/someone/rmlx"),
                "{url}"
            );
        }
        let with_port = of_remote("https://127.0.0.1:8443/rmlx");
        assert_eq!(with_port.as_deref(), Some("https://127.0.0.1:8443/rmlx"), "the web's port stays");
    }

    #[test]
    fn a_folder_and_an_insecure_address_are_no_remote_of_the_web() {
        for url in [
            "/srv/rmlx",
            "../rmlx",
            "file:///srv/rmlx",
            "http://example.org/rmlx",
            "git://h/rmlx",
            "C:/rmlx",
            "",
        ] {
            assert_eq!(of_remote(url), None, "{url}");
        }
    }

    #[test]
    fn cargo_comes_before_the_remote_and_the_remote_before_the_host() {
        let (cargo, remote, hosted) = ("https://a.org/r/", "git@b.org:o/r.git", "o/c");
        assert_eq!(address(Some(cargo), Some(remote), Some(hosted)).as_deref(), Some("https://a.org/r"));
        assert_eq!(address(None, Some(remote), Some(hosted)).as_deref(), Some("https://b.org/o/r"));
        assert_eq!(address(None, Some("/srv/r"), Some(hosted)).as_deref(), Some("https://github.com/o/c"));
        assert_eq!(address(None, None, None), None);
    }
}
