//! `cargo xtask demo`: the C example, built and run.

mod picture;
mod snapshots;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, Profile};
use crate::compile::{Language, Program};
use crate::{paths, process, setup};

const USAGE: &str =
    "usage: cargo xtask demo [--list] [--model DIR] [--image FILE] [--audio FILE] [--question TEXT]";
const NEXT: &str = "\
Next:
  cargo xtask demo --audio models/demo/example.wav --question \"Which digit do you hear?\"
  cargo xtask demo --list                  more snapshots that come with the project
  cargo xtask demo --model DIR --image FILE --question TEXT
                                           your own, after a build that takes longer
  examples/c/describe.c                    the program that was just run; the README has a shorter one
  cargo xtask dist                         headers and libraries to build your own with";
const IMAGE: &str = "models/demo/example.png";
const RANDOM_IMAGE: &str = "tests/fixtures/media/square.png";

#[derive(Default)]
struct Options {
    model: Option<PathBuf>,
    image: Option<PathBuf>,
    audio: Option<PathBuf>,
    question: Option<String>,
}

/// `cargo xtask demo [--list] [--model DIR] [--image FILE] [--audio FILE] [--question TEXT]`
pub fn command(arguments: &[String]) -> Result<()> {
    if arguments == ["--list"] {
        return snapshots::list();
    }
    let mut options = parse(arguments)?;
    let since = Instant::now();
    println!("1 of 3: MLX, which is fetched and compiled once");
    let stage = setup::ensure()?;
    println!("2 of 3: rmlx");
    // A snapshot of the host's own may be large.
    let built = match options.model {
        None => cargo::build_quickly()?,
        Some(_) => cargo::build(Profile::Release)?,
    };
    println!("3 of 3: examples/c/describe.c");
    let folder = paths::root().join("target/demo");
    fs::create_dir_all(&folder)?;
    let source = paths::root().join("examples/c/describe.c");
    let program = Program::new(Language::C, &source, folder.join("describe"))
        .flags(&["-O2"])
        .rmlx(&built, stage.as_ref())
        .compile()?;
    fill_in(&mut options)?;
    println!("Ready after {} s.\n", since.elapsed().as_secs());
    ask(&program, options)
}

/// Shows what is asked about, the question, and the answer while it is made.
fn ask(program: &Path, options: Options) -> Result<()> {
    let question = options.question.unwrap_or_else(|| match options.image {
        Some(_) => "Describe the picture.".to_owned(),
        None => "What do you hear?".to_owned(),
    });
    let model = options.model.context("no snapshot to run")?;
    let mut describe = Command::new(program);
    describe.arg(&model);
    for (flag, what, file) in [("-i", "Picture", &options.image), ("-a", "Sound", &options.audio)] {
        if let Some(file) = file {
            println!("{what}: {}", from_here(file).display());
            describe.arg(flag).arg(file);
        }
    }
    if let Some(image) = &options.image {
        picture::show(image);
    }
    println!("Snapshot: {}\nQuestion: {question}\nAnswer:", from_here(&model).display());
    process::run(describe.arg(question))?;
    println!("\n{NEXT}");
    Ok(())
}

fn from_here(file: &Path) -> &Path {
    file.strip_prefix(paths::root()).unwrap_or(file)
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let Some(value) = rest.next() else { bail!("{flag} has no value\n{USAGE}") };
        match flag.as_str() {
            "--model" => options.model = Some(value.into()),
            "--image" => options.image = Some(value.into()),
            "--audio" => options.audio = Some(value.into()),
            "--question" => options.question = Some(value.clone()),
            _ => bail!("unknown option {flag}\n{USAGE}"),
        }
    }
    Ok(options)
}

/// Takes the trained snapshot, or the random one of the tests, and a picture for it.
fn fill_in(options: &mut Options) -> Result<()> {
    let root = paths::root();
    if options.model.is_none() {
        let trained =
            Some(snapshots::trained(snapshots::TRAINED[0])).filter(|folder| snapshots::exists(folder));
        options.model = Some(trained.unwrap_or_else(|| {
            println!("No trained snapshot is here: this is a tiny one with random weights, so its words mean nothing.");
            root.join(snapshots::RANDOM)
        }));
    }
    if options.image.is_none() && options.audio.is_none() {
        let images = [IMAGE, RANDOM_IMAGE].map(|file| root.join(file));
        let image = images.into_iter().find(|file| file.is_file());
        ensure!(image.is_some(), "no picture to ask about: name one with --image");
        options.image = image;
    }
    Ok(())
}
