//! A checkout to throw away, with all that a release looks at.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{files, paths, process};

pub const VERSION: &str = "0.1.0";

const CARGO: &str = "[package]\nname = \"rmlx\"\nversion = \"VERSION\"\nedition = \"2024\"\nrepository = \"REPOSITORY\"\n\n[workspace]\n";
const CHANGELOG: &str =
    "# Changelog\n\n## Unreleased\n\nNothing yet.\n\n## VERSION (a day)\n\n### New\n\n- Everything.\n";

/// This package, committed to a repository whose remote `origin` is a bare one at `remote`.
pub fn checkout(folder: &Path, remote: &Path, repository: &str) -> Result<()> {
    for folder in [folder, remote] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        fs::create_dir_all(folder)?;
    }
    git(remote, &["init", "--quiet", "--bare"])?;
    write(folder, "Cargo.toml", &CARGO.replace("VERSION", VERSION).replace("REPOSITORY", repository))?;
    write(folder, "CHANGELOG.md", &CHANGELOG.replace("VERSION", VERSION))?;
    write(folder, ".gitignore", "/target\n")?;
    write(folder, "src/lib.rs", "")?;
    for part in ["include", "swift/Sources", "swift/Tests"] {
        files::copy_folder(&paths::root().join(part), &folder.join(part))?;
    }
    for file in ["README.md", "swift/Package.swift"] {
        files::copy(&paths::root().join(file), &folder.join(file))?;
    }
    link("swift/Package.swift", &folder.join("Package.swift"))?;
    git(folder, &["init", "--quiet", "--initial-branch=main"])?;
    for (name, value) in
        [("user.name", "Nobody"), ("user.email", "nobody@example.org"), ("tag.gpgSign", "false")]
    {
        git(folder, &["config", name, value])?;
    }
    git(folder, &["remote", "add", "origin", &remote.display().to_string()])?;
    git(folder, &["add", "."])?;
    git(folder, &["commit", "--quiet", "--no-gpg-sign", "-m", "All of it"])?;
    git(folder, &["push", "--quiet", "origin", "main"]).map(drop)
}

pub fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    process::capture(Command::new("git").args(arguments).current_dir(folder))
}

pub fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(to, at)?)
}
