//! `cargo xtask soak`: minutes of everything at once, and whether the process then holds what it held at the start.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cargo::{self, Profile};
use crate::{paths, process, setup};

const USAGE: &str = "usage: cargo xtask soak [--minutes N]";
/// The first one warms up.
const PARTS: usize = 5;
/// What may be held more at the end than at the start.
const BOUND: f64 = 0.01;

/// `cargo xtask soak [--minutes N]`
pub fn command(arguments: &[String]) -> Result<()> {
    let minutes: u64 = match arguments {
        [] => 5,
        [flag, number] if flag == "--minutes" => number.parse().context(USAGE)?,
        _ => bail!("{USAGE}"),
    };
    ensure!(cfg!(target_os = "linux"), "soak reads /proc, which only Linux has");
    ensure!(minutes > 0, "{USAGE}");
    setup::ensure()?;
    let driver = cargo::build_examples(Profile::Dev, &["soak"])?.join("soak");
    let mut soak = Command::new(driver);
    soak.arg("--model").arg(paths::root().join("tests/fixtures/unified-bf16-mlx"));
    soak.args(["--seconds", &(60 * minutes).to_string(), "--parts", &PARTS.to_string()]);
    // The allocator's own arenas, one for each thread that ever was, would drown everything else.
    soak.env("MALLOC_ARENA_MAX", "1");
    let printed = process::capture(&mut soak)?;
    print!("{printed}");
    let parts: Vec<Value> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    judge(&parts)
}

/// What is held after the last part, beside what was held after the first.
fn judge(parts: &[Value]) -> Result<()> {
    ensure!(parts.len() == PARTS, "{} parts of {PARTS} were told", parts.len());
    for what in ["resident", "active", "threads", "descriptors"] {
        let held: Vec<f64> = parts.iter().filter_map(|part| part[what].as_f64()).collect();
        let (Some(start), Some(middle), Some(end)) = (held.first(), held.get(PARTS / 2), held.last()) else {
            bail!("nothing was told of {what}");
        };
        println!("{what}: {start} at the start, {middle} in the middle, {end} at the end");
        ensure!(*end <= start * (1.0 + BOUND), "{what} grew by more than {}%", BOUND * 100.0);
    }
    let worked = |what: &str| parts.iter().all(|part| part[what].as_u64().is_some_and(|count| count > 0));
    for what in ["answers", "cancels", "forks", "saves", "loads", "suspensions"] {
        ensure!(worked(what), "a part had no {what}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(resident: [u64; PARTS]) -> Vec<Value> {
        let part = |resident: u64| {
            json!({ "resident": resident, "active": 0, "threads": 3, "descriptors": 9, "answers": 1, "cancels": 1,
                    "forks": 1, "saves": 1, "loads": 1, "suspensions": 1 })
        };
        resident.map(part).into()
    }

    #[test]
    fn what_grows_by_more_than_a_hundredth_is_a_leak() {
        judge(&parts([1000, 1020, 1005, 990, 1010])).expect("within the bound");
        assert!(judge(&parts([1000, 1003, 1006, 1009, 1011])).is_err());
    }

    #[test]
    fn a_part_that_did_nothing_proves_nothing() {
        let mut parts = parts([1000; PARTS]);
        parts[3]["forks"] = json!(0);
        assert!(judge(&parts).is_err());
        assert!(judge(&parts[..2]).is_err());
    }
}
