//! `cargo xtask accept`: proves a snapshot on this machine, and writes a report to attach to an issue.
//!
//! The example `accept` asks; what is judged, and how, is in `tools/accept/checks.json` and beside the snapshot. See
//! `docs/apple.md`.

mod checks;
mod driver;
mod facts;
mod judge;
mod machine;
mod outcome;
mod placement;
mod reference;
mod report;
mod speed;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::cargo::{self, Profile};
use crate::{paths, setup};
use checks::{Checks, Content};
use driver::Found;
use outcome::Outcome;
use reference::Reference;
use report::Report;

const USAGE: &str = "\
usage: cargo xtask accept --model DIR [--out DIR] [--python FILE] [--content require|report]

  --model DIR     a snapshot folder, as Hugging Face and mlx-community publish them
  --out DIR       where accept-report.md and accept-report.json go; the current folder otherwise
  --python FILE   a Python that has mlx-vlm (and transformers), to compare with on this machine
  --content report
                  wrong answers about content are shown and not counted: for snapshots with random weights";

pub struct Options {
    pub model: PathBuf,
    pub out: PathBuf,
    pub python: Option<PathBuf>,
    pub content: Content,
    pub profile: Profile,
    /// Tokens that the answers of the speed measurement have.
    pub tokens: usize,
}

impl Options {
    pub fn new(model: PathBuf, out: PathBuf) -> Self {
        Self { model, out, python: None, content: Content::Require, profile: Profile::Release, tokens: 64 }
    }
}

/// `cargo xtask accept --model DIR [--out DIR] [--python FILE] [--content require|report]`
pub fn command(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let report = run(&options)?;
    let [ok, failed, not_applicable, inconclusive] = report.counts();
    println!("\n{ok} ok, {failed} failed, {not_applicable} not applicable, {inconclusive} inconclusive");
    println!("{}", options.out.join(report::MARKDOWN).display());
    ensure!(failed == 0, "{failed} of the checks failed");
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::new(PathBuf::new(), std::env::current_dir()?);
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let Some(value) = rest.next() else { bail!("{flag} has no value\n{USAGE}") };
        match (flag.as_str(), value.as_str()) {
            ("--model", _) => options.model = value.into(),
            ("--out", _) => options.out = value.into(),
            ("--python", _) => options.python = Some(value.into()),
            ("--content", "require") => options.content = Content::Require,
            ("--content", "report") => options.content = Content::Report,
            _ => bail!("{flag} {value} is no option\n{USAGE}"),
        }
    }
    ensure!(!options.model.as_os_str().is_empty(), "no snapshot was named\n{USAGE}");
    // The drivers run in the folder of the workspace.
    options.model = options
        .model
        .canonicalize()
        .with_context(|| format!("there is no folder {}", options.model.display()))?;
    options.python = options.python.map(std::path::absolute).transpose()?;
    Ok(options)
}

/// Runs every check and writes the report; that checks failed is no error here.
pub fn run(options: &Options) -> Result<Report> {
    setup::ensure()?;
    let folder = paths::root().join("tools/accept");
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot create {}", options.out.display()))?;
    let checks = Checks::read(&folder.join("checks.json"), &options.model, options.content)?;
    let examples = cargo::build_examples(options.profile, &["accept", "bench"])?;
    let work = tempfile::tempdir()?;
    let questions = work.path().join("questions.json");
    std::fs::write(&questions, serde_json::to_string_pretty(&checks.questions())?)?;

    let mut report = Report::new(machine::describe(&options.model)?, checks.described());
    println!("asking {} questions of {}", checks.questions().len(), options.model.display());
    let found = Found::of(&examples, &options.model, &questions)?;
    report.note("library", found.stage("library").clone());
    for check in facts::checks(&found, options.content) {
        report.add(check);
    }
    let reference = Reference::ask(options.python.as_deref(), &options.model, &questions);
    for check in checks.all() {
        report.add(judge::check(check, &found, reference.mlx_vlm()));
    }
    report.add(placement::check(&checks, &found));
    for check in reference.checks(&found) {
        report.add(check);
    }
    report.add(speed::check(&examples, options, &found)?);
    report.note("memory", found.stage("memory").clone());
    report.note("prompts", found.prompts());
    report.note("content", json!(options.content.name()));
    report.write(&options.out)?;
    Ok(report)
}

/// What CI holds on to: the demo model answers all that it was trained for, and one with random weights is judged by
/// everything but the content of its answers.
pub mod test {
    use anyhow::{Result, ensure};

    use super::{Content, Options, Outcome, Profile, paths, run};

    pub const NAMES: &[&str] = &[DEMO, RANDOM, WRONG];
    const DEMO: &str = "accept: the demo model";
    const RANDOM: &str = "accept: random weights";
    const WRONG: &str = "accept: random weights whose answers count";

    pub fn run_all(report: &mut crate::report::Report) {
        report.check(DEMO, demo);
        report.check(RANDOM, || random(Content::Report));
        report.check(WRONG, || random(Content::Require));
    }

    fn options(model: &str) -> Options {
        let root = paths::root();
        let out = root.join("target/accept").join(model.replace('/', "-"));
        Options { profile: Profile::Dev, tokens: 8, ..Options::new(root.join(model), out) }
    }

    fn demo() -> Result<()> {
        let options = options("models/demo/bf16");
        let report = run(&options)?;
        // How the library tells of its self-test is its own matter.
        let [ok, failed, not_applicable, inconclusive] = report.counts();
        let expected = (18, 0, 5);
        ensure!((ok + not_applicable, failed, inconclusive) == expected, "{}", report.markdown());
        for id in
            ["inspect", "probe", "capital", "colours", "demo-number", "demo-digit", "placement", "speed"]
        {
            ensure!(report.outcome(id) == Some(Outcome::Ok), "{id}: {}", report.markdown());
        }
        ensure!(report.outcome("mlx-vlm-tokens") == Some(Outcome::NotApplicable), "{}", report.markdown());
        ensure!(options.out.join(super::report::JSON).is_file(), "no report was written");
        Ok(())
    }

    /// A picture of one colour is beyond random weights; where it stands in the prompt is not.
    fn random(content: Content) -> Result<()> {
        let report = run(&Options { content, ..options("tests/fixtures/qwen3vl-bf16-mlx") })?;
        let wrong = if content == Content::Report { Outcome::Inconclusive } else { Outcome::Failed };
        for (id, expected) in [
            ("inspect", Outcome::Ok),
            ("placement", Outcome::Ok),
            ("colours", wrong),
            ("sentence", Outcome::NotApplicable),
        ] {
            ensure!(report.outcome(id) == Some(expected), "{id}: {}", report.markdown());
        }
        let failed = report.counts()[Outcome::Failed as usize];
        ensure!((failed == 0) == (content == Content::Report), "{}", report.markdown());
        Ok(())
    }
}
