//! What Gemma 3 makes of a picture: one square for its tower, and where pan and scan is on, more of them.
//!
//! As transformers' `image_processing_pil_gemma3.py` and `processing_gemma3.py`: the aspect ratio is given up, which is
//! why a long picture may be shown as crops besides the whole.

use super::patches::{Levels, Patches, by_row_column_channel};
use super::resize::{Filter, Target, resized};
use super::{MAX_SIZE, cannot, check_tower, filter};
use crate::error::Result;
use crate::media::{Check, Image};
use crate::snapshot::config::Section;

/// Most crops that a configuration may ask for.
const MAX_CROPS: u64 = 64;

/// The blank lines that stand before the begin token and after the end token of every picture, crops too.
pub const AROUND_PICTURE: &str = "\n\n";

/// How pictures are brought to the tower's size, and when they are shown in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessor {
    tower: Tower,
    filter: Filter,
    levels: Levels,
    pan_and_scan: PanAndScan,
}

/// What the model's configuration says of its tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tower {
    /// Side of the square that it sees, in pixels (`vision_config.image_size`).
    pub image_size: u32,
    /// Side of a patch, in pixels (`vision_config.patch_size`).
    pub patch_size: u32,
    /// Soft tokens of a picture (`mm_tokens_per_image`).
    pub soft_tokens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct PanAndScan {
    /// Whether it is done where the picture has no wish.
    on: bool,
    min_crop_size: u32,
    max_crops: u32,
    /// Longer side over the shorter, from which on a picture is shown in parts.
    min_ratio: f64,
}

/// A picture that takes a place of its own in the prompt, and the texts around it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Before the picture, and before the [`AROUND_PICTURE`] that belongs to it. Mostly empty.
    pub lead: String,
    /// Without wishes: they are answered.
    pub image: Image,
    /// After the picture and its [`AROUND_PICTURE`]. Mostly empty.
    pub tail: String,
}

impl ImageProcessor {
    /// Reads the image processor's section. Missing keys are those of the reference, and the size is the tower's.
    ///
    /// Errors: `InvalidSnapshot` for a size that is not the tower's, and for values that no processor can have,
    /// `Unsupported` for one that does not resize, or with another filter.
    pub fn read(image_processor: &Section, tower: Tower) -> Result<Self> {
        check_tower(&[("image_size", tower.image_size), ("patch_size", tower.patch_size)])?;
        check_size(image_processor, tower.image_size)?;
        let min_ratio = image_processor.f64_or("pan_and_scan_min_ratio_to_activate", 1.2)?;
        let count = |key: &str, default: u64, most: u64| {
            image_processor.in_range_or(key, default, 1..=most).map(|n| n as u32)
        };
        let pan_and_scan = PanAndScan {
            on: image_processor.bool_or("do_pan_and_scan", false)?,
            min_crop_size: count("pan_and_scan_min_crop_size", 256, u64::from(u32::MAX))?,
            max_crops: count("pan_and_scan_max_num_crops", 4, MAX_CROPS)?,
            min_ratio,
        };
        Ok(ImageProcessor {
            tower,
            filter: filter(image_processor, Filter::Bilinear)?,
            levels: Levels::read(image_processor, [0.5; 3], [0.5; 3])?,
            pan_and_scan,
        })
    }

    /// Soft tokens of each [`Part`].
    pub fn soft_tokens(&self) -> usize {
        self.tower.soft_tokens as usize
    }

    /// What is shown for `image`: itself, and then its crops where pan and scan is on and finds any.
    ///
    /// Errors: `Unsupported` for a wish that Gemma 3 cannot answer.
    pub fn parts(&self, image: &Image) -> Result<Vec<Part>> {
        self.check_wishes(image)?;
        let wanted = image.wishes().pan_and_scan.unwrap_or(self.pan_and_scan.on);
        let crops = if wanted { self.pan_and_scan.crops(image.width(), image.height()) } else { Vec::new() };
        let text = |text: &str, shown: bool| if shown { text.to_owned() } else { String::new() };
        let in_parts = !crops.is_empty();
        let mut parts = vec![Part {
            lead: text("Here is the original image ", in_parts),
            image: image.clone().without_wishes(),
            tail: text(" and here are some crops to help you see better ", in_parts),
        }];
        for (i, [left, top, width, height]) in crops.into_iter().enumerate() {
            let crop = image.crop(left, top, width, height)?;
            parts.push(Part { lead: text(" ", i > 0), image: crop, tail: String::new() });
        }
        Ok(parts)
    }

