//! The golden cases of `tests/fixtures` (its README.md has the schema), and what may be told of an answer beside them. Read by
//! the tests of the C ABI and by those of the models inside the library.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

/// How far from the reference a logit may be, in standard deviations of its row.
pub const TOLERANCE: f32 = 1e-3;
/// Tokens must be equal as long as the likeliest one leads by more than this many tolerances.
const CLEAR_LEAD: f32 = 4.0;

/// A file or folder of the fixtures; `RMLX_FIXTURES` is another place for all of them.
pub fn path(name: &str) -> PathBuf {
    let place = std::env::var_os("RMLX_FIXTURES").map(PathBuf::from);
    place.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures").into()).join(name)
}

pub fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The kind of golden cases that each snapshot answers, and the name of its results in them.
pub fn snapshots() -> BTreeMap<String, (String, String)> {
    let names: BTreeMap<String, String> =
        serde_json::from_slice(&bytes("snapshots.json")).expect("snapshots.json");
    let split = |(folder, result): (String, String)| {
        let (kind, name) = result.rsplit_once('/').unwrap_or(("", &result));
        (folder, (kind.to_owned(), name.to_owned()))
    };
    names.into_iter().map(split).collect()
}

#[derive(Deserialize)]
pub struct Case {
    #[serde(skip)]
    pub name: String,
    pub messages: Vec<Message>,
    pub template_variables: Value,
    pub tools: Vec<Value>,
    pub prompt_text: String,
    pub prompt_ids: Vec<u32>,
    pub media: Vec<Medium>,
    pub results: BTreeMap<String, Results>,
    pub wrong: BTreeMap<String, Wrong>,
    #[serde(skip)]
    tensors: Vec<u8>,
}

#[derive(Deserialize)]
pub struct Message {
    pub role: String,
    pub parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Part {
    Text { text: String },
    Image { file: String, max_soft_tokens: Option<u32> },
    Audio { file: String },
    Video { frames: Vec<Frame> },
}

#[derive(Deserialize)]
pub struct Frame {
    pub file: String,
    pub seconds: f64,
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
    /// For each medium, which rows of its soft tokens are stored.
    #[serde(default)]
    pub soft_rows: Vec<Vec<i32>>,
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

impl Results {
    /// How many tokens were compared. An error for one that is not the reference's although that leads clearly; after
    /// a near tie both are right, and what follows another token is another answer.
    pub fn compare(&self, tokens: impl IntoIterator<Item = u32>) -> Result<usize, String> {
        let lead = CLEAR_LEAD * TOLERANCE * self.sigma;
        let mut tokens = tokens.into_iter();
        for (i, (wanted, margin)) in self.greedy_ids.iter().zip(&self.greedy_margins).enumerate() {
            match tokens.next() {
                Some(token) if token == *wanted => {}
                Some(_) if *margin <= lead => return Ok(i),
                other => {
                    return Err(format!("token {i} is {other:?}, not {wanted}, which leads by {margin}"));
                }
            }
        }
        Ok(self.greedy_ids.len())
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
