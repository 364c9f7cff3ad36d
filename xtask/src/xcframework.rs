//! `cargo xtask xcframework`: the binary that the Swift package takes on Apple's platforms, made on a Mac.
//!
//! Each slice is a dynamic framework, CRmlx.framework, which an app embeds and signs. All of it is a list of steps, which
//! `--plan` prints on any machine.

mod framework;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::apple::{self, Slice, Source};
use crate::plan::{self, Run, Step};
use crate::{cargo, paths, traces};
pub use framework::Framework;

pub const NAME: &str = "CRmlx";

/// codesign's word for a signature without an identity.
const NO_ONE: &str = "-";

const USAGE: &str = "usage: cargo xtask xcframework [--plan] [--mlx FOLDER] [--sign IDENTITY]";

struct Options {
    plan: bool,
    /// MLX's sources, in place of fetching them.
    mlx: Option<PathBuf>,
    /// For codesign.
    signer: String,
}

/// `cargo xtask xcframework`
pub fn command(arguments: &[String]) -> Result<()> {
    let options = options(arguments)?;
    let steps = steps(&Source::find(options.mlx.as_deref())?, &options.signer)?;
    if options.plan {
        print!("{}", plan::print(&steps));
        return Ok(());
    }
    if !cfg!(target_os = "macos") {
        bail!(
            "an xcframework is made on a Mac, with Xcode: this machine has neither Apple's SDKs nor its linker; \
             --plan prints what would be done"
        );
    }
    plan::execute(&steps)?;
    let checksum = std::fs::read_to_string(checksum())?;
    println!("{}\nchecksum for Package.swift: {}", archive().display(), checksum.trim());
    Ok(())
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options { plan: false, mlx: None, signer: NO_ONE.to_owned() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--plan" => options.plan = true,
            "--mlx" => {
                let folder = PathBuf::from(rest.next().context(USAGE)?);
                options.mlx =
                    Some(folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?);
            }
            "--sign" => options.signer = rest.next().context(USAGE)?.clone(),
            _ => bail!(USAGE),
        }
    }
    Ok(options)
}

/// Everything, from MLX's sources to the archive of a release.
fn steps(source: &Source, signer: &str) -> Result<Vec<Step>> {
    let work = paths::root().join("target/xcframework");
    let mut steps = vec![Step::Clear(work.clone())];
    steps.extend(apple::steps(&Slice::ALL, source));
    let mut create = Run::new("xcodebuild", &["-create-xcframework"]);
    for slice in Slice::ALL {
        let framework = Framework::new(slice, &work.join(slice.target()));
        steps.push(Step::Run(build(slice)?));
        let archive = target_folder()?.join(slice.target()).join("release/librmlx.a");
        steps.extend(framework.steps(&archive, signer)?);
        create = create.args(["-framework"]).path(&framework.root());
        create = create.args(["-debug-symbols"]).path(&framework.debug_symbols());
    }
    steps.extend([Step::Clear(bundle()), Step::Folder(paths::root().join("dist"))]);
    steps.push(Step::Run(create.args(["-output"]).path(&bundle())));
    if signer != NO_ONE {
        let sign = Run::new("codesign", &["--force", "--timestamp", "--sign", signer]);
        steps.push(Step::Run(sign.path(&bundle())));
        steps.push(Step::Run(Run::new("codesign", &["--verify", "--strict"]).path(&bundle())));
    }
    steps.extend(install());
    steps.extend(zip());
    Ok(steps)
}

/// An archive with MLX inside; the framework is linked from it.
fn build(slice: Slice) -> Result<Run> {
    let build = Run::new(
        "cargo",
        &["rustc", "--release", "--locked", "--package", "rmlx", "--lib", "--crate-type", "staticlib"],
    )
    .args(["--target", slice.target()])
    .args(traces::cargo_arguments()?)
    .env(slice.minimum_variable(), slice.minimum())
    .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
    .env(traces::SHIPPED, "1");
    Ok(build)
}

fn target_folder() -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    let folder = metadata["target_directory"].as_str();
    Ok(PathBuf::from(folder.context("cargo metadata names no target directory")?))
}

fn bundle() -> PathBuf {
    paths::root().join("dist").join(NAME).with_extension("xcframework")
}

fn archive() -> PathBuf {
    bundle().with_extension("xcframework.zip")
}

fn checksum() -> PathBuf {
    bundle().with_extension("xcframework.zip.checksum")
}

/// Puts it where the package's manifest looks for it. ditto keeps the links inside a framework for the Mac.
fn install() -> Vec<Step> {
    let folder: PathBuf = paths::root().join("swift/Binaries");
    let place = folder.join(NAME).with_extension("xcframework");
    let copy = Run::new("ditto", &[]).path(&bundle()).path(&place);
    vec![Step::Clear(place), Step::Folder(folder), Step::Run(copy)]
}

fn zip() -> Vec<Step> {
    let zip =
        Run::new("ditto", &["-c", "-k", "--sequesterRsrc", "--keepParent"]).path(&bundle()).path(&archive());
    let mut sum = Run::new("swift", &["package", "compute-checksum"]).path(&archive());
    sum.output = Some(checksum());
    vec![Step::Clear(archive()), Step::Run(zip), Step::Run(sum)]
}
