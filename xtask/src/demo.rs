//! `cargo xtask demo`: the C example, built and run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, Profile};
use crate::compile::{Language, Program};
use crate::{paths, process, setup};

const USAGE: &str = "usage: cargo xtask demo [--model DIR] [--image FILE] [--audio FILE] [--question TEXT]";
/// Where the trained snapshots are, the default one first.
const TRAINED: [&str; 2] = ["models/demo/bf16", "models/demo"];
const RANDOM: &str = "tests/fixtures/unified-bf16-mlx";
const IMAGE: &str = "models/demo/example.png";
const RANDOM_IMAGE: &str = "tests/fixtures/media/square.png";

#[derive(Default)]
struct Options {
    model: Option<PathBuf>,
    image: Option<PathBuf>,
    audio: Option<PathBuf>,
    question: Option<String>,
}

/// `cargo xtask demo [--model DIR] [--image FILE] [--audio FILE] [--question TEXT]`
pub fn command(arguments: &[String]) -> Result<()> {
    let mut options = parse(arguments)?;
    let stage = setup::ensure()?;
    let built = cargo::build(Profile::Release)?;
    let folder = paths::root().join("target/demo");
    fs::create_dir_all(&folder)?;
    let source = paths::root().join("examples/c/describe.c");
    let program = Program::new(Language::C, &source, folder.join("describe"))
        .flags(&["-O2"])
        .rmlx(&built, stage.as_ref())
        .compile()?;
    fill_in(&mut options)?;
    let mut describe = Command::new(program);
    describe.arg(options.model.context("no snapshot to run")?);
    for (flag, file) in [("-i", options.image), ("-a", options.audio)] {
        if let Some(file) = file {
            describe.arg(flag).arg(file);
        }
    }
    describe.arg(options.question.unwrap_or_else(|| "What is in the picture?".to_owned()));
    process::run(&mut describe)
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
        let is_snapshot = |folder: &PathBuf| folder.join("config.json").is_file();
        let trained = TRAINED.map(|folder| root.join(folder)).into_iter().find(is_snapshot);
        options.model = Some(trained.unwrap_or_else(|| {
            println!("No trained snapshot is here: this is a tiny one with random weights, so its words mean nothing.");
            root.join(RANDOM)
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
