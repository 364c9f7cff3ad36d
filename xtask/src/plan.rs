//! A list of steps as data: what is printed and tested on any machine is what a Mac runs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apple::kernels::NAX_SYSTEM;
use crate::apple::{Slice, sdk};
use crate::files::copy;
use crate::{paths, process, setup, symbols, traces};

/// A program, its arguments, and what differs in its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Where its standard output goes, if it is kept.
    pub output: Option<PathBuf>,
    /// The step is done already if this exists.
    pub unless: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Removes the file or folder, if there is one.
    Clear(PathBuf),
    Folder(PathBuf),
    Write {
        file: PathBuf,
        text: String,
    },
    Copy {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        link: PathBuf,
        target: String,
    },
    Run(Run),
    /// Binds mlx-c's headers for Rust.
    Bind {
        headers: PathBuf,
        folder: PathBuf,
    },
    /// MLX's list of kernels is the one that the plan was made from.
    Kernels {
        mlx: PathBuf,
        expected: crate::apple::kernels::Kernels,
    },
    /// The SDK is new enough for the kernels.
    Sdk(Slice),
    /// What the library exports is what the header declares.
    Symbols(PathBuf),
    /// No folder of this machine is inside the file.
    Traces(PathBuf),
    Licenses {
        folder: PathBuf,
        target: String,
    },
}

impl Run {
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { program: program.to_owned(), arguments, ..Self::default() }
    }

    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn path(self, path: &Path) -> Self {
        self.args([path.display().to_string()])
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Does the steps in their order, in the root of the workspace; the first that fails is the last.
pub fn execute(steps: &[Step]) -> Result<()> {
    for step in steps {
        execute_one(step).with_context(|| format!("the step failed: {}", line(step, &places())))?;
    }
    Ok(())
}

fn execute_one(step: &Step) -> Result<()> {
    match step {
        Step::Clear(path) if path.is_dir() && !path.is_symlink() => Ok(fs::remove_dir_all(path)?),
        Step::Clear(path) if path.exists() || path.is_symlink() => Ok(fs::remove_file(path)?),
        Step::Clear(_) => Ok(()),
        Step::Folder(path) => Ok(fs::create_dir_all(path)?),
        Step::Write { file, text } => Ok(fs::write(file, text)?),
        Step::Copy { from, to } => copy(from, to),
        Step::Link { link, target } => make_link(link, target),
        Step::Run(run) => start(run),
        Step::Bind { headers, folder } => setup::bind(headers, folder),
        Step::Kernels { mlx, expected } => expected.check(mlx),
        Step::Sdk(slice) => sdk::check(*slice),
        Step::Symbols(library) => symbols::check(library),
        Step::Traces(file) => traces::check(file),
        Step::Licenses { folder, target } => crate::dist::licenses(folder, target),
    }
}

fn start(run: &Run) -> Result<()> {
    if run.unless.as_ref().is_some_and(|path| path.exists()) {
        return Ok(());
    }
    let mut command = Command::new(&run.program);
    command.args(&run.arguments).envs(&run.environment).current_dir(paths::root());
    match &run.output {
        Some(file) => Ok(fs::write(file, process::capture(&mut command)?)?),
        None => process::run(&mut command),
    }
}

#[cfg(unix)]
fn make_link(link: &Path, target: &str) -> Result<()> {
    Ok(std::os::unix::fs::symlink(target, link)?)
}

#[cfg(not(unix))]
fn make_link(link: &Path, _target: &str) -> Result<()> {
    anyhow::bail!("{}: this system has no links", link.display())
}

/// The steps, one a line, with names in place of this machine's folders.
pub fn print(steps: &[Step]) -> String {
    let places = places();
    steps.iter().map(|step| line(step, &places) + "\n").collect()
}

fn line(step: &Step, places: &[(String, &str)]) -> String {
    places.iter().fold(step.to_string(), |text, (folder, name)| text.replace(folder, name))
}

fn places() -> Vec<(String, &'static str)> {
    let mut places = vec![(paths::root().display().to_string(), "$ROOT")];
    if let Ok(sources) = setup::sources() {
        places.push((sources.mlxc.display().to_string(), "$MLX_C"));
    }
    if let Ok([(crates, _), _]) = traces::folders() {
        places.push((crates.display().to_string(), "$CRATES"));
    }
    places
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(path) => write!(formatter, "clear {}", path.display()),
            Self::Folder(path) => write!(formatter, "folder {}", path.display()),
            Self::Write { file, text } => {
                write!(formatter, "write {}", file.display())?;
                text.lines().try_for_each(|line| write!(formatter, "\n    | {line}"))
            }
            Self::Copy { from, to } => write!(formatter, "copy {} {}", from.display(), to.display()),
            Self::Link { link, target } => write!(formatter, "link {} -> {target}", link.display()),
            Self::Run(run) => run.fmt(formatter),
            Self::Bind { headers, folder } => {
                write!(formatter, "bind {}/mlx/c/*.h to {}/bindings.rs", headers.display(), folder.display())
            }
            Self::Kernels { mlx, expected } => {
                write!(formatter, "check that {} lists the kernels {expected}", mlx.display())
            }
            Self::Sdk(slice) => {
                write!(formatter, "check that the SDK {} is of {NAX_SYSTEM} or later", slice.sdk())
            }
            Self::Symbols(library) => {
                write!(formatter, "check that {} exports the header's functions", library.display())
            }
            Self::Traces(file) => {
                write!(formatter, "check that {} names no folder of this machine", file.display())
            }
            Self::Licenses { folder, target } => {
                write!(formatter, "licences of what is linked for {target} to {}", folder.display())
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("run")?;
        for (name, value) in &self.environment {
            write!(formatter, " {name}={}", quoted(value))?;
        }
        write!(formatter, " {}", quoted(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))?;
        if let Some(file) = &self.output {
            write!(formatter, " > {}", quoted(&file.display().to_string()))?;
        }
        match &self.unless {
            Some(path) => write!(formatter, "    # unless there is {}", path.display()),
            None => Ok(()),
        }
    }
}

/// As a shell would have to read it.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_=./:,+@%$".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
