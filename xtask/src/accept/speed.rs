//! How fast it is, and how much memory it takes; mlx-vlm beside it, where it is at hand.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Options;
use super::driver::Found;
use super::outcome::{Check, Outcome};
use crate::{bench, paths};

const SENTENCE: &str = "The quick brown fox jumps over the lazy dog near the river bank. ";
/// Repeats of the sentence, some 14 tokens each.
const SENTENCES: u64 = 36;
const FIELDS: [&str; 8] = [
    "prompt_tokens",
    "prefill_tps",
    "decode_tps",
    "ttft_ms",
    "first_ttft_ms",
    "load_ms",
    "peak_rss_bytes",
    "peak_mlx_bytes",
];

pub fn check(examples: &Path, options: &Options, found: &Found) -> Result<Check> {
    let named = |outcome, reason: &str| Check::new("speed", "speed and memory", outcome, reason);
    if let Err(reason) = found.takes(&[]) {
        return Ok(named(Outcome::NotApplicable, &reason));
    }
    let info = &found.stage("load")["value"];
    if info.is_null() {
        return Ok(named(Outcome::NotApplicable, "nothing was loaded"));
    }
    // At most half of a small context.
    let room = info["context_length"].as_u64().unwrap_or(u64::MAX) / 56;
    let prompt = SENTENCE.repeat(usize::try_from(SENTENCES.min(room).max(1))?);
    println!("measuring");
    let ours = measured(Command::new(examples.join("bench")), options, &prompt);
    let ours = match ours {
        Ok(numbers) => numbers,
        Err(error) => return Ok(named(Outcome::Failed, &format!("{error:#}"))),
    };
    let mut check = named(Outcome::Ok, "").number("rmlx", ours);
    if let Some(python) = &options.python {
        let mut driver = Command::new(python);
        driver.arg(paths::root().join("benches/mlx_vlm_driver.py"));
        let theirs = measured(driver, options, &prompt);
        let theirs = theirs.unwrap_or_else(|error| {
            let error = format!("{error:#}");
            json!({ "error": error.lines().last() })
        });
        check = check.number("mlx_vlm", theirs);
    }
    Ok(check)
}

fn measured(mut driver: Command, options: &Options, prompt: &str) -> Result<Value> {
    driver.arg("--model").arg(&options.model).args(["--prompt", prompt, "--repeats", "2"]);
    driver.args(["--tokens", &options.tokens.to_string()]);
    let result = bench::run_driver(&mut driver)?;
    let fields = FIELDS.iter().filter(|field| !result[**field].is_null());
    Ok(Value::Object(
        fields.map(|field| ((*field).to_owned(), result[*field].clone())).collect::<Map<_, _>>(),
    ))
}
