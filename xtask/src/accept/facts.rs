//! What the library says about back end and snapshot.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::checks::Content;
use super::driver::Found;
use super::outcome::{Check, Outcome};

/// Members on which what is told without loading and what was loaded have to agree.
const FACTS: [&str; 9] = [
    "architecture",
    "model_type",
    "modalities",
    "quantization",
    "bytes",
    "tensors",
    "parameters",
    "layers",
    "vocab_size",
];
/// How many of the files' bytes the loaded weights may have: tensors that no layer reads are left out, some are widened.
const SHARE: RangeInclusive<f64> = 0.9..=1.1;
/// On the CPU all that is not packed is held in 32 bits.
const SHARE_ON_CPU: RangeInclusive<f64> = 0.9..=2.1;

pub fn checks(found: &Found, content: Content) -> Vec<Check> {
    vec![self_test(found), load(found), inspect(found), probe(found, content), driver(found)]
}

/// The back end's own test is reported as the library tells it.
fn self_test(found: &Found) -> Check {
    let named =
        |outcome, reason: String| Check::new("self-test", "self-test of the back end", outcome, reason);
    let backend = [&found.stage("probe")["value"]["backend"], &found.stage("load")["value"]["backend"]];
    let Some(backend) = backend.into_iter().find(|value| !value.is_null()) else {
        return named(
            Outcome::NotApplicable,
            "this version of the library tells nothing of its back end".into(),
        );
    };
    let (outcome, reason) = match backend["correct"].as_bool() {
        Some(true) => (Outcome::Ok, String::new()),
        Some(false) => (Outcome::Failed, failures(backend)),
        None => (Outcome::Inconclusive, "the library does not say how the self-test went".to_owned()),
    };
    named(outcome, reason).number("backend", backend.clone())
}

/// What was wrong, of the checks that failed.
fn failures(backend: &Value) -> String {
    let checks = backend["checks"].as_array().into_iter().flatten();
    let failed = checks.filter_map(|check| {
        let failure = check["failure"].as_str()?;
        let storage = check["storage"].as_str().unwrap_or_default();
        Some(format!("{} {storage} {failure}", check["operation"].as_str().unwrap_or_default()))
    });
    failed.collect::<Vec<_>>().join("; ")
}

fn load(found: &Found) -> Check {
    let loaded = found.stage("load");
    let named = |outcome, reason: &str| Check::new("load", "the snapshot loads", outcome, reason);
    match (&loaded["value"], loaded["error"]["message"].as_str()) {
        (_, Some(message)) => named(Outcome::Failed, message),
        (Value::Null, None) => named(Outcome::Failed, "the driver ended before it had loaded the snapshot"),
        (info, None) => {
            named(Outcome::Ok, "").number("load_ms", loaded["ms"].clone()).number("info", info.clone())
        }
    }
}

fn inspect(found: &Found) -> Check {
    let named = |outcome, reason: String| {
        Check::new("inspect", "what is told without loading agrees with what was loaded", outcome, reason)
    };
    let (told, loaded) = (found.stage("inspect"), found.stage("load"));
    if let Some(message) = told["error"]["message"].as_str() {
        return named(Outcome::Failed, message.into());
    }
    if loaded["value"].is_null() {
        return named(Outcome::Failed, "nothing was loaded to compare with".into());
    }
    let (told, loaded) = (&told["value"], &loaded["value"]);
    let differs = FACTS.iter().filter(|name| told[**name] != loaded[**name]);
    let mut reasons: Vec<_> =
        differs.map(|name| format!("{name}: told {}, loaded {}", told[*name], loaded[*name])).collect();
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let share = number(&loaded["loaded_bytes"]) / number(&told["bytes"]).max(1.0);
    let usual = if loaded["device"] == "cpu" { SHARE_ON_CPU } else { SHARE };
    if !usual.contains(&share) {
        reasons.push(format!("{} bytes were told, {} loaded", told["bytes"], loaded["loaded_bytes"]));
    }
    let outcome = if reasons.is_empty() { Outcome::Ok } else { Outcome::Failed };
    named(outcome, reasons.join("; ")).number("told", told.clone()).number("bytes_loaded_of_told", share)
}

