//! How shared libraries are called on this platform.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cargo;

/// The file name of a shared library, `librmlx.so` for example.
pub fn file_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The name that programs linked with rmlx ask for, `librmlx.so.0`: its number changes when they would have to be built anew.
/// build.rs gives it to the library. None on a Mac, where the name is the file's.
pub fn soname() -> Result<Option<String>> {
    if cfg!(target_vendor = "apple") {
        return Ok(None);
    }
    let version = cargo::version()?;
    let major = version.split('.').next().unwrap_or_default();
    Ok(Some(format!("{}.{major}", file_name("rmlx"))))
}

/// Lets programs in the folder's search path find the `librmlx` in it by the name that they ask for.
pub fn link_soname(folder: &Path) -> Result<()> {
    let Some(soname) = soname()? else { return Ok(()) };
    link(Path::new(&file_name("rmlx")), &folder.join(soname))
}

/// Makes the file of a distribution, under its whole version, and the names that compilers and loaders ask for. Returns its path.
pub fn install(from: &Path, folder: &Path) -> Result<PathBuf> {
    let plain = file_name("rmlx");
    let Some(soname) = soname()? else {
        let file = folder.join(plain);
        copy(from, &file)?;
        return Ok(file);
    };
    let whole = format!("{plain}.{}", cargo::version()?);
    let file = folder.join(&whole);
    copy(from, &file)?;
    link(Path::new(&whole), &folder.join(&soname))?;
    link(Path::new(&soname), &folder.join(plain))?;
    Ok(file)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(target, link)
        .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))
}
