//! What Qwen3-VL makes of a picture or a video: sizes near the original's, patches in the order of the tower's merger.
//!
//! As transformers' `image_processing_pil_qwen2_vl.py`, `video_processing_qwen3_vl.py` and `processing_qwen3_vl.py`.

mod image;
mod video;

pub use self::image::ImageProcessor;
pub use self::video::{Part, VideoProcessor};
use super::smart_resize::Bounds;
use super::{cannot, check_tower};
use crate::error::Result;
use crate::media::ImageWishes;
use crate::media::limits::check_dimensions;
use crate::snapshot::config::Section;

/// Most pixels that a configuration may allow.
const MAX_BUDGET: u64 = 1 << 40;

/// What the model's configuration says of its tower (`vision_config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tower {
    /// Side of a patch, in pixels.
    pub patch_size: u32,
    /// Frames that are embedded as one.
    pub temporal_patch_size: u32,
    /// Patches along the side of a soft token's square (`spatial_merge_size`).
    pub merge_size: u32,
}

/// Soft tokens of a picture, or of the frames that are embedded as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// One below the other.
    pub rows: usize,
    /// Side by side.
    pub columns: usize,
}

impl Grid {
    /// Soft tokens in all.
    pub fn count(&self) -> usize {
        self.rows * self.columns
    }
}

impl Tower {
    /// Side of a soft token's square, in pixels.
    pub fn factor(&self) -> u32 {
        self.patch_size * self.merge_size
    }

    fn grid(&self, (width, height): (u32, u32)) -> Grid {
        Grid { rows: (height / self.factor()) as usize, columns: (width / self.factor()) as usize }
    }

    /// A processor for another tower would make patches that this one cannot take.
    fn check(&self, processor: &Section) -> Result<()> {
        check_tower(&[
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("spatial_merge_size", self.merge_size),
        ])?;
        for (key, own) in [
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("merge_size", self.merge_size),
        ] {
            if let Some(found) = processor.optional_in_range(key, 0..=u64::from(u32::MAX))?
                && found != u64::from(own)
            {
                return Err(processor.wrong(key, &found.into(), &format!("the {own} of the model's tower")));
            }
        }
        Ok(())
    }

    /// The bounds of a picture with such wishes, where the configuration allows `pixels` (fewest, most) for `frames`
    /// frames.
    ///
    /// Errors: `Unsupported` for a wish that Qwen3-VL cannot answer.
    fn bounds(&self, wishes: &ImageWishes, pixels: (u64, u64), frames: u64) -> Result<Bounds> {
        let token = u64::from(self.factor()).pow(2);
        let can = format!(
            "Qwen3-VL shows a picture whole, with one soft token for {0} x {0} pixels; it takes any soft-token budget, \
             and a pixel range that allows {token} pixels",
            self.factor()
        );
        if wishes.pan_and_scan == Some(true) {
            return Err(cannot("pan and scan", &can));
        }
        let budget = wishes.soft_token_budget.map(|n| u64::from(n).saturating_mul(token));
        let range = wishes.pixel_range.map(|(least, most)| (u64::from(least), u64::from(most)));
        let most = [budget, range.map(|(_, most)| most)].into_iter().flatten().min();
        if let Some((least, of)) = range
            && most.is_some_and(|most| most < token || least > most)
        {
            let budget = wishes.soft_token_budget.map_or(String::new(), |n| format!(" in {n} soft tokens"));
            return Err(cannot(format_args!("a size of {least} to {of} pixels{budget}"), &can));
        }
        // Without any least number, a side that rounds to nothing would take the other with it.
        let least = range.map_or(pixels.0, |(least, _)| least.max(token).saturating_mul(frames));
        let most_of_all = range.map_or(pixels.1, |(_, most)| most.saturating_mul(frames));
        let most_of_all = budget.map_or(most_of_all, |most| most_of_all.min(most.saturating_mul(frames)));
        Ok(Bounds { factor: self.factor(), pixels: (least.min(most_of_all), most_of_all), most })
    }
}

/// `size.shortest_edge` and `size.longest_edge` (in older files `min_pixels` and `max_pixels`), which are numbers of
/// pixels, where the section has a size.
fn budget(processor: &Section, default: (u64, u64)) -> Result<(u64, u64)> {
    let Some(size) = processor.section("size")? else { return Ok(default) };
    let pixels = |key: &str| size.optional_in_range(key, 1..=MAX_BUDGET);
    let edge = |key: &str, older: &str| match pixels(key)?.map_or_else(|| pixels(older), |n| Ok(Some(n)))? {
        Some(n) => Ok(n),
        None => Err(size.wrong(key, &serde_json::Value::Null, "a number of pixels")),
    };
    Ok((edge("shortest_edge", "min_pixels")?, edge("longest_edge", "max_pixels")?))
}

/// A size within the limits of pictures.
fn checked((width, height): (u64, u64)) -> Result<(u32, u32)> {
    let side = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    check_dimensions(side(width), side(height))?;
    Ok((side(width), side(height)))
}

#[cfg(test)]
const TOWER: Tower = Tower { patch_size: 16, temporal_patch_size: 2, merge_size: 2 };
