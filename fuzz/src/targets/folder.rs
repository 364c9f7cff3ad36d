//! A snapshot of the tests in a folder of its own, whose files an input replaces.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::fixture;

pub const WEIGHTS: &str = "model.safetensors";

/// A copy of a snapshot, with a hole instead of its weights.
pub struct Folder {
    dir: TempDir,
    /// What the header of its weights says.
    pub header: Value,
}

impl Folder {
    pub fn of(name: &str) -> Folder {
        // In memory where there is such a place: an execution is mostly the files that it writes.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder");
        let mut header = Value::Null;
        for entry in fs::read_dir(fixture(name)).expect("a snapshot") {
            let entry = entry.expect("an entry");
            if entry.file_name() == WEIGHTS {
                let bytes = fs::read(entry.path()).expect("weights");
                header = header_of(&bytes);
            } else {
                fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
            }
        }
        let folder = Folder { dir, header };
        folder.write_weights(WEIGHTS, folder.header.to_string().as_bytes(), 0);
        folder
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn json(&self, name: &str) -> Value {
        let bytes = fs::read(self.path().join(name)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).expect("a file");
    }

    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path().join(name));
    }

    /// A weight file with that header, and as long as the header says, give or take.
    pub fn write_weights(&self, name: &str, header: &[u8], more: i64) {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        self.write(name, &bytes);
        let ends = serde_json::from_slice::<Value>(header).ok().map(|header| end(&header)).unwrap_or(0);
        let length = (bytes.len() as i64).saturating_add(ends).saturating_add(more).clamp(0, 1 << 40);
        let file = fs::OpenOptions::new().write(true).open(self.path().join(name)).expect("the file");
        // A hole: nothing is written.
        let _ = file.set_len(length as u64);
    }
}

/// Where the last tensor ends.
fn end(header: &Value) -> i64 {
    let ends = |entry: &Value| entry["data_offsets"].as_array()?.last()?.as_i64();
    header.as_object().map_or(0, |all| all.values().filter_map(ends).max().unwrap_or(0))
}

fn header_of(bytes: &[u8]) -> Value {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).expect("a header")
}
