//! What a generation runs with: the caller's options over the snapshot's defaults.

use std::collections::BTreeSet;

use serde_json::Value;

use super::repeats::Repeats;
use crate::error::{Error, Result};

/// The sampling defaults, end tokens and suppressed tokens of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GenerationDefaults {
    pub do_sample: bool,
    pub temperature: Option<f32>,
    pub top_k: Option<u32>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub end_tokens: BTreeSet<u32>,
    pub suppressed: Vec<u32>,
}

impl GenerationDefaults {
    /// Reads `generation_config.json`, else the copy of it that converters leave in `config.json`.
    ///
    /// `architecture_ends` are the end tokens of the model's own configuration; they count besides those that a
    /// generation config names.
    pub fn read(generation: Option<&Value>, config: &Value, architecture_ends: &[u32]) -> Self {
        let nested = config.get("generation_config");
        let find = |key: &str| {
            generation
                .and_then(|g| g.get(key))
                .or_else(|| nested.and_then(|g| g.get(key)))
                .or_else(|| config.get(key))
                .filter(|v| !v.is_null())
        };
        let number = |key: &str| find(key).and_then(Value::as_f64).map(|v| v as f32);
        let mut end_tokens: BTreeSet<u32> =
            find("eos_token_id").map(ids).unwrap_or_default().into_iter().collect();
        end_tokens.extend(architecture_ends);
        Self {
            do_sample: find("do_sample").and_then(Value::as_bool).unwrap_or(false),
            temperature: number("temperature"),
            top_k: find("top_k").and_then(Value::as_u64).and_then(|k| u32::try_from(k).ok()),
            top_p: number("top_p"),
            min_p: number("min_p"),
            repetition_penalty: number("repetition_penalty"),
            end_tokens,
            suppressed: find("suppress_tokens").map(ids).unwrap_or_default(),
        }
    }
}

fn ids(value: &Value) -> Vec<u32> {
    let id = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

/// Every value resolved; neutral values switch a processor off.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// 0 is greedy.
    pub temperature: f32,
    /// 0 keeps all.
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    pub presence_penalty: f32,
    pub frequency_penalty: f32,
    pub seed: u64,
    pub logit_bias: Vec<(u32, f32)>,
    pub suppressed: Vec<u32>,
    pub repeats: Repeats,
}

impl Settings {
    /// Draws from the row as it is, from `seed`.
    #[cfg(test)]
    pub fn neutral(seed: u64) -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed,
            logit_bias: vec![],
            suppressed: vec![],
            repeats: Repeats::default(),
        }
    }

    /// `INVALID_ARGUMENT` where bias and suppression leave no token to choose.
    pub fn require_choice(&self, vocab_size: usize) -> Result<()> {
        let biased = self.logit_bias.iter().filter(|(_, bias)| *bias == f32::NEG_INFINITY).map(|(id, _)| *id);
        let out: BTreeSet<u32> = biased.chain(self.suppressed.iter().copied()).collect();
        match out.iter().filter(|&&id| (id as usize) < vocab_size).count() {
            n if n < vocab_size => Ok(()),
            n => {
                let message =
                    format!("logit_bias forbids all tokens ({n}, with those that the snapshot suppresses)");
                Err(Error::invalid_argument(message).with("option", "logit_bias"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_converted_snapshot_keeps_its_defaults_in_config_json() {
        let config =
            json!({"generation_config": {"do_sample": true, "suppress_tokens": [4]}, "eos_token_id": [1, 2]});
        let defaults = GenerationDefaults::read(None, &config, &[]);
        assert!(defaults.do_sample);
        assert_eq!(defaults.suppressed, [4]);
        assert_eq!(defaults.end_tokens, BTreeSet::from([1, 2]));
    }

    #[test]
    fn generation_config_wins_over_config() {
        let generation = json!({"temperature": 0.7, "eos_token_id": [1, 106, 50]});
        let config = json!({"eos_token_id": 1, "temperature": 2.0, "top_p": 0.9});
        let defaults = GenerationDefaults::read(Some(&generation), &config, &[9]);
        assert_eq!(defaults.end_tokens, BTreeSet::from([1, 9, 50, 106]));
        assert_eq!((defaults.temperature, defaults.top_p), (Some(0.7), Some(0.9)));
        let bare = GenerationDefaults::read(None, &json!({}), &[3]);
        assert_eq!(bare.end_tokens, BTreeSet::from([3]));
    }
}
