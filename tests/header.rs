//! The header as a manual: every function is described, dated and driven from C, and its example compiles.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Each function with the comment before it.
fn functions(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in header.split("/**").skip(1) {
        let (comment, code) = piece.split_once("*/").expect("an end");
        let code = code.trim_start();
        if code.starts_with("typedef") || code.starts_with('#') || !code.contains('(') {
            continue;
        }
        let name = code.split('(').next().expect("a name").rsplit([' ', '*']).next().expect("a name");
        if name.starts_with("rmlx_") {
            found.push((name.to_owned(), comment.to_owned()));
        }
    }
    found
}

#[test]
fn every_function_says_what_it_does_and_since_when() {
    let header = read("include/rmlx.h");
    let functions = functions(&header);
    assert!(functions.len() > 80, "{}", functions.len());
    for (name, comment) in &functions {
        assert!(comment.contains("Since: 0."), "{name} has no Since line");
        let fallible = header.contains(&format!("rmlx_status {name}("));
        if fallible && name != "rmlx_error_code" {
            assert!(comment.contains("Errors:"), "{name} does not name its errors");
        }
    }
}

#[test]
fn the_header_speaks_c() {
    for word in [
        "Option<", "Result<", "&mut", "Vec<", "Arc", "[`", "::", "Some(", "None", "trait", "usize", "u32 ",
        "crate",
    ] {
        for line in read("include/rmlx.h").lines() {
            assert!(!line.contains(word), "{word} in the header: {line}");
        }
    }
}

#[test]
fn every_function_is_driven_from_c() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
    let files = fs::read_dir(folder).expect("tests/c").map(|entry| entry.expect("a file").path());
    let tests: String = files.map(|file| fs::read_to_string(file).expect("a text")).collect();
    let functions = functions(&read("include/rmlx.h"));
    let missing: Vec<_> =
        functions.iter().map(|(name, _)| name).filter(|name| !tests.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "no C test calls {missing:?}");
    let names: BTreeSet<_> = functions.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), functions.len(), "a function is there twice");
}

/// The walkthrough's code, inside a function that has what it takes for granted.
#[test]
fn the_example_compiles_as_printed() {
    let header = read("include/rmlx.h");
    let walkthrough =
        header.split("A WHOLE PROGRAM").nth(1).and_then(|text| text.split("STATUS AND ERRORS").next());
    let code: Vec<_> =
        walkthrough.expect("a walkthrough").lines().filter_map(|line| line.strip_prefix(" *     ")).collect();
    assert!(code.len() > 30);
    let program = format!(
        "#include <rmlx.h>\n#include <stdio.h>\n#include <string.h>\n\
         int ask(const void *bytes, size_t size, const char *question, const char *answer, const char *next);\n\
         int ask(const void *bytes, size_t size, const char *question, const char *answer, const char *next) {{\n\
         {}\nreturn 0;\n}}\n",
        code.join("\n")
    );
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("walkthrough.c");
    fs::write(&source, program).expect("a source");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"])
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(&source)
        .stdin(Stdio::null())
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
