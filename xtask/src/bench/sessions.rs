//! Several sessions of one model, answering at the same time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Case;

/// How many at a time.
const COUNTS: [usize; 4] = [1, 2, 4, 8];
const TOKENS: &str = "32";

/// Measures the numbers of sessions in turn, and prints tokens a second of all together.
pub fn measure(driver: &Path, case: &Case, rounds: usize) -> Result<()> {
    let counts = COUNTS.map(|count| count.to_string());
    let mut command = Command::new(driver);
    command.arg("--model").arg(&case.snapshot).args(["--tokens", TOKENS, "--sessions", &counts.join(",")]);
    command.args(["--rounds", &rounds.to_string()]);
    let result = super::run_driver(&mut command)?;
    let rate = |count: &String| {
        let rate = result["tokens_per_second"][count].as_f64();
        rate.with_context(|| format!("{count} sessions were not measured"))
    };
    let alone = rate(&counts[0])?;
    ensure!(alone > 0.0, "one session made no tokens");
    println!("\n{}: sessions at a time, {} tokens each, on the {}", case.name, TOKENS, result["device"]);
    println!("{:>10}{:>22}{:>14}", "sessions", "tokens/s together", "of one alone");
    for count in &counts {
        let together = rate(count)?;
        println!("{count:>10}{together:>22.1}{:>13.2}x", together / alone);
    }
    Ok(())
}
