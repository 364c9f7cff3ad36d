//! A package elsewhere that depends on the Swift package by its path. Its programs are the README's, and what is behind the
//! views of the example app; it also has the tutorial's code.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{Toolchain, package, scratch};
use crate::cargo;
use crate::dist::{self, package_files};
use crate::paths;
use crate::report::Report;

const MANIFEST: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Consumer",
  platforms: [.macOS(.v14)],
  dependencies: [.package(name: "Rmlx", path: "PACKAGE")],
  targets: [
    .executableTarget(name: "Ask", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    .executableTarget(name: "Call", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    // The flag: Swift 6.0's Observation on Linux refers to a function that it lacks.
    .executableTarget(
      name: "Chat", dependencies: [.product(name: "Rmlx", package: "Rmlx")],
      linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"])]),
    .executableTarget(
      name: "Accept", dependencies: [.product(name: "Rmlx", package: "Rmlx")],
      linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"])]),
    .target(name: "Tutorial", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
  ],
  swiftLanguageModes: [.v6]
)
"#;

/// The README's programs, and what they say: of the demo's picture, and by means of a tool.
const PROGRAMS: [(&str, &str); 2] = [("Ask", "A red circle on a blue background."), ("Call", "It is 10:30.")];

/// What the example app's own conversation is, without its views.
const CONVERSATION: &str = "What colour is the circle? Red What colour is the background? Blue\n\
    Red no failure\nphoto during an answer\nphoto during a load\nloads\nfailures\nphotos out of order\ntrue empty";

/// What the example app's acceptance checks say of the demo model, and of random weights.
const ACCEPTANCE: &str = "true []\n\
    self-test true\nload ok\ninspect ok\nprobe ok\ncapital ok\ncolours ok\n\
    card inconclusive\nborder inconclusive\ntwo-pictures inconclusive\nfirst-turn inconclusive\n\
    sentence inconclusive\ndemo-number ok\ndemo-digit ok\ndemo-two-pictures ok\ndemo-later-turn ok\n\
    demo-picture-and-sound ok\ndemo-identity ok\nplacement ok\nmlx-vlm-tokens not applicable\nspeed ok\n\
    true [\"accept-report.md\", \"accept-report.json\"]\nfailed\nstopped";
/// The parts of them that have no view.
const ACCEPTANCE_SOURCES: [&str; 6] = [
    "Acceptance",
    "AcceptanceChecks",
    "AcceptanceFacts",
    "AcceptanceReport",
    "AcceptanceRunner",
    "PromptOutline",
];

pub fn run(report: &mut Report, toolchain: &Toolchain) {
    report.check("SwiftPM consumer from a path", || from_a_path(toolchain));
}

fn from_a_path(toolchain: &Toolchain) -> Result<()> {
    let folder = scratch("consumer")?;
    let [chat, accept, tutorial] =
        ["Chat", "Accept", "Tutorial"].map(|name| folder.join("Sources").join(name));
    for sources in [&chat, &accept, &tutorial] {
        fs::create_dir_all(sources)?;
    }
    for ((name, _), program) in PROGRAMS.iter().zip(examples()?) {
        let sources = folder.join("Sources").join(name);
        fs::create_dir_all(&sources)?;
        fs::write(sources.join("main.swift"), program)?;
    }
    fs::write(folder.join("Package.swift"), MANIFEST.replace("PACKAGE", &package().display().to_string()))?;
    dist::copy(
        &package().join("Sources/Rmlx/Rmlx.docc/Resources/describer-4.swift"),
        &tutorial.join("Describer.swift"),
    )?;
    dist::copy(&package().join("Examples/PhotoChat/PhotoChat/Chat.swift"), &chat.join("Chat.swift"))?;
    for name in ["DriveChat.swift", "SecurityScope.swift"] {
        dist::copy(&paths::root().join("xtask/checks/apple").join(name), &chat.join(name))?;
    }
    for name in ACCEPTANCE_SOURCES {
        let file = format!("{name}.swift");
        let own = package().join("Examples/PhotoChat/PhotoChat/Acceptance").join(&file);
        dist::copy(&own, &accept.join(&file))?;
    }
    for name in ["DriveAcceptance.swift", "SecurityScope.swift"] {
        dist::copy(&paths::root().join("xtask/checks/apple").join(name), &accept.join(name))?;
    }
    // As an installed library is found: SwiftPM reads the description that pkg-config reads.
    let library = install(&folder, &toolchain.libraries[0])?;
    let description = library.join("pkgconfig").display().to_string();
    let variables = [("PKG_CONFIG_PATH", description), ("LIBRARY_PATH", String::new())];
    let line = format!(
        "swift build --scratch-path '{}/build' -Xlinker -rpath -Xlinker '{}' 2>&1",
        folder.display(),
        library.display()
    );
    let printed = toolchain.capture(&folder, &variables, &line)?;
    ensure!(!printed.contains("prohibited flag"), "SwiftPM refuses a flag of rmlx.pc\n{printed}");
    for (name, expected) in PROGRAMS.into_iter().chain([("Chat", CONVERSATION), ("Accept", ACCEPTANCE)]) {
        let line = format!("'{}/build/debug/{name}'", folder.display());
        let answer = toolchain.capture(&paths::root(), &[("LD_LIBRARY_PATH", String::new())], &line)?;
        ensure!(answer.trim() == expected, "{name} says {answer:?} in place of {expected:?}");
    }
    Ok(())
}

/// The first Swift examples of the README, which are whole programs, as they are printed there.
fn examples() -> Result<Vec<String>> {
    let readme = fs::read_to_string(paths::root().join("README.md"))?;
    let blocks = readme.split("\n```swift\n").skip(1).take(PROGRAMS.len());
    let programs: Vec<_> =
        blocks.filter_map(|rest| Some(rest.split_once("\n```\n")?.0.to_owned() + "\n")).collect();
    ensure!(programs.len() == PROGRAMS.len(), "the README has {} examples in Swift", programs.len());
    Ok(programs)
}

/// Lays the library out as a distribution does, and returns the folder that it is in.
fn install(folder: &Path, built: &Path) -> Result<PathBuf> {
    let library = folder.join("prefix/lib");
    fs::create_dir_all(library.join("pkgconfig"))?;
    let version = cargo::version()?;
    fs::write(library.join("pkgconfig/rmlx.pc"), package_files::pkgconfig_file(&version))?;
    dist::copy(&built.join("librmlx.so"), &library.join("librmlx.so"))?;
    Ok(library)
}
