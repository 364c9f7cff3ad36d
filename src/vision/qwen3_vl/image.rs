//! Still pictures: brought near their own size, each shown as if it were a video of equal frames.

use super::super::filter;
use super::super::patches::{Levels, Patches, by_merged_block};
use super::super::resize::{Filter, Target, resized};
use super::super::smart_resize::image_size;
use super::{Grid, MAX_BUDGET, Tower, budget, checked};
use crate::error::Result;
use crate::media::{Check, Image};
use crate::snapshot::config::Section;

/// What the reference normalizes with where a configuration does not say: CLIP's numbers. (Published ones say 0.5.)
const MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
/// Fewest and most pixels of the reference's class.
const PIXELS: (u64, u64) = (56 * 56, 28 * 28 * 1280);

/// How pictures are brought to size.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessor {
    tower: Tower,
    filter: Filter,
    levels: Levels,
    /// Fewest and most pixels of a picture that has no wish.
    pixels: (u64, u64),
}

impl ImageProcessor {
    /// Reads the image processor's section. Missing keys are those of the reference, and the tower's.
    ///
    /// Errors: `InvalidSnapshot` for patches that are not the tower's, and for values that no processor can have,
    /// `Unsupported` for one that does not resize, or with another filter.
    pub fn read(image_processor: &Section, tower: Tower) -> Result<Self> {
        tower.check(image_processor)?;
        let size = budget(image_processor, PIXELS)?;
        // The older keys win where they are there.
        let least = image_processor.in_range_or("min_pixels", size.0, 1..=MAX_BUDGET)?;
        let most = image_processor.in_range_or("max_pixels", size.1, 1..=MAX_BUDGET)?;
        Ok(ImageProcessor {
            tower,
            filter: filter(image_processor, Filter::Bicubic)?,
            levels: Levels::read(image_processor, MEAN, DEVIATION)?,
            pixels: (least, most),
        })
    }

    /// The width and height in pixels that `image` is brought to, honouring its wishes: multiples of
    /// [`Tower::factor`].
    ///
    /// Errors: `InvalidMedia` for a side of more than 200 times the other, or a size beyond the limits of pictures,
    /// `Unsupported` for a wish that Qwen3-VL cannot answer.
    pub fn target_size(&self, image: &Image) -> Result<(u32, u32)> {
        let bounds = self.tower.bounds(image.wishes(), self.pixels, 1)?;
        checked(image_size(image.width(), image.height(), &bounds)?)
    }

    /// [`ImageProcessor::target_size`], and how `image` is brought to it.
    pub fn target(&self, image: &Image) -> Result<Target> {
        let (width, height) = self.target_size(image)?;
        Ok(Target { width, height, filter: self.filter })
    }

    /// The soft tokens of `image`.
    ///
    /// Errors: as for [`ImageProcessor::target_size`].
    pub fn grid(&self, image: &Image) -> Result<Grid> {
        Ok(self.tower.grid(self.target_size(image)?))
    }

    /// `image` as the tower takes it: `[rows * columns, 3 * temporal_patch_size * patch_size * patch_size]`, the patches
    /// of a soft token one after the other, within a patch by channel, frame (they are equal), row and column,
    /// normalized. `rows` and `columns` count patches, not soft tokens.
    ///
    /// Errors: as for [`ImageProcessor::target_size`], `OutOfMemory`, and what `check` ends it with.
    pub fn patches(&self, image: &Image, check: Check) -> Result<Patches> {
        let resized = resized(image, self.target(image)?, check)?;
        let frames = vec![&resized; self.tower.temporal_patch_size as usize];
        by_merged_block(&frames, self.tower.patch_size, self.tower.merge_size, &self.levels, check)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::TOWER;
    use super::*;
    use crate::error::{Code, Error};
    use crate::media::testing::{fnv, noise, text_beside};
    use crate::media::{PixelDesc, PixelFormat, go_on};
    use crate::snapshot::processors::ProcessorFiles;

    fn image(width: u32, height: u32, seed: u64) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        Image::from_pixels(&desc, &noise(width as usize * height as usize * 3, seed)).unwrap()
    }

    fn read(block: Value) -> Result<ImageProcessor> {
        ImageProcessor::read(&ProcessorFiles::of(json!({ "image_processor": block })).image()?, TOWER)
    }

    /// preprocessor_config.json of the published models.
    fn published() -> ImageProcessor {
        read(json!({ "size": { "longest_edge": 16777216, "shortest_edge": 65536 }, "patch_size": 16,
            "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
            "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast" }))
        .unwrap()
    }

