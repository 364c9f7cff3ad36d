//! What is published of each model: its `config.json`, less keys that no reader looks at, and its tensors.

mod gemma3;
mod gemma4;
mod qwen3_vl;

use serde_json::Value;

/// A tensor's published name and shape.
pub type Tensors = Vec<(String, Vec<usize>)>;

/// One published model.
pub struct Published {
    pub name: String,
    pub config: Value,
    /// As transformers publishes them.
    pub tensors: Tensors,
    /// The same as newer versions of transformers write them, where these name them otherwise.
    pub renamed: Option<Tensors>,
    /// As MLX's converters lay them out.
    pub converted: Tensors,
    pub count: Count,
    pub vocab: usize,
    pub hidden: usize,
    pub context: usize,
    /// Of the layers that have keys of their own.
    pub caches: Vec<Cache>,
    pub picture: Option<Picture>,
}

/// What is said about the number of parameters.
pub struct Count {
    /// The tensors that are counted.
    pub of: fn(&str) -> bool,
    pub parameters: f64,
    /// How far off the published number may be.
    pub within: f64,
}

/// Keys and values of a layer: the newest `window` positions, or all.
pub struct Cache {
    pub heads: usize,
    pub dim: usize,
    pub window: Option<usize>,
}

/// A picture as the tower takes it, and what becomes of it.
pub struct Picture {
    pub rows: usize,
    pub columns: usize,
    /// Of a patch.
    pub values: usize,
    pub soft_tokens: usize,
    /// Deeper layers that get features.
    pub extra: usize,
    /// Rows and columns of soft tokens, for models whose positions have three dimensions.
    pub grid: Option<(usize, usize)>,
    /// Whether the soft tokens see each other.
    pub together: bool,
}

/// All of them, family by family.
pub fn all() -> impl Iterator<Item = Published> {
    gemma4::published().chain(gemma3::published()).chain(qwen3_vl::published())
}

pub fn one(name: &str) -> Published {
    all().find(|model| model.name == name).unwrap()
}

/// The name of a published tensor in MLX's files.
fn moved(name: &str) -> String {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("language_model.model.{rest}"),
        None => name.replacen("model.", "", 1),
    }
}

/// The shape of a convolution's weight with its channels last.
fn channels_last(shape: &[usize]) -> Vec<usize> {
    [&shape[..1], &shape[2..], &shape[1..2]].concat()
}
