//! What Gemma 4 makes of a medium: the size a picture is brought to, its patches, frames of raw sound, clips of speech.
//!
//! Both the tower models and the unified one use this image processor (transformers'
//! `image_processing_gemma4.py`); raw frames are the unified model's, clips those of the models with an audio tower.

use std::ops::Range;

use serde_json::Value;

use super::limits::MAX_SIDE;
use super::{Audio, Image, SOFT_TOKEN_BUDGETS, mel, resize};
use crate::error::{Error, Result};

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

/// A picture at the size that the model sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    pub width: u32,
    pub height: u32,
    /// `height` rows of `width` times R, G, B.
    pub rgb: Vec<u8>,
}

/// A picture cut into squares, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// `[rows * columns, side * side * 3]`; within a patch by row, column, channel; in `0..=1`.
    pub values: Vec<f32>,
    pub columns: usize,
    pub rows: usize,
}

/// Sound cut into frames of one token each.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrames {
    /// `[count, samples_per_token]`; the last frame is padded with zeros.
    pub values: Vec<f32>,
    pub count: usize,
}

impl ImageProcessor {
    /// Reads the `image_processor` block of processor_config.json (or the block itself, as
    /// preprocessor_config.json has it). Missing keys take [`ImageProcessor::default`].
    ///
    /// Errors: `InvalidSnapshot` for values that the reference refuses too, `Unsupported` for a processor that
    /// does something else than resize bicubically and scale to `0..=1`.
    pub fn from_config(processor_config: Option<&Value>) -> Result<Self> {
        let block = processor_config.map(|config| config.get("image_processor").unwrap_or(config));
        Self::read(&Block { what: "image", json: block.unwrap_or(&Value::Null) }, Self::default())
    }

    /// The processor of a video's frames: the `video_processor` block of processor_config.json. Missing keys are those
    /// of `self`, but for `max_soft_tokens`, which is 70 (the reference's default for each frame).
    ///
    /// Errors: as for [`ImageProcessor::from_config`].
    pub fn for_video(&self, processor_config: Option<&Value>) -> Result<Self> {
        let block = processor_config.and_then(|config| config.get("video_processor"));
        let default = ImageProcessor { max_soft_tokens: 70, ..*self };
        Self::read(&Block { what: "video", json: block.unwrap_or(&Value::Null) }, default)
    }

    fn read(block: &Block, default: Self) -> Result<Self> {
        let processor = ImageProcessor {
            patch_size: block.size("patch_size", default.patch_size)?,
            pooling_kernel_size: block.size("pooling_kernel_size", default.pooling_kernel_size)?,
            max_soft_tokens: block.size("max_soft_tokens", default.max_soft_tokens)?,
        };
        if !SOFT_TOKEN_BUDGETS.contains(&processor.max_soft_tokens) {
            return Err(Error::snapshot(format!(
                "the {} processor's max_soft_tokens is {}: it must be one of {SOFT_TOKEN_BUDGETS:?}",
                block.what, processor.max_soft_tokens
            )));
        }
        block.refuse_other_processing()?;
        Ok(processor)
    }

    /// The size in pixels (width, height) that `image` is brought to, honouring its own soft-token budget. Both
    /// are multiples of [`Self::side`]; pictures are enlarged as readily as they are shrunk.
    ///
    /// Errors: `InvalidMedia` where no size fits.
    pub fn target_size(&self, image: &Image) -> Result<(u32, u32)> {
        target_size(
            self,
            image.width(),
            image.height(),
            image.soft_token_budget().unwrap_or(self.max_soft_tokens),
        )
    }

    /// How many soft tokens `image` takes.
    pub fn soft_tokens(&self, image: &Image) -> Result<usize> {
        let (width, height) = self.target_size(image)?;
        Ok((width / self.side()) as usize * (height / self.side()) as usize)
    }

    /// `image` at its target size.
    pub fn resized(&self, image: &Image) -> Result<Resized> {
        let (width, height) = self.target_size(image)?;
        let rgb = resize::bicubic(image.rgb(), image.width(), image.height(), width, height)?;
        Ok(Resized { width, height, rgb })
    }

    /// Side of a soft token's square, in pixels.
    pub fn side(&self) -> u32 {
        self.patch_size * self.pooling_kernel_size
    }
}

/// One processor of the configuration.
struct Block<'a> {
    /// For messages: `image` or `video`.
    what: &'static str,
    json: &'a Value,
}

