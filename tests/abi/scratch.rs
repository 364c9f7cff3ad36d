//! Copies of a snapshot with something changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::fixtures;

pub const WEIGHTS: &str = "model.safetensors";

/// A copy of a snapshot, removed when dropped.
pub struct Scratch(TempDir);

impl Scratch {
    pub fn of(folder: &str) -> Self {
        Self::copy(&fixtures::path(folder))
    }

    pub fn copy(snapshot: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(snapshot).expect("a snapshot") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
        }
        Self(dir)
    }

    /// The dense snapshot whose weights are in one file.
    pub fn dense() -> Self {
        Self::of("unified-bf16-mlx")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn without(self, name: &str) -> Self {
        fs::remove_file(self.file(name)).expect("a file to remove");
        self
    }

    pub fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.file(name), content).expect("a file to write");
        self
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a text file")
    }

    #[track_caller]
    pub fn replacing(self, name: &str, old: &str, new: &str) -> Self {
        let text = self.text(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.with(name, text.replace(old, new))
    }

    pub fn with_template(self, template: &str) -> Self {
        self.with("chat_template.jinja", template)
    }

    /// Changes a JSON file.
    pub fn json(self, name: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Self {
        let mut json: Map<String, Value> = serde_json::from_str(&self.text(name)).expect("a JSON object");
        change(&mut json);
        self.with(name, Value::Object(json).to_string())
    }

    /// Changes the header of the weights, and the bytes behind it.
    pub fn weights(self, change: impl FnOnce(&mut Map<String, Value>, &mut Vec<u8>)) -> Self {
        let file = fs::read(self.file(WEIGHTS)).expect("weights");
        let (len, rest) = file.split_first_chunk().expect("the header's length");
        let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
        let mut header = serde_json::from_slice(header).expect("a header");
        let mut data = data.to_vec();
        change(&mut header, &mut data);
        let header = Value::Object(header).to_string();
        let len = (header.len() as u64).to_le_bytes();
        self.with(WEIGHTS, [&len[..], header.as_bytes(), &data].concat())
    }
}
