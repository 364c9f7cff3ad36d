//! The tests in C and C++: every file of `tests/c` and `tests/cpp` is a program that returns 0 when all is well.
//! Each runs twice, plain and under AddressSanitizer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::report::Report;
use crate::compile::{Language, Program};
use crate::setup::Stage;
use crate::{paths, process};

const SANITIZE: [&str; 3] = ["-fsanitize=address", "-fno-omit-frame-pointer", "-g"];

pub fn run(report: &mut Report, built: &Path, stage: Option<&Stage>) -> Result<()> {
    let folder = paths::root().join("target/native-tests");
    fs::create_dir_all(&folder)?;
    report.check("AddressSanitizer catches an overflow", || overflow_is_caught(&folder));
    for (language, sources) in [(Language::C, "tests/c"), (Language::Cpp, "tests/cpp")] {
        for source in files(&paths::root().join(sources), language.extension())? {
            let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let program =
                |name: String| Program::new(language, &source, folder.join(name)).rmlx(built, stage);
            report.check(&format!("{sources}/{stem}"), || run_program(&program(stem.clone()).compile()?));
            report.check(&format!("{sources}/{stem} under AddressSanitizer"), || {
                let executable = program(format!("{stem}-asan")).flags(&SANITIZE).compile()?;
                sanitizer_is_linked(&executable)?;
                run_program(&executable)
            });
        }
    }
    Ok(())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Fixtures are named relative to the root of the workspace.
fn run_program(executable: &Path) -> Result<()> {
    process::capture(Command::new(executable).current_dir(paths::root())).map(drop)
}

fn overflow_is_caught(folder: &Path) -> Result<()> {
    let source = paths::root().join("xtask/checks/overflow.c");
    let executable =
        Program::new(Language::C, &source, folder.join("overflow")).flags(&SANITIZE).compile()?;
    sanitizer_is_linked(&executable)?;
    let output = process::output(&mut Command::new(&executable))?;
    let printed = process::text(&output);
    if output.status.success() || !printed.contains("heap-buffer-overflow") {
        bail!("a heap overflow went unnoticed\n{printed}");
    }
    Ok(())
}

fn sanitizer_is_linked(executable: &Path) -> Result<()> {
    let symbols = process::capture(Command::new("nm").arg(executable))?;
    ensure!(symbols.contains("__asan_init"), "{} has no AddressSanitizer in it", executable.display());
    Ok(())
}
