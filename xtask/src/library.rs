//! How shared libraries are called on this platform.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cargo;
use crate::files::copy;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{file_name, install, link_soname, soname};
    use crate::files;

    #[test]
    fn a_distribution_has_the_names_that_compilers_and_loaders_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let (built, lib) = (folder.path().join(file_name("rmlx")), folder.path().join("lib"));
        fs::create_dir(&lib).unwrap();
        fs::write(&built, "library").unwrap();
        let file = install(&built, &lib).unwrap();
        let soname = soname().unwrap().unwrap();
        assert!(file.display().to_string().contains(&format!("/{soname}.")), "{}", file.display());
        for name in [soname.as_str(), "librmlx.so"] {
            assert_eq!(lib.join(name).canonicalize().unwrap(), file.canonicalize().unwrap());
        }
        // A folder that is moved keeps its links.
        let moved = folder.path().join("moved");
        files::copy_folder(&lib, &moved).unwrap();
        assert_eq!(fs::read_link(moved.join("librmlx.so")).unwrap(), Path::new(&soname));
        assert_eq!(fs::read_to_string(moved.join(&soname)).unwrap(), "library");

        // Where Cargo builds, and again.
        for _ in 0..2 {
            link_soname(folder.path()).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join(&soname)).unwrap(), "library");
        }
    }
}
