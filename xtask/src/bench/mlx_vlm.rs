//! mlx-vlm in a Python environment of its own, over the version of MLX that rmlx is built with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process, python, setup};

const MLX_VLM: &str = "mlx-vlm==0.7.10";

pub struct MlxVlm {
    python: PathBuf,
}

impl MlxVlm {
    /// Makes the environment, once.
    pub fn prepare() -> Result<Self> {
        let folder = paths::root().join("target/bench/venv");
        let version = setup::mlx_version()?;
        let mut packages = vec![format!("mlx=={version}")];
        if cfg!(target_os = "linux") {
            packages.push(format!("mlx-cpu=={version}"));
        }
        let wanted = format!("{MLX_VLM} {}", packages.join(" "));
        let stamp = folder.join("rmlx-packages");
        let environment = Self { python: folder.join("bin/python") };
        if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
            return Ok(environment);
        }
        println!("making a Python environment with {wanted}");
        process::capture(Command::new(python::find()?).args(["-m", "venv", "--clear"]).arg(&folder))
            .context("cannot make a Python environment (on Debian: install python3-venv)")?;
        environment.pip_install(&[MLX_VLM.to_owned()], &[])?;
        // mlx-vlm asks for a later MLX than mlx-sys is pinned to; it runs with this one.
        environment.pip_install(&packages, &["--no-deps"])?;
        fs::write(&stamp, wanted)?;
        Ok(environment)
    }

    pub fn python(&self) -> Command {
        Command::new(&self.python)
    }

    pub fn driver(&self) -> Command {
        let mut command = self.python();
        command.arg(paths::root().join("benches/mlx_vlm_driver.py"));
        command
    }

    fn pip_install(&self, packages: &[String], flags: &[&str]) -> Result<()> {
        let mut pip = self.python();
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(flags)
            .args(packages);
        process::capture(&mut pip)
            .with_context(|| format!("pip could not install {}", packages.join(" ")))
            .map(drop)
    }
}
