//! llama.cpp, built for this processor from the sources that PyPI's llama-cpp-python brings, and the snapshots as GGUF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::mlx_vlm::MlxVlm;
use crate::{paths, process, python, tools};

const PACKAGE: &str = "llama-cpp-python==0.3.36";

pub struct LlamaCpp {
    driver: PathBuf,
    sources: PathBuf,
}

impl LlamaCpp {
    /// Fetches and builds it, once.
    pub fn prepare() -> Result<Self> {
        let folder = paths::root().join("target/bench/llama.cpp").join(PACKAGE);
        let sources = folder.join("llama.cpp");
        if !sources.join("CMakeLists.txt").is_file() {
            println!("fetching {PACKAGE} from PyPI");
            fetch(&folder, &sources)?;
        }
        let build = folder.join("build");
        println!("building llama.cpp for this processor");
        let cmake = tools::cmake()?;
        let mut configure = Command::new(&cmake);
        configure.arg("-S").arg(paths::root().join("benches/llama_cpp")).arg("-B").arg(&build);
        configure.arg(format!("-DLLAMA_CPP={}", sources.display()));
        configure.args(["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_NATIVE=ON"]);
        process::capture(&mut configure)?;
        let threads = std::thread::available_parallelism()?.to_string();
        let mut make = Command::new(&cmake);
        make.arg("--build").arg(&build).args(["--target", "driver", "--parallel", &threads]);
        process::capture(&mut make)?;
        Ok(Self { driver: build.join("driver"), sources })
    }

    /// The snapshot as GGUF, in a file beside it that is made once.
    pub fn model(&self, python: &MlxVlm, snapshot: &Path) -> Result<PathBuf> {
        let file = snapshot.with_extension("gguf");
        if !file.is_file() {
            println!("making {}", file.display());
            let mut make = python.python();
            make.env("PYTHONPATH", self.sources.join("gguf-py"));
            make.arg(paths::root().join("tools/midsize_to_gguf.py")).arg(snapshot).arg(&file);
            process::capture(&mut make)?;
        }
        Ok(file)
    }

    /// Runs the prompt that rmlx made of the case's text.
    pub fn driver(&self, model: &Path, prompt_ids: &Value, tokens: &str, repeats: usize) -> Result<Command> {
        let ids = prompt_ids.as_array().context("rmlx printed no prompt ids")?;
        let ids: Vec<String> = ids.iter().map(Value::to_string).collect();
        let file = model.with_extension("ids");
        fs::write(&file, ids.join("\n")).with_context(|| format!("cannot write {}", file.display()))?;
        let threads = std::thread::available_parallelism()?.to_string();
        let mut command = Command::new(&self.driver);
        command.arg(model).arg(&file).args([tokens, &repeats.to_string(), &threads]);
        Ok(command)
    }
}

/// Only what the driver is built of, and the Python package that writes GGUF.
fn fetch(folder: &Path, sources: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut download = Command::new(python::find()?);
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    // Its own sources; what tells their metadata may be a wheel.
    download.args(["--no-binary", "llama-cpp-python", "--dest"]).arg(folder).arg(PACKAGE);
    process::capture(&mut download)?;
    let archive = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .context("pip downloaded no archive")?;
    let unpacked = folder.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).args(["--strip-components", "3", "--wildcards"]);
    process::capture(tar.arg("*/vendor/llama.cpp/*"))?;
    fs::rename(&unpacked, sources)?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}
