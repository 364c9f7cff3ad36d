//! Files of a snapshot, read with errors that say what stands in their place.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde_json::Value;

use crate::error::{Code, Error, Result, is_exhausted};
use crate::json;

/// No configuration, tokenizer or template is anywhere near this; a larger one is a mistake, and is not read.
const MAX_BYTES: u64 = 512 << 20;

/// Bytes that tell a file which only stands for another.
const START: usize = 512;

/// Whether there is a file, which [`read_optional`] would read.
pub fn is_there(path: &Path) -> Result<bool> {
    let Some(size) = size(path)? else { return Ok(false) };
    let mut start = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let read = file.take(size.min(START as u64)).read_to_end(&mut start);
    read.map_err(|e| unreadable(path, &e))?;
    require_itself(path, &start)?;
    Ok(true)
}

/// The bytes of a file, less a byte-order mark; `None` if there is none.
///
/// Errors: `InvalidSnapshot` for what is no file, may not be read, is empty or is a placeholder; `OutOfMemory`.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(size) = size(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(size as usize);
    room.map_err(|_| unreadable(path, &io::Error::from(ErrorKind::OutOfMemory)))?;
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    require_itself(path, &bytes)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(of(path, format!("{} is UTF-16, but must be UTF-8", name(path))));
    }
    bytes.drain(..bytes.len() - without_mark(&bytes).len());
    Ok(Some(bytes))
}

/// The size of a file of which there may be none.
fn size(path: &Path) -> Result<Option<u64>> {
    let facts = match fs::metadata(path) {
        Err(e) if is_absent(&e) && fs::symlink_metadata(path).is_err() => return Ok(None),
        facts => facts.map_err(|e| unreadable(path, &e))?,
    };
    check_kind(path, &facts)?;
    if facts.len() > MAX_BYTES {
        let message = format!("{} has {} bytes, more than any such file has", name(path), facts.len());
        return Err(of(path, message));
    }
    Ok(Some(facts.len()))
}

/// An error for a file that only stands for another.
pub fn require_itself(path: &Path, start: &[u8]) -> Result<()> {
    match stand_in(start) {
        Some(what) => Err(of(path, format!("{} is {what}", name(path)))),
        None => Ok(()),
    }
}

/// The JSON of a file; `None` if there is none.
pub fn read_optional_json(path: &Path) -> Result<Option<Value>> {
    let Some(bytes) = read_optional(path)? else { return Ok(None) };
    json::parse(&bytes).map(Some).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let place = if line > 0 { format!(", line {line}, column {column}") } else { String::new() };
        let message = format!("{} is not valid JSON{place}: {e}", name(path));
        of(path, message).with("line", line).with("column", column)
    })
}

/// The text of a file; `None` if there is none.
pub fn read_optional_text(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = read_optional(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|e| of(path, format!("{} is not UTF-8: {}", name(path), e.utf8_error())))
}

/// A file to read parts of, and its size. It may not be there, and then the error says so.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let facts = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    check_kind(path, &facts)?;
    Ok((File::open(path).map_err(|e| unreadable(path, &e))?, facts.len()))
}

/// The error for what the system says of a file.
pub fn unreadable(path: &Path, error: &io::Error) -> Error {
    let shown = name(path);
    if is_exhausted(error) {
        return Error::new(Code::OutOfMemory, format!("{shown} cannot be read: {error}"))
            .with("file", path.display().to_string());
    }
    let link = fs::read_link(path).ok().filter(|_| is_absent(error));
    of(
        path,
        match (link, error.kind()) {
            (Some(target), _) => format!(
                "{shown} is a link to {}, which is not there: the download is not complete, or the file was removed",
                target.display()
            ),
            (None, ErrorKind::PermissionDenied) => {
                format!("{shown} may not be read by this process: {error}")
            }
            (None, _) => format!("{shown} cannot be read: {error}"),
        },
    )
}

/// Whether the error says that there is nothing at the path.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A pipe or a device may never end.
fn check_kind(path: &Path, facts: &fs::Metadata) -> Result<()> {
    let what = if facts.is_file() {
        return Ok(());
    } else if facts.is_dir() {
        "a folder"
    } else {
        "a pipe, a socket or a device"
    };
    Err(of(path, format!("{} is {what}, but must be a file", name(path))))
}

/// What a file is that only stands for another, by how it begins.
fn stand_in(start: &[u8]) -> Option<&'static str> {
    let text = without_mark(start).trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with.as_bytes()));
    if start.is_empty() {
        Some("empty: the download is not complete")
    } else if text.starts_with(b"version https://git-lfs") {
        Some(
            "a pointer of Git LFS, and not the file itself: get it with `git lfs pull`, or download it again",
        )
    } else if begins("<!doctype html") || begins("<html") {
        Some("a web page, and not the file itself: download it again")
    } else if start.iter().all(|byte| *byte == 0) {
        Some("nothing but zeros: the download is not complete")
    } else {
        None
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// An `InvalidSnapshot` that names a file.
pub fn of(path: &Path, message: String) -> Error {
    Error::snapshot(message).with("file", path.display().to_string())
}

/// The last part of a path, for messages.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_place_of_a_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 42\n";
        for (bytes, told) in [
            (&b""[..], "config.json is empty: the download is not complete"),
            (pointer.as_bytes(), "config.json is a pointer of Git LFS"),
            (b"\n<!DOCTYPE HTML><html>", "config.json is a web page"),
            (b"\xff\xfe{\0}\0", "config.json is UTF-16"),
            (&[0; 40], "config.json is nothing but zeros"),
            (b"{,}", "config.json is not valid JSON, line 1, column 2"),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = read_optional_json(&path).unwrap_err();
            assert!(error.code() == Code::InvalidSnapshot && error.message().starts_with(told), "{error}");
            assert_eq!(error.details()["file"], path.display().to_string());
        }
        fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read_optional_json(&path).unwrap(), Some(serde_json::json!({})));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_optional_json(&path).unwrap(), None);
        std::os::unix::fs::symlink("../blobs/1234", &path).unwrap();
        let error = read_optional_json(&path).unwrap_err();
        assert!(error.message().starts_with("config.json is a link to ../blobs/1234, which is not there"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = read_optional_json(&path).unwrap_err();
        assert_eq!(error.message(), "config.json is a folder, but must be a file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let error = read_optional(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.message(), "null is a pipe, a socket or a device, but must be a file");
    }

    #[test]
    fn what_the_system_runs_out_of_is_no_fault_of_the_file() {
        let told = |code: i32| unreadable(Path::new("/m/config.json"), &io::Error::from_raw_os_error(code));
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert_eq!(told(code).code(), Code::OutOfMemory);
        }
        let denied = told(libc::EACCES);
        assert_eq!(denied.code(), Code::InvalidSnapshot);
        assert!(denied.message().starts_with("config.json may not be read by this process"), "{denied}");
        assert_eq!(told(libc::EIO).code(), Code::InvalidSnapshot);
    }
}
