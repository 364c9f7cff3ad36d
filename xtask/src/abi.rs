//! `cargo xtask abi`: the record of the binary interface, `include/rmlx.abi`, which a test compares with the header: every
//! function, constant, type and structure, with the places of the fields as the C compiler lays them out.
//!
//! Programs that were built with an older header must go on to work, so lines may be added, but none may go or change.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::compile::{Language, Program};
use crate::{header, paths, process, symbols};

const TOP: &str = "\
# The binary interface of rmlx, made from include/rmlx.h by `cargo xtask abi`; do not edit.
# Programs that were built with an older header must go on to work: lines may be added, but none may go or change.
# Fields: offset and size in bytes on a 64-bit platform, type, name.
";

/// `cargo xtask abi [--check]`
pub fn command(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => write(),
        [flag] if flag == "--check" => check(),
        _ => bail!("usage: cargo xtask abi [--check]"),
    }
}

fn path() -> PathBuf {
    paths::root().join("include/rmlx.abi")
}

fn write() -> Result<()> {
    let generated = generate()?;
    if let Ok(recorded) = fs::read_to_string(path()) {
        let gone = difference(&recorded, &generated);
        if !gone.is_empty() {
            println!(
                "Programs that exist may break, because these lines go or change (a structure that only grew is fine):\n{}",
                gone.join("\n")
            );
        }
    }
    fs::write(path(), generated).with_context(|| format!("cannot write {}", path().display()))
}

/// An error if the header is not what is recorded.
pub fn check() -> Result<()> {
    let recorded = fs::read_to_string(path()).with_context(|| format!("cannot read {}", path().display()))?;
    compare(&recorded, &generate()?)
}

fn compare(recorded: &str, generated: &str) -> Result<()> {
    let gone = difference(recorded, generated);
    ensure!(
        gone.is_empty(),
        "include/rmlx.h breaks programs that exist: it lacks, or has changed, what include/rmlx.abi records\n{}",
        gone.join("\n")
    );
    let new = difference(generated, recorded);
    ensure!(
        new.is_empty() && recorded == generated,
        "include/rmlx.h has what include/rmlx.abi does not record: run `cargo xtask abi`\n{}",
        new.join("\n")
    );
    Ok(())
}

/// The lines of the first text that the second one lacks. A field's line counts together with its structure's name.
fn difference(of: &str, and: &str) -> Vec<String> {
    let known: BTreeSet<String> = qualified(and).collect();
    qualified(of).filter(|line| !known.contains(line)).collect()
}

fn qualified(text: &str) -> impl Iterator<Item = String> {
    let mut owner = String::new();
    text.lines().filter(|line| !line.starts_with('#')).map(move |line| match line.strip_prefix("    ") {
        Some(field) => format!("{owner}: {field}"),
        None => {
            owner = line.split(',').next().unwrap_or_default().to_owned();
            line.to_owned()
        }
    })
}

fn generate() -> Result<String> {
    let file = header::path();
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let interface = Interface::read(&symbols::without_comments(&text))?;
    let mut record = TOP.to_owned();
    for (title, lines) in [
        ("functions", &interface.functions),
        ("constants", &interface.constants),
        ("types", &interface.types),
    ] {
        writeln!(record, "\n# {title}")?;
        for line in lines {
            writeln!(record, "{line}")?;
        }
    }
    writeln!(record, "\n# structures")?;
    record.push_str(&layouts(&interface.structures)?);
    Ok(record)
}

/// What a header without comments declares.
#[derive(Default)]
struct Interface {
    functions: BTreeSet<String>,
    constants: BTreeSet<String>,
    types: BTreeSet<String>,
    structures: Vec<Structure>,
}

struct Structure {
    name: String,
    /// Types and names.
    fields: Vec<(String, String)>,
}

impl Interface {
    fn read(header: &str) -> Result<Self> {
        let mut interface = Self::default();
        let mut code = String::new();
        let mut is_for_cpp = false;
        for line in header.lines() {
            match line.trim() {
                "#ifdef __cplusplus" => is_for_cpp = true,
                "#endif" => is_for_cpp = false,
                line if is_for_cpp || line.is_empty() => {}
                line if line.starts_with("#define ") => {
                    // One without a value is the guard against a second inclusion.
                    if let [_, name, value] = line.splitn(3, ' ').collect::<Vec<_>>()[..] {
                        interface.constants.insert(format!("{name} {value}"));
                    }
                }
                line if line.starts_with('#') => {}
                line => {
                    code.push_str(line);
                    code.push(' ');
                }
            }
        }
        for statement in statements(&code) {
            interface.take(&statement)?;
        }
        ensure!(!interface.functions.is_empty(), "the header declares no function");
        Ok(interface)
    }

