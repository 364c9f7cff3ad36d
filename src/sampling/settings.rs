//! What a generation runs with: the caller's options over the snapshot's defaults.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::GenerationOptions;

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
    /// `architecture_ends` are the end tokens of the model's own configuration; they count only where no
    /// generation config names any.
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
        if end_tokens.is_empty() {
            end_tokens.extend(architecture_ends);
        }
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
}

impl Settings {
    pub fn resolve(options: &GenerationOptions, defaults: &GenerationDefaults) -> Self {
        // A caller who names any sampling option wants sampling, whatever the snapshot says of do_sample.
        let asks = options.top_k.is_some() || options.top_p.is_some() || options.min_p.is_some();
        let sample = defaults.do_sample || asks;
        let temperature =
            options.temperature.unwrap_or(if sample { defaults.temperature.unwrap_or(1.0) } else { 0.0 });
        Self {
            temperature,
            top_k: options.top_k.or(defaults.top_k).unwrap_or(0),
            top_p: options.top_p.or(defaults.top_p).unwrap_or(1.0),
            min_p: options.min_p.or(defaults.min_p).unwrap_or(0.0),
            repetition_penalty: options.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0),
            presence_penalty: options.presence_penalty.unwrap_or(0.0),
            frequency_penalty: options.frequency_penalty.unwrap_or(0.0),
            seed: options.seed.unwrap_or_else(random_seed),
            logit_bias: options.logit_bias.clone(),
            suppressed: defaults.suppressed.clone(),
        }
    }
}

/// Differs from run to run: the standard library keys its hash maps from the system's entropy.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn generation_config_wins_over_config_and_options_over_both() {
        let generation = json!({"do_sample": true, "temperature": 0.7, "top_k": 64, "eos_token_id": [1, 106, 50],
            "suppress_tokens": [7, 8]});
        let config = json!({"eos_token_id": 1, "temperature": 2.0, "top_p": 0.9});
        let defaults = GenerationDefaults::read(Some(&generation), &config, &[9]);
        assert_eq!(defaults.end_tokens, BTreeSet::from([1, 50, 106]));
        let settings =
            Settings::resolve(&GenerationOptions { top_k: Some(5), ..Default::default() }, &defaults);
        assert_eq!((settings.temperature, settings.top_k, settings.top_p), (0.7, 5, 0.9));
        assert_eq!(settings.suppressed, [7, 8]);
    }

    #[test]
    fn without_do_sample_the_answer_is_greedy_unless_the_caller_samples() {
        let defaults = GenerationDefaults::read(None, &json!({}), &[3]);
        assert_eq!(defaults.end_tokens, BTreeSet::from([3]));
        assert_eq!(Settings::resolve(&GenerationOptions::default(), &defaults).temperature, 0.0);
        let options = GenerationOptions { top_p: Some(0.9), ..Default::default() };
        assert_eq!(Settings::resolve(&options, &defaults).temperature, 1.0);
    }

    #[test]
    fn a_converted_snapshot_keeps_its_defaults_in_config_json() {
        let config =
            json!({"generation_config": {"do_sample": true, "suppress_tokens": [4]}, "eos_token_id": [1, 2]});
        let defaults = GenerationDefaults::read(None, &config, &[]);
        assert!(defaults.do_sample);
        assert_eq!(defaults.suppressed, [4]);
        assert_eq!(defaults.end_tokens, BTreeSet::from([1, 2]));
    }
}
