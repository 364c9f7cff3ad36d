//! A function for each target: it takes any bytes, and panics where the library has not kept a promise.

mod answers;
mod calls;
mod constraints;
mod edits;
mod folder;
mod handles;
mod media;
mod model;
mod rendering;
mod saved;
mod snapshots;
mod templates;
mod tokens;

use std::path::{Path, PathBuf};

pub use self::answers::answers;
pub use self::calls::calls;
pub use self::constraints::constraints;
pub use self::media::{images, pixels, sounds};
pub use self::rendering::rendering;
pub use self::saved::saved;
pub use self::snapshots::{config, weights};
pub use self::templates::templates;
pub use self::tokens::tokens;

/// A target by its name, and the folders besides `corpus/NAME` whose files it begins with.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: &'static [&'static str],
}

const MEDIA: [&str; 2] = ["src/media/testdata", "src/media/testdata/jpeg"];

pub const ALL: [Target; 12] = [
    Target { name: "answers", run: answers, seeds: &[] },
    Target { name: "calls", run: calls, seeds: &[] },
    Target { name: "config", run: config, seeds: &[] },
    Target { name: "constraints", run: constraints, seeds: &[] },
    Target { name: "images", run: images, seeds: &MEDIA },
    Target { name: "pixels", run: pixels, seeds: &[] },
    Target { name: "rendering", run: rendering, seeds: &[] },
    Target { name: "saved", run: saved, seeds: &[] },
    Target { name: "sounds", run: sounds, seeds: &MEDIA },
    Target { name: "templates", run: templates, seeds: &[] },
    Target { name: "tokens", run: tokens, seeds: &[] },
    Target { name: "weights", run: weights, seeds: &[] },
];

/// The folder of the repository.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    if own.ends_with("fuzz") { own.join("..") } else { own.to_owned() }
}

/// A snapshot of the tests.
fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// What comes of any input may be a value or an error, but not a bug that the library caught in itself.
#[track_caller]
fn sound<T>(outcome: rmlx::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(error.code() != rmlx::Code::Panic, "{error}");
            assert!(!error.message().is_empty(), "an error that says nothing");
            None
        }
    }
}
