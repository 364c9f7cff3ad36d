//! What image and video processors do on the host: a picture to the patches that a family's tower embeds, and how many
//! soft tokens it takes.
//!
//! A file a family: [`gemma4`], [`gemma3`], [`qwen3_vl`]. Each reads its configuration, answers a picture's
//! [wishes](crate::media::ImageWishes), and gives sizes at once and patches, which take longer, under a
//! [`Check`](crate::media::Check). [`resize`] and [`patches`] are what they share. All of it is pure: no MLX, no tokens.

pub mod gemma3;
pub mod gemma4;
pub mod patches;
pub mod qwen3_vl;
pub mod resize;
mod smart_resize;

use self::resize::Filter;
use crate::error::{Error, Result};
use crate::snapshot::config::Section;

/// Largest of a processor's sizes (patches, pictures): products of a few of them stay far inside their types.
const MAX_SIZE: u64 = 2048;

/// Reads `do_resize` and `resample`: 2 is bilinear, 3 bicubic, and `default` is that of the reference's class.
fn filter(processor: &Section, default: Filter) -> Result<Filter> {
    if !processor.bool_or("do_resize", true)? {
        return Err(processor
            .unsupported("do_resize", "pictures are always brought to the size that the model takes"));
    }
    match processor.optional_in_range("resample", 0..=5)? {
        None => Ok(default),
        Some(2) => Ok(Filter::Bilinear),
        Some(3) => Ok(Filter::Bicubic),
        Some(_) => {
            Err(processor.unsupported("resample", "pictures are resized with 2 (bilinear) or 3 (bicubic)"))
        }
    }
}

/// The error for a picture's wish that a family cannot answer; `found` says which, `can` what the family can do.
fn cannot(found: impl std::fmt::Display, can: &str) -> Error {
    Error::unsupported(format!("{found} was asked for an image: {can}")).with("wish", found.to_string())
}

/// Refuses a tower whose sizes (named as in `vision_config`) make no patches, or overflow.
fn check_tower(sizes: &[(&str, u32)]) -> Result<()> {
    match sizes.iter().find(|(_, n)| !(1..=MAX_SIZE).contains(&u64::from(*n))) {
        None => Ok(()),
        Some((key, n)) => {
            let message =
                format!("config.json: vision_config.{key} is {n}, but must be from 1 to {MAX_SIZE}");
            Err(Error::snapshot(message).with("key", format!("vision_config.{key}")))
        }
    }
}
