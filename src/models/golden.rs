//! The models against the golden fixtures of `tests/fixtures` (its README.md has the schema), on one thread.

use std::ops::Range;
use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::transforms::eval;
use serde_json::Value;

use super::cases::{Case, Frame, Part, Results, TOLERANCE, bytes, distance, path, snapshots};
use super::{Architecture, Batch, LanguageModel, LoadContext, Run, SoftTokens, architecture, chunks};
use crate::media::{Audio, Image, Media, Video, VideoFrame};
use crate::nn::Device;
use crate::nn::group::Ranks;
use crate::nn::positions::Positions;
use crate::nn::state::State;
use crate::nn::testing::host;
use crate::prompt::{Placed, PlacedMedia};
use crate::snapshot::Snapshot;

struct Loaded {
    folder: String,
    /// Of the results in a case.
    key: String,
    architecture: Box<dyn Architecture>,
    model: Box<dyn LanguageModel>,
    suppressed: Vec<usize>,
}

fn load(folder: &str, key: &str) -> Loaded {
    let snapshot = Snapshot::open(&path(folder)).unwrap();
    let architecture = architecture(&snapshot).unwrap();
    let mut steps = Vec::new();
    let progress = &mut |done| {
        steps.push(done);
        Ok(())
    };
    let mut context = LoadContext {
        snapshot: &snapshot,
        device: Device::Cpu,
        progress,
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    let model = architecture.load(&mut context).unwrap();
    assert!(steps.is_sorted() && steps.first() == Some(&0.0) && steps.last() == Some(&1.0), "{steps:?}");
    let suppressed = snapshot.generation_config.as_ref().map_or(&Value::Null, |c| &c["suppress_tokens"]);
    let suppressed =
        suppressed.as_array().into_iter().flatten().map(|v| v.as_u64().unwrap() as usize).collect();
    Loaded { folder: folder.into(), key: key.into(), architecture, model, suppressed }
}

/// A part of a message that is not text.
fn medium(part: &Part) -> Option<Media> {
    let image = |file: &str, budget: Option<u32>| {
        Image::decode(&bytes(file)).unwrap().with_soft_token_budget(budget).unwrap()
    };
    Some(match part {
        Part::Text { .. } => return None,
        Part::Image { file, max_soft_tokens } => Media::Image(image(file, *max_soft_tokens)),
        Part::Audio { file } => Media::Audio(Audio::decode(&bytes(file)).unwrap()),
        Part::Video { frames } => {
            let frame =
                |frame: &Frame| VideoFrame { image: image(&frame.file, None), seconds: frame.seconds };
            Media::Video(Video::from_frames(frames.iter().map(frame).collect()).unwrap())
        }
    })
}

/// All media of a case, in order.
fn media(case: &Case) -> Vec<Arc<Media>> {
    case.messages.iter().flat_map(|m| &m.parts).filter_map(medium).map(Arc::new).collect()
}

/// Where their soft tokens are, each frame of a video by itself.
fn spans(case: &Case) -> Vec<Range<usize>> {
    case.media.iter().map(|m| m.begin + 1..m.begin + 1 + m.soft_tokens).collect()
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
    let blocks: Vec<_> = media(case).iter().flat_map(|media| model.blocks(media).unwrap()).collect();
    let spans = spans(case);
    assert_eq!(blocks.len(), spans.len(), "{}", case.name);
    let mut prompt = Placed { ids: case.prompt_ids.clone(), ..Placed::default() };
    let mut soft = Vec::new();
    for (block, at) in blocks.into_iter().zip(&spans) {
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
    for chunk in chunks(0..encoded.prompt.ids.len(), size, &whole, &[]) {
        let run = Run::of_prompt(&encoded.prompt, &encoded.positions, &encoded.soft, chunk).unwrap();
        let hidden = loaded.model.forward(&Batch::of(run), &mut [state]).unwrap();
        logits = Some(loaded.model.logits(&hidden, 0..1).unwrap());
        eval(state.arrays()).unwrap();
    }
    host(&logits.unwrap())
}

fn best(logits: &[f32], suppressed: &[usize]) -> u32 {
    let allowed = logits.iter().enumerate().filter(|(id, _)| !suppressed.contains(id));
    allowed.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as u32
}

/// The soft tokens' rows that the fixture keeps; the worst distance, relative to their own size.
fn check_soft(loaded: &Loaded, case: &Case, encoded: &Encoded, results: &Results) -> f32 {
    let mut worst = 0f32;
    for (i, soft) in encoded.soft.iter().flatten().enumerate() {
        let expected = case.tensor(&format!("{}/soft/{i}", loaded.key));
        let found = host(&soft.features.take_axis(ids(&results.soft_rows[i]), 0).unwrap());
        let size = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt().max(1e-6);
        worst = worst.max(distance(&found, &expected, size));
    }
    worst
}

/// Greedy tokens after the prompt whose logits are `first`.
fn greedy(loaded: &Loaded, first: &[f32], count: usize, state: &mut State) -> Vec<u32> {
    let mut tokens = vec![best(first, &loaded.suppressed)];
    while tokens.len() < count {
        let position = Positions::Consecutive { start: state.position(), count: 1 };
        let step = Batch::of(Run::text(ids(&[tokens[tokens.len() - 1] as i32]), position));
        let hidden = loaded.model.forward(&step, &mut [state]).unwrap();
        let next = loaded.model.logits(&hidden, 0..1).unwrap();
        eval(std::iter::once(&next).chain(state.arrays())).unwrap();
        tokens.push(best(&host(&next), &loaded.suppressed));
    }
    tokens
}

fn check(loaded: &Loaded, case: &Case) -> Option<(f32, f32)> {
    let results = case.results.get(&loaded.key)?;
    if !media(case).iter().all(|media| loaded.architecture.modalities().contains(&media.kind())) {
        return None;
    }
    let expected = case.tensor(&format!("{}/logits", loaded.key));
    let encoded = encode(loaded, case);
    let soft = check_soft(loaded, case, &encoded, results);
    let mut state = loaded.model.new_state();
    let logits = prefill(loaded, &encoded, usize::MAX / 2, &mut state);
    let off = distance(&logits, &expected, results.sigma);
    let tokens = greedy(loaded, &logits, results.greedy_ids.len(), &mut state);
    let same = results.compare(tokens).unwrap_or_else(|e| panic!("{} {}: {e}", loaded.folder, case.name));
    println!("{:22} {:26} logits {off:.1e} sigma, soft {soft:.1e}, greedy {same}", loaded.folder, case.name);
    for size in [1, 7, 50] {
        let chunked = prefill(loaded, &encoded, size, &mut loaded.model.new_state());
        assert!(distance(&chunked, &logits, results.sigma) < 2e-4, "{} in chunks of {size}", case.name);
    }
    Some((off, soft))
}

/// The snapshots of one kind of model: logits, soft tokens and greedy tokens are the reference's.
fn snapshots_of(kind: &str) {
    for (folder, (of, key)) in &snapshots() {
        if of != kind {
            continue;
        }
        let loaded = load(folder, key);
        let cases = Case::of(kind);
        let results: Vec<_> = cases.iter().filter_map(|case| Some((case, check(&loaded, case)?))).collect();
        assert!(results.len() >= 2, "{folder}: {} cases", results.len());
        for (case, (off, soft)) in results {
            assert!(off < TOLERANCE, "{folder} {}: logits are off by {off} sigma", case.name);
            assert!(soft < TOLERANCE, "{folder} {}: soft tokens are off by {soft}", case.name);
        }
    }
}

macro_rules! kinds {
    ($($test:ident: $kind:literal,)*) => {
        $(#[test]
        fn $test() {
            snapshots_of($kind);
        })*

        #[test]
        fn every_kind_is_compared() {
            let kinds: std::collections::BTreeSet<String> =
                snapshots().into_values().map(|(kind, _)| kind).collect();
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
    let snapshot = Snapshot::open(&path("unified-mxfp4")).unwrap();
    let architecture = architecture(&snapshot).unwrap();
    let cancelled = crate::error::Error::new(crate::error::Code::Cancelled, "stop");
    let stop = &mut |done: f32| if done > 0.4 { Err(cancelled.clone()) } else { Ok(()) };
    let mut context = LoadContext {
        snapshot: &snapshot,
        device: Device::Cpu,
        progress: stop,
        cache: None,
        border: &|| Ok(()),
        ranks: Ranks::alone(),
    };
    assert_eq!(architecture.load(&mut context).err(), Some(cancelled.clone()));
}
