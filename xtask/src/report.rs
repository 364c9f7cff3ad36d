//! What passed and what failed.

use anyhow::{Result, bail, ensure};

pub struct Report {
    filter: String,
    passed: usize,
    failed: usize,
    failures: Vec<String>,
}

impl Report {
    /// Only checks whose name has `filter` in it are run.
    pub fn new(filter: &str) -> Self {
        Self { filter: filter.to_owned(), passed: 0, failed: 0, failures: Vec::new() }
    }

    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether any of the names is asked for.
    pub fn wants(&self, names: &[&str]) -> bool {
        names.iter().any(|name| name.contains(&self.filter))
    }

    /// Runs the check, if it is asked for, and says how it went.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        if !self.wants(&[name]) {
            return;
        }
        match check() {
            Ok(()) => {
                println!("check {name} ... ok");
                self.passed += 1;
            }
            Err(error) => self.fail(name, &error),
        }
    }

    pub fn fail(&mut self, name: &str, error: &anyhow::Error) {
        println!("check {name} ... FAILED\n{error:#}\n");
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Takes in the counts of a test program that prints its own results.
    pub fn add(&mut self, name: &str, passed: usize, failed: usize) {
        self.passed += passed;
        self.failed += failed;
        if failed > 0 {
            self.failures.push(name.to_owned());
        }
    }

    /// One line that sums it up; an error if something failed, or if nothing was asked for.
    pub fn finish(&self) -> Result<()> {
        if self.passed + self.failed == 0 {
            bail!("no test has {} in its name", self.filter);
        }
        println!("\n{} passed, {} failed", self.passed, self.failed);
        ensure!(self.failed == 0, "{} failed", self.failures.join(", "));
        Ok(())
    }
}
