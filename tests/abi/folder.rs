//! A snapshot in memory, to be written to disk otherwise than it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rmlx::ffi::model::rmlx_model_inspect;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{Failure, Model, Outcome, Prompt, owned_text};

#[derive(Clone)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

pub type Tensors = BTreeMap<String, Tensor>;

#[derive(Clone)]
pub struct Folder {
    pub config: Value,
    pub tensors: Tensors,
    /// Everything but config.json, the index and the weights.
    others: Vec<(String, Vec<u8>)>,
}

impl Folder {
    pub fn of(fixture: &str) -> Self {
        let mut folder = Self { config: Value::Null, tensors: Tensors::new(), others: Vec::new() };
        for entry in fs::read_dir(fixtures::path(fixture)).expect("a snapshot").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            let bytes = fs::read(entry.path()).expect("a file");
            match name.as_str() {
                "config.json" => folder.config = serde_json::from_slice(&bytes).expect("JSON"),
                "model.safetensors.index.json" => {}
                _ if name.ends_with(".safetensors") => {
                    for (name, tensor) in SafeTensors::deserialize(&bytes).expect("tensors").iter() {
                        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
                        folder
                            .tensors
                            .insert(name.to_owned(), Tensor { dtype, shape, data: tensor.data().to_vec() });
                    }
                }
                _ => folder.others.push((name, bytes)),
            }
        }
        folder
    }

    pub fn with_config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// The tensors of which `keep` says so.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.tensors.retain(|name, _| keep(name));
        self
    }

    pub fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        let count = self.tensors.len();
        self.tensors = self.tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
        assert_eq!(self.tensors.len(), count);
        self
    }

    /// Everything but the weights.
    pub fn without_weights(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in &self.others {
            fs::write(dir.path().join(name), bytes).expect("a file");
        }
        fs::write(dir.path().join("config.json"), self.config.to_string()).expect("a file");
        dir
    }

    /// All weights in model.safetensors.
    pub fn written(&self) -> TempDir {
        let dir = self.without_weights();
        write(dir.path(), "model.safetensors", &self.tensors);
        dir
    }

    /// Two shards and their index.
    pub fn in_shards(&self) -> TempDir {
        let dir = self.without_weights();
        let mut map = serde_json::Map::new();
        let mut shards = [Tensors::new(), Tensors::new()];
        for (at, (name, tensor)) in self.tensors.iter().enumerate() {
            let shard = at * 2 / self.tensors.len();
            shards[shard].insert(name.clone(), tensor.clone());
            map.insert(name.clone(), SHARDS[shard].into());
        }
        SHARDS.iter().zip(&shards).for_each(|(name, tensors)| write(dir.path(), name, tensors));
        index(dir.path(), &Value::Object(map));
        dir
    }
}

pub const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

pub fn write(dir: &Path, name: &str, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), view(tensor)));
    fs::write(dir.join(name), serialize(views, None).expect("weights")).expect("a file");
}

fn view(tensor: &Tensor) -> TensorView<'_> {
    TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.data).expect("a tensor")
}

pub fn index(dir: &Path, map: &Value) {
    let index = json!({ "metadata": {}, "weight_map": map });
    fs::write(dir.join("model.safetensors.index.json"), index.to_string()).expect("a file");
}

/// What `rmlx_model_inspect` says of a folder.
pub fn inspect(dir: &Path) -> Outcome<Value> {
    let dir = std::ffi::CString::new(dir.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the path ends with a NUL.
    let text = owned_text(|out, error| unsafe { rmlx_model_inspect(dir.as_ptr(), out, error) })?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

/// A folder that loads: what inspect says of it, the model, and the logits after a few tokens.
pub struct Loaded {
    pub told: Value,
    pub model: Model,
    pub row: Vec<f32>,
}

/// Loads the folder, or says why not; inspect must agree.
#[track_caller]
pub fn load(dir: &Path) -> Outcome<Loaded> {
    let told = inspect(dir);
    match (told, Model::load(dir)) {
        (Ok(told), Ok(model)) => {
            let info = model.info();
            for key in ["modalities", "notes", "quantization", "parameters"] {
                assert_eq!(info[key], told[key], "{key}");
            }
            let row = row_of(&model);
            Ok(Loaded { told, model, row })
        }
        (Err(told), Err(failure)) => {
            assert_eq!(told, failure, "inspect and load disagree");
            Err(failure)
        }
        (Ok(told), Err(failure)) => panic!("inspect takes what load refuses: {failure:?}, {told}"),
        (Err(failure), Ok(_)) => panic!("inspect refuses what loads: {failure:?}"),
    }
}

#[track_caller]
pub fn refused(dir: &Path) -> Failure {
    load(dir).err().expect("the load fails")
}

fn row_of(model: &Model) -> Vec<f32> {
    let ids: Vec<u32> = (0..40).map(|i| 20 + (i * i * 31 + i * 7) % 500).collect();
    let answer = Session::new(model).answer(&Prompt::new().tokens(&ids), &Options::endless(1));
    assert!(!answer.first_row.is_empty());
    answer.first_row
}
