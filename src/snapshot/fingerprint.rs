//! What tells one snapshot from another without reading its weights.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::Snapshot;
use crate::error::Result;
use crate::files::unreadable;

/// Bytes that are looked at in the middle of each tensor.
const SAMPLE: u64 = 256;

impl Snapshot {
    /// Of `config.json` and the processors' files as they read, of every tensor's name, type and shape, and of some bytes
    /// of each: snapshots of one architecture that were trained apart have the same headers. How tensors are spread over
    /// files, and what else is in the folder, makes no difference.
    ///
    /// Errors: `InvalidSnapshot` for a file that can no longer be read.
    pub fn fingerprint(&self) -> Result<[u8; 32]> {
        let mut hash = blake3::Hasher::new();
        let jsons = std::iter::once(Some(&self.config)).chain(self.processors.all());
        for json in jsons {
            add(&mut hash, json.map(Value::to_string).unwrap_or_default().as_bytes());
        }
        let open = |path| File::open(path).map_err(|e| unreadable(path, &e));
        let files = self.shards().iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        for (name, tensor) in self.tensors() {
            add(&mut hash, name.as_bytes());
            add(&mut hash, format!("{:?} {:?}", tensor.dtype, tensor.shape).as_bytes());
            let count = tensor.bytes.min(SAMPLE);
            let mut sample = vec![0; count as usize];
            let at = tensor.offset + (tensor.bytes - count) / 2;
            let (file, path) = (&files[tensor.shard], &self.shards()[tensor.shard]);
            file.read_exact_at(&mut sample, at).map_err(|e| unreadable(path, &e))?;
            add(&mut hash, &sample);
        }
        Ok(*hash.finalize().as_bytes())
    }
}

/// A length before each text, so that no two lists are one text.
fn add(hash: &mut blake3::Hasher, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx")
    }

    fn copy(change: impl Fn(&Path)) -> [u8; 32] {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        change(folder.path());
        Snapshot::open(folder.path()).unwrap().fingerprint().unwrap()
    }

    /// Changes one value in the middle of a tensor.
    fn retrain(folder: &Path, name: &str) {
        let snapshot = Snapshot::open(folder).unwrap();
        let tensor = snapshot.tensor(name).unwrap();
        let path = &snapshot.shards()[tensor.shard];
        let mut bytes = fs::read(path).unwrap();
        bytes[(tensor.offset + tensor.bytes / 2) as usize] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn snapshots_that_differ_in_what_they_compute_have_other_fingerprints() {
        let own = Snapshot::open(&fixture()).unwrap();
        let names: Vec<String> = own.tensors().map(|(name, _)| name.to_owned()).collect();
        let own = own.fingerprint().unwrap();
        assert_eq!(copy(|_| ()), own);
        assert_eq!(copy(|dir| fs::write(dir.join("README.md"), "other").unwrap()), own);
        let config = |dir: &Path| {
            let text = fs::read_to_string(dir.join("config.json")).unwrap();
            fs::write(dir.join("config.json"), text.replacen('{', "{\"added\": 1,", 1)).unwrap();
        };
        assert_ne!(copy(config), own);
        for name in [&names[0], &names[names.len() / 2], &names[names.len() - 1]] {
            assert_ne!(copy(|dir| retrain(dir, name)), own, "{name}");
        }
    }
}
