//! `cargo xtask test`: every test of the project, and one line that sums them up.

mod apple;
mod consumer;
mod faults;
mod few_threads;
mod native;
mod other_mlx;
mod rust;

use anyhow::{Result, bail};

use crate::cargo::{self, Profile};
use crate::report::Report;
use crate::{abi, accept, dist, header, imports, library, setup, symbols};

/// `cargo xtask test [--filter TEXT]`
pub fn command(arguments: &[String]) -> Result<()> {
    let filter = match arguments {
        [] => "",
        [flag, text] if flag == "--filter" => text,
        _ => bail!("usage: cargo xtask test [--filter TEXT]"),
    };
    let mut report = Report::new(filter);
    if let Err(error) = run(&mut report) {
        report.fail("test", &error);
    }
    report.finish()
}

/// An error here is one that leaves nothing to go on with.
fn run(report: &mut Report) -> Result<()> {
    let stage = setup::ensure()?;
    rust::run(report)?;
    report.check("header matches src/ffi", header::check);
    report.check("imports point downwards", imports::check);
    report.check("binary interface is as recorded", abi::check);
    apple::run(report);
    let built = cargo::build(Profile::Dev)?;
    report.check("exported symbols", || {
        symbols::check_linked_by_rustc(&built.join(library::file_name("rmlx")))
    });
    native::run(report, &built, stage.as_ref())?;
    if stage.is_some() {
        faults::run(report, &built, stage.as_ref());
        few_threads::run(report, &built, stage.as_ref());
        other_mlx::run(report, &built.join(library::file_name("rmlx")));
    }
    if report.wants(accept::test::NAMES) {
        accept::test::run_all(report);
    }
    if report.wants(consumer::NAMES) {
        let dist = dist::build()?;
        consumer::run(report, &dist, stage.as_ref())?;
    }
    Ok(())
}
