//! A process that may start few threads: rmlx answers rightly or with an error, and never waits for ever or ends the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::compile::{Language, Program};
use crate::report::Report;
use crate::setup::Stage;
use crate::{paths, process};

/// How many threads the process may start: from none to more than it needs.
const FREE: std::ops::RangeInclusive<u32> = 0..=9;
/// For a load and three answers of the demo model, on a busy machine.
const LONGEST: Duration = Duration::from_secs(120);
/// Users that nobody is, so that no other process counts.
const USERS: u32 = 1_900_000_000;

pub fn run(report: &mut Report, built: &Path, stage: Option<&Stage>) {
    report.check("few threads", || {
        let folder = tempfile::Builder::new().prefix("rmlx").tempdir()?;
        let source = paths::root().join("xtask/checks/few_threads.c");
        let program = Program::new(Language::C, &source, folder.path().join("few_threads"));
        let executable = program.flags(&["-D_DEFAULT_SOURCE"]).rmlx(built, stage).compile()?;
        let is_root = process::capture(Command::new("id").arg("-u"))?.trim() == "0";
        if !is_root {
            println!("not root: this user's other processes count, too, so the limits are not exact");
        }
        let hosts: Vec<_> = FREE.map(|free| start(&executable, free, is_root)).collect::<Result<_>>()?;
        hosts.into_iter().try_for_each(|(free, host)| end(free, host))
    });
}

fn start(executable: &PathBuf, free: u32, is_root: bool) -> Result<(u32, std::process::Child)> {
    let mut host = Command::new(executable);
    host.args(["models/demo/bf16", "models/demo/example.png", &free.to_string()]);
    if is_root {
        host.arg((USERS + free).to_string());
    }
    host.current_dir(paths::root()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok((free, host.spawn().context("cannot start few_threads")?))
}

fn end(free: u32, mut host: std::process::Child) -> Result<()> {
    let since = Instant::now();
    while host.try_wait()?.is_none() {
        if since.elapsed() > LONGEST {
            host.kill()?;
            let output = host.wait_with_output()?;
            bail!("with {free} threads it does not end\n{}", process::text(&output));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = host.wait_with_output()?;
    let printed = process::text(&output);
    ensure!(output.status.success(), "with {free} threads it ends with {}\n{printed}", output.status);
    ensure!(printed.ends_with("right\n"), "with {free} threads it printed {printed:?}");
    Ok(())
}
