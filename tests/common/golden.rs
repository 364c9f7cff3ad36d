//! The conversations of `tests/fixtures/golden`, and what transformers answers to them.

use safetensors::SafeTensors;
use serde_json::Value;

use super::{Media, Options, Prompt, Session, fixtures, json_fixture, read_fixture};

/// Logits may be off by so many standard deviations of the reference's row.
pub const TOLERANCE: f32 = 1e-3;

/// One conversation.
pub struct Case {
    pub name: String,
    pub json: Value,
    tensors: Vec<u8>,
}

impl Case {
    pub fn load(name: &str) -> Case {
        Case {
            name: name.to_owned(),
            json: json_fixture(&format!("golden/{name}.json")),
            tensors: read_fixture(&format!("golden/{name}.safetensors")),
        }
    }

    pub fn all() -> Vec<Case> {
        let folder = std::fs::read_dir(fixtures().join("golden")).expect("golden");
        let files = folder.map(|entry| entry.expect("a file").path());
        let mut names: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    pub fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::new();
        for message in list(&self.json["messages"]) {
            prompt.begin(text(&message["role"]));
            for part in list(&message["parts"]) {
                match text(&part["type"]) {
                    "text" => prompt.text(text(&part["text"])),
                    _ => prompt.media(&medium(part)),
                };
            }
        }
        if !list(&self.json["tools"]).is_empty() {
            prompt.tools(&self.json["tools"]);
        }
        prompt.variables(&self.json["template_variables"]);
        prompt
    }

    pub fn prompt_ids(&self) -> Vec<u32> {
        numbers(&self.json["prompt_ids"])
    }

    pub fn tensor(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.tensors).expect("safetensors");
        let data = tensors.tensor(name).unwrap_or_else(|e| panic!("{}: {e}", self.name)).data();
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    pub fn sigma(&self, key: &str) -> f32 {
        self.json["results"][key]["sigma"].as_f64().expect("sigma") as f32
    }

    /// How far logits are from the right ones, in standard deviations.
    pub fn distance(&self, key: &str, logits: &[f32]) -> f32 {
        distance(logits, &self.tensor(&format!("{key}/logits"))) / self.sigma(key)
    }

    /// How far logits are from those of a mistake (of the dense weights), in standard deviations.
    pub fn distance_from_mistake(&self, mistake: &str, logits: &[f32]) -> f32 {
        distance(logits, &self.tensor(&format!("bf16/wrong/{mistake}"))) / self.sigma("bf16")
    }

    /// Asks the conversation of a new session, and compares everything with the reference.
    #[track_caller]
    pub fn check(&self, session: &Session, key: &str) {
        let (name, result) = (&self.name, &self.json["results"][key]);
        let (greedy, margins): (Vec<u32>, Vec<f32>) =
            (numbers(&result["greedy_ids"]), floats(&result["greedy_margins"]));
        let answer = session.answer(&self.prompt(), &Options::greedy(greedy.len())).expect("an answer");
        assert_eq!(session.prompt_tokens(), self.prompt_ids(), "{name}: ids");
        let off = self.distance(key, &answer.logits);
        assert!(off < TOLERANCE, "{name} of {key}: logits are off by {off} sigma");
        // After a token that differs, where it may, the two go different ways.
        let same = answer.tokens.iter().zip(&greedy).take_while(|(a, b)| a == b).count();
        if same < greedy.len() {
            let allowed = 4.0 * TOLERANCE * self.sigma(key);
            assert!(
                margins[same] <= allowed,
                "{name} of {key}: token {same} is {}, not {}, though its margin is {}",
                answer.tokens[same],
                greedy[same],
                margins[same]
            );
        }
        let media: u64 =
            list(&self.json["media"]).iter().map(|m| m["soft_tokens"].as_u64().expect("a number")).sum();
        assert_eq!(session.stats().media_tokens, media, "{name}: soft tokens");
    }
}

/// The picture or sound of a part.
fn medium(part: &Value) -> Media {
    let bytes = read_fixture(text(&part["file"]));
    let medium = match text(&part["type"]) {
        "image" => Media::image(&bytes),
        _ => Media::audio(&bytes),
    };
    let medium = medium.unwrap_or_else(|e| panic!("{}: {e}", part["file"]));
    match part["max_soft_tokens"].as_u64() {
        None => medium,
        Some(budget) => medium.with_budget(budget as u32),
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn numbers(value: &Value) -> Vec<u32> {
    list(value).iter().map(|number| number.as_u64().expect("a number") as u32).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    list(value).iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}
