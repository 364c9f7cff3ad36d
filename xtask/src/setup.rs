//! Staging MLX, so that plain `cargo build`, `cargo test` and `cargo clippy` work.
//!
//! On a Mac MLX and mlx-c are built with CMake ([`crate::apple`]). On Linux MLX comes as a PyPI wheel, and mlx-c is compiled
//! here from mlx-sys's own sources. Cargo is told to use the result in place of mlx-sys's build script.

mod bindings;
pub mod compiler;
pub mod config;
mod libraries;
mod mlxc;
mod namespace;
mod sources;
mod stage;
mod wheels;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::apple;
pub use config::host;
pub use sources::find as sources;
pub use stage::{Backend, Stage};

/// `cargo xtask setup [--backend cpu|cuda]`
pub fn command(arguments: &[String]) -> Result<()> {
    let backend = match arguments {
        [] => Backend::Cpu,
        [flag, name] if flag == "--backend" => name.parse()?,
        _ => bail!("usage: cargo xtask setup [--backend cpu|cuda]"),
    };
    if cfg!(target_vendor = "apple") {
        ensure!(arguments.is_empty(), "usage: cargo xtask setup (a Mac has one backend: Metal)");
        return apple::ensure();
    }
    stage(backend)
}

/// Stages MLX with this backend, for all that is built from now on.
pub fn stage(backend: Backend) -> Result<()> {
    let stage = run(backend)?;
    println!("MLX is ready in {}", stage.root().display());
    Ok(())
}

/// Makes sure that the stage of the backend in use is complete, and returns it; Apple platforms have none.
pub fn ensure() -> Result<Option<Stage>> {
    if cfg!(target_vendor = "apple") {
        apple::ensure()?;
        return Ok(None);
    }
    run(config::configured_backend().unwrap_or(Backend::Cpu)).map(Some)
}

/// The version of MLX that rmlx is built with.
pub fn mlx_version() -> Result<String> {
    Ok(sources::find()?.mlx_version)
}

/// Binds mlx-c's headers as this machine's clang reads them; its own libclang is found where Apple puts it.
pub fn bind(mlxc: &Path, folder: &Path) -> Result<()> {
    bindings::generate_for_apple(mlxc, folder)
}

/// Binds mlx-c's headers as clang reads them for Apple's processors, on a machine without Apple's SDK: zig's folder `lib` has the
/// headers of macOS's C library and clang's own.
pub fn bind_for_apple_elsewhere(zig: &Path, folder: &Path) -> Result<()> {
    let sources = sources::find()?;
    let stage = ensure()?.context("a Mac binds with its own SDK")?;
    bindings::generate_for_apple_elsewhere(&stage, &sources, zig, folder)
}

fn run(backend: Backend) -> Result<Stage> {
    if !cfg!(target_os = "linux") {
        bail!("this platform is not supported: rmlx is built on Linux, macOS and for iOS");
    }
    let sources = sources::find()?;
    let compiler = compiler::Compiler::find()?;
    let stage = Stage::new(backend);
    let inputs = stage.inputs(&sources, &compiler)?;
    if !stage.is_complete(&inputs) {
        build(&stage, &sources, &compiler)?;
        stage.complete(&inputs)?;
    }
    config::write(&stage, &inputs)?;
    Ok(stage)
}

fn build(stage: &Stage, sources: &sources::Sources, compiler: &compiler::Compiler) -> Result<()> {
    stage.clear()?;
    println!("fetching MLX {} and its tools from PyPI", sources.mlx_version);
    let wheels = wheels::install(stage, sources)?;
    libraries::stage(stage, &wheels, compiler)?;
    println!("binding mlx-c");
    bindings::generate(stage, sources, &wheels, compiler)?;
    mlxc::compile(stage, sources, &wheels, compiler)
}
