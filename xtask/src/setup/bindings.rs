//! Rust bindings to mlx-c, as mlx-sys's build script would make them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::compiler::Compiler;
use super::sources::Sources;
use super::stage::Stage;
use super::wheels::Wheels;
use crate::paths;

/// mlx-rs builds and reads this type as a tuple struct.
const FLOAT16: &str =
    "#[repr(transparent)]\n#[derive(Debug, Default, Copy, Clone)]\npub struct float16_t(pub u16);";

pub fn generate(stage: &Stage, sources: &Sources, wheels: &Wheels, compiler: &Compiler) -> Result<()> {
    // SAFETY: the program has one thread here; bindgen offers no other way to say where libclang is.
    unsafe { std::env::set_var("LIBCLANG_PATH", wheels.libclang()) };

    let mut builder = builder(&sources.mlxc)?
        .clang_args(["-isystem".to_owned(), compiler.builtin_headers()?.display().to_string()])
        .clang_args(["-include".to_owned(), paths::native().join("forced.h").display().to_string()])
        .blocklist_type("float16_t")
        .raw_line(FLOAT16);
    builder = with_headers(builder, &sources.mlxc)?;
    write(builder, &stage.bindings())
}

/// clang for Apple's processors knows 16-bit floats, so mlx-c's own header of them serves; one target serves all platforms,
/// whose C is the same.
pub fn generate_for_apple(mlxc: &Path, folder: &Path) -> Result<()> {
    write(with_headers(builder(mlxc)?, mlxc)?, folder)
}

/// The same on a machine that is not Apple's, with the headers that zig brings.
pub fn generate_for_apple_elsewhere(
    stage: &Stage,
    sources: &Sources,
    zig: &Path,
    folder: &Path,
) -> Result<()> {
    // SAFETY: the program has one thread here; bindgen offers no other way to say where libclang is.
    unsafe { std::env::set_var("LIBCLANG_PATH", Wheels::of(stage).libclang()) };
    let headers = ["include", "libc/include/any-darwin-any"].map(|part| zig.join(part));
    let mut builder = builder(&sources.mlxc)?.clang_args([
        "--target=arm64-apple-macosx14.0",
        "-nostdlibinc",
        "-nobuiltininc",
    ]);
    for header in headers {
        builder = builder.clang_args(["-isystem".to_owned(), header.display().to_string()]);
    }
    write(with_headers(builder, &sources.mlxc)?, folder)
}

fn builder(mlxc: &Path) -> Result<bindgen::Builder> {
    Ok(bindgen::Builder::default()
        .rust_target("1.73.0".parse().map_err(|_| anyhow!("bindgen no longer knows Rust 1.73"))?)
        .clang_arg(format!("-I{}", mlxc.display()))
        .formatter(bindgen::Formatter::None)
        // The C library's own, not mlx-c's.
        .blocklist_function("malloc")
        .blocklist_function("realloc"))
}

fn with_headers(builder: bindgen::Builder, mlxc: &Path) -> Result<bindgen::Builder> {
    Ok(headers(mlxc)?.into_iter().fold(builder, |builder, header| builder.header(header)))
}

fn write(builder: bindgen::Builder, folder: &Path) -> Result<()> {
    let bindings = builder.generate().context("bindgen could not read mlx-c's headers")?;
    fs::create_dir_all(folder)?;
    bindings.write_to_file(folder.join("bindings.rs")).context("cannot write the bindings of mlx-c")
}

fn headers(mlxc: &Path) -> Result<Vec<String>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(mlxc.join("mlx/c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path.display().to_string());
        }
    }
    headers.sort();
    Ok(headers)
}
