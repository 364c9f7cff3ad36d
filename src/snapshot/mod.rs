//! A snapshot folder: `config.json` and its companions, and the headers of its weight files.
//!
//! [`Snapshot::open`] reads JSON and safetensors headers only; [`Weights`] reads tensors, on the MLX thread.

pub mod config;
mod fingerprint;
mod folder;
mod header;
mod inspect;
mod mapped;
mod names;
pub mod part;
pub mod processors;
pub mod quantization;
mod shard;
mod storage;
mod towers;
mod weight_files;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::config::read_optional_json;
pub use self::header::TensorInfo;
pub use self::inspect::Storages;
use self::processors::ProcessorFiles;
use self::quantization::QuantizationPlan;
pub use self::shard::keep_errors;
pub use self::towers::{Present, Tower};
use self::weight_files::{INDEX, WeightFiles};
pub use self::weights::Weights;
use crate::error::{Error, Result};
use crate::files::name as file_name;

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
    /// Those of the folder that count.
    files: WeightFiles,
    /// Every tensor of every shard, by canonical name (see [`names::canonical`]).
    tensors: BTreeMap<String, TensorInfo>,
    /// Whether the shards have data behind their headers.
    has_data: bool,
    /// Whether tensors may stay in the pages of their files.
    maps: bool,
}

impl Snapshot {
    /// Reads the JSON files and the headers of the weight files of `dir` (see [`WeightFiles`] for which those are).
    ///
    /// Errors: `NotFound` for the folder or `config.json`; `InvalidSnapshot` for broken JSON, and for weight files that are missing, truncated, corrupt, or hold a tensor twice; `Unsupported` for models in formats
    /// and storages of others; `OutOfMemory` where the process may not open more files.
    pub fn open(dir: &Path) -> Result<Snapshot> {
        folder::require(dir)?;
        let config = read_optional_json(&dir.join("config.json"))?;
        let config = config.ok_or_else(|| folder::without_config(dir))?;
        let files = WeightFiles::choose(dir)?;
        let tensors = header::read_headers(&files.shards)?;
        storage::require_known(&config, &tensors, &files.shards)?;
        Ok(Snapshot {
            quantization: QuantizationPlan::from_config(&config)?,
            generation_config: read_optional_json(&dir.join("generation_config.json"))?,
            config,
            processors: ProcessorFiles::read(dir)?,
            files,
            tensors,
            has_data: true,
            maps: false,
        })
    }

    /// The same with headers alone, as if there were no data: a load then checks names, types and shapes, and reads
    /// nothing.
    pub fn without_data(mut self) -> Snapshot {
        self.has_data = false;
        self
    }

    /// The same, with tensors that may stay in the pages of their files.
    pub fn with_maps(mut self, maps: bool) -> Snapshot {
        self.maps = maps;
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

    /// The weight files.
    pub fn shards(&self) -> &[PathBuf] {
        &self.files.shards
    }

    /// Bytes of all tensors as they are in the files.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.values().map(|info| info.bytes).sum()
    }

    /// The error of what is said of a tensor that is there, with the file that has it.
    pub fn of_tensor(&self, message: String, name: &str) -> Error {
        match self.tensor(name).and_then(|tensor| self.shards().get(tensor.shard)) {
            None => Error::snapshot(message).with("tensor", name),
            Some(path) => Error::snapshot(format!("{message} ({})", file_name(path)))
                .with("tensor", name)
                .with("file", path.display().to_string()),
        }
    }

    /// Sentences about what of the folder is not used.
    pub fn notes(&self) -> &[String] {
        &self.files.notes
    }

    /// The error for a tensor that no weight file has, with the file that should have it.
    pub fn missing(&self, name: &str) -> Error {
        let names: Vec<String> = self.shards().iter().map(|p| file_name(p)).collect();
        let absent = &self.files.absent;
        let why = match self.files.indexed.get(name) {
            Some(file) if absent.contains(file) => format!(
                "{INDEX} has it in {file}, which is not there: the download is not complete, or the file was removed"
            ),
            Some(file) => format!("{INDEX} has it in {file}, which lacks it"),
            None if !absent.is_empty() => {
                format!(
                    "the folder lacks {}: the download is not complete, or files were removed",
                    some_of(absent)
                )
            }
            None => format!("it is not in {}", some_of(&names)),
        };
        Error::snapshot(format!("tensor {name} is missing: {why}")).with("tensor", name).with("files", names)
    }
}

/// A few of many names.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let others = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - others].join(", ");
    if others > 0 { format!("{shown} and {others} others") } else { shown }
}
