//! An app's package that depends on a tag, as the documentation says it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

const MANIFEST: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Consumer",
  platforms: [.macOS(.v14), .iOS(.v17)],
  dependencies: [.package(url: "REPOSITORY", exact: "VERSION")],
  targets: [
    .executableTarget(name: "Consumer", dependencies: [.product(name: "Rmlx", package: "PACKAGE")])
  ]
)
"#;

const PROGRAM: &str = "import Rmlx\n\nprint(Library.version)\n";

/// Writes the package into an empty folder.
pub fn write(folder: &Path, repository: &str, version: &str) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    let sources = folder.join("Sources/Consumer");
    fs::create_dir_all(&sources)?;
    // SwiftPM calls a package as the end of its address.
    let name = repository.rsplit('/').next().unwrap_or_default();
    let manifest =
        MANIFEST.replace("REPOSITORY", repository).replace("VERSION", version).replace("PACKAGE", name);
    fs::write(folder.join("Package.swift"), manifest)?;
    fs::write(sources.join("main.swift"), PROGRAM)?;
    Ok(())
}

/// Resolves the tag and runs the program. Nothing that SwiftPM has fetched before is used.
pub fn build(root: &Path, repository: &str, version: &str) -> Result<()> {
    let folder: PathBuf = root.join("target/release-consumer");
    write(&folder, repository, version)?;
    let mut run = Command::new("swift");
    run.args(["run", "--cache-path", "cache", "Consumer"]).current_dir(&folder);
    process::run(&mut run)
}
