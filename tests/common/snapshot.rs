//! Copies of the fixtures' snapshots, with something changed in them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::fixtures;

/// A snapshot folder that is removed at the end.
pub struct Copy(TempDir);

impl Copy {
    pub fn of(name: &str) -> Copy {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for entry in fs::read_dir(fixtures().join(name)).expect("a snapshot") {
            let from = entry.expect("a file").path();
            fs::copy(&from, folder.path().join(from.file_name().expect("a name"))).expect("a copy");
        }
        Copy(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.file(name), content).expect("a file");
        self
    }

    pub fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.file(name)).expect("a file");
        self
    }

    /// Cuts a file to so many bytes.
    pub fn truncate(&self, name: &str, size: u64) -> &Self {
        let file = fs::OpenOptions::new().write(true).open(self.file(name)).expect("a file");
        file.set_len(size).expect("a shorter file");
        self
    }

    pub fn change_json(&self, name: &str, change: impl FnOnce(&mut Value)) -> &Self {
        let mut json = serde_json::from_slice(&fs::read(self.file(name)).expect("a file")).expect("JSON");
        change(&mut json);
        self.write(name, json.to_string())
    }

    /// Changes the header of a safetensors file.
    pub fn change_tensors(&self, name: &str, change: impl FnOnce(&mut Value)) -> &Self {
        let bytes = fs::read(self.file(name)).expect("a file");
        let (size, rest) = bytes.split_first_chunk::<8>().expect("a header's size");
        let (header, data) = rest.split_at(u64::from_le_bytes(*size) as usize);
        let mut header = serde_json::from_slice(header).expect("a header");
        change(&mut header);
        let mut header = header.to_string();
        while header.len() % 8 != 0 {
            header.push(' ');
        }
        let size = (header.len() as u64).to_le_bytes();
        self.write(name, [&size[..], header.as_bytes(), data].concat())
    }
}
