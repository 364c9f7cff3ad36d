//! Media in files.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::limits::reserve;
use super::{Audio, Image, MediaOptions};
use crate::error::{Code, Error, Result, code_of_file};

impl Image {
    /// [`Image::decode`] of a file, which errors name.
    pub fn open(path: &Path) -> Result<Image> {
        Self::open_with(path, &MediaOptions::default())
    }

    /// [`Image::decode_with`] of a file, which errors name.
    pub fn open_with(path: &Path, options: &MediaOptions) -> Result<Image> {
        decoded(path, options, |bytes| Image::decode_with(bytes, options))
    }
}

impl Audio {
    /// [`Audio::decode`] of a file, which errors name.
    pub fn open(path: &Path) -> Result<Audio> {
        Self::open_with(path, &MediaOptions::default())
    }

    /// [`Audio::decode_with`] of a file, which errors name.
    pub fn open_with(path: &Path, options: &MediaOptions) -> Result<Audio> {
        decoded(path, options, |bytes| Audio::decode_with(bytes, options))
    }
}

fn decoded<T>(path: &Path, options: &MediaOptions, decode: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let shown = path.display();
    let medium = read(path, options).and_then(|bytes| decode(&bytes));
    medium.map_err(|error| error.context(&shown).with("path", shown.to_string()))
}

/// The bytes of a regular file: a pipe or a device may never end.
fn read(path: &Path, options: &MediaOptions) -> Result<Vec<u8>> {
    let facts = fs::metadata(path).map_err(unreadable)?;
    if !facts.is_file() {
        return Err(Error::media("it is not a file"));
    }
    options.check_bytes(facts.len(), usize::try_from(facts.len()).unwrap_or(usize::MAX), "the file")?;
    let mut bytes = Vec::new();
    reserve(&mut bytes, usize::try_from(facts.len()).unwrap_or(usize::MAX))?;
    File::open(path).map_err(unreadable)?.take(facts.len()).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The file is at fault only where it is not there or not readable: a process without free descriptors, or a machine
/// without memory, reads no file.
fn unreadable(error: std::io::Error) -> Error {
    Error::new(code_of_file(&error, Code::InvalidMedia), format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_decoded_as_its_bytes_are_and_errors_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b\u{e9}.png");
        let bytes = include_bytes!("testdata/rgba.png");
        fs::write(&path, bytes).unwrap();
        assert_eq!(Image::open(&path).unwrap().hash(), Image::decode(bytes).unwrap().hash());
        for (path, code) in [
            (path.clone(), Code::InvalidMedia),
            (dir.path().join("none"), Code::NotFound),
            (dir.path().to_owned(), Code::InvalidMedia),
        ] {
            let error = Audio::open(&path).unwrap_err();
            let shown = path.display().to_string();
            assert_eq!((error.code(), error.details()["path"].as_str()), (code, Some(shown.as_str())));
            assert!(error.message().starts_with(&shown), "{error}");
        }
    }

    #[test]
    fn what_the_process_lacks_is_not_the_files_fault() {
        for (errno, code) in [
            (libc::EMFILE, Code::OutOfMemory),
            (libc::ENFILE, Code::OutOfMemory),
            (libc::ENOMEM, Code::OutOfMemory),
            (libc::ENOENT, Code::NotFound),
            (libc::EACCES, Code::InvalidMedia),
            (libc::EIO, Code::InvalidMedia),
        ] {
            assert_eq!(unreadable(std::io::Error::from_raw_os_error(errno)).code(), code, "errno {errno}");
        }
    }
}
