//! A snapshot whose load takes long enough to be interrupted: most of it is a table of embeddings without a byte on the disk.

use std::fs::{self, File};
use std::io::{Seek, Write};

use serde_json::{Map, Value, json};

use crate::fixtures;

const ROWS: u64 = 2_000_000;
const TABLE: &str = "language_model.model.embed_tokens.weight";

pub fn snapshot() -> tempfile::TempDir {
    let small = fixtures::path("unified-bf16-mlx");
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(&small).expect("a folder").map(|file| file.expect("a file")) {
        fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
    }
    let config = folder.path().join("config.json");
    let mut changed: Value =
        serde_json::from_slice(&fs::read(&config).expect("a configuration")).expect("JSON");
    changed["text_config"]["vocab_size"] = json!(ROWS);
    fs::write(config, changed.to_string()).expect("a configuration");
    write_weights(
        &fs::read(small.join("model.safetensors")).expect("weights"),
        &folder.path().join("model.safetensors"),
    );
    folder
}

/// The same weights, with another table behind them.
fn write_weights(small: &[u8], path: &std::path::Path) {
    let (length, rest) = small.split_first_chunk().expect("a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Map<String, Value> = serde_json::from_slice(header).expect("a header");
    let columns = header[TABLE]["shape"][1].as_u64().expect("a width");
    let [from, to] = offsets(&header[TABLE]);
    for entry in header.values_mut().filter(|entry| entry.get("shape").is_some()) {
        let [begin, end] = offsets(entry);
        if begin >= to {
            entry["data_offsets"] = json!([begin - (to - from), end - (to - from)]);
        }
    }
    let (rest, table) = (data.len() as u64 - (to - from), ROWS * columns * 2);
    header[TABLE]["shape"][0] = json!(ROWS);
    header[TABLE]["data_offsets"] = json!([rest, rest + table]);
    let header = Value::from(header).to_string();
    let mut file = File::create(path).expect("a file");
    for part in [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &data[..from as usize],
        &data[to as usize..],
    ] {
        file.write_all(part).expect("a write");
    }
    let front = file.stream_position().expect("a place");
    file.set_len(front + table).expect("a size");
}

fn offsets(entry: &Value) -> [u64; 2] {
    [0, 1].map(|at| entry["data_offsets"][at].as_u64().expect("an offset"))
}
