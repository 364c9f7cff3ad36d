//! What a run took, and how two sets of runs compare.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::snapshots;

const MIB: f64 = 1024.0 * 1024.0;

/// The one line of JSON that a driver prints.
pub struct Measurement(Value);

/// A row of the table.
struct Row {
    label: &'static str,
    field: &'static str,
    /// What one unit of the table is in units of the field.
    unit: f64,
    smaller_is_better: bool,
}

const ROWS: [Row; 9] = [
    Row { label: "start to first token, ms", field: "first_token_ms", unit: 1.0, smaller_is_better: true },
    Row { label: "load, ms", field: "load_ms", unit: 1.0, smaller_is_better: true },
    Row {
        label: "first request, ms to 1st token",
        field: "first_ttft_ms",
        unit: 1.0,
        smaller_is_better: true,
    },
    Row { label: "later requests, ms to 1st token", field: "ttft_ms", unit: 1.0, smaller_is_better: true },
    Row { label: "prefill, tokens/s", field: "prefill_tps", unit: 1.0, smaller_is_better: false },
    Row { label: "decode, tokens/s", field: "decode_tps", unit: 1.0, smaller_is_better: false },
    Row { label: "prefill, processor ms", field: "prefill_cpu_ms", unit: 1.0, smaller_is_better: true },
    Row { label: "a token, processor ms", field: "decode_cpu_ms", unit: 1.0, smaller_is_better: true },
    Row { label: "peak memory, MiB", field: "peak_rss_bytes", unit: MIB, smaller_is_better: true },
];

impl Measurement {
    pub fn new(result: Value) -> Self {
        Self(result)
    }

    pub fn prompt_ids(&self) -> &Value {
        &self.0["prompt_ids"]
    }

    fn number(&self, field: &str) -> Result<f64> {
        self.0[field].as_f64().with_context(|| format!("a benchmark driver measured no {field}"))
    }
}

pub fn print_table(
    name: &str,
    snapshot: &Path,
    ours: &[Measurement],
    peer: &str,
    theirs: &[Measurement],
) -> Result<()> {
    ensure!(!ours.is_empty() && ours.len() == theirs.len(), "nothing was measured");
    let (first, other) = (&ours[0].0, &theirs[0].0);
    ensure!(
        first["prompt_ids"] == other["prompt_ids"],
        "the prompts differ: rmlx made {}, {peer} {}",
        first["prompt_ids"],
        other["prompt_ids"]
    );
    println!("\n{name}: a prompt of {} tokens", first["prompt_tokens"]);
    println!("{:34}{:>12}{:>12}{:>10}", "", "rmlx", peer, "ratio");
    for row in &ROWS {
        let (our, their) = (median(ours, row.field)? / row.unit, median(theirs, row.field)? / row.unit);
        let ratio = if row.smaller_is_better { their / our } else { our / their };
        println!("{:34}{our:>12.1}{their:>12.1}{ratio:>9.2}x", row.label);
    }
    println!("ratio: how many times better rmlx is");
    println!("weights: {:.1} MiB", snapshots::weight_bytes(snapshot)? as f64 / MIB);
    println!("same tokens first: {}\n", common_prefix(&first["tokens"], &other["tokens"]));
    Ok(())
}

fn median(measurements: &[Measurement], field: &str) -> Result<f64> {
    let mut values = measurements.iter().map(|one| one.number(field)).collect::<Result<Vec<_>>>()?;
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    Ok(if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 })
}

/// Random weights make near ties, so the two may part at some token.
fn common_prefix(ours: &Value, theirs: &Value) -> usize {
    let tokens = |value: &Value| value.as_array().cloned().unwrap_or_default();
    tokens(ours).iter().zip(&tokens(theirs)).take_while(|(our, their)| our == their).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd_counts() -> Result<()> {
        let of = |values: &[f64]| -> Vec<Measurement> {
            values.iter().map(|value| Measurement(serde_json::json!({ "x": value }))).collect()
        };
        assert_eq!(median(&of(&[3.0, 1.0, 2.0]), "x")?, 2.0);
        assert_eq!(median(&of(&[4.0, 1.0]), "x")?, 2.5);
        assert!(median(&of(&[1.0]), "y").is_err());
        Ok(())
    }
}
