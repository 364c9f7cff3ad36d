//! What is in a snapshot, told without reading weights.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Snapshot;
use super::config::Section;
use super::quantization::Quantization;

/// How the modules that have scales are stored, by canonical path.
pub type Storages = BTreeMap<String, Quantization>;

impl Snapshot {
    /// Architecture, quantization and sizes, from the configuration and the weight files' headers. `storages` are those that
    /// a plan of a load has found.
    pub fn inspect(&self, storages: &Storages) -> Value {
        let text = self.text_key("text_config").cloned().unwrap_or_else(|| self.config.clone());
        let key = |name: &str| text.get(name).cloned().unwrap_or(Value::Null);
        json!({
            "architecture": self.config["architectures"].get(0).cloned().unwrap_or(Value::Null),
            "model_type": self.config.get("model_type").cloned().unwrap_or(Value::Null),
            "quantization": self.quantization_summary(storages),
            "bytes": self.tensor_bytes(),
            "files": self.shards().len(),
            "tensors": self.tensors().count(),
            "parameters": self.parameters(storages),
            "layers": key("num_hidden_layers"),
            "hidden_size": key("hidden_size"),
            "context_length": key("max_position_embeddings"),
            "vocab_size": key("vocab_size"),
        })
    }

    fn text_key(&self, key: &str) -> Option<&Value> {
        Section::root(&self.config).ok().and_then(|root| root.get(key))
    }

    /// Numbers that the model has, however they are stored: codes count, their scales and biases do not.
    fn parameters(&self, storages: &Storages) -> u64 {
        let count = |name: &str, shape: &[usize]| {
            let elements: usize = shape.iter().product();
            match module_of(name) {
                (module, "weight") if self.tensor(&format!("{module}.scales")).is_some() => {
                    self.storage(storages, module).map_or(elements, |q| q.codes(elements))
                }
                (module, "scales" | "biases") if self.tensor(&format!("{module}.scales")).is_some() => 0,
                _ => elements,
            }
        };
        self.tensors().map(|(name, info)| count(name, &info.shape) as u64).sum()
    }

    /// Of a module that has scales.
    fn storage(&self, storages: &Storages, module: &str) -> Option<Quantization> {
        storages.get(module).copied().or_else(|| self.quantization.of_scales(module))
    }

    /// Null for a snapshot without scales; else the most frequent storage, or the configuration's default where that is
    /// one of them, and how many matrices are stored in which way.
    fn quantization_summary(&self, storages: &Storages) -> Value {
        let mut ways: BTreeMap<String, u64> = BTreeMap::new();
        let mut counts: Vec<(Quantization, u64)> = Vec::new();
        for (name, info) in self.tensors() {
            let (module, "weight") = module_of(name) else { continue };
            let way = if self.tensor(&format!("{module}.scales")).is_some() {
                let storage = self.storage(storages, module);
                if let Some(storage) = storage {
                    match counts.iter_mut().find(|(known, _)| *known == storage) {
                        Some((_, count)) => *count += 1,
                        None => counts.push((storage, 1)),
                    }
                }
                storage.map_or("unknown".to_owned(), |q| q.to_string())
            } else if info.shape.len() > 1 {
                format!("{:?}", info.dtype).to_lowercase()
            } else {
                continue;
            };
            *ways.entry(way).or_default() += 1;
        }
        let default = self.quantization.default_quantization();
        let said = default.filter(|default| counts.iter().any(|(storage, _)| storage == default));
        let most = counts.iter().max_by_key(|(_, count)| *count).map(|(storage, _)| *storage);
        match said.or(most) {
            Some(q) => json!({
                "mode": q.mode.name(), "bits": q.bits, "group_size": q.group_size, "matrices": ways,
            }),
            None => Value::Null,
        }
    }
}

/// `a.b.weight` → (`a.b`, `weight`).
fn module_of(tensor: &str) -> (&str, &str) {
    tensor.rsplit_once('.').unwrap_or(("", tensor))
}