impl Block<'_> {
    /// A positive integer, small enough that products of these stay far inside their types.
    fn size(&self, key: &str, default: u32) -> Result<u32> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_u64() {
                Some(n @ 1..=2048) => Ok(n as u32),
                _ => Err(Error::snapshot(format!(
                    "the {} processor's {key} is {value}: it must be an integer from 1 to 2048",
                    self.what
                ))),
            },
        }
    }

    /// A snapshot whose processor would do something that is not done here must not be run silently wrong.
    fn refuse_other_processing(&self) -> Result<()> {
        let value = |key: &str| self.json.get(key);
        let flag = |key: &str, fixed: bool| value(key).and_then(Value::as_bool).unwrap_or(fixed) == fixed;
        let number = |key: &str, fixed: f64| {
            (value(key).and_then(Value::as_f64).unwrap_or(fixed) - fixed).abs() <= 1e-6 * fixed
        };
        // Whether each number of the array is `fixed`; a missing array counts as such.
        let all = |key: &str, fixed: f64| {
            let array = value(key).and_then(Value::as_array);
            array.is_none_or(|a| a.iter().all(|v| v.as_f64() == Some(fixed)))
        };
        let is_identity = flag("do_normalize", false) || (all("image_mean", 0.0) && all("image_std", 1.0));
        let fault = if !flag("do_resize", true) {
            "do_resize is false"
        } else if !flag("do_rescale", true) || !number("rescale_factor", 1.0 / 255.0) {
            "pixels are not scaled by 1/255"
        } else if !is_identity {
            "do_normalize is true with a mean or deviation"
        } else if !number("resample", 3.0) {
            "resample is not 3 (bicubic)"
        } else {
            return Ok(());
        };
        Err(Error::unsupported(format!(
            "the {} processor's {fault}: Gemma 4's resizes bicubically and scales to 0..1",
            self.what
        )))
    }
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

/// Cuts a picture into squares of `side` pixels (model patches, or a tower's); what does not fill a square is left out (nothing, where the
/// processor with this side resized it).
pub fn model_patches(resized: &Resized, side: u32) -> Patches {
    let side = side.max(1) as usize;
    let (columns, rows) = (resized.width as usize / side, resized.height as usize / side);
    let row_bytes = resized.width as usize * 3;
    let unit: [f32; 256] = std::array::from_fn(|level| level as f32 / 255.0);
    let mut values = Vec::with_capacity(columns * rows * side * side * 3);
    for row in 0..rows {
        for column in 0..columns {
            for y in 0..side {
                let at = (row * side + y) * row_bytes + column * side * 3;
                values.extend(resized.rgb[at..at + side * 3].iter().map(|&level| unit[usize::from(level)]));
            }
        }
    }
    Patches { values, columns, rows }
}

/// Cuts a sound into frames of `samples_per_token` raw samples, the last one padded with zeros.
pub fn raw_frames(audio: &Audio, samples_per_token: usize) -> AudioFrames {
    let count = raw_frame_count(audio, samples_per_token);
    let mut values = Vec::with_capacity(count * samples_per_token.max(1));
    values.extend_from_slice(audio.samples());
    values.resize(count * samples_per_token.max(1), 0.0);
    AudioFrames { values, count }
}

/// How many frames [`raw_frames`] makes: the samples over `samples_per_token` (0 counts as 1), rounded up.
pub fn raw_frame_count(audio: &Audio, samples_per_token: usize) -> usize {
    audio.samples().len().div_ceil(samples_per_token.max(1))
}

/// Most samples that the speech encoder takes at once: 30 seconds.
pub const MAX_CLIP: usize = 30 * Audio::SAMPLE_RATE as usize;

/// How many soft tokens the speech encoder makes of so many log-mel frames: one for each four.
pub fn speech_tokens(frames: usize) -> usize {
    frames.div_ceil(2).div_ceil(2)
}

