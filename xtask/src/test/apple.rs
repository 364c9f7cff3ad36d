//! The headers and the examples for Apple's platforms, compiled on any machine with zig, which has the C library's headers
//! and stubs of macOS. It has none of iOS: there the headers of macOS serve, and nothing is linked.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::report::Report;
use crate::{paths, process, tools};

const MAC: &str = "aarch64-macos.14.0";
const IOS: [&str; 2] = ["aarch64-ios.17.0", "aarch64-ios.17.0-simulator"];

pub fn run(report: &mut Report) {
    report.check("examples compiled for macOS with zig", || compile(MAC));
    report.check("C example linked for macOS with zig", link);
    report.check("examples compiled for iOS with zig", || IOS.into_iter().try_for_each(compile));
}

fn compile(target: &str) -> Result<()> {
    for (compiler, standard, source) in
        [("cc", "-std=c11", "examples/c/describe.c"), ("c++", "-std=c++17", "examples/cpp/describe.cpp")]
    {
        let mut command =
            zig(&[compiler, "-target", target, standard, "-c", source, "-o", "target/zig/example.o"])?;
        if target != MAC {
            // C++'s own headers come before those of C, and find them in their turn.
            let headers = tools::zig()?.with_file_name("lib").join("libc/include/any-darwin-any");
            command.arg("-idirafter").arg(headers);
        }
        process::capture(&mut command)?;
    }
    Ok(())
}

/// The library's functions stay open, as no library for macOS is here.
fn link() -> Result<()> {
    let output = "target/zig/describe";
    let flags = ["-std=c11", "examples/c/describe.c", "-Wl,-undefined,dynamic_lookup", "-o", output];
    process::capture(zig(&["cc", "-target", MAC])?.args(flags)).map(drop)
}

fn zig(arguments: &[&str]) -> Result<Command> {
    let cache = paths::root().join("target/zig");
    fs::create_dir_all(&cache)?;
    let mut command = Command::new(tools::zig()?);
    command.args(arguments).args(["-Wall", "-Wextra", "-Werror", "-Iinclude"]).current_dir(paths::root());
    command.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache);
    Ok(command)
}