    /// Patches of random small pictures against the reference's pixel values.
    #[test]
    fn patches_are_the_references() {
        let tower = Tower { patch_size: 4, temporal_patch_size: 2, merge_size: 2 };
        let block = json!({ "size": { "shortest_edge": 256, "longest_edge": 2048 }, "patch_size": 4,
            "image_mean": [0.5, 0.25, 0.75], "image_std": [0.5, 0.3, 1.25] });
        let files = ProcessorFiles::of(json!({ "image_processor": block }));
        let processor = ImageProcessor::read(&files.image().unwrap(), tower).unwrap();
        let mut count = 0;
        for line in text_beside(file!(), "patches.txt").lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [width, height, seed, rows, columns] =
                [0, 1, 2, 3, 4].map(|i| fields[i].parse::<u32>().unwrap());
            let image = image(width, height, u64::from(seed));
            let patches = processor.patches(&image, &go_on).unwrap();
            assert_eq!((patches.rows, patches.columns), (rows as usize, columns as usize), "{line}");
            let bytes: Vec<u8> = patches.values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(fnv(&bytes), fields[5], "{line}");
            assert_eq!(processor.grid(&image).unwrap().count() * 4, patches.rows * patches.columns);
            count += 1;
        }
        assert_eq!(count, 200);
    }

    #[test]
    fn pictures_keep_about_their_size() {
        let processor = published();
        let size = |w, h| processor.target_size(&image(w, h, 2)).unwrap();
        assert_eq!(size(640, 480), (640, 480));
        assert_eq!(size(656, 496), (640, 512)); // halves go to the even multiple: 20.5 and 15.5
        assert_eq!(size(10, 10), (256, 256));
        assert_eq!(size(5000, 4000), (4576, 3648));
        let patches = processor.patches(&image(70, 60, 2), &go_on).unwrap();
        assert_eq!((patches.rows, patches.columns), (16, 18));
        assert_eq!(patches.values.len(), 16 * 18 * 1536);
        assert_eq!(processor.grid(&image(70, 60, 2)).unwrap(), Grid { rows: 8, columns: 9 });
        let error = processor.grid(&image(402, 2, 2)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidMedia);
        assert!(error.message().contains("402 x 2 pixels is too thin"), "{error}");
    }

    #[test]
    fn wishes_bound_the_size() {
        let processor = published();
        let tokens = |image: Image| processor.grid(&image).unwrap().count();
        let budget = |w, h, n| tokens(image(w, h, 2).with_soft_token_budget(Some(n)).unwrap());
        assert_eq!(tokens(image(640, 480, 2)), 300);
        assert_eq!(budget(640, 480, 1000), 300);
        assert_eq!(budget(640, 480, 100), 88);
        assert_eq!(budget(640, 480, 1), 1);
        assert_eq!(budget(10, 10, 3), 1);
        assert_eq!(budget(1900, 10, 5), 5);
        let range = |w, h, least, most| {
            processor.target_size(&image(w, h, 2).with_pixel_range(Some((least, most))).unwrap()).unwrap()
        };
        assert_eq!(range(64, 64, 0, 1 << 20), (64, 64));
        assert_eq!(range(64, 64, 0, 1024), (32, 32));
        assert_eq!(range(10, 10, 0, 1 << 20), (32, 32));
        assert_eq!(range(2000, 10, 0, 1 << 20), (480, 32));
        assert_eq!(range(64, 64, 65_536, 65_536), (256, 256));
        assert_eq!(range(640, 480, 0, u32::MAX), (640, 480));
        let both = image(64, 64, 2).with_pixel_range(Some((65_536, 1 << 20))).unwrap();
        assert_eq!(tokens(both.clone().with_soft_token_budget(Some(64)).unwrap()), 64);
        let refused = |image: Image| -> Error { processor.grid(&image).unwrap_err() };
        for (error, says) in [
            (
                refused(both.with_soft_token_budget(Some(63)).unwrap()),
                "65536 to 1048576 pixels in 63 soft tokens was",
            ),
            (
                refused(image(9, 9, 2).with_pixel_range(Some((0, 1023))).unwrap()),
                "a size of 0 to 1023 pixels was",
            ),
            (refused(image(9, 9, 2).with_pan_and_scan(Some(true))), "pan and scan was"),
        ] {
            assert_eq!(error.code(), Code::Unsupported);
            assert!(error.message().contains(says), "{error}");
            assert!(error.message().contains("one soft token for 32 x 32 pixels"), "{error}");
        }
        assert_eq!(tokens(image(640, 480, 2).with_pan_and_scan(Some(false))), 300);
        let huge = image(9, 9, 2).with_pixel_range(Some((u32::MAX, u32::MAX))).unwrap();
        assert_eq!(refused(huge).code(), Code::InvalidMedia);
    }

    #[test]
    fn the_config_is_read_and_checked() {
        assert_eq!(read(json!({})).unwrap().pixels, (3136, 1_003_520));
        let older = json!({ "min_pixels": 4096, "max_pixels": 8192.0, "size": { "shortest_edge": 1, "longest_edge": 2 } });
        assert_eq!(read(older).unwrap().pixels, (4096, 8192));
        let oldest = json!({ "size": { "min_pixels": 3136, "max_pixels": 12845056 } });
        assert_eq!(read(oldest).unwrap().pixels, (3136, 12_845_056));
        let none = Section::empty("preprocessor_config.json");
        let error = ImageProcessor::read(&none, Tower { merge_size: 4096, ..TOWER }).unwrap_err();
        assert!(error.message().contains("vision_config.spatial_merge_size is 4096"), "{error}");
        for (key, value, code, says) in [
            (
                "patch_size",
                json!(14),
                Code::InvalidSnapshot,
                "patch_size is 14, but must be the 16 of the model's",
            ),
            ("merge_size", json!(1), Code::InvalidSnapshot, "merge_size is 1"),
            ("temporal_patch_size", json!("2"), Code::InvalidSnapshot, "temporal_patch_size is \"2\""),
            ("size", json!({ "longest_edge": 5 }), Code::InvalidSnapshot, "size.shortest_edge is null"),
            (
                "size",
                json!({ "longest_edge": 0, "shortest_edge": 1 }),
                Code::InvalidSnapshot,
                "size.longest_edge is 0",
            ),
            ("max_pixels", json!(-5), Code::InvalidSnapshot, "max_pixels is -5"),
            ("resample", json!(1), Code::Unsupported, "resample is 1"),
        ] {
            let error = read(json!({ key: value })).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(says), "{error}");
        }
    }
}
