//! Another MLX, of the same version and of others, in one process with rmlx: both compute what is right, whichever comes first.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::report::Report;
use crate::{paths, process, python, setup};

/// Beside the version that rmlx has inside: a later one, and one that is a year older.
const OTHERS: [&str; 2] = ["0.32.4", "0.29.4"];

/// What the library has to bear: the order of loading, and the scope of both.
const ORDERS: [[&str; 2]; 5] = [
    ["first", "local"],
    ["last", "local"],
    ["first", "global"],
    ["last", "global"],
    // As in a program that is linked with the library and embeds Python.
    ["linked", "global"],
];

pub fn run(report: &mut Report, library: &Path) {
    report.check("another MLX in the process", || {
        let own = setup::mlx_version()?;
        [own.as_str()].iter().chain(&OTHERS).try_for_each(|version| with(version, library))
    });
}

fn with(version: &str, library: &Path) -> Result<()> {
    let package = format!("mlx[cpu]=={version}");
    let folder = paths::root().join("target/tools").join(format!("mlx-{version}"));
    if !folder.join("mlx/lib/libmlx.so").is_file() {
        println!("fetching {package} from PyPI");
        python::install(&folder, &[package], &[])?;
    }
    let script = paths::root().join("xtask/checks/other_mlx.py");
    for [order, scope] in ORDERS {
        let mut host = Command::new(python::find()?);
        host.arg(&script).arg(library).args(["models/demo/bf16", order, scope]);
        host.current_dir(paths::root()).env("PYTHONPATH", &folder);
        if order == "linked" {
            host.env("LD_PRELOAD", library);
        }
        let told = || format!("mlx {version}, rmlx {order}, {scope}");
        let printed = process::capture(&mut host).with_context(told)?;
        ensure!(printed == "both are right\n", "{}: it printed {printed:?}", told());
    }
    Ok(())
}