    /// All of `image` (a [`Part`]'s) at the tower's size: `[rows * columns, patch_size * patch_size * 3]`, row by row,
    /// within a patch by row, column and channel, normalized.
    ///
    /// Errors: `OutOfMemory`, and what `check` ends it with.
    pub fn patches(&self, image: &Image, check: Check) -> Result<Patches> {
        let resized = resized(image, self.target(), check)?;
        by_row_column_channel(&resized, self.tower.patch_size, &self.levels, check)
    }

    /// The size that every [`Part`] is brought to.
    pub fn target(&self) -> Target {
        Target { width: self.tower.image_size, height: self.tower.image_size, filter: self.filter }
    }

    fn check_wishes(&self, image: &Image) -> Result<()> {
        let (wishes, Tower { image_size: side, soft_tokens, .. }) = (image.wishes(), self.tower);
        let can = format!(
            "Gemma 3 shows every image with {soft_tokens} soft tokens, at {side} x {side} pixels; \
             pan and scan can be on or off"
        );
        if let Some(n) = wishes.soft_token_budget.filter(|n| *n != soft_tokens) {
            let found = format_args!("a soft-token budget of {n}");
            return Err(cannot(found, &can).with("soft_token_budget", n));
        }
        if let Some((least, most)) = wishes.pixel_range
            && !(least..=most).contains(&(side * side))
        {
            return Err(cannot(format_args!("a size of {least} to {most} pixels"), &can));
        }
        Ok(())
    }
}

/// `size` is `{"height", "width"}` or one number.
fn check_size(processor: &Section, side: u32) -> Result<()> {
    let Some(size) = processor.get("size") else { return Ok(()) };
    let fits = |section: &Section, key: &str| match section.optional_in_range(key, 1..=MAX_SIZE)? {
        Some(n) if n == u64::from(side) => Ok(()),
        _ => {
            let needed = format!("the {side} pixels of the model's tower");
            Err(section.wrong(key, section.get(key).unwrap_or(&serde_json::Value::Null), &needed))
        }
    };
    if !size.is_object() {
        return fits(processor, "size");
    }
    let size = processor.required_section("size")?;
    fits(&size, "height")?;
    fits(&size, "width")
}

