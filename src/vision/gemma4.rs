//! What Gemma 4 makes of a picture: the size that it is brought to, and its patches.
//!
//! Both the tower models and the unified one use this processor (transformers' `image_processing_pil_gemma4.py`).

use super::patches::{Levels, Patches, by_row_column_channel};
use super::resize::{Filter, Resized, Target, resized};
use super::{MAX_SIZE, cannot};
use crate::error::{Error, Result};
use crate::media::limits::MAX_SIDE;
use crate::media::{Check, Image};
use crate::snapshot::config::Section;

/// The numbers of soft tokens that a picture may be given at most.
pub const SOFT_TOKEN_BUDGETS: [u32; 5] = [70, 140, 280, 560, 1120];

/// How pictures are brought to size. One soft token stands for a square of `patch_size * pooling_kernel_size`
/// pixels, and a picture gets the largest size near its aspect ratio that takes at most `max_soft_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageProcessor {
    /// Side of a tower patch, in pixels.
    pub patch_size: u32,
    /// Patches along the side of a soft token's square.
    pub pooling_kernel_size: u32,
    /// Most soft tokens of an image that sets no budget of its own.
    pub max_soft_tokens: u32,
}

impl Default for ImageProcessor {
    /// What every published Gemma 4 has: 16, 3, 280.
    fn default() -> Self {
        ImageProcessor { patch_size: 16, pooling_kernel_size: 3, max_soft_tokens: 280 }
    }
}

impl ImageProcessor {
    /// Reads the image processor's section. Missing keys take [`ImageProcessor::default`].
    ///
    /// Errors: `InvalidSnapshot` for values that the reference refuses too, `Unsupported` for a processor that
    /// does something else than resize bicubically and scale to `0..=1`.
    pub fn read(image_processor: &Section) -> Result<Self> {
        Self::default().with(image_processor)
    }

    /// The processor of a video's frames, from the video processor's section. Missing keys are those of `self`, but for
    /// `max_soft_tokens`, which is 70 (the reference's default for each frame).
    ///
    /// Errors: as for [`ImageProcessor::read`].
    pub fn for_video(&self, video_processor: &Section) -> Result<Self> {
        ImageProcessor { max_soft_tokens: 70, ..*self }.with(video_processor)
    }

    /// What the section says, and `self` where it says nothing.
    fn with(self, section: &Section) -> Result<Self> {
        let size = |key: &str, default: u32| {
            section.in_range_or(key, u64::from(default), 1..=MAX_SIZE).map(|n| n as u32)
        };
        let processor = ImageProcessor {
            patch_size: size("patch_size", self.patch_size)?,
            pooling_kernel_size: size("pooling_kernel_size", self.pooling_kernel_size)?,
            max_soft_tokens: size("max_soft_tokens", self.max_soft_tokens)?,
        };
        if !SOFT_TOKEN_BUDGETS.contains(&processor.max_soft_tokens) {
            let needed = format!("one of {SOFT_TOKEN_BUDGETS:?}");
            return Err(section.wrong("max_soft_tokens", &processor.max_soft_tokens.into(), &needed));
        }
        refuse_other_processing(section)?;
        Ok(processor)
    }

    /// The size in pixels (width, height) that `image` is brought to, honouring its own soft-token budget. Both
    /// are multiples of [`Self::side`]; pictures are enlarged as readily as they are shrunk.
    ///
    /// Errors: `InvalidMedia` where no size fits, `Unsupported` for a wish that is none of Gemma 4's.
    pub fn target_size(&self, image: &Image) -> Result<(u32, u32)> {
        target_size(self, image.width(), image.height(), self.budget(image)?)
    }

    /// How many soft tokens `image` takes.
    ///
    /// Errors: as for [`ImageProcessor::target_size`].
    pub fn soft_tokens(&self, image: &Image) -> Result<usize> {
        let (width, height) = self.target_size(image)?;
        Ok((width / self.side()) as usize * (height / self.side()) as usize)
    }

