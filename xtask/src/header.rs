//! `cargo xtask header`: the C header, made from `src/ffi`.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The walkthrough of cbindgen.toml, then a section for each file of `src/ffi`: what its first line says it is about,
/// its constants and types, its functions.
fn generate() -> Result<String> {
    let configuration = paths::root().join("cbindgen.toml");
    let config = || {
        cbindgen::Config::from_file(&configuration)
            .map_err(|error| anyhow!("{}: {error}", configuration.display()))
    };
    let frame = bindings(cbindgen::Builder::new().with_config(config()?))?;
    let (top, bottom) = frame.split_once(SECTIONS).context("cbindgen.toml does not say where sections go")?;
    let mut text = top.to_owned();
    for file in sources()? {
        // Only this file: what it takes from others comes before it in the header.
        let bare = cbindgen::Config {
            header: None,
            include_guard: None,
            sys_includes: Vec::new(),
            after_includes: None,
            cpp_compat: false,
            ..config()?
        };
        let section = bindings(cbindgen::Builder::new().with_config(bare).with_src(&file))?;
        text.push_str(&heading(&file)?);
        text.push_str(section.trim_matches('\n'));
        text.push_str("\n\n");
    }
    text.push_str(bottom.trim_start_matches('\n'));
    Ok(one_line_comments(&text))
}

/// Puts the comments that hold one line on one line.
fn one_line_comments(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut compact = String::new();
    while let Some(line) = lines.next() {
        compact.push_str(line);
        if line.trim() == "/**"
            && let Some(only) = lines.next()
        {
            if lines.peek().is_some_and(|next| next.trim() == "*/") {
                lines.next();
                compact.push_str(&format!("{} */", only.trim_start().trim_start_matches('*')));
            } else {
                compact.push_str(&format!("\n{only}"));
            }
        }
        compact.push('\n');
    }
    compact
}

/// Where the sections go in what cbindgen makes of cbindgen.toml alone.
const SECTIONS: &str = "/* sections */\n";

fn bindings(builder: cbindgen::Builder) -> Result<String> {
    let mut text = Vec::new();
    builder.generate().context("cbindgen could not read src/ffi")?.write(&mut text);
    String::from_utf8(text).context("the generated header is not UTF-8")
}

/// The first line of a file's own documentation, underlined.
fn heading(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("//! "));
    let title = first.with_context(|| format!("{} has no first line of documentation", file.display()))?;
    Ok(format!("/* {:-<1$} */\n\n", format!("{} ", title.trim_end_matches('.')), WIDTH))
}

/// Columns of a heading.
const WIDTH: usize = 104;

/// The public modules of `src/ffi` in the order in which its `mod.rs` names them, which is the order of the header.
fn sources() -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("src/ffi");
    let index = folder.join("mod.rs");
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    Ok(names.map(|name| folder.join(name).with_extension("rs")).collect())
}

#[cfg(test)]
mod tests {
    use super::one_line_comments;

    #[test]
    fn only_short_comments_are_put_on_one_line() {
        let long = "/**\n * One.\n *\n * Two.\n */\nint f(void);\n";
        assert_eq!(
            one_line_comments(&format!("    /**\n     * One.\n     */\n{long}")),
            format!("    /** One. */\n{long}")
        );
    }
}
