//! The few things that a release asks of git.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process;

pub struct Repository {
    root: PathBuf,
}

impl Repository {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        Ok(process::capture(self.command().args(arguments))?.trim_end().to_owned())
    }

    /// A commit of HEAD with other contents of these files, which neither the branch nor the work tree follows.
    pub fn commit_beside(&self, files: &[(&str, String)], message: &str) -> Result<String> {
        let git_folder = PathBuf::from(self.ask(&["rev-parse", "--absolute-git-dir"])?);
        let index = git_folder.join("release-index");
        let with_index = |arguments: &[&str]| {
            process::capture(self.command().args(arguments).env("GIT_INDEX_FILE", &index))
        };
        with_index(&["read-tree", "HEAD"])?;
        for (path, text) in files {
            let blob = self.tell(&["hash-object", "-w", "--stdin"], text)?;
            with_index(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")])?;
        }
        let tree = with_index(&["write-tree"])?;
        std::fs::remove_file(&index).with_context(|| format!("cannot remove {}", index.display()))?;
        self.tell(&["commit-tree", tree.trim(), "-p", "HEAD"], message)
    }

    pub fn tag(&self, name: &str, commit: &str, message: &str) -> Result<()> {
        // Headings of the notes begin as git's comments do.
        self.tell(&["tag", "--annotate", "--cleanup=whitespace", "--file=-", name, commit], message).map(drop)
    }

    fn tell(&self, arguments: &[&str], text: &str) -> Result<String> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run git")?;
        child.stdin.take().context("git has no input")?.write_all(text.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "git {} failed ({})", arguments.join(" "), output.status);
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.root);
        command
    }
}
