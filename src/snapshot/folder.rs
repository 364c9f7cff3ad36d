//! What a path is that is no snapshot, and what would be one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::files;

/// What is in files that hold models of other programs, by the end of their names.
const FORMATS: [(&str, &str); 12] = [
    (".gguf", "GGUF, the format of llama.cpp"),
    (".ggml", "GGML, an old format of llama.cpp"),
    (".litertlm", "LiteRT-LM's format"),
    (".task", "MediaPipe's format"),
    (".tflite", "LiteRT's format"),
    (".onnx", "ONNX"),
    (".mlpackage", "Core ML's format"),
    (".mlmodelc", "Core ML's format"),
    (".npz", "NumPy's format, which old versions of MLX wrote"),
    (".bin", "PyTorch's pickled format"),
    (".pth", "PyTorch's pickled format"),
    (".pt", "PyTorch's pickled format"),
];

/// An error unless `dir` is a folder that may be entered.
pub fn require(dir: &Path) -> Result<()> {
    match fs::metadata(dir) {
        Ok(facts) if facts.is_dir() => enter(dir),
        Ok(_) => Err(is_file(dir)),
        Err(e) if files::is_absent(&e) && fs::symlink_metadata(dir).is_err() => Err(absent(dir)),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(closed(dir)),
        Err(e) => Err(files::unreadable(dir, &e)),
    }
}

fn enter(dir: &Path) -> Result<()> {
    match fs::read_dir(dir) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(closed(dir)),
        Err(e) => Err(files::unreadable(dir, &e)),
    }
}

/// The first folder on the way that this process may not enter.
fn closed(dir: &Path) -> Error {
    let mut way: Vec<&Path> = dir.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
    way.reverse();
    let denied =
        |part: &&&Path| fs::metadata(part.join(".")).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    let at = way.iter().find(denied).copied().unwrap_or(dir);
    files::of(dir, format!("the folder {} may not be entered by this process", at.display()))
}

fn not_found(dir: &Path, message: String) -> Error {
    Error::new(Code::NotFound, message).with("file", dir.display().to_string())
}

fn absent(dir: &Path) -> Error {
    let shown = dir.to_string_lossy();
    let mut message = format!("there is no folder {shown}");
    if shown.starts_with("~/") {
        message += ": ~ is a shell's word for the home folder; give the whole path";
    } else if shown.contains("://") {
        message += ": it is an address; download the snapshot, and give its path";
    } else if dir.is_relative() && dir.components().count() == 2 && !shown.starts_with('.') {
        message += ": models are loaded from folders; download one (`hf download` of a name on Hugging Face tells \
            where it is), and give its path";
    }
    not_found(dir, message)
}

fn is_file(path: &Path) -> Error {
    let shown = path.display();
    if let Some(format) = format_of(&files::name(path)).or_else(|| begins_as_gguf(path)) {
        return foreign(path, format!("{shown} is {format}"));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    not_found(path, format!("{shown} is a file: give the folder that it is in, {}", folder.display()))
}

fn begins_as_gguf(path: &Path) -> Option<&'static str> {
    let (file, _) = files::open(path).ok()?;
    let mut start = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut start, 0).ok()?;
    (&start == b"GGUF").then_some(FORMATS[0].1)
}

fn format_of(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    FORMATS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| *format)
}

/// The error for a format of somebody else.
fn foreign(path: &Path, what: String) -> Error {
    Error::unsupported(format!(
        "{what}: what is loaded is a folder with config.json and .safetensors files, as Hugging Face and \
         mlx-community publish them"
    ))
    .with("file", path.display().to_string())
}

/// The error for a folder without config.json: what it is, and where the snapshot may be.
pub fn without_config(dir: &Path) -> Error {
    let shown = dir.display();
    let has = |name: &str| dir.join(name).exists();
    if let Some(revision) = cached_revision(dir) {
        let message = format!(
            "{shown} is a folder of Hugging Face's cache: give the snapshot in it, {}",
            revision.display()
        );
        return not_found(dir, message).with("snapshot", revision.display().to_string());
    }
    if has("adapter_config.json") {
        return foreign(
            dir,
            format!("{shown} is an adapter (LoRA), which belongs to a model: merge it into one"),
        );
    }
    if has("model_index.json") {
        return foreign(dir, format!("{shown} is a pipeline of Diffusers, and no language model"));
    }
    if has("params.json") {
        return foreign(dir, format!("{shown} is in the layout of the model's own authors (params.json)"));
    }
    if let Some((name, format)) = file_of_another_format(dir) {
        return foreign(dir, format!("{shown} has no config.json, and {name} is {format}"));
    }
    let message = match inner_snapshots(dir).as_slice() {
        [] => match unfinished(dir) {
            Some(sign) => {
                format!(
                    "config.json is missing in {shown}, and {sign} says that the download is not complete"
                )
            }
            None => format!("config.json is missing in {shown}"),
        },
        [one] => format!("config.json is missing in {shown}: give the folder in it, {}", one.display()),
        several => {
            let list: Vec<String> = several.iter().take(3).map(|path| path.display().to_string()).collect();
            format!("config.json is missing in {shown}: give one of the folders in it, {}", list.join(", "))
        }
    };
    not_found(dir, message)
}

/// The error for a folder with config.json, and no weights.
pub fn without_weights(dir: &Path) -> Error {
    let shown = dir.display();
    if let Some((name, format)) = file_of_another_format(dir) {
        return foreign(dir, format!("there is no .safetensors file in {shown}, and {name} is {format}"));
    }
    let names = entries(dir).iter().map(|path| files::name(path)).collect::<Vec<_>>();
    if names.iter().any(|name| name.starts_with("consolidated") && name.ends_with(".safetensors")) {
        let what = format!("{shown} has its weights in the layout of the model's own authors (consolidated)");
        return foreign(dir, what);
    }
    let mut message = format!("there is no .safetensors file in {shown}");
    if let Some(sign) = unfinished(dir) {
        message += &format!(": {sign} says that the download is not complete");
    } else if names.iter().any(|name| name.ends_with(".safetensors.index.json")) {
        message += ", but an index of some: the download is not complete";
    }
    files::of(dir, message)
}

