//! MLX with Apple's tools: one road for `cargo build` on a Mac and for every slice of the xcframework.

pub mod check;
pub mod kernels;
pub mod link;
mod mlx;
pub mod sdk;
mod slice;

use std::fs;

use anyhow::{Context, Result};

pub use kernels::Level;
pub use mlx::{Source, libraries, steps};
pub use slice::{SYSTEM_LIBRARIES, Slice};

use crate::plan;

/// Builds MLX for this Mac, unless what there is was built in the same way.
pub fn ensure() -> Result<()> {
    let steps = steps(&[Slice::Mac], &Source::find(None)?);
    let stamp = libraries(Slice::Mac).with_file_name("stamp");
    let inputs = plan::print(&steps)
        + concat!(include_str!("../apple/CMakeLists.txt"), include_str!("../apple/nax.cpp"));
    let config = steps.last().map(std::slice::from_ref).unwrap_or_default();
    if fs::read_to_string(&stamp).is_ok_and(|present| present == inputs) {
        return plan::execute(config);
    }
    println!("building MLX with Metal; this takes some minutes, once");
    plan::execute(&steps)?;
    fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))
}