/// What the speech encoder takes of a sound: all of it, or consecutive clips of [`MAX_CLIP`] samples where it is
/// longer and may be cut. A rest at the end that is too short to make a frame is left out.
///
/// Errors: `InvalidMedia` for a sound that is too long and may not be cut, or too short to make a single frame.
pub fn speech_clips(audio: &Audio) -> Result<Vec<Range<usize>>> {
    let (count, least) = (audio.samples().len(), mel::samples_for(1));
    if count > MAX_CLIP && !audio.split() {
        let (seconds, most) = (mel::seconds(count), mel::seconds(MAX_CLIP));
        let message = format!(
            "the audio is {seconds:.2} seconds long, and the model takes at most {most} seconds at once: \
             it can be given as several clips, or be split into clips by the library"
        );
        return Err(Error::media(message).with("seconds", seconds).with("max_seconds", most));
    }
    if count < least {
        let message = format!(
            "the audio has {count} samples at 16 kHz: the model needs at least {least}, 10 milliseconds"
        );
        return Err(Error::media(message).with("samples", count).with("min_samples", least));
    }
    let clips = (0..count).step_by(MAX_CLIP).map(|start| start..(start + MAX_CLIP).min(count));
    Ok(clips.filter(|clip| clip.len() >= least).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{noise, testdata};
    use super::super::{PixelDesc, PixelFormat};
    use super::*;
    use crate::error::Code;

    fn image(width: u32, height: u32) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        Image::from_pixels(&desc, &noise(width as usize * height as usize * 3, 2)).unwrap()
    }

    #[test]
    fn target_sizes_are_the_references() {
        let processor = ImageProcessor::default();
        let mut count = 0;
        for line in testdata("gemma4_sizes.txt").unwrap_text().lines() {
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
        let resized = processor.resized(&square).unwrap();
        assert_eq!((resized.width, resized.height, resized.rgb.len()), (768, 768, 768 * 768 * 3));
        let same = image(768, 768);
        assert_eq!(processor.resized(&same).unwrap().rgb, same.rgb());
    }

    #[test]
    fn an_images_own_budget_wins() {
        let processor = ImageProcessor { max_soft_tokens: 1120, ..Default::default() };
        let own = image(64, 64).with_soft_token_budget(Some(70)).unwrap();
        assert_eq!(processor.soft_tokens(&own).unwrap(), 64);
        assert_eq!(processor.soft_tokens(&image(64, 64)).unwrap(), 1089);
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
        let of = |v: Value| ImageProcessor::from_config(Some(&v));
        let small = ImageProcessor { patch_size: 4, pooling_kernel_size: 2, max_soft_tokens: 70 };
        let block = json!({"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70});
        assert_eq!(ImageProcessor::from_config(None).unwrap(), ImageProcessor::default());
        assert_eq!(of(json!({})).unwrap(), ImageProcessor::default());
        assert_eq!(of(block.clone()).unwrap(), small);
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
            assert!(error.message().contains("image processor's"), "{error}");
        }
        let normalizing = json!({"do_normalize": true, "image_mean": [0.5, 0.5, 0.5]});
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
    fn patches_go_by_row_column_channel() {
        // 4 x 2 pixels, each byte its own index: patches of 2 x 2 are the left and the right half.
        let resized = Resized { width: 4, height: 2, rgb: (0..24).collect() };
        let patches = model_patches(&resized, 2);
        assert_eq!((patches.columns, patches.rows), (2, 1));
        let levels: Vec<u8> = patches.values.iter().map(|v| (v * 255.0).round() as u8).collect();
        assert_eq!(
            levels,
            [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17, 6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23]
        );
        let white = model_patches(&Resized { width: 3, height: 3, rgb: vec![255; 27] }, 3);
        assert_eq!((white.columns, white.rows, white.values), (1, 1, vec![1.0; 27]));
    }

    #[test]
    fn frames_are_whole_and_padded() {
        for (samples, count) in [(1, 1), (639, 1), (640, 1), (641, 2), (1280, 2)] {
            let audio = Audio::from_pcm_f32(&vec![0.5; samples], 1, 16_000).unwrap();
            let frames = raw_frames(&audio, 640);
            assert_eq!((frames.count, frames.values.len()), (count, count * 640));
            assert_eq!(raw_frame_count(&audio, 640), count);
            assert!(frames.values[..samples].iter().all(|&v| v == 0.5));
            assert!(frames.values[samples..].iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn a_videos_processor_is_its_own() {
        let processor = ImageProcessor { patch_size: 8, ..Default::default() };
        let of = |v: Value| processor.for_video(Some(&v));
        assert_eq!(of(json!({})).unwrap(), ImageProcessor { max_soft_tokens: 70, ..processor });
        assert_eq!(processor.for_video(None).unwrap().max_soft_tokens, 70);
        let block = json!({"image_processor": {"max_soft_tokens": 1120}, "video_processor": {"max_soft_tokens": 140}});
        assert_eq!(of(block).unwrap().max_soft_tokens, 140);
        let error = of(json!({"video_processor": {"do_resize": false}})).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        assert!(error.message().contains("video processor's"), "{error}");
    }

    #[test]
    fn speech_tokens_are_the_encoders() {
        // `ceil(milliseconds / 40)`, which some count by, gives 26 for the second.
        for (samples, tokens) in [(16_000, 25), (16_060, 25), (161, 1), (480_000, 750), (44_123, 69)] {
            assert_eq!(speech_tokens(mel::frame_count(samples)), tokens, "{samples}");
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // lists of clips that happen to hold one
    fn long_sounds_are_refused_or_cut() {
        let of = |count: usize| Audio::from_pcm_f32(&vec![0.1; count], 1, 16_000).unwrap();
        let clips = |count, split| speech_clips(&of(count).with_split(split));
        assert_eq!(clips(480_000, false).unwrap(), [0..480_000]);
        let error = clips(500_000, false).unwrap_err();
        assert!(error.message().contains("31.25 seconds long"), "{error}");
        assert!(error.message().contains("at most 30 seconds"), "{error}");
        assert_eq!((error.code(), &error.details()["max_seconds"]), (Code::InvalidMedia, &json!(30.0)));
        assert_eq!(clips(961_000, true).unwrap(), [0..480_000, 480_000..960_000, 960_000..961_000]);
        assert_eq!(clips(480_160, true).unwrap(), [0..480_000]);
        assert!(clips(160, true).unwrap_err().message().contains("160 samples"));
        assert_eq!(clips(161, false).unwrap(), [0..161]);
    }
}
