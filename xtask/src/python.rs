//! Python's packages: where MLX and a few tools come from.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::process;

/// The Python 3 of this machine, which has pip.
pub fn find() -> Result<String> {
    let python = ["python3", "python"]
        .into_iter()
        .find(|name| process::exists(name))
        .ok_or_else(|| anyhow!("no Python found: install Python 3 with pip"))?;
    let pip = process::output(Command::new(python).args(["-m", "pip", "--version"]))?;
    if !pip.status.success() {
        bail!("{python} has no pip: install it (on Debian: python3-pip)");
    }
    Ok(python.to_owned())
}

/// Puts the packages into the folder, side by side as in `site-packages`; nothing else on the machine changes.
pub fn install(folder: &Path, packages: &[String], flags: &[&str]) -> Result<()> {
    let mut command = Command::new(find()?);
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--upgrade"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(folder)
        .args(flags)
        .args(packages);
    let output = process::output(&mut command)?;
    if !output.status.success() {
        bail!(
            "pip could not fetch {} (is PyPI within reach, and is there a wheel for this processor and C library?)\n{}",
            packages.join(", "),
            process::text(&output).trim_end()
        );
    }
    Ok(())
}
