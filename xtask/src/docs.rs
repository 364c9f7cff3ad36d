//! `cargo xtask docs`: one static site with the reference of the C interface, made from the header, and that of the Rust API.
//! On a machine with Swift and its DocC, that of the Swift package too.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cargo, files, header, paths, process, setup};

const STYLE: &str = "body{max-width:60em;margin:2em auto;padding:0 1em;font:16px/1.5 system-ui,sans-serif}\
pre{background:#8881;padding:.7em 1em;overflow-x:auto}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
p{white-space:pre-line}h3{border-top:1px solid #8885;padding-top:1em}nav{columns:3}:root{color-scheme:light dark}";

/// `cargo xtask docs`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask docs");
    setup::ensure()?;
    let site = paths::root().join("target/site");
    if site.is_dir() {
        fs::remove_dir_all(&site)?;
    }
    fs::create_dir_all(&site)?;
    let entries = read(&fs::read_to_string(header::path())?)?;
    fs::write(site.join("c.html"), page("rmlx: the C interface", &body(&entries)))?;
    rust(&site)?;
    let swift = swift(&site)?;
    fs::write(site.join("index.html"), page("rmlx", &contents(swift)?))?;
    println!("the site is {}", site.join("index.html").display());
    Ok(())
}

/// rustdoc's pages, with their own target folder, so that no other build is disturbed.
fn rust(site: &Path) -> Result<()> {
    let mut doc = cargo::command();
    doc.args([
        "rustdoc",
        "--lib",
        "--locked",
        "--package",
        "rmlx",
        "--",
        "-D",
        "rustdoc::broken_intra_doc_links",
    ]);
    process::run(&mut doc)?;
    let made = cargo::output_folder(cargo::Profile::Dev)?.with_file_name("doc");
    files::copy_folder(&made, &site.join("rust"))
}

/// DocC's pages, where there is a Swift that makes them.
fn swift(site: &Path) -> Result<bool> {
    if !process::exists("swift") || !process::exists("docc") {
        println!("no Swift with DocC here: the site has no reference of the Swift package");
        return Ok(false);
    }
    let graphs = site.join("symbols");
    let mut dump = Command::new("swift");
    dump.args(["build", "--target", "Rmlx", "-Xswiftc", "-emit-symbol-graph", "-Xswiftc"]);
    dump.arg("-emit-symbol-graph-dir").arg("-Xswiftc").arg(&graphs).current_dir(paths::root().join("swift"));
    fs::create_dir_all(&graphs)?;
    process::run(&mut dump)?;
    let mut convert = Command::new("docc");
    convert.arg("convert").arg(paths::root().join("swift/Sources/Rmlx/Rmlx.docc"));
    convert.arg("--additional-symbol-graph-dir").arg(&graphs).arg("--output-path").arg(site.join("swift"));
    convert.args(["--transform-for-static-hosting", "--hosting-base-path", "swift"]);
    process::run(&mut convert)?;
    fs::remove_dir_all(&graphs)?;
    Ok(true)
}

/// A comment of the header and what it describes; the first one, which is the manual, describes nothing.
struct Entry {
    comment: String,
    code: String,
}

impl Entry {
    /// What it is called; nothing for the manual.
    fn name(&self) -> Option<&str> {
        let code = self.code.as_str();
        if let Some(constant) = code.strip_prefix("#define ") {
            return constant.split([' ', '(']).next();
        }
        let words = |text| -> Option<&str> {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            str::rsplit(text, end).find(|word| word.starts_with("rmlx_"))
        };
        match code.split_once('(') {
            Some((before, rest)) if code.starts_with("typedef") => {
                words(before).or_else(|| words(rest.split(')').next()?))
            }
            Some((before, _)) => words(before),
            None => words(code),
        }
    }

    fn is_function(&self) -> bool {
        self.code.contains('(') && !self.code.starts_with("typedef") && !self.code.starts_with('#')
    }
}

fn read(header: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let manual = header.split_once("*/").context("the header begins with a comment")?.0;
    entries.push(Entry { comment: plain(manual), code: String::new() });
    let mut rest = header;
    while let Some((_, after)) = rest.split_once("/**") {
        let (comment, after) = after.split_once("*/").context("a comment does not end")?;
        // A structure has comments of its own inside.
        let code = declaration(after.trim_start());
        entries.push(Entry { comment: plain(comment), code: code.to_owned() });
        rest = &after.trim_start()[code.len()..];
    }
    ensure!(entries.len() > 100, "the header has {} comments only", entries.len());
    Ok(entries)
}

/// A comment without its stars.
fn plain(comment: &str) -> String {
    let line = |line: &str| {
        let line = line.trim_start_matches("/*");
        let inner =
            line.trim_start().strip_prefix('*').map_or(line, |rest| rest.strip_prefix(' ').unwrap_or(rest));
        inner.trim_end().to_owned()
    };
    comment.lines().map(line).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

/// The first declaration of a text: a line of the preprocessor, or all up to the semicolon outside of braces.
fn declaration(text: &str) -> &str {
    if text.starts_with('#') {
        return text.lines().next().unwrap_or_default();
    }
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return &text[..=at],
            _ => {}
        }
    }
    ""
}

fn body(entries: &[Entry]) -> String {
    let mut made = String::new();
    let (manual, rest) = entries.split_at(1);
    let _ = write!(made, "<pre>{}</pre><h2>Functions</h2><nav>", escaped(&manual[0].comment));
    for name in rest.iter().filter(|entry| entry.is_function()).filter_map(Entry::name) {
        let _ = write!(made, "<a href=\"#{name}\"><code>{name}</code></a><br>");
    }
    made += "</nav><h2>Everything, as it stands in the header</h2>";
    for entry in rest {
        let Some(name) = entry.name() else { continue };
        let _ = write!(
            made,
            "<h3 id=\"{name}\"><code>{name}</code></h3><pre>{}</pre><p>{}</p>",
            escaped(&entry.code),
            escaped(&entry.comment)
        );
    }
    made
}

fn contents(swift: bool) -> Result<String> {
    let mut made = format!(
        "<p>Version {}.</p><ul><li><a href=\"c.html\">The C interface</a></li>\
         <li><a href=\"rust/rmlx/index.html\">The Rust API</a></li>",
        cargo::version()?
    );
    if swift {
        made += "<li><a href=\"swift/documentation/rmlx\">The Swift package</a></li>";
    }
    Ok(made + "</ul>")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn committed() -> Vec<Entry> {
        read(&fs::read_to_string(header::path()).expect("the header")).expect("entries")
    }

    #[test]
    fn every_function_of_the_interface_has_its_place() {
        let entries = committed();
        let named: BTreeSet<&str> =
            entries.iter().filter(|e| e.is_function()).filter_map(Entry::name).collect();
        let abi = fs::read_to_string(paths::root().join("include/rmlx.abi")).expect("the record");
        let functions = abi.lines().take_while(|line| !line.starts_with("# constants"));
        let words = functions.filter(|line| !line.starts_with('#')).filter_map(|line| {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            line.split_once('(')?.0.rsplit(end).next()
        });
        let missing: Vec<&str> = words.filter(|name| !named.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(named.len() > 80, "{}", named.len());
    }

    #[test]
    fn a_page_has_comment_and_code_as_text() {
        let entries = committed();
        let page = body(&entries);
        assert!(
            page.contains("<h3 id=\"rmlx_session_step\">") && page.contains("<h3 id=\"RMLX_ERROR_BUSY\">")
        );
        assert!(!page.contains("#include <") && page.contains("Since: 0.1"));
    }
}
