//! A snapshot folder: `config.json` and its companions, and the headers of its weight files.
//!
//! [`Snapshot::open`] reads JSON and safetensors headers only; [`Weights`] reads tensors, on the MLX thread.

pub mod config;
mod fingerprint;
mod header;
mod inspect;
mod names;
pub mod processors;
pub mod quantization;
mod shard;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::config::{read_json, read_optional_json};
pub use self::header::TensorInfo;
use self::processors::ProcessorFiles;
use self::quantization::QuantizationPlan;
pub use self::shard::keep_errors;
pub use self::weights::Weights;
use crate::error::{Code, Error, Result};

/// A folder whose JSON files and weight headers have been read, and no weights.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// `config.json`.
    pub config: Value,
    /// `generation_config.json`, where there is one.
    pub generation_config: Option<Value>,
    /// `processor_config.json` and its companions.
    pub processors: ProcessorFiles,
    /// How modules are quantized.
    pub quantization: QuantizationPlan,
    /// Weight files of the folder, sorted by name.
    shards: Vec<PathBuf>,
    /// Every tensor of every shard, by canonical name (see [`names::canonical`]).
    tensors: BTreeMap<String, TensorInfo>,
    /// Whether the shards have data behind their headers.
    has_data: bool,
}

impl Snapshot {
    /// Reads the JSON files and the headers of every weight file of `dir`. What is in `model.safetensors.index.json`
    /// is not believed and not needed: the headers say what is where.
    ///
    /// Errors: `NotFound` for the folder or `config.json`, `InvalidSnapshot` for broken JSON, and for weight files
    /// that are missing, truncated, corrupt, or hold a tensor twice.
    pub fn open(dir: &Path) -> Result<Snapshot> {
        if !dir.is_dir() {
            let message = format!("there is no folder {}", dir.display());
            return Err(Error::new(Code::NotFound, message).with("file", dir.display().to_string()));
        }
        let config = read_json(&dir.join("config.json"))?;
        let shards = header::find_shards(dir)?;
        let tensors = header::read_headers(&shards)?;
        Ok(Snapshot {
            quantization: QuantizationPlan::from_config(&config)?,
            generation_config: read_optional_json(&dir.join("generation_config.json"))?,
            config,
            processors: ProcessorFiles::read(dir)?,
            shards,
            tensors,
            has_data: true,
        })
    }

    /// The same with headers alone, as if there were no data: a load then checks names, types and shapes, and reads
    /// nothing.
    pub fn without_data(mut self) -> Snapshot {
        self.has_data = false;
        self
    }

    /// Whether tensors can be read.
    pub fn has_data(&self) -> bool {
        self.has_data
    }

    /// `model_type` of `config.json`.
    pub fn model_type(&self) -> Result<&str> {
        config::Section::root(&self.config)?.str("model_type")
    }

    /// A tensor's header, by canonical name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Canonical names and headers of all tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// The weight files, sorted by name.
    pub fn shards(&self) -> &[PathBuf] {
        &self.shards
    }

    /// Bytes of all tensors as they are in the files.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.values().map(|info| info.bytes).sum()
    }

    /// The error of what is said of a tensor that is there, with the file that has it.
    pub fn of_tensor(&self, message: String, name: &str) -> Error {
        match self.tensor(name).and_then(|tensor| self.shards.get(tensor.shard)) {
            None => Error::snapshot(message).with("tensor", name),
            Some(path) => Error::snapshot(format!("{message} ({})", file_name(path)))
                .with("tensor", name)
                .with("file", path.display().to_string()),
        }
    }

    /// The error for a tensor that no weight file has.
    pub fn missing(&self, name: &str) -> Error {
        let files: Vec<String> = self.shards.iter().map(|p| file_name(p)).collect();
        Error::snapshot(format!("tensor {name} is missing: it is not in {}", files.join(", ")))
            .with("tensor", name)
            .with("files", files)
    }
}

/// The last part of a path, for messages.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
