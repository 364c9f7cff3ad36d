//! Compiling mlx-c into the static library `libmlxc.a`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow};

use super::compiler::Compiler;
use super::sources::Sources;
use super::stage::Stage;
use super::wheels::Wheels;
use crate::{paths, process};

pub fn compile(stage: &Stage, sources: &Sources, wheels: &Wheels, compiler: &Compiler) -> Result<()> {
    let objects = stage.root().join("objects");
    fs::create_dir_all(&objects)?;
    let queue = Mutex::new(units(sources)?);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let compiled: Vec<PathBuf> = thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().map_err(|_| anyhow!("a compile thread panicked"))?.pop();
                let Some(source) = next else { return Ok(done) };
                done.push(compile_one(&source, &objects, sources, wheels, compiler)?);
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a compile thread panicked"))?)
            .collect::<Result<Vec<Vec<PathBuf>>>>()
            .map(|lists| lists.concat())
    })?;
    archive(&compiled, &stage.libraries().join("libmlxc.a"))
}

/// mlx-c's sources, and what mlx-rs takes from Darwin's C library.
fn units(sources: &Sources) -> Result<Vec<PathBuf>> {
    let mut units = vec![paths::native().join("mach_time.cpp")];
    for entry in fs::read_dir(sources.mlxc.join("mlx/c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cpp") {
            units.push(path);
        }
    }
    units.sort();
    Ok(units)
}

fn compile_one(
    source: &Path,
    objects: &Path,
    sources: &Sources,
    wheels: &Wheels,
    compiler: &Compiler,
) -> Result<PathBuf> {
    let stem = source.file_stem().ok_or_else(|| anyhow!("{} has no name", source.display()))?;
    let object = objects.join(stem).with_extension("o");
    let mut command = Command::new(&compiler.cxx);
    command
        // Hidden, so that no symbol of mlx-c leaves a library that it is linked into.
        .args(["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-w", "-c", "-include"])
        .arg(paths::native().join("forced.h"))
        .arg("-isystem")
        .arg(wheels.mlx_headers())
        .arg("-I")
        .arg(&sources.mlxc)
        .arg(source)
        .arg("-o")
        .arg(&object);
    process::capture(&mut command)?;
    Ok(object)
}

fn archive(objects: &[PathBuf], library: &Path) -> Result<()> {
    process::capture(Command::new("ar").arg("crs").arg(library).args(objects))?;
    Ok(())
}
