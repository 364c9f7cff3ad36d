//! A file that is replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Code, Error, Result, code_of_file};

/// Puts a file of `len` bytes, which `fill` writes, in the place of `path`: all of it, and on the disk, or nothing. What
/// was there before stays where anything fails.
pub fn replace(path: &Path, len: u64, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    // A link stays one, and what it names is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|facts| !facts.is_file()) || target.file_name().is_none() {
        let error = io::Error::new(ErrorKind::InvalidInput, "there is something that is no file");
        return Err(failed(path, "written", &error));
    }
    let written = |error: io::Error| failed(path, "written", &error);
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let temporary = Temporary::new(folder).map_err(written)?;
    if let Some(facts) = before {
        temporary.file.set_permissions(facts.permissions()).map_err(written)?;
    }
    temporary.file.set_len(len).map_err(written)?;
    fill(&temporary.file)?;
    temporary.file.sync_all().map_err(written)?;
    temporary.take_the_place_of(&target).map_err(written)?;
    // The file is whole whatever comes of this: not every file system lets a folder be synchronised.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A new file, taken away again unless it takes a place.
struct Temporary {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Temporary {
    fn new(folder: &Path) -> io::Result<Temporary> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".rmlx-{}-{number}.tmp", process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { path, file, kept: false }),
                // Left behind by a process of the same number that was ended.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take_the_place_of(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left who could be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The error of a file that could not be read or written.
pub fn failed(path: &Path, done: &str, error: &io::Error) -> Error {
    let shown = path.display().to_string();
    failed_within(error, format!("{shown} cannot be {done}: {error}")).with("path", shown)
}

/// The same where the path is told by somebody else.
pub fn failed_within(error: &io::Error, message: String) -> Error {
    let failed = Error::new(code_of_file(error, Code::Io), message);
    match error.raw_os_error() {
        Some(number) => failed.with("errno", number),
        None => failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn put(path: &Path, text: &str) -> Result<()> {
        replace(path, text.len() as u64, |mut file| {
            file.write_all(text.as_bytes()).map_err(|error| failed(path, "written", &error))
        })
    }

    #[test]
    fn a_file_appears_whole_or_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        put(&path, "first").unwrap();
        put(&path, "next").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next");
        let error = replace(&path, 9, |mut file| {
            file.write_all(b"half").unwrap();
            Err(Error::cancelled())
        });
        assert_eq!(error.unwrap_err().code(), Code::Cancelled);
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(folder.path())),
            ("next", vec!["a".into()])
        );
    }

    #[test]
    fn what_the_process_lacks_is_not_the_files_fault() {
        for (errno, code) in [
            (libc::EMFILE, Code::OutOfMemory),
            (libc::ENFILE, Code::OutOfMemory),
            (libc::ENOMEM, Code::OutOfMemory),
            (libc::ENOENT, Code::NotFound),
            (libc::ENOSPC, Code::Io),
            (libc::EIO, Code::Io),
        ] {
            let error = failed(Path::new("a"), "read", &io::Error::from_raw_os_error(errno));
            assert_eq!((error.code(), error.details()["errno"].as_i64()), (code, Some(errno.into())));
        }
    }

    #[test]
    fn links_permissions_and_what_is_no_file_stay_as_they_are() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        put(&path, "first").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        put(&link, "next").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(put(folder.path(), "x").unwrap_err().code(), Code::Io);
        let error = put(&folder.path().join("none/a"), "x").unwrap_err();
        assert_eq!((error.code(), error.details()["errno"].as_i64()), (Code::NotFound, Some(2)));
        assert_eq!(names(folder.path()), ["a", "link"]);
    }
}
