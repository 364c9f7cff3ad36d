//! The models against the golden fixtures of `tests/fixtures` (its README.md has the schema), on one thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::transforms::eval;
use serde_json::Value;

use super::{Architecture, Batch, LanguageModel, LoadContext, Run, SoftTokens, architecture, chunks};
use crate::media::{Audio, Image, Media, Video, VideoFrame};
use crate::nn::Device;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::nn::testing::host;
use crate::prompt::{Placed, PlacedMedia};
use crate::snapshot::Snapshot;

/// Logits may be this far off, in standard deviations of the reference's row.
const TOLERANCE: f32 = 1e-3;

fn fixtures() -> PathBuf {
    match std::env::var_os("RMLX_FIXTURES") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

struct Loaded {
    folder: String,
    /// Of the results in a case.
    key: String,
    architecture: Box<dyn Architecture>,
    model: Box<dyn LanguageModel>,
    suppressed: Vec<usize>,
}

fn load(folder: &str, key: &str) -> Loaded {
    let snapshot = Snapshot::open(&fixtures().join(folder)).unwrap();
    let architecture = architecture(&snapshot).unwrap();
    let mut steps = Vec::new();
    let progress = &mut |done| {
        steps.push(done);
        Ok(())
    };
    let mut context = LoadContext { snapshot: &snapshot, device: Device::Cpu, progress };
    let model = architecture.load(&mut context).unwrap();
    assert!(steps.is_sorted() && steps.first() == Some(&0.0) && steps.last() == Some(&1.0), "{steps:?}");
    let suppressed = snapshot.generation_config.as_ref().map_or(&Value::Null, |c| &c["suppress_tokens"]);
    let suppressed =
        suppressed.as_array().into_iter().flatten().map(|v| v.as_u64().unwrap() as usize).collect();
    Loaded { folder: folder.into(), key: key.into(), architecture, model, suppressed }
}

/// One conversation of `golden/`.
struct Case {
    name: String,
    json: Value,
    tensors: std::collections::HashMap<String, Array>,
    ids: Vec<i32>,
    media: Vec<Arc<Media>>,
    /// Where their soft tokens are, each frame of a video by itself.
    spans: Vec<Range<usize>>,
}

/// The cases in `golden/`, or in `golden/<kind>/`.
fn cases(kind: &str) -> Vec<Case> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(fixtures().join("golden").join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    names.sort();
    names.iter().map(|path| case(path)).collect()
}

/// A part of a message that is not text.
fn medium(part: &Value) -> Media {
    let bytes = |part: &Value| std::fs::read(fixtures().join(part["file"].as_str().unwrap())).unwrap();
    let image = |part: &Value| {
        let budget = part["max_soft_tokens"].as_u64().map(|n| n as u32);
        Image::decode(&bytes(part)).unwrap().with_soft_token_budget(budget).unwrap()
    };
    match part["type"].as_str().unwrap() {
        "image" => Media::Image(image(part)),
        "audio" => Media::Audio(Audio::decode(&bytes(part)).unwrap()),
        _ => {
            let frames = part["frames"].as_array().unwrap().iter();
            let frames = frames
                .map(|frame| VideoFrame { image: image(frame), seconds: frame["seconds"].as_f64().unwrap() });
            Media::Video(Video::from_frames(frames.collect()).unwrap())
        }
    }
}

fn case(path: &Path) -> Case {
    let json = json(path);
    let parts = json["messages"].as_array().unwrap().iter().flat_map(|m| m["parts"].as_array().unwrap());
    let media = parts.filter(|part| part["type"] != "text").map(|part| Arc::new(medium(part)));
    let spans = json["media"].as_array().unwrap().iter().map(|m| {
        let begin = m["begin"].as_u64().unwrap() as usize + 1;
        begin..begin + m["soft_tokens"].as_u64().unwrap() as usize
    });
    Case {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        tensors: Array::load_safetensors(path.with_extension("safetensors")).unwrap(),
        ids: json["prompt_ids"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap() as i32).collect(),
        media: media.collect(),
        spans: spans.collect(),
        json,
    }
}

fn ids(values: &[i32]) -> Array {
    Array::from_slice(values, &[values.len() as i32])
}

/// A case as a run takes it: the placed prompt, and the encoding of each of its media.
struct Encoded {
    prompt: Placed,
    positions: Positions,
    soft: Vec<Option<SoftTokens>>,
}

fn encode(loaded: &Loaded, case: &Case) -> Encoded {
    let model = loaded.architecture.media();
    let blocks: Vec<_> = case.media.iter().flat_map(|media| model.blocks(media).unwrap()).collect();
    assert_eq!(blocks.len(), case.spans.len(), "{}", case.name);
    let ids = case.ids.iter().map(|id| *id as u32).collect();
    let mut prompt = Placed { ids, ..Placed::default() };
    let mut soft = Vec::new();
    for (block, at) in blocks.into_iter().zip(&case.spans) {
        assert_eq!(block.count, at.len(), "{}", case.name);
        assert!(prompt.ids[at.clone()].iter().all(|id| *id == block.soft));
        assert!(
            prompt.ids[..at.start].ends_with(&block.before) && prompt.ids[at.end..].starts_with(&block.after)
        );
        let prepared = model.prepare(&block.media, &|| Ok(())).unwrap();
        let tokens = loaded.model.encode(&prepared).unwrap();
        eval(tokens.arrays()).unwrap();
        assert_eq!(tokens.features.dim(0) as usize, at.len());
        soft.push(Some(tokens));
        let (grid, together) = (block.grid, block.together);
        prompt.media.push(PlacedMedia { media: block.media, tokens: at.clone(), grid, together });
    }
    let positions = model.positions(&prompt);
    Encoded { prompt, positions, soft }
}

/// Prefills the prompt in chunks of `size` that split no block, and gives the last row's logits.
fn prefill(loaded: &Loaded, encoded: &Encoded, size: usize, state: &mut State) -> Vec<f32> {
    let blocks = encoded.prompt.media.iter().filter(|medium| medium.together);
    let whole: Vec<_> = blocks.map(|medium| medium.tokens.clone()).collect();
    let mut logits = None;
    for chunk in chunks(0..encoded.prompt.ids.len(), size, &whole, None) {
        let run = Run::of_prompt(&encoded.prompt, &encoded.positions, &encoded.soft, chunk).unwrap();
        let hidden = loaded.model.forward(&Batch::of(run), &mut [state]).unwrap();
        logits = Some(loaded.model.logits(&hidden, 0..1).unwrap());
        eval(state.arrays()).unwrap();
    }
    host(&logits.unwrap())
}

fn distance(a: &[f32], b: &[f32], sigma: f32) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / sigma
}

