//! A distribution is moved to another place, and a program outside this tree is built with it in the two usual ways.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::compile::{Language, Program};
use crate::report::Report;
use crate::setup::Stage;
use crate::{files, library, paths, process, tools};

const PKG_CONFIG: &str = "dist with pkg-config";
const CMAKE: &str = "dist with CMake";
const LICENSES: &str = "dist licences";

pub const NAMES: &[&str] = &[PKG_CONFIG, CMAKE, LICENSES];

pub fn run(report: &mut Report, distribution: &Path, stage: Option<&Stage>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let elsewhere = folder.path();
    let prefix = elsewhere.join("moved prefix");
    files::copy_folder(distribution, &prefix)?;
    report.check(PKG_CONFIG, || with_pkg_config(elsewhere, &prefix, stage));
    report.check(CMAKE, || with_cmake(elsewhere, &prefix, stage));
    report.check(LICENSES, || licenses(&prefix, stage));
    Ok(folder.close()?)
}

fn with_pkg_config(folder: &Path, prefix: &Path, stage: Option<&Stage>) -> Result<()> {
    let mut command = Command::new(tools::pkg_config()?);
    command.args(["--cflags", "--libs", "rmlx"]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let mut flags = shell_words(process::capture(&mut command)?.trim());
    // As the README has it.
    flags.push(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
    let source = folder.join("consumer.c");
    fs::write(&source, example(Language::C)?)?;
    let program = Program::new(Language::C, &source, folder.join("with-pkg-config"));
    run_program(&program.libraries(&flags).compile()?, prefix, stage)
}

fn with_cmake(folder: &Path, prefix: &Path, stage: Option<&Stage>) -> Result<()> {
    let cmake = tools::cmake()?;
    let project = folder.join("cmake");
    fs::create_dir_all(&project)?;
    for language in [Language::C, Language::Cpp] {
        let source = project.join("consumer").with_extension(language.extension());
        fs::write(source, example(language)?)?;
    }
    files::copy(&paths::root().join("xtask/checks/CMakeLists.txt"), &project.join("CMakeLists.txt"))?;
    let build = project.join("build");
    let mut configure = Command::new(&cmake);
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    process::capture(&mut configure)?;
    process::capture(Command::new(&cmake).arg("--build").arg(&build))?;
    run_program(&build.join("consumer"), prefix, stage)?;
    run_program(&build.join("consumer-cpp"), prefix, stage)
}

/// The README's example in that language, as it is printed there.
fn example(language: Language) -> Result<String> {
    let readme = fs::read_to_string(paths::root().join("README.md"))?;
    let opening = format!("\n```{}\n", language.extension());
    let block = readme.split_once(&opening).and_then(|(_, rest)| rest.split_once("\n```\n"));
    let (code, _) = block.with_context(|| format!("the README has no example in {language:?}"))?;
    Ok(code.to_owned() + "\n")
}

/// Runs the program without help from the environment, and looks where its libraries come from.
fn run_program(executable: &Path, prefix: &Path, stage: Option<&Stage>) -> Result<()> {
    let mut ask = Command::new(executable);
    ask.arg(paths::root().join("models/demo/bf16")).env_remove("LD_LIBRARY_PATH");
    let answer = process::capture(&mut ask)?;
    ensure!(answer.contains("Paris"), "the capital of France is not {answer:?}");
    let Some(stage) = stage else { return Ok(()) };
    let resolved = process::capture(Command::new("ldd").arg(executable).env_remove("LD_LIBRARY_PATH"))?;
    let soname = library::soname()?;
    for name in stage.runtime_libraries().iter().copied().chain(soname.as_deref()) {
        let expected = prefix.join("lib").join(name).canonicalize()?;
        let found = resolved.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" => "));
        // After the path comes the address in parentheses.
        let path = found.and_then(|found| Some(found.rsplit_once(" (")?.0)).unwrap_or_default();
        let canonical = Path::new(path).canonicalize().ok();
        ensure!(canonical == Some(expected), "{name} comes from somewhere else\n{resolved}");
    }
    Ok(())
}

fn licenses(prefix: &Path, stage: Option<&Stage>) -> Result<()> {
    let folder = prefix.join("share/licenses/rmlx");
    let notice = fs::read_to_string(folder.join("NOTICE.txt"))?;
    for name in ["mlx-rs 0.", "rust-std: ", "mlx: MIT", "fmt: MIT", "nlohmann-json: MIT", "pocketfft: BSD"] {
        ensure!(notice.contains(name), "the notice lacks {name}");
    }
    ensure!(
        notice.contains("gguflib: ") == stage.is_some(),
        "gguflib is in the wheel's MLX, and in no other"
    );
    for (wheel, _) in stage.map(Stage::wheel_licenses).transpose()?.unwrap_or_default() {
        ensure!(folder.join(&wheel).is_dir(), "the licence of {wheel} is missing");
    }
    Ok(())
}

/// Splits what pkg-config prints: it puts a backslash before a space inside a path.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            (' ', _) => words.push(String::new()),
            ('\\', Some(word)) => word.extend(characters.next()),
            (other, Some(word)) => word.push(other),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
