//! What differs at a tag: the line of Package.swift that says where its binary is, and the repository's address in the guides.

use anyhow::{Result, ensure};

pub const PATH: &str = "swift/Package.swift";

/// The package's manifest, and that of the repository as a package: a link to it on a branch, and a file of its own at a
/// tag, because SwiftPM reads a tag's manifest from the repository without following links.
pub const FILES: [&str; 2] = [PATH, "Package.swift"];

/// What tells how to depend on the package.
pub const GUIDES: [&str; 2] = ["README.md", "swift/Sources/Rmlx/Rmlx.docc/Add-it-to-your-app.md"];

/// Stands in the guides for the repository's address, which a checkout does not know.
const PLACEHOLDER: &str = "https://github.com/OWNER/rmlx";

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

/// The guide with the repository's address.
pub fn addressed(path: &str, guide: &str, repository: &str) -> Result<String> {
    ensure!(
        guide.contains(PLACEHOLDER),
        "{path} must have {PLACEHOLDER}, for a release to put the repository's address there"
    );
    Ok(guide.replace(PLACEHOLDER, repository))
}
