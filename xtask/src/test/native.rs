//! The tests in C and C++: every file of `tests/c` and `tests/cpp` is a program that returns 0 when all is well.
//! Each runs twice, plain and under AddressSanitizer and UndefinedBehaviorSanitizer. So do the examples that the demo model
//! can answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::compile::{Language, Program};
use crate::report::Report;
use crate::setup::Stage;
use crate::{paths, process};

const SANITIZE: [&str; 4] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"];
const MARKS: [&str; 2] = ["__asan_init", "__ubsan_handle"];

pub fn run(report: &mut Report, built: &Path, stage: Option<&Stage>) -> Result<()> {
    let folder = paths::root().join("target/native-tests");
    fs::create_dir_all(&folder)?;
    report.check("AddressSanitizer catches an overflow", || {
        is_caught(&folder, "overflow", "heap-buffer-overflow")
    });
    report.check("UndefinedBehaviorSanitizer catches an overflow", || {
        is_caught(&folder, "undefined", "signed integer overflow")
    });
    for (language, sources) in [(Language::C, "tests/c"), (Language::Cpp, "tests/cpp")] {
        for source in files(&paths::root().join(sources), language.extension())? {
            let name = format!("{sources}/{}", stem(&source));
            twice(report, &name, |executable| {
                let program = Program::new(language, &source, folder.join(executable)).rmlx(built, stage);
                (program, run_program as fn(&Path) -> Result<()>)
            });
        }
    }
    let examples = [
        ("describe", describe as fn(&Path) -> Result<()>),
        ("tools", call_tools),
        ("event_loop", event_loop),
    ];
    for language in [Language::C, Language::Cpp] {
        for (example, run) in examples {
            let name = format!("examples/{0}/{example}.{0}", language.extension());
            let source = paths::root().join(&name);
            twice(report, &name, |executable| {
                let executable = format!("{executable}-{}", language.extension());
                (Program::new(language, &source, folder.join(executable)).rmlx(built, stage), run)
            });
        }
    }
    Ok(())
}

/// Builds the program plain and with the sanitizers, and runs both.
fn twice(report: &mut Report, name: &str, program: impl Fn(String) -> (Program, fn(&Path) -> Result<()>)) {
    let stem = stem(Path::new(name));
    report.check(name, || {
        let (program, run) = program(stem.clone());
        run(&program.compile()?)
    });
    report.check(&format!("{name} under sanitizers"), || {
        let (program, run) = program(format!("{stem}-sanitized"));
        let executable = program.flags(&SANITIZE).compile()?;
        sanitizer_is_linked(&executable, MARKS[0])?;
        run(&executable)
    });
}

/// Asks the example about the demo's picture and its sound.
fn describe(executable: &Path) -> Result<()> {
    let questions = [
        ("-i", "models/demo/example.png", "Describe the picture.", "A red circle on a blue background.\n"),
        ("-a", "models/demo/example.wav", "Which digit do you hear?", "7\n"),
    ];
    for (flag, file, question, expected) in questions {
        let mut ask = Command::new(executable);
        ask.args(["models/demo/bf16", flag, file, question]).current_dir(paths::root());
        let answer = process::capture(&mut ask)?;
        ensure!(answer == expected, "the answer to {question:?} is {answer:?}");
    }
    let output = process::output(Command::new(executable).args(["there is no such folder", "Hello"]))?;
    ensure!(!output.status.success(), "a folder that is not there was described");
    ensure!(process::text(&output).contains("there is no such folder"), "the error does not name the folder");
    Ok(())
}

/// Asks the example what it has to call its tool for.
fn call_tools(executable: &Path) -> Result<()> {
    let mut ask = Command::new(executable);
    ask.args(["models/demo/bf16", "What time is it in Rome?"]).current_dir(paths::root());
    let output = process::output(&mut ask)?;
    ensure!(output.status.success(), "it failed\n{}", process::text(&output));
    let (answer, called) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(answer == "It is 10:30.\n", "the answer is {answer:?}");
    ensure!(called == "get_time {\"city\":\"Rome\"}\n", "what was called is {called:?}");
    Ok(())
}

/// Lets the example go through a hundred answers in its one thread.
fn event_loop(executable: &Path) -> Result<()> {
    const SESSIONS: usize = 100;
    let mut ask = Command::new(executable);
    ask.args(["models/demo/bf16", &SESSIONS.to_string(), "What is the capital of France?"]);
    let printed = process::capture(ask.current_dir(paths::root()))?;
    let mut answers: Vec<&str> = printed.lines().collect();
    answers.sort_unstable();
    let mut expected: Vec<String> = (0..SESSIONS).map(|number| format!("{number}: Paris")).collect();
    expected.sort_unstable();
    ensure!(answers == expected, "the answers are not as many, or not as they should be:\n{printed}");
    Ok(())
}

fn stem(source: &Path) -> String {
    source.file_stem().unwrap_or_default().to_string_lossy().into_owned()
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

/// The sanitizers are really on: a program of `xtask/checks` that does wrong is stopped.
fn is_caught(folder: &Path, check: &str, expected: &str) -> Result<()> {
    let source = paths::root().join("xtask/checks").join(check).with_extension("c");
    let executable = Program::new(Language::C, &source, folder.join(check)).flags(&SANITIZE).compile()?;
    for mark in MARKS {
        sanitizer_is_linked(&executable, mark)?;
    }
    let output = process::output(&mut Command::new(&executable))?;
    let printed = process::text(&output);
    if output.status.success() || !printed.contains(expected) {
        bail!("{check}.c went unnoticed\n{printed}");
    }
    Ok(())
}

fn sanitizer_is_linked(executable: &Path, mark: &str) -> Result<()> {
    let symbols = process::capture(Command::new("nm").arg(executable))?;
    ensure!(symbols.contains(mark), "{} has no {mark} in it", executable.display());
    Ok(())
}
