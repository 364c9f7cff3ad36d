//! Compiling mlx-c into the static library `libmlxc.a`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow};

use super::compiler::Compiler;
use super::namespace;
use super::sources::Sources;
use super::stage::Stage;
use super::wheels::Wheels;
use crate::progress::Progress;
use crate::{paths, process};

pub fn compile(stage: &Stage, sources: &Sources, wheels: &Wheels, compiler: &Compiler) -> Result<()> {
    let objects = stage.root().join("objects");
    fs::create_dir_all(&objects)?;
    let units = units(sources)?;
    let progress = Progress::new("compiling mlx-c", units.len());
    let queue = Mutex::new(units);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let compiled: Vec<PathBuf> = thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().map_err(|_| anyhow!("a compile thread panicked"))?.pop();
                let Some(source) = next else { return Ok(done) };
                done.push(compile_one(&source, &objects, sources, wheels, compiler)?);
                progress.step();
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

/// The sources of `xtask/native`, and those of mlx-c that none of the same name there replaces.
fn units(sources: &Sources) -> Result<Vec<PathBuf>> {
    let mut units = cpp_files(&paths::native())?;
    let ours: Vec<_> = units.iter().filter_map(|unit| unit.file_name().map(OsString::from)).collect();
    let theirs = cpp_files(&sources.mlxc.join("mlx/c"))?;
    units.extend(theirs.into_iter().filter(|unit| !ours.iter().any(|name| unit.ends_with(name))));
    units.sort();
    Ok(units)
}

fn cpp_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cpp") {
            files.push(path);
        }
    }
    Ok(files)
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
        .args(["-std=c++20", "-O2", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-w", "-c"])
        .arg(namespace::MACRO)
        // mlx-c puts __FILE__ into error messages: without this machine's folders.
        .arg(format!("-ffile-prefix-map={}=mlx-c", sources.mlxc.display()))
        .arg(format!("-ffile-prefix-map={}=rmlx", paths::native().display()))
        .arg("-include")
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
