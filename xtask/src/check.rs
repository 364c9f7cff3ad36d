//! `cargo xtask check`: what a contributor runs before a change goes out. Any platform, no root, no Swift.

use anyhow::{Result, ensure};

use crate::report::Report;
use crate::{abi, cargo, header, imports, process, setup};

/// `cargo xtask check`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask check");
    let mut report = Report::new("");
    setup::ensure()?;
    // The quick ones first.
    report.check("format", || run(&["fmt", "--all", "--check"]));
    report.check("imports point downwards", imports::check);
    report.check("header matches src/ffi", header::check);
    report.check("binary interface is as recorded", abi::check);
    report.check("clippy", || {
        run(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    });
    report.check("unit tests", || run(&["test", "--workspace", "--lib", "--bins", "--locked", "--quiet"]));
    report.finish()
}

fn run(arguments: &[&str]) -> Result<()> {
    process::run(cargo::command().args(arguments))
}
