//! Calls of the system that fail: rmlx answers with an error, and nothing that lived before is lost.

use std::path::Path;
use std::process::Command;

use crate::compile::{Language, Program};
use crate::report::Report;
use crate::setup::Stage;
use crate::{paths, process};

pub fn run(report: &mut Report, built: &Path, stage: Option<&Stage>) {
    report.check("faults of the system", || {
        let folder = tempfile::Builder::new().prefix("rmlx").tempdir()?;
        let written = folder.path().join("written");
        std::fs::create_dir(&written)?;
        let source = paths::root().join("xtask/checks/faults.c");
        let program = Program::new(Language::C, &source, folder.path().join("faults"));
        // The program's functions take the place of the C library's only where others see them.
        let executable = program.flags(&["-D_GNU_SOURCE", "-rdynamic"]).rmlx(built, stage).compile()?;
        process::capture(Command::new(executable).arg(&written).current_dir(paths::root())).map(drop)
    });
}
