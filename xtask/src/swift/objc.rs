//! The Objective-C example, built with clang against GNUstep's Foundation, and asked about the demo's picture and sound.

use anyhow::{Result, ensure};

use super::{Toolchain, scratch};
use crate::paths;
use crate::report::Report;

/// The runtime is GCC's, whose constant strings have a class of GNUstep's.
const FLAGS: &str = "-x objective-c -std=c11 -Wall -Wextra -Werror -fobjc-runtime=gcc -fobjc-exceptions -fexceptions \
    -fconstant-string-class=NSConstantString -isystem $(ls -d /usr/include/*/GNUstep) \
    -isystem $(dirname $(ls -d /usr/lib/gcc/*/*/include/objc))";

pub fn run(report: &mut Report, toolchain: &Toolchain) {
    report.check("examples/objc with GNUstep", || describe(toolchain));
}

fn describe(toolchain: &Toolchain) -> Result<()> {
    let root = paths::root();
    let program = scratch("objc")?.join("describe");
    let gcc = "$(dirname $(dirname $(ls -d /usr/lib/gcc/*/*/include/objc)))";
    let line = format!(
        "clang {FLAGS} -Iinclude examples/objc/describe.m -o '{}' -L{gcc} -lrmlx -lgnustep-base -lobjc",
        program.display()
    );
    toolchain.run(&root, &[], &line)?;
    let questions = [
        ("-i models/demo/example.png 'Describe the picture.'", "A red circle on a blue background.\n"),
        ("-a models/demo/example.wav 'Which digit do you hear?'", "7\n"),
    ];
    for (question, expected) in questions {
        let line = format!("'{}' models/demo/bf16 {question}", program.display());
        let answer = toolchain.capture(&root, &[], &line)?;
        ensure!(answer == expected, "the answer to {question} is {answer:?}");
    }
    let line = format!("'{}' nowhere Hello 2>&1 || true", program.display());
    let printed = toolchain.capture(&root, &[], &line)?;
    ensure!(
        printed.contains("there is no folder nowhere"),
        "the NSError does not say what was wrong: {printed}"
    );
    Ok(())
}
