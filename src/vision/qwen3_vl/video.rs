//! Videos: frames of one size, embedded in groups (pairs) that each take a place of their own behind their time.

use super::super::filter;
use super::super::patches::{Levels, Patches, by_merged_block};
use super::super::resize::{Filter, Resized, Target, resized};
use super::super::smart_resize::video_size;
use super::{Grid, MAX_BUDGET, Tower, budget, checked};
use crate::error::{Error, Result};
use crate::media::{Check, Image, Video, VideoFrame};
use crate::snapshot::config::Section;

/// Fewest and most pixels of the reference's class, of all frames together.
const PIXELS: (u64, u64) = (128 * 32 * 32, 32 * 32 * 768);

/// How frames are brought to size. Which frames there are is the host's choice.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoProcessor {
    tower: Tower,
    filter: Filter,
    levels: Levels,
    /// Fewest and most pixels of all frames together.
    pixels: (u64, u64),
    /// Most soft tokens of a frame, where the configuration bounds frames one by one (`cap_pixels_per_frame`).
    cap: Option<u64>,
}

/// Frames that are embedded as one, and the text before them.
#[derive(Clone, Debug)]
pub struct Part {
    /// The frames' time: `<1.5 seconds>`.
    pub lead: String,
    /// At most [`Tower::temporal_patch_size`] frames, which know the size that they are brought to.
    pub frames: Video,
    /// How the soft tokens of the frames lie.
    pub grid: Grid,
}

impl VideoProcessor {
    /// Reads the video processor's section. Missing keys are those of the reference, and the tower's.
    ///
    /// Errors: `InvalidSnapshot` for patches that are not the tower's, and for values that no processor can have,
    /// `Unsupported` for one that does not resize, or with another filter.
    pub fn read(video_processor: &Section, tower: Tower) -> Result<Self> {
        tower.check(video_processor)?;
        let capped = video_processor.bool_or("cap_pixels_per_frame", false)?;
        let cap = video_processor.in_range_or("max_video_tokens", 768, 1..=MAX_BUDGET)?;
        Ok(VideoProcessor {
            tower,
            filter: filter(video_processor, Filter::Bicubic)?,
            levels: Levels::read(video_processor, [0.5; 3], [0.5; 3])?,
            pixels: budget(video_processor, PIXELS)?,
            cap: capped.then_some(cap),
        })
    }

    /// The width and height in pixels that each frame of `video` is brought to: multiples of [`Tower::factor`]. The
    /// bounds are those of all frames together; a frame's own wishes bound each frame. A video of fewer frames than are
    /// embedded as one counts as if it had as many.
    ///
    /// Errors: `InvalidMedia` for frames of several sizes, for a side of more than 200 times the other, and for a size
    /// beyond the limits of pictures; `Unsupported` for a wish that Qwen3-VL cannot answer, or that not all frames have.
    pub fn target_size(&self, video: &Video) -> Result<(u32, u32)> {
        let first = alike(video)?;
        let temporal = u64::from(self.tower.temporal_patch_size);
        let count = (video.frames().len() as u64).max(temporal);
        let bounds = self.tower.bounds(first.wishes(), self.pixels_of(count), count)?;
        checked(video_size(first.width(), first.height(), count, temporal, &bounds)?)
    }

    /// The configuration's fewest and most pixels of `count` frames.
    fn pixels_of(&self, count: u64) -> (u64, u64) {
        let (least, most) = self.pixels;
        let Some(cap) = self.cap else { return (least, most) };
        let frame = cap.saturating_mul(u64::from(self.tower.factor()).pow(2)).min(most / count);
        (least, frame.max((least as f64 * 1.05) as u64).saturating_mul(count))
    }

    /// The groups of frames that are embedded as one, in order.
    ///
    /// Errors: as for [`VideoProcessor::target_size`].
    pub fn parts(&self, video: &Video) -> Result<Vec<Part>> {
        let size = self.target_size(video)?;
        let (temporal, count) = (self.tower.temporal_patch_size as usize, video.frames().len());
        let grid = self.tower.grid(size);
        let part = |start: usize| {
            let frames = video.part(start..(start + temporal).min(count), size);
            Part { lead: format!("<{:.1} seconds>", middle(frames.frames())), frames, grid }
        };
        Ok((0..count).step_by(temporal).map(part).collect())
    }

    /// The size that the frames of a [`Part`] are brought to, and how.
    ///
    /// Errors: as for [`VideoProcessor::target_size`] for frames that are no part of a video.
    pub fn target(&self, part: &Video) -> Result<Target> {
        let (width, height) = part.frame_size().map_or_else(|| self.target_size(part), Ok)?;
        Ok(Target { width, height, filter: self.filter })
    }

