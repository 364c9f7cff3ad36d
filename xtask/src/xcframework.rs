//! `cargo xtask xcframework`: the binary that the Swift package takes on Apple's platforms, made on a Mac.
//!
//! Each slice is a dynamic framework, CRmlx.framework, which an app embeds and signs. MLX's own build cannot compile its
//! Metal kernels for iOS (mlx#3915), so they are compiled here from the sources that mlx-sys has fetched.

mod framework;
mod kernels;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo, paths, process, symbols};
pub use framework::Framework;

pub const NAME: &str = "CRmlx";

/// One platform of the binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slice {
    Device,
    Simulator,
    Mac,
}

impl Slice {
    pub const ALL: [Self; 3] = [Self::Device, Self::Simulator, Self::Mac];

    /// The target of Rust. MLX needs Apple's own processors, on Macs too.
    fn target(self) -> &'static str {
        match self {
            Self::Device => "aarch64-apple-ios",
            Self::Simulator => "aarch64-apple-ios-sim",
            Self::Mac => "aarch64-apple-darwin",
        }
    }

    pub fn sdk(self) -> &'static str {
        match self {
            Self::Device => "iphoneos",
            Self::Simulator => "iphonesimulator",
            Self::Mac => "macosx",
        }
    }

    /// As Info.plist names it.
    pub fn platform(self) -> &'static str {
        match self {
            Self::Device => "iPhoneOS",
            Self::Simulator => "iPhoneSimulator",
            Self::Mac => "MacOSX",
        }
    }

    /// The oldest system that the package supports.
    pub fn minimum(self) -> &'static str {
        match self {
            Self::Device | Self::Simulator => "17.0",
            Self::Mac => "14.0",
        }
    }

    fn minimum_variable(self) -> &'static str {
        match self {
            Self::Device | Self::Simulator => "IPHONEOS_DEPLOYMENT_TARGET",
            Self::Mac => "MACOSX_DEPLOYMENT_TARGET",
        }
    }
}

/// `cargo xtask xcframework`
pub fn command(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask xcframework");
    if !cfg!(target_os = "macos") {
        bail!(
            "an xcframework is made on a Mac, with Xcode: this machine has neither Apple's SDKs nor its linker"
        );
    }
    let dist = paths::root().join("dist");
    let work = paths::root().join("target/xcframework");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot clear {}", work.display()))?;
    }
    let mut frameworks = Vec::new();
    for slice in Slice::ALL {
        frameworks.push(make(slice, &work)?);
    }
    let bundle = assemble(&frameworks, &dist)?;
    install(&bundle)?;
    let archive = zip(&bundle)?;
    let checksum =
        process::capture(Command::new("swift").args(["package", "compute-checksum"]).arg(&archive))?;
    fs::write(archive.with_extension("zip.checksum"), &checksum)?;
    println!("{}\nchecksum for Package.swift: {}", archive.display(), checksum.trim());
    Ok(())
}

/// Builds the library for a slice, and puts the framework together.
fn make(slice: Slice, work: &Path) -> Result<PathBuf> {
    println!("building for {}", slice.target());
    let sdk = process::capture(Command::new("xcrun").args(["--sdk", slice.sdk(), "--show-sdk-path"]))?;
    let mut build = cargo::command();
    build.args(["build", "--release", "--package", "rmlx", "--lib", "--target", slice.target()]);
    build.env(slice.minimum_variable(), slice.minimum());
    if slice != Slice::Mac {
        // CMake takes the SDK from here; rustc looks past it where it builds for the Mac itself.
        build.env("SDKROOT", sdk.trim());
    }
    process::run(&mut build)?;
    let built = target_folder()?.join(slice.target()).join("release");
    let library = built.join("librmlx.dylib");
    let metallib = match slice {
        Slice::Device | Slice::Mac => Some(kernels::compile(slice, &built, &work.join(slice.target()))?),
        // MLX has no Metal there: the library answers UNSUPPORTED.
        Slice::Simulator => None,
    };
    let folder = work.join(slice.target());
    let framework = Framework::new(slice, &folder).write(&library, metallib.as_deref())?;
    symbols::check(&framework.binary())?;
    Ok(framework.root())
}

fn target_folder() -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    let folder = metadata["target_directory"].as_str();
    Ok(PathBuf::from(folder.context("cargo metadata names no target directory")?))
}

fn assemble(frameworks: &[PathBuf], dist: &Path) -> Result<PathBuf> {
    let bundle = dist.join(NAME).with_extension("xcframework");
    if bundle.exists() {
        fs::remove_dir_all(&bundle)?;
    }
    fs::create_dir_all(dist)?;
    let mut create = Command::new("xcodebuild");
    create.arg("-create-xcframework");
    for framework in frameworks {
        create.arg("-framework").arg(framework);
    }
    process::capture(create.arg("-output").arg(&bundle))?;
    Ok(bundle)
}

/// Puts it where the package's manifest looks for it.
fn install(bundle: &Path) -> Result<()> {
    let place = paths::root().join("swift/Binaries").join(NAME).with_extension("xcframework");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(place.with_file_name(""))?;
    // ditto keeps the links inside a framework for the Mac.
    process::capture(Command::new("ditto").arg(bundle).arg(&place)).map(drop)
}

fn zip(bundle: &Path) -> Result<PathBuf> {
    let archive = bundle.with_extension("xcframework.zip");
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    let mut zip = Command::new("ditto");
    zip.args(["-c", "-k", "--sequesterRsrc", "--keepParent"]).arg(bundle).arg(&archive);
    process::capture(&mut zip)?;
    Ok(archive)
}
