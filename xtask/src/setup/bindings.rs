//! Rust bindings to mlx-c, as mlx-sys's build script would make them.

use std::fs;

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

    let mut builder = bindgen::Builder::default()
        .rust_target("1.73.0".parse().map_err(|_| anyhow!("bindgen no longer knows Rust 1.73"))?)
        .clang_arg(format!("-I{}", sources.mlxc.display()))
        .clang_args(["-isystem".to_owned(), compiler.builtin_headers()?.display().to_string()])
        .clang_args(["-include".to_owned(), paths::native().join("forced.h").display().to_string()])
        .formatter(bindgen::Formatter::None)
        // The C library's own, not mlx-c's.
        .blocklist_function("malloc")
        .blocklist_function("realloc")
        .blocklist_type("float16_t")
        .raw_line(FLOAT16);
    for header in headers(sources)? {
        builder = builder.header(header);
    }
    let bindings = builder.generate().context("bindgen could not read mlx-c's headers")?;
    fs::create_dir_all(stage.bindings())?;
    bindings.write_to_file(stage.bindings().join("bindings.rs")).context("cannot write the bindings of mlx-c")
}

fn headers(sources: &Sources) -> Result<Vec<String>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(sources.mlxc.join("mlx/c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path.display().to_string());
        }
    }
    headers.sort();
    Ok(headers)
}
