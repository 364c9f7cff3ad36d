//! The C and C++ compilers of this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::process;

pub struct Compiler {
    pub cxx: String,
    pub version: String,
}

impl Compiler {
    /// `$CXX` if it is set, else the first of the usual names that can be started.
    pub fn find() -> Result<Self> {
        let cxx = first("CXX", &["c++", "g++", "clang++"]).ok_or_else(|| {
            anyhow!("no C++ compiler found: install g++ 12 or clang++ 15 or later, or set CXX to one")
        })?;
        let banner = process::capture(Command::new(&cxx).arg("--version"))?;
        Ok(Self { cxx, version: banner.lines().next().unwrap_or_default().to_owned() })
    }

    /// The folder of the compiler's own headers (`stddef.h` and the like), which libclang's wheel lacks.
    pub fn builtin_headers(&self) -> Result<PathBuf> {
        let printed = process::capture(Command::new(&self.cxx).arg("-print-file-name=include"))?;
        let folder = PathBuf::from(printed.trim());
        if !folder.join("stddef.h").is_file() {
            return Err(anyhow!("{} does not say where its stddef.h is", self.cxx));
        }
        Ok(folder)
    }
}

/// The C compiler: `$CC` if it is set, else the first of the usual names that can be started.
pub fn c() -> Result<String> {
    first("CC", &["cc", "gcc", "clang"])
        .ok_or_else(|| anyhow!("no C compiler found: install gcc or clang, or set CC to one"))
}

fn first(variable: &str, names: &[&str]) -> Option<String> {
    match std::env::var(variable) {
        Ok(chosen) if !chosen.is_empty() => process::exists(&chosen).then_some(chosen),
        _ => names.iter().find(|name| process::exists(name)).map(|name| (*name).to_owned()),
    }
}
