//! The project's chores: `cargo xtask <command>`.

mod abi;
mod accept;
mod apple;
mod bench;
mod cargo;
mod check;
mod checksum;
mod compile;
mod demo;
mod dist;
mod docs;
mod files;
mod fuzz;
mod gpu_check;
mod header;
mod imports;
mod library;
mod paths;
mod plan;
mod process;
mod progress;
mod python;
mod release;
mod report;
mod setup;
mod soak;
mod swift;
mod symbols;
mod test;
mod tools;
mod traces;
mod xcframework;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  setup [--backend cpu|cuda]    stage MLX for this machine, so that plain cargo commands work
  header [--check]              make include/rmlx.h, or check that it is up to date
  abi [--check]                 record the binary interface in include/rmlx.abi, or check it
  symbols --check               check what the shared library exports
  check                         format, clippy, unit tests, header, imports: what a contributor runs
  test [--filter TEXT]          run every test, or those whose name has the text in it
  fuzz TARGET... [--seconds N]  run fuzzers with libFuzzer and AddressSanitizer
  soak [--minutes N]            do everything at once for minutes, and see that nothing is left behind
  swift-test [--install] [--filter TEXT]
                                build and test the Swift package in a Debian 13 system that it makes
  docs                          make the references of the C and the Rust interface, one site under target/site
  dist                          lay out headers, libraries and licences under dist/
  xcframework [--plan] [--mlx FOLDER] [--sign IDENTITY]
                                make the binary for iOS and macOS that the Swift package takes (on a Mac), or print
                                every step of that (anywhere)
  check-apple [--if-possible]   check the Rust code for macOS and iOS on any machine
  release VERSION --binary ZIP [--asset FILE]... [--remote NAME] [--dry-run]
                                tag a version whose manifest has its binary's checksum, and publish it
  release VERSION --resolve     build a new package that depends on a published version
  demo [--list] [--model DIR] [--image FILE] [--audio FILE] [--question TEXT]
                                build the C example and ask it about a picture
  bench [--midsize FORMATS] [--rounds N] [--sessions only]
                                compare with mlx-vlm, or one session with several at a time
  accept --model DIR [--out DIR] [--python FILE] [--content require|report]
                                prove a snapshot on this machine, and write a report to attach to an issue
  gpu-check                     run random models of the published sizes on the GPU";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = dispatch(&arguments) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else { bail!("no command given\n\n{USAGE}") };
    match command.as_str() {
        "setup" => setup::command(rest),
        "header" => header::command(rest),
        "abi" => abi::command(rest),
        "accept" => accept::command(rest),
        "symbols" => symbols::command(rest),
        "check" => check::command(rest),
        "test" => test::command(rest),
        "fuzz" => fuzz::command(rest),
        "soak" => soak::command(rest),
        "docs" => docs::command(rest),
        "swift-test" => swift::command(rest),
        "dist" => dist::command(rest),
        "check-apple" => apple::check::command(rest),
        "xcframework" => xcframework::command(rest),
        "release" => release::command(rest),
        "demo" => demo::command(rest),
        "bench" => bench::command(rest),
        "gpu-check" => gpu_check::command(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => bail!("unknown command {unknown}\n\n{USAGE}"),
    }
}
