//! A package elsewhere that depends on the Swift package by its path. Its programs are the README's, and what is behind the
//! views of the example app; it also has the code of the tutorial and of the documentation's pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Toolchain, apple, package, scratch};
use crate::cargo;
use crate::dist::package_files;
use crate::report::Report;
use crate::setup::Stage;
use crate::{files, paths, process};

const MANIFEST: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Consumer",
  platforms: [.macOS(.v14)],
  dependencies: [.package(name: "Rmlx", path: "PACKAGE")],
  targets: [
    .executableTarget(name: "Ask", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    .executableTarget(name: "Call", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    .executableTarget(name: "Typed", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    // The flag: Swift 6.0's Observation on Linux refers to a function that it lacks.
    .executableTarget(
      name: "Chat", dependencies: [.product(name: "Rmlx", package: "Rmlx")],
      linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"])]),
    .executableTarget(
      name: "Accept", dependencies: [.product(name: "Rmlx", package: "Rmlx")],
      linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"])]),
    // Apple's framework is stood in for, so that what is for it runs.
    .target(name: "FoundationModels", swiftSettings: [.unsafeFlags([FLAGS])]),
    .executableTarget(
      name: "Models", dependencies: ["FoundationModels", .product(name: "Rmlx", package: "Rmlx")]),
    .target(name: "Tutorial", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
    .target(name: "Pages", dependencies: [.product(name: "Rmlx", package: "Rmlx")]),
  ],
  swiftLanguageModes: [.v6]
)
"#;

/// The README's programs, and what they say: of the demo's picture, by means of a tool, and as a value.
const PROGRAMS: [(&str, &str); 3] =
    [("Ask", "A red circle on a blue background."), ("Call", "It is 10:30."), ("Typed", "red")];

/// What the example app's own conversation is, without its views.
const CONVERSATION: &str = "What colour is the circle? Red What colour is the background? Blue\n\
    Red no failure\nphoto during an answer\nphoto during a load\nloads\nfailures\nphotos out of order\ntrue empty";

/// What the demo model says behind FoundationModels, as far as a stand-in is that.
const SESSION: &str = "true true\nPARIS\nRed\nget_time {\"city\":\"Rome\"} usage true\n\
    It is 10:30. true true\n0\n1 true\n{\"zone\": \"north\", \"rank\": 3}\ntrue 0\nfalse 1\n\
    get_time {\"rank\":3,\"zone\":\"north\"} \n\
    true true\nno images\n1\nno such guide\ntrue\nParis";

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

/// What drives each of them, and stands in for what Apple's platforms have.
const CHECKS: [(&str, &[&str]); 4] = [
    ("Chat", &["DriveChat", "SecurityScope"]),
    ("Accept", &["DriveAcceptance", "SecurityScope"]),
    ("Models", &["DriveFoundationModels"]),
    ("FoundationModels", &["FoundationModels"]),
];

pub fn run(report: &mut Report, toolchain: &Toolchain, stage: &Stage) {
    report.check("SwiftPM consumer from a path", || from_a_path(toolchain, stage));
}

fn from_a_path(toolchain: &Toolchain, stage: &Stage) -> Result<()> {
    let folder = scratch("consumer")?;
    let sources = |target: &str| folder.join("Sources").join(target);
    let manifest = MANIFEST.replace("PACKAGE", &package().display().to_string());
    let flags = apple::FOUNDATION_MODELS_FLAGS.map(|flag| format!("{flag:?}")).join(", ");
    write(&folder.join("Package.swift"), &manifest.replace("FLAGS", &flags))?;
    for ((name, _), program) in PROGRAMS.iter().zip(examples()?) {
        write(&sources(name).join("main.swift"), &program)?;
    }
    copy(
        &sources("Tutorial").join("Describer.swift"),
        &package().join("Sources/Rmlx/Rmlx.docc/Resources/describer-4.swift"),
    )?;
    write(&sources("Pages").join("Pages.swift"), &pages()?)?;
    let app = package().join("Examples/PhotoChat/PhotoChat");
    copy(&sources("Chat").join("Chat.swift"), &app.join("Chat.swift"))?;
    for name in ACCEPTANCE_SOURCES {
        let file = format!("{name}.swift");
        copy(&sources("Accept").join(&file), &app.join("Acceptance").join(&file))?;
    }
    for source in apple::sources("RmlxFoundationModels")? {
        copy(&sources("Models").join(source.file_name().unwrap_or_default()), &source)?;
    }
    for (target, names) in CHECKS {
        for name in names {
            let file = format!("{name}.swift");
            copy(&sources(target).join(&file), &apple::stand_ins().join(&file))?;
        }
    }
    // As an installed library is found: SwiftPM reads the description that pkg-config reads.
    let library = install(&folder, &toolchain.libraries[0], stage)?;
    let description = library.join("pkgconfig").display().to_string();
    let variables = [("PKG_CONFIG_PATH", description), ("LIBRARY_PATH", String::new())];
    let line = format!("swift build --scratch-path '{}/build' 2>&1", folder.display());
    let printed = toolchain.capture(&folder, &variables, &line)?;
    ensure!(!printed.contains("prohibited flag"), "SwiftPM refuses a flag of rmlx.pc\n{printed}");
    let own = [("Chat", CONVERSATION), ("Models", SESSION), ("Accept", ACCEPTANCE)];
    for (name, expected) in PROGRAMS.into_iter().chain(own) {
        let line = format!("'{}/build/debug/{name}'", folder.display());
        let answer = toolchain.capture(&paths::root(), &[("LD_LIBRARY_PATH", String::new())], &line)?;
        ensure!(answer.trim() == expected, "{name} says {answer:?} in place of {expected:?}");
    }
    Ok(())
}

/// Only what has changed, so that not everything is compiled anew.
fn write(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::create_dir_all(file.parent().context("a file without a folder")?)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn copy(to: &Path, from: &Path) -> Result<()> {
    write(to, &fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?)
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

/// The documentation's pages whose code is compiled as it is printed.
const PAGES: [&str; 3] = ["Rmlx", "Tools-and-typed-answers", "Forks-saves-and-prewarming"];

/// The code of each page in a function of its own, which has what the page takes for granted. Code that imports something is for a
/// file of its own, with a framework that is not here.
fn pages() -> Result<String> {
    let mut text = "import Foundation\nimport Rmlx\n\nfunc show(_ values: Any...) {}\n".to_owned();
    for (number, page) in PAGES.iter().enumerate() {
        let file = package().join("Sources/Rmlx/Rmlx.docc").join(page).with_extension("md");
        let page = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let blocks: Vec<_> = page
            .split("\n```swift\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("\n```\n").map(|(block, _)| block))
            .filter(|block| !block.contains("import "))
            .collect();
        ensure!(!blocks.is_empty(), "{} has no code", file.display());
        text += &format!(
            "\nfunc page{number}(model: Model, folder: URL, photo: ImageInput, prompt: Prompt) async throws {{\n{}\n}}\n",
            blocks.join("\n\n")
        );
    }
    Ok(text)
}

/// Lays the library out as a distribution does, and returns the folder that it is in.
///
/// The library's own name is where it is, as the documentation has it: then a program needs no path to find it by.
fn install(folder: &Path, built: &Path, stage: &Stage) -> Result<PathBuf> {
    let library = folder.join("prefix/lib");
    fs::create_dir_all(library.join("pkgconfig"))?;
    let version = cargo::version()?;
    fs::write(library.join("pkgconfig/rmlx.pc"), package_files::pkgconfig_file(&version))?;
    let file = library.join("librmlx.so");
    files::copy(&built.join("librmlx.so"), &file)?;
    process::capture(Command::new(stage.patchelf()).arg("--set-soname").arg(&file).arg(&file))?;
    Ok(library)
}
