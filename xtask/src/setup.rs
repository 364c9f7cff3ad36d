//! Staging MLX, so that plain `cargo build`, `cargo test` and `cargo clippy` work.
//!
//! On Apple platforms mlx-sys builds MLX by itself and there is nothing to do. On Linux MLX comes as a PyPI wheel,
//! mlx-c is compiled here from mlx-sys's own sources, and Cargo is told to use the result in place of mlx-sys's
//! build script.

mod bindings;
pub mod compiler;
mod config;
mod libraries;
mod mlxc;
mod sources;
mod stage;
mod wheels;

use anyhow::{Result, bail};

pub use config::host;
pub use stage::{Backend, Stage};

/// `cargo xtask setup [--backend cpu|cuda]`
pub fn command(arguments: &[String]) -> Result<()> {
    let backend = match arguments {
        [] => Backend::Cpu,
        [flag, name] if flag == "--backend" => name.parse()?,
        _ => bail!("usage: cargo xtask setup [--backend cpu|cuda]"),
    };
    if cfg!(target_vendor = "apple") {
        println!("nothing to set up: mlx-sys builds MLX with Metal on this platform");
        return Ok(());
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
        return Ok(None);
    }
    run(config::configured_backend().unwrap_or(Backend::Cpu)).map(Some)
}

/// The version of MLX that rmlx is built with.
pub fn mlx_version() -> Result<String> {
    Ok(sources::find()?.mlx_version)
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
    println!("compiling mlx-c");
    mlxc::compile(stage, sources, &wheels, compiler)
}