    fn take(&mut self, statement: &str) -> Result<()> {
        if let Some((start, rest)) = statement.split_once('{') {
            let (body, name) = rest.rsplit_once('}').context("a structure without an end")?;
            ensure!(start.starts_with("typedef struct"), "cannot read {statement}");
            let fields = body.split(';').map(str::trim).filter(|field| !field.is_empty());
            let fields = fields.map(|field| {
                let at =
                    field.rfind([' ', '*']).with_context(|| format!("cannot read the field {field}"))? + 1;
                Ok((field[..at].trim().to_owned(), field[at..].to_owned()))
            });
            self.structures
                .push(Structure { name: name.trim().to_owned(), fields: fields.collect::<Result<_>>()? });
        } else if statement.starts_with("typedef") {
            self.types.insert(statement.to_owned());
        } else {
            self.functions.insert(statement.to_owned());
        }
        Ok(())
    }
}

/// What ends with a semicolon outside of braces, with single spaces.
fn statements(code: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0;
    for character in code.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if character == ';' && depth == 0 {
            found.push(String::new());
        } else if let Some(last) = found.last_mut() {
            last.push(character);
        }
    }
    let squeezed = found.iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    squeezed.filter(|text| !text.is_empty()).collect()
}

/// Sizes and offsets, as a program tells them that the C compiler has made of the header.
fn layouts(structures: &[Structure]) -> Result<String> {
    let mut body = String::new();
    for Structure { name, fields } in structures {
        writeln!(
            body,
            "printf(\"{name}, %zu bytes, aligned to %zu\\n\", sizeof({name}), _Alignof({name}));"
        )?;
        for (kind, field) in fields {
            writeln!(
                body,
                "printf(\"    %zu %zu {kind} {field}\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
            )?;
        }
    }
    let folder = paths::root().join("target/abi");
    fs::create_dir_all(&folder)?;
    let source = folder.join("layouts.c");
    let program = format!(
        "#include <rmlx.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{\n{body}return 0;\n}}\n"
    );
    fs::write(&source, program)?;
    let include = format!("-I{}", paths::root().join("include").display());
    let executable =
        Program::new(Language::C, &source, folder.join("layouts")).flags(&[include]).compile()?;
    process::capture(&mut Command::new(executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#ifndef X_H\n#define X_H\n#include <stdint.h>\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\
        #define X_TWO 2\ntypedef int32_t x_status;\ntypedef struct x_size {\n    size_t struct_size;\n    const void *data;\n\
        } x_size;\nx_status x_do(const char *name,\n              x_size *out);\n#ifdef __cplusplus\n}\n#endif\n#endif\n";

    #[test]
    fn reads_every_kind_of_declaration() {
        let interface = Interface::read(HEADER).expect("a header");
        let all = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(all(&interface.functions), ["x_status x_do(const char *name, x_size *out)"]);
        assert_eq!(all(&interface.constants), ["X_TWO 2"]);
        assert_eq!(all(&interface.types), ["typedef int32_t x_status"]);
        let fields = &interface.structures[0].fields;
        assert_eq!(fields[1], ("const void *".to_owned(), "data".to_owned()));
    }

    #[test]
    fn additions_are_told_from_breaks() {
        let old = "f(int)\n\n# structures\nx, 8 bytes\n    0 8 size_t a\n";
        let more = "f(int)\ng()\n\n# structures\nx, 8 bytes\n    0 8 size_t a\n";
        let broken = "f(long)\n\n# structures\nx, 8 bytes\n    0 8 size_t a\n";
        assert!(compare(old, old).is_ok());
        assert!(compare(old, more).is_err_and(|error| error.to_string().contains("cargo xtask abi")));
        assert!(compare(old, broken).is_err_and(|error| error.to_string().contains("breaks programs")));
        assert!(compare(more, old).is_err_and(|error| error.to_string().contains("g()")));
    }
}