impl PanAndScan {
    /// The crops of a picture of such a size, from left to right or from top to bottom: left, top, width and height. None
    /// where the picture is not long enough.
    fn crops(&self, width: u32, height: u32) -> Vec<[u32; 4]> {
        let (columns, rows) = self.grid(width, height);
        if columns * rows == 0 {
            return Vec::new();
        }
        let (w, h) = (width.div_ceil(columns), height.div_ceil(rows));
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (column * w, row * h)));
        // With very small crops, rounding may leave nothing for the last.
        let inside = places.filter(|(x, y)| *x < width && *y < height);
        inside.map(|(x, y)| [x, y, w.min(width - x), h.min(height - y)]).collect()
    }

    /// How many crops there are side by side and one below the other; 0 0 for none.
    fn grid(&self, width: u32, height: u32) -> (u32, u32) {
        let (long, short) = (width.max(height), width.min(height));
        let ratio = f64::from(long) / f64::from(short);
        if ratio < self.min_ratio {
            return (0, 0);
        }
        let near = (ratio + 0.5).floor() as u32;
        let count = near.min(long / self.min_crop_size).max(2).min(self.max_crops);
        if long.div_ceil(count).min(short) < self.min_crop_size {
            (0, 0)
        } else if width >= height {
            (count, 1)
        } else {
            (1, count)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Code;
    use crate::media::testing::{fnv, noise, text_beside};
    use crate::media::{PixelDesc, PixelFormat, go_on};
    use crate::snapshot::processors::ProcessorFiles;

    const TOWER: Tower = Tower { image_size: 896, patch_size: 14, soft_tokens: 256 };

    fn image(width: u32, height: u32, seed: u64) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        Image::from_pixels(&desc, &noise(width as usize * height as usize * 3, seed)).unwrap()
    }

    fn read_for(tower: Tower, block: Value) -> Result<ImageProcessor> {
        ImageProcessor::read(&ProcessorFiles::of(json!({ "image_processor": block })).image()?, tower)
    }

    fn read(block: Value) -> Result<ImageProcessor> {
        read_for(TOWER, block)
    }

    /// preprocessor_config.json of the published models.
    fn published() -> Value {
        json!({ "do_convert_rgb": null, "do_normalize": true, "do_pan_and_scan": null, "do_rescale": true,
            "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": 256, "image_std": [0.5, 0.5, 0.5], "pan_and_scan_max_num_crops": null,
            "pan_and_scan_min_crop_size": null, "pan_and_scan_min_ratio_to_activate": null,
            "processor_class": "Gemma3Processor", "resample": 2, "rescale_factor": 0.00392156862745098,
            "size": { "height": 896, "width": 896 } })
    }

    #[test]
    fn crops_are_the_references() {
        let mut count = 0;
        for line in text_beside(file!(), "gemma3_crops.txt").lines() {
            let (head, crops) = line.split_once(':').unwrap();
            let head: Vec<&str> = head.split(' ').collect();
            let [width, height, min_crop_size, max_crops] = [0, 1, 2, 3].map(|i| head[i].parse().unwrap());
            let rule = PanAndScan { on: true, min_crop_size, max_crops, min_ratio: head[4].parse().unwrap() };
            let found = rule.crops(width, height).into_iter().map(|[x, y, w, h]| format!(" {w}x{h}+{x}+{y}"));
            assert_eq!(found.collect::<String>(), crops, "{line}");
            count += 1;
        }
        assert_eq!(count, 400);
    }

    fn image_without_content(width: u32, height: u32) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Gray8 };
        Image::from_pixels(&desc, &vec![0; width as usize * height as usize]).unwrap()
    }

    /// Patches of the whole and of every crop, of random small pictures, against the reference's pixel values.
    #[test]
    fn patches_are_the_references() {
        let tower = Tower { image_size: 28, patch_size: 7, soft_tokens: 4 };
        let mut count = 0;
        for line in text_beside(file!(), "gemma3_patches.txt").lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [width, height, seed, resample] = [0, 1, 2, 3].map(|i| fields[i].parse::<u32>().unwrap());
            let block = json!({ "size": { "height": 28, "width": 28 }, "resample": resample,
                "do_pan_and_scan": true, "pan_and_scan_min_crop_size": 8,
                "image_mean": [0.5, 0.25, 0.75], "image_std": [0.5, 0.3, 1.25] });
            let processor = read_for(tower, block).unwrap();
            let parts = processor.parts(&image(width, height, u64::from(seed))).unwrap();
            let patches = parts.iter().map(|part| processor.patches(&part.image, &go_on).unwrap());
            let hashes: Vec<String> = patches.map(|patches| hash(&patches.values)).collect();
            assert_eq!(hashes, fields[4..], "{line}");
            count += 1;
        }
        assert_eq!(count, 200);
    }

    fn hash(values: &[f32]) -> String {
        fnv(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    #[test]
    fn the_texts_are_the_references() {
        let shown = |parts: &[Part]| {
            let part = |p: &Part| format!("{}[{}x{}]{}", p.lead, p.image.width(), p.image.height(), p.tail);
            parts.iter().map(part).collect::<String>()
        };
        let processor = read(published()).unwrap();
        let long = image_without_content(1000, 300);
        assert_eq!(shown(&processor.parts(&long).unwrap()), "[1000x300]");
        let pan = long.clone().with_pan_and_scan(Some(true));
        assert_eq!(
            shown(&processor.parts(&pan).unwrap()),
            "Here is the original image [1000x300] and here are some crops to help you see better \
             [334x300] [334x300] [332x300]"
        );
        let square = image_without_content(300, 300).with_pan_and_scan(Some(true));
        assert_eq!(shown(&processor.parts(&square).unwrap()), "[300x300]");
        let mut block = published();
        block["do_pan_and_scan"] = json!(true);
        let panning = read(block).unwrap();
        assert_eq!(panning.parts(&long).unwrap().len(), 4);
        assert_eq!(panning.parts(&long.with_pan_and_scan(Some(false))).unwrap().len(), 1);
    }

    #[test]
    fn a_part_knows_no_wish_and_has_the_towers_shape() {
        let processor = read(published()).unwrap();
        let wishing = image(20, 30, 2).with_soft_token_budget(Some(256)).unwrap();
        let parts = processor.parts(&wishing.with_pan_and_scan(Some(true))).unwrap();
        assert_eq!((parts.len(), processor.soft_tokens()), (1, 256));
        assert_eq!(parts[0].image.hash(), image(20, 30, 2).hash());
        let patches = processor.patches(&parts[0].image, &go_on).unwrap();
        assert_eq!((patches.rows, patches.columns, patches.values.len()), (64, 64, 4096 * 14 * 14 * 3));
    }

    #[test]
    fn impossible_wishes_say_what_there_is() {
        let processor = read(published()).unwrap();
        for wishing in [
            image(9, 9, 2).with_soft_token_budget(Some(280)).unwrap(),
            image(9, 9, 2).with_pixel_range(Some((1, 100))).unwrap(),
        ] {
            let error = processor.parts(&wishing).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported);
            assert!(
                error.message().contains("256 soft tokens, at 896 x 896 pixels; pan and scan can"),
                "{error}"
            );
        }
        let fitting = image(9, 9, 2).with_pixel_range(Some((1024, 1 << 20))).unwrap();
        assert_eq!(processor.parts(&fitting).unwrap().len(), 1);
    }

    #[test]
    fn the_config_is_read_and_checked() {
        assert_eq!(read(published()).unwrap(), read(json!({})).unwrap());
        assert_eq!(read(json!({ "size": 896 })).unwrap(), read(json!({})).unwrap());
        assert_eq!(read(json!({ "resample": 3 })).unwrap().filter, Filter::Bicubic);
        let error = read_for(Tower { patch_size: 0, ..TOWER }, published()).unwrap_err();
        assert_eq!(error.message(), "config.json: vision_config.patch_size is 0, but must be from 1 to 2048");
        for (key, value, code, says) in [
            (
                "size",
                json!({ "height": 224, "width": 896 }),
                Code::InvalidSnapshot,
                "size.height is 224, but must be the 896",
            ),
            ("size", json!({ "shortest_edge": 896 }), Code::InvalidSnapshot, "size.height is null"),
            ("size", json!(224), Code::InvalidSnapshot, "size is 224"),
            (
                "resample",
                json!(0),
                Code::Unsupported,
                "resample is 0: pictures are resized with 2 (bilinear) or 3",
            ),
            ("resample", json!("bilinear"), Code::InvalidSnapshot, "resample is \"bilinear\""),
            ("do_resize", json!(false), Code::Unsupported, "do_resize is false"),
            ("do_pan_and_scan", json!(1), Code::InvalidSnapshot, "do_pan_and_scan is 1"),
            ("pan_and_scan_max_num_crops", json!(0), Code::InvalidSnapshot, "a whole number from 1 to 64"),
            (
                "pan_and_scan_min_crop_size",
                json!(-1),
                Code::InvalidSnapshot,
                "pan_and_scan_min_crop_size is -1",
            ),
            ("image_std", json!([0.5, 0.5]), Code::InvalidSnapshot, "a number or a list of 3"),
        ] {
            let error = read(json!({ key: value })).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(says), "{error}");
        }
    }
}
