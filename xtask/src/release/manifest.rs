//! The line of Package.swift that says where a release's binary is.

use anyhow::{Result, ensure};

pub const PATH: &str = "swift/Package.swift";

/// The package's manifest, and that of the repository as a package: a link to it on a branch, and a file of its own at a
/// tag, because SwiftPM reads a tag's manifest from the repository without following links.
pub const FILES: [&str; 2] = [PATH, "Package.swift"];

const UNSET: &str = "let release: (url: String, checksum: String)? = nil\n";

/// The manifest with that address and checksum.
pub fn pinned(manifest: &str, url: &str, checksum: &str) -> Result<String> {
    ensure!(
        manifest.matches(UNSET).count() == 1,
        "{PATH} must have this line, once, for a release to replace: {}",
        UNSET.trim_end()
    );
    // Both are written into a literal of Swift's.
    let harmless = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
    ensure!(harmless(url) && harmless(checksum), "{url} or {checksum} does not fit into a manifest");
    let set = format!(
        "let release: (url: String, checksum: String)? = (\n  url: \"{url}\",\n  checksum: \"{checksum}\"\n)\n"
    );
    Ok(manifest.replace(UNSET, &set))
}
