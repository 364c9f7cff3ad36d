//! What a load and a session would take, told before there is either.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::budget::Budget;
use super::group::setup::Setup;
use super::limits;
use super::model::{Model, Planned, require_platform};
use super::options::{CancelToken, LoadOptions};
use crate::error::Result;
use crate::media::{Audio, Image, Media, MediaKind, PixelDesc, PixelFormat, go_on};
use crate::models::Architecture;
use crate::nn::held::Part;
use crate::nn::split::Shard;
use crate::system::room;

/// The picture that is counted: so many pixels wide and high.
const PICTURE: u32 = 1024;
/// The sound that is counted.
const SECONDS: usize = 10;
const RATE: u32 = 16_000;

impl Model {
    /// Bytes that the model would take, and a session with `context` positions (0 for all that the options or the model
    /// allow), from the configuration and the headers of the weight files: no weight is read. See `rmlx_model_estimate`
    /// for the fields. What a load refuses of the files is refused here in the same words.
    pub fn estimate(dir: &Path, options: &LoadOptions, context: usize) -> Result<Value> {
        require_platform()?;
        let shard = Setup::of_load(options)?.map_or(Shard::WHOLE, |setup| setup.shard);
        let Planned { architecture, device, budget, .. } =
            Planned::open(dir, options, shard, &CancelToken::default())?;
        let most = architecture.facts().context_length;
        let most = options.context_length.map_or(most, |n| n.clamp(1, most));
        let context = if context == 0 { most } else { context.min(most) };
        let held = budget.held();
        let weights = held.bytes();
        let left = options.memory_limit.map(|limit| limit.saturating_sub(held.memory()));
        let chunk = limits::prefill_chunk(left, |rows| budget.work(rows, rows.min(context)));
        let (cache, work) = (budget.cache(context, chunk), budget.prefill(context, chunk));
        let checkpoints = budget.checkpoints(context, budget.checkpoints_within(left, context, chunk));
        let media = encodings(architecture.as_ref(), &budget)?;
        let encoding = media.values().filter_map(Value::as_u64).max().unwrap_or(0);
        let peak =
            held.load_peak.max(held.memory() + held.table + (cache + checkpoints + work).max(encoding));
        let room = room::room();
        let bound = room.map(|room| room.bytes).into_iter().chain(options.memory_limit).min();
        Ok(json!({
            "device": device.name(),
            "context_tokens": context,
            "prefill_chunk": chunk,
            "weights": weights,
            "mapped_weights": held.mapped,
            "text_weights": held.of(Part::Text),
            "vision_weights": held.of(Part::Vision),
            "audio_weights": held.of(Part::Audio),
            "cache": cache,
            "checkpoints": checkpoints,
            "prefill": work,
            "media": media,
            "load_peak": held.load_peak,
            "peak": peak,
            "available": room.map(|room| room.bytes),
            "fits": bound.is_none_or(|bound| peak <= bound),
        }))
    }
}

/// For each kind of medium that the model takes: bytes that the encoding of one is computed with.
fn encodings(architecture: &dyn Architecture, budget: &Budget) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for kind in architecture.modalities() {
        let medium = match kind {
            MediaKind::Image => {
                let format = PixelFormat::Gray8;
                let desc = PixelDesc { width: PICTURE, height: PICTURE, row_stride: 0, format };
                Media::Image(Image::from_pixels(&desc, &vec![127; (PICTURE * PICTURE) as usize])?)
            }
            MediaKind::Audio => {
                Media::Audio(Audio::from_pcm_f32(&vec![0.0; SECONDS * RATE as usize], 1, RATE)?)
            }
            // Frame by frame, and frames are smaller than pictures.
            MediaKind::Video => continue,
        };
        let mut most = 0;
        for block in architecture.media().blocks(&Arc::new(medium))? {
            most = most.max(budget.encode(&architecture.media().prepare(&block.media, &go_on)?));
        }
        found.insert(kind.name().to_owned(), json!(most));
    }
    Ok(found)
}