    /// `image` at its target size.
    ///
    /// Errors: as for [`ImageProcessor::target_size`], `OutOfMemory`, and what `check` ends it with.
    pub fn resized(&self, image: &Image, check: Check) -> Result<Resized> {
        resized(image, self.target(image)?, check)
    }

    /// [`ImageProcessor::target_size`], and how `image` is brought to it.
    pub fn target(&self, image: &Image) -> Result<Target> {
        let (width, height) = self.target_size(image)?;
        Ok(Target { width, height, filter: Filter::Bicubic })
    }

    /// `image` at its target size, cut into squares of `side` pixels ([`Self::patch_size`] for a tower,
    /// [`Self::side`] for an embedder of whole soft tokens): `[rows * columns, side * side * 3]`, row by row, within a
    /// square by row, column and channel, in `0..=1`.
    ///
    /// Errors: as for [`ImageProcessor::resized`].
    pub fn patches(&self, image: &Image, side: u32, check: Check) -> Result<Patches> {
        by_row_column_channel(&self.resized(image, check)?, side, &Levels::unit(), check)
    }

    /// Side of a soft token's square, in pixels.
    pub fn side(&self) -> u32 {
        self.patch_size * self.pooling_kernel_size
    }

    fn budget(&self, image: &Image) -> Result<u32> {
        let wishes = image.wishes();
        let can =
            || format!("Gemma 4 shows it whole, and takes a soft-token budget of {SOFT_TOKEN_BUDGETS:?}");
        if wishes.pan_and_scan == Some(true) {
            return Err(cannot("pan and scan", &can()));
        }
        if let Some((least, most)) = wishes.pixel_range {
            return Err(cannot(format_args!("a size of {least} to {most} pixels"), &can()));
        }
        match wishes.soft_token_budget {
            Some(n) if !SOFT_TOKEN_BUDGETS.contains(&n) => {
                let can = format!("Gemma 4 takes one of {SOFT_TOKEN_BUDGETS:?}");
                Err(cannot(format_args!("a soft-token budget of {n}"), &can).with("soft_token_budget", n))
            }
            Some(n) => Ok(n),
            None => Ok(self.max_soft_tokens),
        }
    }
}

/// A snapshot whose processor would do something that is not done here must not be run silently wrong.
fn refuse_other_processing(section: &Section) -> Result<()> {
    let can = "Gemma 4's pictures are resized bicubically and scaled to 0..1";
    for key in ["do_resize", "do_rescale"] {
        if !section.bool_or(key, true)? {
            return Err(section.unsupported(key, can));
        }
    }
    if section.in_range_or("resample", 3, 0..=5)? != 3 {
        return Err(section.unsupported("resample", can));
    }
    if (section.f64_or("rescale_factor", 1.0 / 255.0)? * 255.0 - 1.0).abs() > 1e-6 {
        return Err(section.unsupported("rescale_factor", can));
    }
    if section.bool_or("do_normalize", false)? {
        for (key, identity) in [("image_mean", [0.0; 3]), ("image_std", [1.0; 3])] {
            if section.floats(key)?.is_some_and(|found| found != identity) {
                return Err(section.unsupported(key, can));
            }
        }
    }
    Ok(())
}

/// `get_aspect_ratio_preserving_size` of the reference, in its order of `f64` operations.
fn target_size(processor: &ImageProcessor, width: u32, height: u32, soft_tokens: u32) -> Result<(u32, u32)> {
    let side = u64::from(processor.side());
    let soft_tokens = u64::from(soft_tokens);
    let target = soft_tokens * side * side;
    let (w, h) = (f64::from(width), f64::from(height));
    let factor = (target as f64 / (u64::from(width) * u64::from(height)) as f64).sqrt();
    let mut to_height = (factor * h / side as f64).floor() as u64 * side;
    let mut to_width = (factor * w / side as f64).floor() as u64 * side;
    match (to_width, to_height) {
        (0, 0) => return Err(no_size(width, height, soft_tokens)),
        (_, 0) => {
            to_height = side;
            to_width = ((w / h).floor() as u64 * side).min(soft_tokens * side);
        }
        (0, _) => {
            to_width = side;
            to_height = ((h / w).floor() as u64 * side).min(soft_tokens * side);
        }
        _ => {}
    }
    if to_width * to_height > target || to_width.max(to_height) > u64::from(MAX_SIDE) {
        return Err(no_size(width, height, soft_tokens));
    }
    Ok((to_width as u32, to_height as u32))
}