/// What tells of a download that has not ended, for `dir` or one file in it.
pub fn unfinished(dir: &Path) -> Option<String> {
    let is_sign = |path: &PathBuf| {
        let name = files::name(path);
        [".incomplete", ".aria2", ".part", ".crdownload", ".download", ".tmp"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let inside = entries(&dir.join(".cache/huggingface/download"));
    entries(dir).into_iter().chain(inside).find(is_sign).map(|path| files::name(&path))
}

fn file_of_another_format(dir: &Path) -> Option<(String, &'static str)> {
    let no_model = ["training_args.bin", "optimizer.bin", "scheduler.bin", "optimizer.pt", "scheduler.pt"];
    let names = entries(dir).into_iter().map(|path| files::name(&path));
    names
        .filter(|name| !no_model.contains(&name.as_str()) && !name.starts_with("rng_state"))
        .find_map(|name| format_of(&name).map(|format| (name, format)))
}

/// The snapshot of `models--owner--name/snapshots`, the one that `refs/main` names where there are several.
fn cached_revision(dir: &Path) -> Option<PathBuf> {
    let snapshots = dir.join("snapshots");
    let main = fs::read_to_string(dir.join("refs/main")).ok().map(|hash| snapshots.join(hash.trim()));
    main.filter(|path| path.is_dir()).or_else(|| inner_snapshots(&snapshots).into_iter().next())
}

fn inner_snapshots(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().filter(|path| path.join("config.json").exists()).collect()
}

/// What is in a folder, sorted; nothing where it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        dir
    }

    #[track_caller]
    fn told(error: &Error, code: Code, what: &[&str]) {
        assert_eq!(error.code(), code, "{error}");
        assert!(what.iter().all(|what| error.message().contains(what)), "{error}");
    }

    #[test]
    fn a_path_that_is_no_folder_is_told() {
        let dir = make(&["model.gguf", "config.json", "weights"]);
        let at = |name: &str| require(&dir.path().join(name)).unwrap_err();
        told(
            &at("model.gguf"),
            Code::Unsupported,
            &["model.gguf is GGUF, the format of llama.cpp", "config.json"],
        );
        told(
            &at("config.json"),
            Code::NotFound,
            &["config.json is a file: give the folder that it is in, /"],
        );
        told(&at("gone"), Code::NotFound, &["there is no folder /", "gone"]);
        fs::write(dir.path().join("weights"), b"GGUF\x03\0\0\0").unwrap();
        told(&at("weights"), Code::Unsupported, &["GGUF"]);
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        told(&at("link"), Code::InvalidSnapshot, &["link is a link to nowhere, which is not there"]);
        let named = |name: &str| require(Path::new(name)).unwrap_err();
        told(&named("~/models/gemma"), Code::NotFound, &["~ is a shell's word"]);
        told(&named("https://huggingface.co/a/b"), Code::NotFound, &["it is an address"]);
        told(
            &named("google/gemma-3-4b-it"),
            Code::NotFound,
            &["there is no folder google/gemma", "download one"],
        );
        assert!(require(dir.path()).is_ok());
    }

    #[test]
    fn a_folder_without_a_configuration_is_told() {
        for (names, code, what) in [
            (&[][..], Code::NotFound, "config.json is missing in"),
            (&["q4.gguf"], Code::Unsupported, "q4.gguf is GGUF"),
            (&["adapter_config.json"], Code::Unsupported, "is an adapter (LoRA)"),
            (&["model_index.json"], Code::Unsupported, "a pipeline of Diffusers"),
            (&["params.json", "consolidated.00.pth"], Code::Unsupported, "layout of the model's own authors"),
            (&["bf16/config.json"], Code::NotFound, "give the folder in it, "),
            (&["a/config.json", "b/config.json"], Code::NotFound, "give one of the folders in it, "),
            (&["model.safetensors.incomplete"], Code::NotFound, "the download is not complete"),
        ] {
            told(&without_config(make(names).path()), code, &[what]);
        }
    }

    #[test]
    fn a_folder_of_the_cache_is_told_with_its_snapshot() {
        let dir = make(&["snapshots/1a/config.json", "snapshots/2b/config.json", "blobs/x"]);
        told(&without_config(dir.path()), Code::NotFound, &["Hugging Face's cache", "snapshots/1a"]);
        fs::create_dir(dir.path().join("refs")).unwrap();
        fs::write(dir.path().join("refs/main"), "2b\n").unwrap();
        told(&without_config(dir.path()), Code::NotFound, &["Hugging Face's cache", "snapshots/2b"]);
    }

    #[test]
    fn a_folder_without_weights_is_told() {
        for (names, code, what) in [
            (&["training_args.bin"][..], Code::InvalidSnapshot, "there is no .safetensors file in"),
            (&["pytorch_model.bin"], Code::Unsupported, "pytorch_model.bin is PyTorch's pickled format"),
            (&["consolidated.safetensors"], Code::Unsupported, "consolidated"),
            (&["model.safetensors.index.json"], Code::InvalidSnapshot, "but an index of some"),
            (
                &[".cache/huggingface/download/x.123.incomplete"],
                Code::InvalidSnapshot,
                "x.123.incomplete says that the download is not complete",
            ),
        ] {
            told(&without_weights(make(names).path()), code, &[what]);
        }
    }
}