fn best(logits: &[f32], suppressed: &[usize]) -> i32 {
    let allowed = logits.iter().enumerate().filter(|(id, _)| !suppressed.contains(id));
    allowed.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as i32
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The soft tokens' rows that the fixture keeps; the worst distance, relative to their own size.
fn check_soft(loaded: &Loaded, case: &Case, encoded: &Encoded, result: &Value) -> f32 {
    let mut worst = 0f32;
    for (i, soft) in encoded.soft.iter().flatten().enumerate() {
        let expected = &case.tensors[&format!("{}/soft/{i}", loaded.key)];
        let rows: Vec<i32> = numbers(&result["soft_rows"][i]).iter().map(|r| *r as i32).collect();
        let found = host(&soft.features.take_axis(ids(&rows), 0).unwrap());
        let expected = host(expected);
        let size = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt().max(1e-6);
        worst = worst.max(distance(&found, &expected, size));
    }
    worst
}

/// Greedy tokens, as long as the reference's margin says that they must agree.
fn check_greedy(
    loaded: &Loaded,
    case: &Case,
    result: &Value,
    sigma: f32,
    first: &[f32],
    state: &mut State,
) -> usize {
    let margins = numbers(&result["greedy_margins"]);
    let expected: Vec<i32> = numbers(&result["greedy_ids"]).iter().map(|v| *v as i32).collect();
    let mut logits = first.to_vec();
    for (step, (id, margin)) in expected.iter().zip(&margins).enumerate() {
        let found = best(&logits, &loaded.suppressed);
        if found != *id {
            let told = format!("{} {} step {step}: {found} instead of {id}", loaded.folder, case.name);
            assert!((*margin as f32) < 4.0 * TOLERANCE * sigma, "{told}, margin {margin}");
            return step;
        }
        let position = Positions::Consecutive { start: state.position(), count: 1 };
        let step = Batch::of(Run::text(ids(&[found]), position));
        let hidden = loaded.model.forward(&step, &mut [state]).unwrap();
        let next = loaded.model.logits(&hidden, 0..1).unwrap();
        eval(std::iter::once(&next).chain(state.arrays())).unwrap();
        logits = host(&next);
    }
    expected.len()
}

fn check(loaded: &Loaded, case: &Case) -> Option<(f32, f32)> {
    let result = case.json["results"].get(&loaded.key)?;
    if !case.media.iter().all(|media| loaded.architecture.modalities().contains(&media.kind())) {
        return None;
    }
    let sigma = result["sigma"].as_f64().unwrap() as f32;
    let expected = host(&case.tensors[&format!("{}/logits", loaded.key)]);
    let encoded = encode(loaded, case);
    let soft = check_soft(loaded, case, &encoded, result);
    let mut state = loaded.model.new_state();
    let logits = prefill(loaded, &encoded, usize::MAX / 2, &mut state);
    let off = distance(&logits, &expected, sigma);
    let same = check_greedy(loaded, case, result, sigma, &logits, &mut state);
    println!("{:22} {:26} logits {off:.1e} sigma, soft {soft:.1e}, greedy {same}", loaded.folder, case.name);
    for size in [1, 7, 50] {
        let chunked = prefill(loaded, &encoded, size, &mut loaded.model.new_state());
        assert!(distance(&chunked, &logits, sigma) < 2e-4, "{} in chunks of {size}", case.name);
    }
    Some((off, soft))
}

/// The snapshots of one kind of model: logits, soft tokens and greedy tokens are the reference's.
fn snapshots_of(kind: &str) {
    for (folder, result) in &snapshots() {
        let (of, key) = result.rsplit_once('/').unwrap_or(("", result));
        if of != kind {
            continue;
        }
        let loaded = load(folder, key);
        let cases = cases(kind);
        let results: Vec<_> = cases.iter().filter_map(|case| Some((case, check(&loaded, case)?))).collect();
        assert!(results.len() >= 2, "{folder}: {} cases", results.len());
        for (case, (off, soft)) in results {
            assert!(off < TOLERANCE, "{folder} {}: logits are off by {off} sigma", case.name);
            assert!(soft < TOLERANCE, "{folder} {}: soft tokens are off by {soft}", case.name);
        }
    }
}

fn snapshots() -> BTreeMap<String, String> {
    serde_json::from_value(json(&fixtures().join("snapshots.json"))).unwrap()
}

macro_rules! kinds {
    ($($test:ident: $kind:literal,)*) => {
        $(#[test]
        fn $test() {
            snapshots_of($kind);
        })*

        #[test]
        fn every_kind_is_compared() {
            let of = |result: &String| result.rsplit_once('/').map_or("", |(kind, _)| kind).to_owned();
            let kinds: std::collections::BTreeSet<String> = snapshots().values().map(of).collect();
            let mut compared = vec![$($kind),*];
            compared.sort_unstable();
            assert_eq!(kinds.iter().collect::<Vec<_>>(), compared);
        }
    };
}

kinds! {
    gemma4_unified_is_the_reference: "",
    gemma4_e2b_is_the_reference: "e2b",
    gemma4_e4b_is_the_reference: "e4b",
    gemma4_with_experts_is_the_reference: "moe",
    gemma4_dense_is_the_reference: "dense31",
    gemma4_text_is_the_reference: "gemma4text",
    gemma3_is_the_reference: "gemma3",
    gemma3_with_pan_and_scan_is_the_reference: "gemma3-panscan",
    gemma3_text_is_the_reference: "gemma3text",
    qwen3_vl_is_the_reference: "qwen3vl",
    qwen3_vl_with_a_tied_head_is_the_reference: "qwen3vltied",
    qwen3_vl_with_experts_is_the_reference: "qwen3vlmoe",
}

#[test]
fn a_cancel_stops_the_load() {
    let snapshot = Snapshot::open(&fixtures().join("unified-mxfp4")).unwrap();
    let architecture = architecture(&snapshot).unwrap();
    let cancelled = crate::error::Error::new(crate::error::Code::Cancelled, "stop");
    let stop = &mut |done: f32| if done > 0.4 { Err(cancelled.clone()) } else { Ok(()) };
    let mut context = LoadContext { snapshot: &snapshot, device: Device::Cpu, progress: stop };
    assert_eq!(architecture.load(&mut context).err(), Some(cancelled.clone()));
}
