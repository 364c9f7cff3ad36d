//! The machine, the versions and the snapshot, for whoever reads a report elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::checksum::sha256;
use crate::{cargo, paths, process, setup};

pub fn describe(snapshot: &Path) -> Result<Value> {
    let metadata = cargo::metadata()?;
    let version = |name| cargo::package(&metadata, name).map(|package| package["version"].clone());
    let commit =
        said(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(paths::root()));
    Ok(json!({
        "machine": {
            "system": system(),
            "processor": processor(),
            "architecture": std::env::consts::ARCH,
            "memory_bytes": memory(),
        },
        "versions": {
            "rmlx": version("rmlx")?,
            "commit": commit,
            "mlx": setup::mlx_version()?,
            "mlx-rs": version("mlx-rs")?,
            "mlx-sys": version("mlx-sys")?,
        },
        "snapshot": {
            "folder": snapshot.display().to_string(),
            "config_sha256": sha256(&snapshot.join("config.json")).ok(),
            "files": files(snapshot)?,
        },
    }))
}

/// What a program of the system says, if it is there.
fn said(command: &mut Command) -> Option<String> {
    let output = process::output(command).ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn system() -> Option<String> {
    if cfg!(target_os = "macos") {
        let version = said(Command::new("sw_vers").arg("-productVersion"))?;
        let build = said(Command::new("sw_vers").arg("-buildVersion"))?;
        return Some(format!("macOS {version} ({build})"));
    }
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn processor() -> Option<String> {
    if cfg!(target_os = "macos") {
        return said(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]));
    }
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?.1;
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    Some(format!("{count} of {name}"))
}

fn memory() -> Option<u64> {
    if cfg!(target_os = "macos") {
        return said(Command::new("sysctl").args(["-n", "hw.memsize"]))?.parse().ok();
    }
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Names and sizes, in order.
fn files(snapshot: &Path) -> Result<Value> {
    let of = || format!("cannot read {}", snapshot.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(snapshot).with_context(of)? {
        let entry = entry?;
        // Links of Hugging Face's cache count as what they lead to.
        let bytes = fs::metadata(entry.path()).map(|data| data.len()).ok();
        files.push((entry.file_name().to_string_lossy().into_owned(), bytes));
    }
    files.sort();
    Ok(files.into_iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect())
}
