//! The files of a snapshot that tell what is in it, read as `rmlx_model_inspect` reads them: everything but the data.

use std::sync::{LazyLock, Mutex, PoisonError};

use arbitrary::Unstructured;
use rmlx::Model;
use serde_json::{Value, json};

use super::edits::{edit, file};
use super::folder::{Folder, WEIGHTS};
use super::sound;

const KINDS: [&str; 3] = ["gemma3text-affine4", "qwen3vl-mixed", "unified-mixed-affine"];
const INDEX: &str = "model.safetensors.index.json";

/// One of each kind, for one execution at a time.
static FOLDERS: LazyLock<Mutex<Vec<Folder>>> = LazyLock::new(|| Mutex::new(KINDS.map(Folder::of).into()));

/// The header of weight files, and the table that says what is in which.
pub fn weights(data: &[u8]) {
    with_folder(data, |folder, input| {
        let more = if input.ratio(1, 8)? { input.int_in_range(-9..=9)? } else { 0 };
        match input.ratio(1, 2)? {
            true => {
                folder.write_weights(WEIGHTS, &file(&folder.header, input)?, more);
                folder.remove(INDEX);
            }
            false => shards(folder, input, more)?,
        }
        inspect(folder);
        folder.remove(INDEX);
        folder.remove(SHARDS[0]);
        folder.remove(SHARDS[1]);
        folder.write_weights(WEIGHTS, folder.header.to_string().as_bytes(), 0);
        Ok(())
    });
}

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// The tensors in two files, with a table.
fn shards(folder: &Folder, input: &mut Unstructured, more: i64) -> arbitrary::Result<()> {
    let tensors = folder.header.as_object().cloned().unwrap_or_default();
    let (mut headers, mut ends, mut table) = ([json!({}), json!({})], [0, 0], json!({}));
    for (index, (name, entry)) in tensors.iter().filter(|(name, _)| *name != "__metadata__").enumerate() {
        let shard = index % 2;
        let offsets = [0, 1].map(|i| entry["data_offsets"][i].as_u64().unwrap_or(0));
        let start = ends[shard];
        ends[shard] += offsets[1] - offsets[0];
        headers[shard][name] =
            json!({ "dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [start, ends[shard]] });
        table[name] = json!(SHARDS[shard]);
    }
    let mut index = json!({ "metadata": { "total_size": ends[0] + ends[1] }, "weight_map": table });
    match input.int_in_range(0..=2)? {
        0 => edit(&mut index, input)?,
        changed => edit(&mut headers[changed as usize - 1], input)?,
    }
    for (name, header) in SHARDS.iter().zip(&headers) {
        folder.write_weights(name, header.to_string().as_bytes(), more);
    }
    folder.write(INDEX, index.to_string().as_bytes());
    if input.ratio(3, 4)? {
        folder.remove(WEIGHTS);
    }
    Ok(())
}

/// `config.json` with its quantization, and what stands beside it.
pub fn config(data: &[u8]) {
    const FILES: [&str; 4] =
        ["config.json", "config.json", "generation_config.json", "processor_config.json"];
    with_folder(data, |folder, input| {
        let name = FILES[input.choose_index(FILES.len())?];
        let original = folder.json(name);
        folder.write(name, &file(&original, input)?);
        inspect(folder);
        match original {
            Value::Null => folder.remove(name),
            _ => folder.write(name, original.to_string().as_bytes()),
        }
        Ok(())
    });
}

/// Runs the change on one of the folders, which it leaves as it was.
fn with_folder(data: &[u8], run: impl FnOnce(&Folder, &mut Unstructured) -> arbitrary::Result<()>) {
    let mut input = Unstructured::new(data);
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(at) = input.choose_index(folders.len()) else { return };
    // An input that ends too early has nothing to say.
    let _ = run(&folders[at], &mut input);
}

fn inspect(folder: &Folder) {
    if let Some(told) = sound(Model::inspect(folder.path())) {
        assert!(told["bytes"].is_u64() && told["modalities"].is_array(), "{told}");
    }
}
