//! The golden fixtures: snapshots, conversations, and what is known of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::{Media, Model, Prompt};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

pub fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The dense snapshot, loaded once for all tests.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(path("unified-bf16-mlx")).expect("the dense snapshot loads"))
}

/// How far from the reference a logit may be, in standard deviations of its row.
pub const TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
pub struct Case {
    #[serde(skip)]
    pub name: String,
    messages: Vec<Message>,
    template_variables: Value,
    tools: Vec<Value>,
    pub prompt_text: String,
    pub prompt_ids: Vec<u32>,
    pub media: Vec<Medium>,
    pub results: BTreeMap<String, Results>,
    pub wrong: BTreeMap<String, Wrong>,
    #[serde(skip)]
    tensors: Vec<u8>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Part {
    Text { text: String },
    Image { file: String, max_soft_tokens: Option<u32> },
    Audio { file: String },
    Video { frames: Vec<Frame> },
}

#[derive(Deserialize)]
struct Frame {
    file: String,
    seconds: f64,
}

#[derive(Deserialize)]
pub struct Medium {
    pub kind: String,
    pub begin: usize,
    pub soft_tokens: usize,
}

#[derive(Deserialize)]
pub struct Results {
    pub sigma: f32,
    pub greedy_ids: Vec<u32>,
    pub greedy_margins: Vec<f32>,
    pub first_end: Option<usize>,
}

#[derive(Deserialize)]
pub struct Wrong {
    pub prompt_ids: Option<Vec<u32>>,
}

impl Case {
    pub fn load(name: &str) -> Self {
        let mut case: Self =
            serde_json::from_slice(&bytes(&format!("golden/{name}.json"))).expect("a golden case");
        name.clone_into(&mut case.name);
        case.tensors = bytes(&format!("golden/{name}.safetensors"));
        case
    }

    pub fn all() -> Vec<Self> {
        Self::of("")
    }

    /// Those in `golden/<kind>/`, or in `golden/` itself.
    pub fn of(kind: &str) -> Vec<Self> {
        let mut names: Vec<_> = fs::read_dir(path("golden").join(kind))
            .expect("golden cases")
            .filter_map(|entry| {
                let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
                name.strip_suffix(".json")
                    .map(|name| if kind.is_empty() { name.to_owned() } else { format!("{kind}/{name}") })
            })
            .collect();
        names.sort();
        assert!(!names.is_empty());
        names.iter().map(|name| Self::load(name)).collect()
    }

    pub fn prompt(&self) -> Prompt {
        self.prompt_with(|image| image)
    }

    /// The prompt with each of its images changed.
    pub fn prompt_with(&self, change: impl Fn(Media) -> Media) -> Prompt {
        let mut prompt = Prompt::new();
        for message in &self.messages {
            prompt = prompt.message(&message.role);
            for part in &message.parts {
                prompt = match part {
                    Part::Text { text } => prompt.text(text),
                    Part::Audio { file } => prompt.media(&Media::sound(&bytes(file)).expect("a sound")),
                    Part::Video { frames } => {
                        let image = |frame: &Frame| Media::image(&bytes(&frame.file)).expect("an image");
                        let images: Vec<Media> = frames.iter().map(image).collect();
                        let seconds: Vec<f64> = frames.iter().map(|frame| frame.seconds).collect();
                        let images: Vec<&Media> = images.iter().collect();
                        prompt.media(&Media::video(&images, &seconds).expect("a video"))
                    }
                    Part::Image { file, max_soft_tokens } => {
                        let image = change(Media::image(&bytes(file)).expect("an image"));
                        match max_soft_tokens {
                            Some(budget) => prompt.media(&image.with_budget(*budget).expect("a budget")),
                            None => prompt.media(&image),
                        }
                    }
                };
            }
        }
        if !self.tools.is_empty() {
            prompt = prompt.tools(&Value::from(self.tools.clone()).to_string());
        }
        if self.template_variables != Value::Object(Default::default()) {
            prompt = prompt.variables(&self.template_variables.to_string());
        }
        prompt
    }

    pub fn bf16(&self) -> &Results {
        &self.results["bf16"]
    }

    /// A row of logits.
    pub fn tensor(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.tensors).expect("safetensors");
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{} {name}: {e}", self.name));
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

/// The largest distance between two rows, in units of `sigma`.
pub fn distance(a: &[f32], b: &[f32], sigma: f32) -> f32 {
    assert_eq!(a.len(), b.len());
    let farthest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.iter().all(|x| x.is_finite()));
    farthest / sigma
}

/// The standard deviation of a row.
pub fn sigma(row: &[f32]) -> f32 {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    (row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n).sqrt()
}
