//! A snapshot folder: `config.json` and its companions, and the headers of its weight files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

/// A folder whose JSON files and weight headers have been read, and no weights.
#[derive(Debug)]
pub struct Snapshot {
    pub dir: PathBuf,
    /// `config.json`.
    pub config: Value,
    /// `generation_config.json`, where there is one.
    pub generation_config: Option<Value>,
    /// `processor_config.json`, else `preprocessor_config.json`, where there is one.
    pub processor_config: Option<Value>,
}

impl Snapshot {
    /// Reads the JSON files and the headers of every weight file of `dir`.
    pub fn open(dir: &Path) -> Result<Snapshot> {
        Err(Error::unsupported(format!("{}: not built yet", dir.display())))
    }

    /// What is in the folder, without reading weights.
    pub fn inspect(&self) -> Value {
        Value::Null
    }
}
