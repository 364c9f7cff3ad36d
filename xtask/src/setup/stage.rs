//! The folder `target/mlx/<backend>` that holds everything staged for one backend.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::compiler::Compiler;
use super::sources::Sources;
use super::{libraries, wheels};
use crate::paths;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Cpu,
    Cuda,
}

impl FromStr for Backend {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            _ => bail!("unknown backend {name}: there are cpu and cuda"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

pub struct Stage {
    backend: Backend,
    root: PathBuf,
}

impl Stage {
    pub fn new(backend: Backend) -> Self {
        Self { backend, root: paths::root().join("target/mlx").join(backend.to_string()) }
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of `libmlx.so`, OpenBLAS and `libmlxc.a`.
    pub fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// The folder of `bindings.rs`, which mlx-sys takes for its `OUT_DIR`.
    pub fn bindings(&self) -> PathBuf {
        self.root.join("bindings")
    }

    /// Everything that the content of the stage depends on, as text.
    pub fn inputs(&self, sources: &Sources, compiler: &Compiler) -> Result<String> {
        let (whole, alone) = wheels::requirements(self.backend, &sources.mlx_version);
        let mut text = String::new();
        writeln!(text, "stage {}", self.root.display())?;
        writeln!(text, "mlx-sys {} {}", sources.crate_version, sources.mlxc.display())?;
        writeln!(text, "compiler {} {}", compiler.cxx, compiler.version)?;
        writeln!(text, "wheels {}", [whole, alone].concat().join(" "))?;
        for name in ["forced.h", "mach_time.cpp"] {
            let file = paths::native().join(name);
            let content =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            writeln!(text, "{name}\n{content}")?;
        }
        Ok(text)
    }

    pub fn is_complete(&self, inputs: &str) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|stamp| stamp == inputs)
            && self.libraries().join(libraries::MLX).is_file()
            && self.libraries().join(libraries::OPENBLAS).is_file()
            && self.libraries().join("libmlxc.a").is_file()
            && self.bindings().join("bindings.rs").is_file()
    }

    /// Written last, so that an interrupted set-up starts again.
    pub fn complete(&self, inputs: &str) -> Result<()> {
        fs::write(self.stamp(), inputs).with_context(|| format!("cannot write {}", self.stamp().display()))
    }

    pub fn clear(&self) -> Result<()> {
        if self.root.exists() {
            fs::remove_dir_all(&self.root)
                .with_context(|| format!("cannot clear {}", self.root.display()))?;
        }
        fs::create_dir_all(&self.root).with_context(|| format!("cannot create {}", self.root.display()))
    }

    fn stamp(&self) -> PathBuf {
        self.root.join("stamp")
    }
}