fn no_size(width: u32, height: u32, soft_tokens: u64) -> Error {
    Error::media(format!(
        "an image of {width} x {height} pixels cannot be brought to {soft_tokens} soft tokens"
    ))
    .with("width", width)
    .with("height", height)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Code;
    use crate::media::testing::{noise, text_beside};
    use crate::media::{PixelDesc, PixelFormat, go_on};
    use crate::snapshot::processors::ProcessorFiles;

    fn image(width: u32, height: u32) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        Image::from_pixels(&desc, &noise(width as usize * height as usize * 3, 2)).unwrap()
    }

    #[test]
    fn target_sizes_are_the_references() {
        let processor = ImageProcessor::default();
        let mut count = 0;
        for line in text_beside(file!(), "gemma4_sizes.txt").lines() {
            let fields: Vec<u32> = line.split(' ').map(|f| f.parse().unwrap()).collect();
            let found = target_size(&processor, fields[0], fields[1], fields[2]).unwrap_or((0, 0));
            assert_eq!(found, (fields[3], fields[4]), "{line}");
            count += 1;
        }
        assert_eq!(count, 600);
    }

    #[test]
    fn a_small_picture_grows_and_its_tokens_are_counted() {
        let processor = ImageProcessor::default();
        let square = image(64, 64);
        assert_eq!(processor.target_size(&square).unwrap(), (768, 768));
        assert_eq!(processor.soft_tokens(&square).unwrap(), 256);
        let resized = processor.resized(&square, &go_on).unwrap();
        assert_eq!((resized.width, resized.height, resized.rgb.len()), (768, 768, 768 * 768 * 3));
        let same = image(768, 768);
        let rgb: Vec<u8> = same.pixels().unwrap().rows().flatten().copied().collect();
        assert_eq!(processor.resized(&same, &go_on).unwrap().rgb, rgb);
        let patches = processor.patches(&same, 48, &go_on).unwrap();
        assert_eq!((patches.rows, patches.columns, patches.values.len()), (16, 16, 768 * 768 * 3));
    }

    #[test]
    fn an_images_own_budget_wins() {
        let processor = ImageProcessor { max_soft_tokens: 1120, ..Default::default() };
        let own = image(64, 64).with_soft_token_budget(Some(70)).unwrap();
        assert_eq!(processor.soft_tokens(&own).unwrap(), 64);
        assert_eq!(processor.soft_tokens(&image(64, 64)).unwrap(), 1089);
    }

    #[test]
    fn wishes_of_other_families_are_errors_that_say_what_there_is() {
        let refused = |image: Image| {
            let error = ImageProcessor::default().soft_tokens(&image).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported);
            assert!(error.message().contains("[70, 140, 280, 560, 1120]"), "{error}");
            error.message().to_owned()
        };
        let budget = refused(image(64, 64).with_soft_token_budget(Some(100)).unwrap());
        assert!(
            budget.starts_with("a soft-token budget of 100 was asked for an image: Gemma 4 takes"),
            "{budget}"
        );
        assert!(refused(image(64, 64).with_pan_and_scan(Some(true))).starts_with("pan and scan was asked"));
        let range = refused(image(64, 64).with_pixel_range(Some((1, 9))).unwrap());
        assert!(range.starts_with("a size of 1 to 9 pixels was asked"), "{range}");
        let whole = image(64, 64).with_pan_and_scan(Some(false));
        assert_eq!(ImageProcessor::default().soft_tokens(&whole).unwrap(), 256);
    }

    #[test]
    fn a_strip_thinner_than_a_square_is_one_square_thick() {
        let processor = ImageProcessor::default();
        assert_eq!(processor.target_size(&image(3000, 3)).unwrap(), (13_440, 48));
        assert_eq!(processor.target_size(&image(3, 3000)).unwrap(), (48, 13_440));
        assert_eq!(processor.target_size(&image(2850, 10)).unwrap(), (13_440, 48));
        let wide = image(3000, 1).with_soft_token_budget(Some(1120)).unwrap();
        assert_eq!(processor.target_size(&wide).unwrap(), (53_760, 48));
        assert_eq!(processor.soft_tokens(&wide).unwrap(), 1120);
    }

    #[test]
    fn the_config_is_read_and_checked() {
        let of = |v: Value| ImageProcessor::read(&ProcessorFiles::of(v).image()?);
        let small = ImageProcessor { patch_size: 4, pooling_kernel_size: 2, max_soft_tokens: 70 };
        let block = json!({"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70});
        assert_eq!(of(json!({})).unwrap(), ImageProcessor::default());
        assert_eq!(of(json!({"image_processor": block})).unwrap(), small);
        let published = json!({"image_processor": {"do_convert_rgb": true, "do_normalize": false, "do_rescale": true,
            "do_resize": true, "image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0], "resample": 3,
            "rescale_factor": 0.00392156862745098, "max_soft_tokens": 280, "patch_size": 16, "pooling_kernel_size": 3}});
        assert_eq!(of(published).unwrap(), ImageProcessor::default());
        for (key, value, code) in [
            ("max_soft_tokens", json!(281), Code::InvalidSnapshot),
            ("patch_size", json!(0), Code::InvalidSnapshot),
            ("patch_size", json!("16"), Code::InvalidSnapshot),
            ("pooling_kernel_size", json!(u64::MAX), Code::InvalidSnapshot),
            ("do_resize", json!(false), Code::Unsupported),
            ("do_rescale", json!(false), Code::Unsupported),
            ("rescale_factor", json!(1.0), Code::Unsupported),
            ("resample", json!(2), Code::Unsupported),
        ] {
            let error = of(json!({ "image_processor": { key: value } })).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            let named = format!("processor_config.json: image_processor.{key} is ");
            assert!(error.message().starts_with(&named), "{error}");
        }
        let normalizing = json!({"image_processor": {"do_normalize": true, "image_mean": [0.5, 0.5, 0.5]}});
        assert_eq!(of(normalizing).unwrap_err().code(), Code::Unsupported);
    }

    #[test]
    fn no_processor_of_a_config_overflows() {
        let huge = ImageProcessor { patch_size: 2048, pooling_kernel_size: 2048, max_soft_tokens: 1120 };
        assert_eq!(target_size(&huge, 65_535, 65_535, 1120).unwrap_err().code(), Code::InvalidMedia);
        let tiny = ImageProcessor { patch_size: 1, pooling_kernel_size: 1, max_soft_tokens: 70 };
        assert_eq!(target_size(&tiny, 65_535, 1, 70).unwrap(), (70, 1));
    }

    #[test]
    fn a_videos_processor_is_its_own() {
        let processor = ImageProcessor { patch_size: 8, ..Default::default() };
        let of = |v: Value| processor.for_video(&ProcessorFiles::of(v).video()?);
        assert_eq!(of(json!({})).unwrap(), ImageProcessor { max_soft_tokens: 70, ..processor });
        let block = json!({"image_processor": {"max_soft_tokens": 1120}, "video_processor": {"max_soft_tokens": 140}});
        assert_eq!(of(block).unwrap().max_soft_tokens, 140);
        let error = of(json!({"video_processor": {"do_resize": false}})).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        assert!(error.message().contains("video_processor.do_resize is false"), "{error}");
    }
}
