//! The link of a shared library for Apple's platforms, from the archive that Cargo has built.
//!
//! rustc exports whatever a crate declares `#[no_mangle]`, and tells the linker so by a list of exports; Apple's linker refuses
//! a list of what not to export beside that. So the library is linked here, with the header's functions for its only exports.

use std::path::Path;

use anyhow::Result;

use super::{SYSTEM_LIBRARIES, Slice};
use crate::plan::{Run, Step};
use crate::{cargo, symbols};

/// Links `binary`, which programs find by `install_name`. The list of its exports is written to `exports`.
pub fn library(
    slice: Slice,
    archive: &Path,
    binary: &Path,
    install_name: &str,
    exports: &Path,
) -> Result<Vec<Step>> {
    let version = cargo::version()?;
    let text = symbols::declared()?.iter().map(|name| format!("_{name}\n")).collect::<String>();
    let link = Run::new("xcrun", &["-sdk", slice.sdk(), "clang++"])
        .args(["-target".to_owned(), slice.clang_target()])
        .args(["-dynamiclib".to_owned(), "-o".to_owned(), binary.display().to_string()])
        .args([format!("-Wl,-force_load,{}", archive.display())])
        .args([format!("-Wl,-exported_symbols_list,{}", exports.display())])
        .args([format!("-Wl,-install_name,{install_name}")])
        .args([format!("-Wl,-current_version,{version}"), format!("-Wl,-compatibility_version,{version}")])
        .args(["-Wl,-dead_strip", "-Wl,-dead_strip_dylibs"])
        .args(SYSTEM_LIBRARIES.iter().map(|name| format!("-l{name}")))
        // Rust's standard library names it.
        .args(["-liconv"])
        .args(slice.frameworks().iter().flat_map(|name| ["-framework", name]));
    Ok(vec![Step::Write { file: exports.to_owned(), text }, Step::Run(link)])
}

/// Takes local symbols and the notes for debuggers out of it, which name folders, and looks at what is left.
pub fn finish(binary: &Path) -> Vec<Step> {
    vec![
        Step::Run(Run::new("xcrun", &["strip", "-S", "-x"]).path(binary)),
        Step::Run(Run::new("xcrun", &["lipo"]).path(binary).args(["-verify_arch", "arm64"])),
        Step::Symbols(binary.to_owned()),
        Step::Traces(binary.to_owned()),
    ]
}

/// The library of a distribution for Macs. arm64 runs signed code only, if but by no one.
pub fn distribution(archive: &Path, binary: &Path, exports: &Path) -> Result<Vec<Step>> {
    let mut steps = library(Slice::Mac, archive, binary, "@rpath/librmlx.dylib", exports)?;
    steps.extend(finish(binary));
    steps.push(Step::Run(Run::new("codesign", &["--force", "--sign", "-"]).path(binary)));
    Ok(steps)
}