    /// The frames of a [`Part`] as the tower takes them: `[rows * columns, 3 * temporal_patch_size * patch_size *
    /// patch_size]`, the patches of a soft token one after the other, within a patch by channel, frame, row and column,
    /// normalized. The last frame is repeated where some are missing. `rows` and `columns` count patches, not soft
    /// tokens.
    ///
    /// Errors: `InvalidArgument` for more frames than are embedded as one, as for [`VideoProcessor::target_size`] for
    /// frames that are no part of a video, `OutOfMemory`, and what `check` ends it with.
    pub fn patches(&self, part: &Video, check: Check) -> Result<Patches> {
        let temporal = self.tower.temporal_patch_size as usize;
        let frames = part.frames();
        if frames.len() > temporal {
            let message = format!("{} frames are embedded {temporal} at a time", frames.len());
            return Err(Error::invalid_argument(message));
        }
        let target = self.target(part)?;
        let resized = |frame: &VideoFrame| resized(&frame.image, target, check);
        let resized = frames.iter().map(resized).collect::<Result<Vec<Resized>>>()?;
        let last = resized.last().into_iter().cycle();
        let group: Vec<&Resized> = resized.iter().chain(last).take(temporal).collect();
        by_merged_block(&group, self.tower.patch_size, self.tower.merge_size, &self.levels, check)
    }
}

/// The first frame, where the others are of its size and have its wishes.
fn alike(video: &Video) -> Result<&Image> {
    let [first, others @ ..] = video.frames() else {
        return Err(Error::media("the video has no frames"));
    };
    let first = &first.image;
    for (index, frame) in others.iter().enumerate() {
        let (found, index) = (&frame.image, index + 1);
        if (found.width(), found.height()) != (first.width(), first.height()) {
            let message = format!(
                "frame {index} of the video is {} x {} pixels, but the first is {} x {}: Qwen3-VL takes frames of one size",
                found.width(),
                found.height(),
                first.width(),
                first.height()
            );
            return Err(Error::media(message).with("frame", index));
        }
        if found.wishes() != first.wishes() {
            let message = format!(
                "frame {index} of the video has other wishes than the first: Qwen3-VL shows all frames alike"
            );
            return Err(Error::unsupported(message).with("frame", index));
        }
    }
    Ok(first)
}

