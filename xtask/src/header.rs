//! `cargo xtask header`: the C header, made from `src/ffi`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

use crate::paths;

/// `cargo xtask header [--check]`
pub fn command(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => write(),
        [flag] if flag == "--check" => check(),
        _ => bail!("usage: cargo xtask header [--check]"),
    }
}

pub fn path() -> PathBuf {
    paths::root().join("include/rmlx.h")
}

fn write() -> Result<()> {
    let file = path();
    fs::create_dir_all(file.with_file_name(""))?;
    fs::write(&file, generate()?).with_context(|| format!("cannot write {}", file.display()))
}

/// An error if the committed header is not what `src/ffi` makes.
pub fn check() -> Result<()> {
    let file = path();
    let committed = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let generated = generate()?;
    let lines = committed.lines().zip(generated.lines()).enumerate();
    if let Some((number, (old, new))) = lines.into_iter().find(|(_, (old, new))| old != new) {
        bail!(
            "include/rmlx.h differs from src/ffi at line {}: run `cargo xtask header`\n- {old}\n+ {new}",
            number + 1
        );
    }
    if committed != generated {
        bail!("include/rmlx.h differs from src/ffi in its length: run `cargo xtask header`");
    }
    Ok(())
}

fn generate() -> Result<String> {
    let configuration = paths::root().join("cbindgen.toml");
    let config = cbindgen::Config::from_file(&configuration)
        .map_err(|error| anyhow!("{}: {error}", configuration.display()))?;
    // Only these files: a public constant elsewhere in the crate is no part of the C API.
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in sources()? {
        builder = builder.with_src(file);
    }
    let bindings = builder.generate().context("cbindgen could not read src/ffi")?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).context("the generated header is not UTF-8")
}

/// The files of `src/ffi` in the order in which its `mod.rs` names them, which is the order of the header.
fn sources() -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("src/ffi");
    let index = folder.join("mod.rs");
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name));
    Ok(names.map(|name| folder.join(name).with_extension("rs")).collect())
}
