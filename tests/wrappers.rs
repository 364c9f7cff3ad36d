//! Swift and C++ have all that the header has: each of its functions is called by them, or is left out for a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the Swift package does without, and why.
const NOT_IN_SWIFT: [(&str, &str); 14] = [
    (
        "rmlx_audio_from_file",
        "files are read by Foundation, and decoded by the system where the library has no decoder",
    ),
    ("rmlx_cancel_retain", "Swift counts references itself"),
    (
        "rmlx_group_serve",
        "the ranks of a group are programs that are started side by side, as by mlx.launch, and not apps",
    ),
    ("rmlx_image_from_file", "as rmlx_audio_from_file"),
    ("rmlx_load_options_set_group", "as rmlx_group_serve"),
    ("rmlx_load_options_set_group_timeout", "as rmlx_group_serve"),
    ("rmlx_media_kind", "images, sounds and videos have types of their own"),
    ("rmlx_media_retain", "Swift counts references itself"),
    ("rmlx_model_retain", "Swift counts references itself"),
    ("rmlx_prompt_from_json", "Prompt(json:media:) reads the same text, into a value that can be looked at"),
    (
        "rmlx_respond_text",
        "Session.respond(to:) and Conversation.respond(to:) are as short, and can be cancelled",
    ),
    ("rmlx_session_step_timeout", "nothing waits on a thread: a waker tells when there is something to step"),
    ("rmlx_waker_release", "the one waker lives as long as the process"),
    ("rmlx_waker_retain", "as rmlx_waker_release"),
];

const NOT_IN_CPP: [(&str, &str); 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The functions that the header declares, without what its comments say.
fn declared() -> BTreeSet<String> {
    let header = read(&root().join("include/rmlx.h"));
    let code = header.split("/*").map(|piece| piece.split_once("*/").map_or(piece, |(_, code)| code));
    code.flat_map(calls).collect()
}

/// The words of the code that begin with `rmlx_`.
fn names(code: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    code.split(|character| !is_part(character))
        .filter(|word| word.starts_with("rmlx_"))
        .map(str::to_owned)
        .collect()
}

/// The `rmlx_` names that are followed by `(`.
fn calls(code: &str) -> BTreeSet<String> {
    names(code).into_iter().filter(|name| code.contains(&format!("{name}("))).collect()
}

/// What the code names outside of its comments, which begin with `//` here.
fn named(files: &[PathBuf]) -> BTreeSet<String> {
    files
        .iter()
        .flat_map(|file| {
            let text = read(file);
            let lines: Vec<_> =
                text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
            names(&lines.join("\n"))
        })
        .collect()
}

fn swift_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => swift_files(&path),
            false if path.extension().is_some_and(|extension| extension == "swift") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

fn check(language: &str, used: &BTreeSet<String>, left_out: &[(&str, &str)]) {
    let declared = declared();
    assert!(declared.len() > 150, "{}", declared.len());
    let excused: BTreeSet<String> = left_out.iter().map(|(name, _)| (*name).to_owned()).collect();
    let missing: Vec<_> = declared.difference(used).filter(|name| !excused.contains(*name)).collect();
    assert!(missing.is_empty(), "{language} has neither a use of {missing:?} nor a reason to leave them out");
    let needless: Vec<_> =
        excused.iter().filter(|name| used.contains(*name) || !declared.contains(*name)).collect();
    assert!(
        needless.is_empty(),
        "{language} is said to leave out {needless:?}, which it uses or which are gone"
    );
    assert!(left_out.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn swift_uses_every_function_or_says_why_not() {
    let files = swift_files(&root().join("swift/Sources"));
    check("Swift", &named(&files), &NOT_IN_SWIFT);
}

#[test]
fn cpp_uses_every_function_or_says_why_not() {
    check("C++", &named(&[root().join("include/rmlx.hpp")]), &NOT_IN_CPP);
}
