//! Compiling C and C++ programs against rmlx.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::setup::{Stage, compiler};
use crate::{paths, process};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    C,
    Cpp,
}

impl Language {
    pub fn extension(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
        }
    }
}

/// A program of one source file.
pub struct Program {
    language: Language,
    source: PathBuf,
    executable: PathBuf,
    flags: Vec<String>,
    libraries: Vec<String>,
}

impl Program {
    pub fn new(language: Language, source: &Path, executable: PathBuf) -> Self {
        let standard = match language {
            Language::C => "-std=c11",
            Language::Cpp => "-std=c++17",
        };
        let flags = [standard, "-Wall", "-Wextra", "-Werror"].map(str::to_owned).to_vec();
        Self { language, source: source.to_owned(), executable, flags, libraries: Vec::new() }
    }

    pub fn flags<S: AsRef<str>>(mut self, flags: &[S]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Links with the library that Cargo has left in the folder.
    pub fn rmlx(mut self, built: &Path, stage: Option<&Stage>) -> Self {
        self.flags.push(format!("-I{}", paths::root().join("include").display()));
        self.libraries.extend([format!("-L{}", built.display()), "-lrmlx".to_owned()]);
        let folders = [Some(built.to_owned()), stage.map(Stage::libraries)];
        self.libraries
            .extend(folders.iter().flatten().map(|folder| format!("-Wl,-rpath,{}", folder.display())));
        if self.language == Language::C {
            self.libraries.push("-lm".to_owned());
        }
        self.libraries.push("-pthread".to_owned());
        self
    }

    /// Links with what the arguments name, in the notation of the compiler's command line.
    pub fn libraries<S: AsRef<str>>(mut self, arguments: &[S]) -> Self {
        self.libraries.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Compiles and links, and returns the executable.
    pub fn compile(self) -> Result<PathBuf> {
        let compiler = match self.language {
            Language::C => compiler::c()?,
            Language::Cpp => compiler::Compiler::find()?.cxx,
        };
        let mut command = Command::new(compiler);
        command.args(&self.flags).arg(&self.source).arg("-o").arg(&self.executable).args(&self.libraries);
        process::capture(&mut command)?;
        Ok(self.executable)
    }
}
