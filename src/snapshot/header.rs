//! The headers of safetensors files: which tensors there are, and whether the files are whole.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata};

use super::file_name;
use super::names::canonical;
use crate::error::{Error, Result};
use crate::{files, json};

/// What is looked at to tell a file that only stands for another.
const START: u64 = 512;

/// Longer headers than this are refused by the format itself.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// One tensor of a weight file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The name in the file, which may differ from the canonical one.
    pub file_name: String,
    /// Which of [`super::Snapshot::shards`] has it.
    pub shard: usize,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: u64,
    /// Where its data begin in the file.
    pub offset: u64,
}

impl TensorInfo {
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}

/// The tensors of all `shards` by canonical name.
pub fn read_headers(shards: &[PathBuf]) -> Result<BTreeMap<String, TensorInfo>> {
    let mut tensors: BTreeMap<String, TensorInfo> = BTreeMap::new();
    for (shard, path) in shards.iter().enumerate() {
        let (metadata, data) = read_header(path)?;
        // Sorted, so that of several faults the same one is told each time.
        let sorted: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
        for (name, info) in sorted {
            let bytes = (info.data_offsets.1 - info.data_offsets.0) as u64;
            let offset = data + info.data_offsets.0 as u64;
            let (dtype, shape) = (info.dtype, info.shape.clone());
            if shape.iter().any(|&n| n > i32::MAX as usize) {
                return Err(
                    unreadable(path, &format!("tensor {name} has the shape {shape:?}")).with("tensor", name)
                );
            }
            let tensor = TensorInfo { file_name: name.clone(), shard, dtype, shape, bytes, offset };
            if let Some(first) = tensors.insert(canonical(&name), tensor) {
                let (a, b) = (file_name(&shards[first.shard]), file_name(path));
                let message =
                    format!("tensor {name} is there twice: as {} in {a} and in {b}", first.file_name);
                return Err(Error::snapshot(message).with("tensor", name).with("files", vec![a, b]));
            }
        }
    }
    Ok(tensors)
}

/// The header of one file, whose size must be what the header says, and where the data behind it begin.
pub(super) fn read_header(path: &Path) -> Result<(Metadata, u64)> {
    let io = |e: std::io::Error| files::unreadable(path, &e);
    let (mut file, size) = files::open(path)?;
    let mut start = vec![0; START.min(size) as usize];
    file.read_exact_at(&mut start, 0).map_err(io)?;
    files::require_itself(path, &start)?;
    let mut length = [0; 8];
    if size < 8 {
        return Err(unreadable(path, &format!("it has {size} bytes, too few for a safetensors file")));
    }
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES || length > size - 8 {
        let fault = format!("its header says to be {length} bytes long, but the file has {size} bytes");
        return Err(unreadable(path, &fault));
    }
    let mut header = Vec::new();
    let room = header.try_reserve_exact(length as usize);
    room.map_err(|_| files::unreadable(path, &std::io::ErrorKind::OutOfMemory.into()))?;
    header.resize(length as usize, 0);
    file.read_exact(&mut header).map_err(io)?;
    let metadata: Metadata = json::parse(&header)
        .map_err(|e| unreadable(path, &format!("its header is broken: {e}")).with("byte", 8 + e.column()))?;
    let needed = 8 + length + metadata.data_len() as u64;
    match size.cmp(&needed) {
        std::cmp::Ordering::Equal => Ok((metadata, 8 + length)),
        std::cmp::Ordering::Less => {
            let fault = format!("it is truncated: {size} bytes are there, {needed} are needed");
            Err(unreadable(path, &fault).with("bytes", size).with("bytes_needed", needed))
        }
        std::cmp::Ordering::Greater => {
            Err(unreadable(path, &format!("{} bytes follow its last tensor", size - needed)))
        }
    }
}

/// The error for a weight file that is not as it has to be.
pub(super) fn unreadable(path: &Path, fault: &str) -> Error {
    Error::snapshot(format!("{} cannot be read: {fault}", file_name(path)))
        .with("file", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::weight_files::WeightFiles;
    use safetensors::tensor::{TensorView, serialize};

    fn shard(names: &[&str]) -> Vec<u8> {
        let data = [0u8; 16];
        let views = names.iter().map(|n| (*n, TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap()));
        serialize(views, None).unwrap()
    }

    fn read(files: &[(&str, Vec<u8>)]) -> Result<BTreeMap<String, TensorInfo>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        read_headers(&WeightFiles::choose(dir.path())?.shards)
    }

    #[test]
    fn shards_are_found_and_named() {
        let files = [
            ("model-00002-of-00002.safetensors", shard(&["model.norm.weight"])),
            ("model-00001-of-00002.safetensors", shard(&["language_model.model.embed_tokens.weight"])),
            ("consolidated.00.safetensors", shard(&["norm.weight"])),
            ("model.safetensors.index.json", b"{\"weight_map\": {\"x\": \"gone.safetensors\"}}".to_vec()),
        ];
        let tensors = read(&files).unwrap();
        let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        assert_eq!(names, ["language_model.model.embed_tokens.weight", "language_model.model.norm.weight"]);
        let norm = &tensors["language_model.model.norm.weight"];
        assert_eq!((norm.shard, norm.bytes, &norm.shape[..]), (1, 16, &[2, 2][..]));
        assert_eq!(norm.offset + norm.bytes, shard(&["model.norm.weight"]).len() as u64);
    }

    #[test]
    fn damage_is_told_with_the_file() {
        let whole = shard(&["a", "b"]);
        let mut cut = whole.clone();
        cut.truncate(whole.len() - 5);
        let mut broken = whole.clone();
        broken[12] = b'#';
        let mut long = whole.clone();
        long[3] = 0xff;
        let mut tail = whole.clone();
        tail.push(0);
        for (bytes, told) in [
            (cut, "truncated"),
            (broken, "header is broken"),
            (long, "header says to be"),
            (tail, "1 bytes follow"),
            (vec![1, 2, 3], "too few"),
            (vec![0; 4096], "nothing but zeros"),
            (Vec::new(), "empty: the download is not complete"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), "a pointer of Git LFS"),
        ] {
            let error = read(&[("model.safetensors", bytes)]).unwrap_err();
            assert!(error.message().contains("model.safetensors"), "{error}");
            assert!(error.message().contains(told), "{error}");
        }
        let error = read(&[("config.json", vec![])]).unwrap_err();
        assert!(error.message().contains("no .safetensors file"), "{error}");
    }

    #[test]
    fn a_tensor_twice_is_an_error() {
        let files = [("a.safetensors", shard(&["x.weight"])), ("b.safetensors", shard(&["model.x.weight"]))];
        let error = read(&files).unwrap_err();
        assert!(error.message().contains("twice") && error.message().contains("a.safetensors"), "{error}");
    }
}
