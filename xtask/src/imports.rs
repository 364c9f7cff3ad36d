//! Which part of the library may use which: arrows point downwards only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::paths;

/// Each part of `src/` and the parts that it may use. What every part may use is in [`EVERYWHERE`].
const MAY_USE: [(&str, &[&str]); 17] = [
    ("ffi", &["engine", "media", "memory", "probe", "prompt", "panics"]),
    ("probe", &["engine", "media", "prompt"]),
    ("memory", &["engine"]),
    ("engine", &["dialect", "models", "nn", "sampling", "prompt", "media", "snapshot", "panics", "system"]),
    ("models", &["dialect", "nn", "vision", "audio", "prompt", "media", "snapshot"]),
    ("nn", &["snapshot", "system"]),
    ("vision", &["media", "snapshot"]),
    ("audio", &["media", "snapshot"]),
    ("dialect", &[]),
    ("prompt", &["files", "media", "panics"]),
    ("sampling", &[]),
    ("snapshot", &["files"]),
    ("media", &[]),
    ("files", &[]),
    ("panics", &[]),
    ("log", &[]),
    ("system", &[]),
];
const EVERYWHERE: [&str; 6] = ["error", "json", "log", "Error", "Result", "Code"];
/// Files that only tests have.
const TESTS: [&str; 5] = ["tests.rs", "testing.rs", "golden.rs", "published", "testdata"];

/// An error that names every import which points upwards or sideways.
pub fn check() -> Result<()> {
    let source = paths::root().join("src");
    let families = families(&source)?;
    let mut wrong = Vec::new();
    for file in files(&source)? {
        let within = file.strip_prefix(&source)?;
        let part = within.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned());
        let part = part.unwrap_or_default();
        let part = part.trim_end_matches(".rs");
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == part) else { continue };
        let text = fs::read_to_string(&file)?;
        for used in used(without_tests(&text)) {
            if used != part && !EVERYWHERE.contains(&used) && !may_use.contains(&used) {
                wrong.push(format!("src/{}: {part} may not use {used}", within.display()));
            }
        }
        wrong.extend(other_families(within, &text, &families));
    }
    wrong.dedup();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The folders of architectures in `models`.
fn families(source: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(source.join("models"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && name != "shared" && !TESTS.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// An architecture knows nothing of another: what two of them need is in `models/shared` or `nn`.
fn other_families(within: &Path, text: &str, families: &[String]) -> Vec<String> {
    let mut parts = within.components().map(|c| c.as_os_str().to_string_lossy().into_owned());
    let (Some("models"), Some(family), Some(_)) = (parts.next().as_deref(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    if !families.contains(&family) {
        return Vec::new();
    }
    let names =
        |other: &&String| ["models", "super"].iter().any(|from| text.contains(&format!("{from}::{other}::")));
    let others = families.iter().filter(|other| **other != family);
    let told = |other: &String| format!("src/{}: {family} may not use {other}", within.display());
    others.filter(names).map(told).collect()
}

/// The parts that a text names as `crate::part`.
fn used(text: &str) -> Vec<&str> {
    let name = |rest: &'_ str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    text.split("crate::").skip(1).map(|rest| &rest[..name(rest)]).filter(|name| !name.is_empty()).collect()
}

/// A file without the unit tests at its end.
fn without_tests(text: &str) -> &str {
    let end = text.find("#[cfg(test)]\nmod ").or_else(|| text.find("#[cfg(test)]\n#[allow"));
    // Module lists have test modules in their middle, and go on.
    match end {
        Some(end) if text[end..].contains("mod tests {") => &text[..end],
        _ => text,
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if TESTS.contains(&name.as_str()) || name.ends_with("_tests.rs") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_holds_to_it() -> Result<()> {
        check()
    }

    #[test]
    fn parts_are_read_off_paths_and_imports() {
        let text = "use crate::nn::mlx;\nfn f() -> crate::error::Result<()> {}\n#[cfg(test)]\nmod tests {\n use crate::engine;\n}";
        assert_eq!(used(without_tests(text)), ["nn", "error"]);
    }

    #[test]
    fn an_architecture_may_not_use_another() -> Result<()> {
        let families = families(&paths::root().join("src"))?;
        assert!(["gemma3", "gemma4", "qwen3_vl"].iter().all(|name| families.iter().any(|f| f == name)));
        assert!(!families.iter().any(|name| name == "shared" || name == "published"));
        let wrong = |text| other_families(Path::new("models/gemma3/text.rs"), text, &families);
        assert_eq!(
            wrong("use crate::models::gemma4::text;"),
            ["src/models/gemma3/text.rs: gemma3 may not use gemma4"]
        );
        assert_eq!(wrong("use super::super::qwen3_vl::text;").len(), 1);
        assert!(wrong("use super::config::TextConfig;\nuse crate::vision::gemma4::Sizes;").is_empty());
        Ok(())
    }
}
