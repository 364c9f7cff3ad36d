//! `cargo xtask release`: a tag that has the address and the checksum of its own binary, and the release that it points to.
//!
//! SwiftPM reads both from the manifest at the tag, so they are decided before it: the binary is built, its checksum is
//! written into the manifest, that is committed and tagged, and the very file goes to the address. The commit is on no
//! branch. A checkout of one keeps taking the binary that was built in it.

mod checks;
pub mod consumer;
mod git;
mod manifest;
#[cfg(test)]
mod tests;
pub mod trial;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::checksum::sha256;
use crate::{files, paths, process};
use git::Repository;

const USAGE: &str = "\
usage: cargo xtask release VERSION --binary ZIP [--asset FILE]... [--remote NAME] [--dry-run]
       cargo xtask release VERSION --resolve [--remote NAME]";

/// `cargo xtask release`
pub fn command(arguments: &[String]) -> Result<()> {
    let (mut version, mut binary, mut assets, mut remote) = (None, None, Vec::new(), "origin".to_owned());
    let (mut dry_run, mut resolve) = (false, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--binary" => binary = Some(PathBuf::from(rest.next().context(USAGE)?)),
            "--asset" => assets.push(PathBuf::from(rest.next().context(USAGE)?)),
            "--remote" => remote = rest.next().context(USAGE)?.clone(),
            "--dry-run" => dry_run = true,
            "--resolve" => resolve = true,
            flag if flag.starts_with('-') => bail!("unknown option {flag}\n{USAGE}"),
            _ if version.is_none() => version = Some(argument.clone()),
            _ => bail!("one version at a time\n{USAGE}"),
        }
    }
    let version = version.context(USAGE)?;
    // GitHub's workflows know whose repository they run for.
    let hosted = std::env::var("GITHUB_REPOSITORY").ok().filter(|name| !name.is_empty());
    if resolve {
        let package = checks::package(&paths::root(), &remote, hosted.as_deref())?;
        return consumer::build(&paths::root(), &package.repository, &version);
    }
    let binary = binary.context(USAGE)?;
    let release =
        Release { root: paths::root(), version, binary, assets, remote, hosted, host: Host::GitHub };
    match release.plan()? {
        plan if dry_run => {
            println!("{plan}");
            Ok(())
        }
        plan => release.carry_out(&plan),
    }
}

/// Where releases are published.
pub enum Host {
    /// By GitHub's own program, `gh`.
    GitHub,
    /// A folder that a web server shows as what is under the repository's address.
    Folder(PathBuf),
}

pub struct Release {
    /// The checkout.
    pub root: PathBuf,
    pub version: String,
    /// The xcframework, zipped.
    pub binary: PathBuf,
    /// What else is to be downloaded.
    pub assets: Vec<PathBuf>,
    /// Where the tag is pushed.
    pub remote: String,
    /// The `owner/name` at GitHub, where nothing else says where the repository is.
    pub hosted: Option<String>,
    pub host: Host,
}

/// All that a release decides, before anything is changed.
pub struct Plan {
    pub tag: String,
    pub url: String,
    /// SHA-256 of the zip, as `swift package compute-checksum` prints it.
    pub checksum: String,
    /// The files that differ at the tag, and what is in them.
    pub files: Vec<(&'static str, String)>,
    /// What the changelog says of the version.
    pub notes: String,
    /// The commands that make it public, in their order.
    pub commands: Vec<Vec<String>>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tag       {}\naddress   {}\nchecksum  {}", self.tag, self.url, self.checksum)?;
        for command in &self.commands {
            writeln!(f, "command   {}", command.join(" "))?;
        }
        write!(f, "notes\n{}", self.notes)
    }
}

impl Release {
    /// Refuses what must not be released; changes nothing.
    pub fn plan(&self) -> Result<Plan> {
        let repository = Repository::new(&self.root);
        let package = checks::package(&self.root, &self.remote, self.hosted.as_deref())?;
        let tag = tag(&self.version);
        checks::version(&self.version, &package.version)?;
        checks::clean(&repository)?;
        checks::tag_is_free(&repository, &tag, &self.remote)?;
        let notes = checks::notes(&self.root, &self.version)?;
        let url =
            format!("{}/releases/download/{tag}/{}", package.repository, checks::archive(&self.binary)?);
        for asset in &self.assets {
            ensure!(asset.is_file(), "there is no file {}", asset.display());
        }
        // What SwiftPM compares a downloaded file with.
        let checksum = sha256(&self.binary)?;
        let manifest = manifest::pinned(&self.read(manifest::PATH)?, &url, &checksum)?;
        let mut files: Vec<_> = manifest::FILES.map(|path| (path, manifest.clone())).into();
        for path in manifest::GUIDES {
            files.push((path, manifest::addressed(path, &self.read(path)?, &package.repository)?));
        }
        let commands = self.commands(&tag, &package.repository);
        Ok(Plan { tag, url, checksum, files, notes, commands })
    }

    /// Tags, pushes and publishes. What was tagged and not yet pushed is undone by `git tag -d`.
    pub fn carry_out(&self, plan: &Plan) -> Result<()> {
        let repository = Repository::new(&self.root);
        let message = format!(
            "Release {}\n\nThe manifest has the address and the checksum of its binary.",
            self.version
        );
        let commit = repository.commit_beside(&plan.files, &message)?;
        repository.tag(&plan.tag, &commit, &format!("rmlx {}\n\n{}", self.version, plan.notes))?;
        println!("{} is {commit}", plan.tag);
        fs::create_dir_all(self.notes_file().with_file_name(""))?;
        fs::write(self.notes_file(), &plan.notes)?;
        for (done, words) in plan.commands.iter().enumerate() {
            let (program, arguments) = words.split_first().context("an empty command")?;
            let outcome = process::run(Command::new(program).args(arguments).current_dir(&self.root));
            outcome.with_context(|| unfinished(&plan.commands[done..]))?;
        }
        if let Host::Folder(folder) = &self.host {
            self.place(&folder.join("releases/download").join(&plan.tag))?;
        }
        println!("{}", plan.url);
        Ok(())
    }

    fn commands(&self, tag: &str, repository: &str) -> Vec<Vec<String>> {
        let words = |line: &[&str]| line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let push = words(&["git", "push", "--quiet", &self.remote, &format!("refs/tags/{tag}")]);
        let Host::GitHub = self.host else { return vec![push] };
        // gh keeps the release a draft until all its files are there, and then publishes it.
        let mut publish = words(&["gh", "release", "create", tag, "--verify-tag", "--repo", repository]);
        publish.extend(words(&["--title", &format!("rmlx {}", self.version)]));
        publish.extend(words(&["--notes-file", &self.notes_file().display().to_string()]));
        publish.extend(self.files().map(|file| absolute(file).display().to_string()));
        vec![push, publish]
    }

    fn place(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        self.files()
            .try_for_each(|file| files::copy(file, &folder.join(file.file_name().unwrap_or_default())))
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.binary).chain(&self.assets)
    }

    fn notes_file(&self) -> PathBuf {
        self.root.join("target/release-notes.md")
    }

    fn read(&self, path: &str) -> Result<String> {
        let path = self.root.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// The name of a version's tag. SwiftPM reads the version from it, with or without the letter.
fn tag(version: &str) -> String {
    format!("v{version}")
}

fn unfinished(commands: &[Vec<String>]) -> String {
    let lines: Vec<_> = commands.iter().map(|command| command.join(" ")).collect();
    format!("the tag is made and not all of it is public; what is left to run:\n{}", lines.join("\n"))
}

/// Commands run in the checkout, wherever this was started.
fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}