/// Between the times of the first and the last of frames that are embedded as one.
fn middle(frames: &[VideoFrame]) -> f64 {
    match frames {
        [first, .., last] => (first.seconds + last.seconds) / 2.0,
        [only] => only.seconds,
        [] => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::TOWER;
    use super::*;
    use crate::error::Code;
    use crate::media::testing::{fnv, noise, text_beside};
    use crate::media::{PixelDesc, PixelFormat, go_on};
    use crate::snapshot::processors::ProcessorFiles;

    fn image(width: u32, height: u32, seed: u64) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        Image::from_pixels(&desc, &noise(width as usize * height as usize * 3, seed)).unwrap()
    }

    fn video(images: Vec<Image>, every: f64) -> Video {
        let frame = |(i, image)| VideoFrame { image, seconds: i as f64 * every };
        Video::from_frames(images.into_iter().enumerate().map(frame).collect()).unwrap()
    }

    fn read_for(tower: Tower, block: Value) -> Result<VideoProcessor> {
        VideoProcessor::read(&ProcessorFiles::of(json!({ "video_processor": block })).video()?, tower)
    }

    /// video_preprocessor_config.json of the published models.
    fn published() -> VideoProcessor {
        let block = json!({ "size": { "longest_edge": 25165824, "shortest_edge": 4096 }, "patch_size": 16,
            "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
            "fps": 2, "processor_class": "Qwen3VLProcessor", "video_processor_type": "Qwen3VLVideoProcessor" });
        read_for(TOWER, block).unwrap()
    }

    /// The layout and the levels of random small videos. The reference resizes with torchvision, which rounds
    /// otherwise than Pillow: these frames have the size that they are brought to.
    #[test]
    fn patches_are_the_references() {
        let tower = Tower { patch_size: 4, temporal_patch_size: 2, merge_size: 2 };
        let block = json!({ "size": { "shortest_edge": 64, "longest_edge": 100000 },
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5] });
        let processor = read_for(tower, block).unwrap();
        let mut lines = 0;
        for line in text_beside(file!(), "video_patches.txt").lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [count, width, height, seed] = [0, 1, 2, 3].map(|i| fields[i].parse::<u32>().unwrap());
            let frames = (0..count).map(|i| image(width, height, u64::from(seed + 2 * i))).collect();
            let parts = processor.parts(&video(frames, 0.5)).unwrap();
            let values =
                parts.iter().flat_map(|part| processor.patches(&part.frames, &go_on).unwrap().values);
            // Rounded to levels again: the reference's two roundings differ from these in the last bit.
            let levels: Vec<u8> = values.map(|v| ((v + 1.0) * 127.5).round() as u8).collect();
            assert_eq!(fnv(&levels), fields[4], "{line}");
            lines += 1;
        }
        assert_eq!(lines, 60);
    }

    #[test]
    fn times_are_written_as_the_reference_writes_them() {
        let mut lines = 0;
        for line in text_beside(file!(), "times.txt").lines() {
            let (times, leads) = line.split_once(':').unwrap();
            let frame = |t: &str| VideoFrame { image: image(64, 64, 2), seconds: t.parse().unwrap() };
            let video = Video::from_frames(times.split(' ').map(frame).collect()).unwrap();
            let found: String =
                published().parts(&video).unwrap().into_iter().map(|part| part.lead).collect();
            assert_eq!(found, leads, "{line}");
            lines += 1;
        }
        assert_eq!(lines, 200);
    }

    #[test]
    fn frames_share_the_budget() {
        let processor = published();
        let size = |n: usize, w, h| processor.target_size(&video(vec![image(w, h, 2); n], 1.0)).unwrap();
        assert_eq!(size(4, 640, 480), (640, 480));
        assert_eq!(size(1, 640, 480), (640, 480));
        assert_eq!(size(100, 640, 480), (576, 416));
        assert_eq!(size(2, 8, 8), (64, 64));
        let capped = VideoProcessor { cap: Some(100), ..processor.clone() };
        let found = capped.target_size(&video(vec![image(640, 480, 2); 4], 1.0)).unwrap();
        assert_eq!(found, (352, 256));
    }

    #[test]
    fn parts_know_their_size_and_their_time() {
        let processor = published();
        let frames = vec![image(70, 60, 2), image(70, 60, 4), image(70, 60, 6)];
        let whole = video(frames, 0.5);
        let parts = processor.parts(&whole).unwrap();
        assert_eq!(
            parts.iter().map(|p| p.lead.as_str()).collect::<Vec<_>>(),
            ["<0.2 seconds>", "<1.0 seconds>"]
        );
        assert_eq!(parts[0].grid, Grid { rows: 2, columns: 2 });
        assert_eq!(parts[1].frames.frames().len(), 1);
        assert_ne!(parts[0].frames.hash(), parts[1].frames.hash());
        let patches = processor.patches(&parts[1].frames, &go_on).unwrap();
        assert_eq!((patches.rows, patches.columns, patches.values.len()), (4, 4, 16 * 1536));
        // One frame is repeated: both halves of a channel are equal.
        assert!(patches.values.chunks(512).all(|channel| channel[..256] == channel[256..]));
        assert_eq!(processor.patches(&whole, &go_on).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn frames_must_be_alike_and_their_wishes_possible() {
        let processor = published();
        let tokens = |images| processor.parts(&video(images, 1.0)).map(|parts| parts[0].grid.count());
        let error = tokens(vec![image(64, 64, 2), image(64, 32, 2)]).unwrap_err();
        assert_eq!((error.code(), &error.details()["frame"]), (Code::InvalidMedia, &json!(1)));
        assert!(error.message().contains("frame 1 of the video is 64 x 32 pixels"), "{error}");
        let frugal = image(640, 480, 2).with_soft_token_budget(Some(10)).unwrap();
        assert!(tokens(vec![frugal.clone(); 5]).unwrap() <= 10);
        let error = tokens(vec![image(640, 480, 2), frugal]).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        let large = image(64, 64, 2).with_pixel_range(Some((65_536, 65_536))).unwrap();
        assert_eq!(tokens(vec![large; 4]).unwrap(), 64);
    }

    #[test]
    fn the_config_is_read_and_checked() {
        let read = |block| read_for(TOWER, block);
        assert_eq!(read(json!({})).unwrap().pixels, PIXELS);
        assert_eq!(read(json!({ "cap_pixels_per_frame": true })).unwrap().cap, Some(768));
        let error = read(json!({ "patch_size": 14 })).unwrap_err();
        assert!(error.message().contains("video_processor.patch_size is 14, but must be the 16"), "{error}");
        assert_eq!(read(json!({ "do_resize": false })).unwrap_err().code(), Code::Unsupported);
    }
}
