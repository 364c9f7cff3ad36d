//! What is in a snapshot, told without reading weights.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Snapshot;
use super::config::Section;

impl Snapshot {
    /// Architecture, modalities, quantization and sizes, from the configuration and the weight files' headers.
    pub fn inspect(&self) -> Value {
        let text = self.text_key("text_config").cloned().unwrap_or_else(|| self.config.clone());
        let key = |name: &str| text.get(name).cloned().unwrap_or(Value::Null);
        let has = |key: &str| self.text_key(key).is_some();
        let names = [
            ("text", true),
            ("image", has("vision_config")),
            ("audio", has("audio_config")),
            ("video", has("vision_config") && has("video_token_id")),
        ];
        let modalities: Vec<&str> = names.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        json!({
            "architecture": self.config["architectures"].get(0).cloned().unwrap_or(Value::Null),
            "model_type": self.config.get("model_type").cloned().unwrap_or(Value::Null),
            "modalities": modalities,
            "quantization": self.quantization_summary(),
            "bytes": self.tensor_bytes(),
            "files": self.shards().len(),
            "tensors": self.tensors().count(),
            "parameters": self.parameters(),
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
    pub fn parameters(&self) -> u64 {
        let count = |name: &str, shape: &[usize]| {
            let elements: usize = shape.iter().product();
            match module_of(name) {
                (module, "weight") if self.tensor(&format!("{module}.scales")).is_some() => {
                    self.quantization.of_scales(module).map_or(elements, |q| q.codes(elements))
                }
                (module, "scales" | "biases") if self.tensor(&format!("{module}.scales")).is_some() => 0,
                _ => elements,
            }
        };
        self.tensors().map(|(name, info)| count(name, &info.shape) as u64).sum()
    }

    /// Null for a snapshot without scales; else the default, and how many matrices are stored in which way.
    fn quantization_summary(&self) -> Value {
        let mut ways: BTreeMap<String, u64> = BTreeMap::new();
        let mut quantized = false;
        for (name, info) in self.tensors() {
            let (module, "weight") = module_of(name) else { continue };
            let way = if self.tensor(&format!("{module}.scales")).is_some() {
                quantized = true;
                self.quantization.of_scales(module).map_or("unknown".to_owned(), |q| q.to_string())
            } else if info.shape.len() > 1 {
                format!("{:?}", info.dtype).to_lowercase()
            } else {
                continue;
            };
            *ways.entry(way).or_default() += 1;
        }
        match self.quantization.default_quantization() {
            Some(q) if quantized => json!({
                "mode": q.mode.name(), "bits": q.bits, "group_size": q.group_size, "matrices": ways,
            }),
            _ => Value::Null,
        }
    }
}

/// `a.b.weight` → (`a.b`, `weight`).
fn module_of(tensor: &str) -> (&str, &str) {
    tensor.rsplit_once('.').unwrap_or(("", tensor))
}