fn probe(found: &Found, content: Content) -> Check {
    let probe = found.stage("probe");
    let named = |outcome, reason: String| Check::new("probe", "rmlx_probe", outcome, reason);
    if let Some(message) = probe["error"]["message"].as_str() {
        return named(Outcome::Failed, message.into());
    }
    let value = &probe["value"];
    let blind = value["image_changes_logits"] == false;
    let (outcome, reason) = match value["verdict"].as_str() {
        None => (Outcome::Failed, "the driver ended before the probe".to_owned()),
        Some("Ok") if blind => (Outcome::Failed, "a picture does not change the logits".into()),
        Some("Ok") => (Outcome::Ok, String::new()),
        Some("Inconclusive") => (Outcome::Inconclusive, format!("the answer is {}", value["text"])),
        // Random weights loop.
        Some("BrokenLoop") if content == Content::Report => {
            (Outcome::Inconclusive, format!("the answer goes round in a loop: {}", value["text"]))
        }
        Some(other) => (Outcome::Failed, format!("the verdict is {other}")),
    };
    named(outcome, reason).number("probe", value.clone()).number("ms", probe["ms"].clone())
}

fn driver(found: &Found) -> Check {
    let outcome = if found.died.is_some() { Outcome::Failed } else { Outcome::Ok };
    let reason = found.died.clone().unwrap_or_default();
    Check::new("no-crash", "the process that asked came to its end", outcome, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(inspect: Value, load: Value) -> Found {
        let lines = [
            json!({ "stage": "inspect", "value": inspect }),
            json!({ "stage": "load", "value": load, "ms": 1.0 }),
            json!({ "stage": "probe", "value": { "verdict": "Ok", "image_changes_logits": false } }),
        ];
        Found::read(&lines.map(|line| line.to_string()).join("\n")).expect("lines")
    }

    #[test]
    fn a_difference_between_told_and_loaded_is_named() {
        let told = json!({ "architecture": "A", "bytes": 100, "modalities": ["text"] });
        let mut loaded = told.clone();
        loaded["loaded_bytes"] = json!(98);
        assert_eq!(inspect(&found(told.clone(), loaded.clone())).outcome, Outcome::Ok);
        loaded["modalities"] = json!(["text", "image"]);
        let check = inspect(&found(told.clone(), loaded.clone()));
        assert_eq!(check.outcome, Outcome::Failed);
        assert!(check.reason.contains("modalities"), "{}", check.reason);
        loaded["modalities"] = json!(["text"]);
        loaded["loaded_bytes"] = json!(200);
        assert_eq!(inspect(&found(told.clone(), loaded.clone())).outcome, Outcome::Failed);
        loaded["device"] = json!("cpu");
        assert_eq!(inspect(&found(told.clone(), loaded.clone())).outcome, Outcome::Ok);
        loaded["loaded_bytes"] = json!(40);
        assert_eq!(inspect(&found(told, loaded)).outcome, Outcome::Failed);
    }

    #[test]
    fn a_model_whose_logits_no_picture_changes_fails_the_probe() {
        assert_eq!(probe(&found(json!({}), json!({})), Content::Report).outcome, Outcome::Failed);
    }

    #[test]
    fn the_self_test_is_reported_as_it_is_told() {
        assert_eq!(self_test(&found(json!({}), json!({}))).outcome, Outcome::NotApplicable);
        let told = |backend: Value| self_test(&found(json!({}), json!({ "backend": backend })));
        assert_eq!(told(json!({ "correct": true, "checks": [] })).outcome, Outcome::Ok);
        assert_eq!(told(json!({ "rows": [1, 9] })).outcome, Outcome::Inconclusive);
        let checks = json!([
            { "operation": "product", "storage": "dense", "failure": null },
            { "operation": "product", "storage": "mxfp4", "failure": "for 9 rows: far off" },
        ]);
        let wrong = told(json!({ "correct": false, "checks": checks }));
        assert_eq!(
            (wrong.outcome, wrong.reason.as_str()),
            (Outcome::Failed, "product mxfp4 for 9 rows: far off")
        );
    }
}
