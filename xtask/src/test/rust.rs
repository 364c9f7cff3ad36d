//! The Rust tests of the workspace, documentation examples included.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow};

use crate::cargo;
use crate::report::Report;

pub fn run(report: &mut Report) -> Result<()> {
    let mut command = cargo::command();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if !report.filter().is_empty() {
        command.arg(report.filter());
    }
    let mut tests = command.stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let output = tests.stdout.take().context("cargo test has no output")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        if let Some(counts) = counts(&line) {
            passed += counts.0;
            failed += counts.1;
        }
    }
    let status = tests.wait()?;
    report.add("cargo test", passed, failed);
    if !status.success() && failed == 0 {
        // It did not compile, or a test program died before its last line.
        report.fail("cargo test", &anyhow!("cargo test failed ({status})"));
    }
    Ok(())
}

/// The numbers of tests passed and failed, from the last line that a test program prints.
fn counts(line: &str) -> Option<(usize, usize)> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let number = |label: &str| -> Option<usize> {
        rest.split_once(label)?.0.rsplit(' ').find(|word| !word.is_empty())?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn reads_the_last_line_of_a_test_program() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(counts(line), Some((12, 3)));
        assert_eq!(counts("test smoke ... ok"), None);
    }
}
