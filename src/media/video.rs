//! A video: pictures and when each was taken. Decoding a container and choosing its frames is the host's work.

use std::ops::Range;
use std::sync::Arc;

use super::{ContentHash, Image};
use crate::error::{Error, Result};

/// Pictures in order of time. Clones share them.
#[derive(Clone)]
pub struct Video {
    frames: Arc<Vec<VideoFrame>>,
    /// Those of `frames` that this is.
    range: Range<usize>,
    frame_size: Option<(u32, u32)>,
    hash: ContentHash,
}

/// One picture of a [`Video`].
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// The picture.
    pub image: Image,
    /// From the beginning of the video.
    pub seconds: f64,
}

impl Video {
    /// Errors: `InvalidMedia` for no frame at all, and for a time that is negative, not finite, or before that of
    /// the frame before.
    pub fn from_frames(frames: Vec<VideoFrame>) -> Result<Video> {
        if frames.is_empty() {
            return Err(Error::media("the video has no frames"));
        }
        let mut earliest = 0.0;
        for (index, frame) in frames.iter().enumerate() {
            let seconds = frame.seconds;
            if !seconds.is_finite() || seconds < earliest {
                let message = format!(
                    "frame {index} of the video is at {seconds} seconds: it must be at {earliest} or later"
                );
                return Err(Error::media(message).with("frame", index));
            }
            earliest = seconds;
        }
        let range = 0..frames.len();
        Ok(Video { hash: hash(&frames, None), frames: Arc::new(frames), range, frame_size: None })
    }

    /// Consecutive frames as a video of their own, which are to be brought to `size` (width and height in pixels): what
    /// follows from the length of the whole video is not known to its parts. The range lies within
    /// [`Video::frames`] and is not empty.
    pub(crate) fn part(&self, range: Range<usize>, size: (u32, u32)) -> Video {
        let range = self.range.start + range.start..self.range.start + range.end;
        let hash = hash(&self.frames[range.clone()], Some(size));
        Video { frames: Arc::clone(&self.frames), range, frame_size: Some(size), hash }
    }

    /// The same video of pictures of the same content.
    pub(super) fn with_images(&self, of: impl Fn(&Image) -> Image) -> Video {
        let frames = self.frames.iter().map(|f| VideoFrame { image: of(&f.image), seconds: f.seconds });
        Video { frames: Arc::new(frames.collect()), ..self.clone() }
    }

    /// At least one, their times ascending.
    pub fn frames(&self) -> &[VideoFrame] {
        &self.frames[self.range.clone()]
    }

    /// The width and height in pixels that a processor has decided on for the frames of a part.
    pub(crate) fn frame_size(&self) -> Option<(u32, u32)> {
        self.frame_size
    }

    /// Of its content: equal videos have equal hashes.
    pub fn hash(&self) -> &ContentHash {
        &self.hash
    }
}

fn hash(frames: &[VideoFrame], size: Option<(u32, u32)>) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rmlx video");
    for frame in frames {
        hasher.update(frame.image.hash());
        hasher.update(&frame.seconds.to_le_bytes());
    }
    if let Some((width, height)) = size {
        hasher.update(b"size");
        hasher.update(&width.to_le_bytes());
        hasher.update(&height.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

impl std::fmt::Debug for Video {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Video({} frames)", self.frames().len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PixelDesc, PixelFormat};
    use super::*;
    use crate::error::Code;

    fn frame(level: u8, seconds: f64) -> VideoFrame {
        let desc = PixelDesc { width: 1, height: 1, row_stride: 0, format: PixelFormat::Gray8 };
        VideoFrame { image: Image::from_pixels(&desc, &[level]).unwrap(), seconds }
    }

    #[test]
    fn hashes_tell_frames_times_and_order_apart() {
        let of = |frames: &[VideoFrame]| *Video::from_frames(frames.to_vec()).unwrap().hash();
        let whole = of(&[frame(1, 0.0), frame(2, 0.5)]);
        assert_eq!(whole, of(&[frame(1, 0.0), frame(2, 0.5)]));
        assert_ne!(whole, of(&[frame(1, 0.0), frame(2, 0.6)]));
        assert_ne!(whole, of(&[frame(2, 0.0), frame(1, 0.5)]));
        assert_ne!(whole, of(&[frame(1, 0.0)]));
        let frugal = frame(2, 0.5).image.with_soft_token_budget(Some(140)).unwrap();
        assert_ne!(whole, of(&[frame(1, 0.0), VideoFrame { image: frugal, seconds: 0.5 }]));
    }

    #[test]
    fn a_part_is_told_by_its_frames_and_their_size() {
        let whole = Video::from_frames((0u8..5).map(|i| frame(i, f64::from(i))).collect()).unwrap();
        let part = whole.part(2..4, (64, 32));
        assert_eq!(part.frames().iter().map(|f| f.seconds).collect::<Vec<_>>(), [2.0, 3.0]);
        assert_eq!((part.frame_size(), whole.frame_size()), (Some((64, 32)), None));
        assert_eq!(part.hash(), whole.part(2..4, (64, 32)).hash());
        assert_ne!(part.hash(), whole.part(2..4, (32, 64)).hash());
        assert_ne!(part.hash(), whole.part(1..3, (64, 32)).hash());
        assert_ne!(whole.part(0..5, (64, 32)).hash(), whole.hash());
        assert_eq!(part.part(1..2, (1, 1)).hash(), whole.part(3..4, (1, 1)).hash());
    }

    #[test]
    fn times_ascend_from_zero() {
        let error = |frames: Vec<VideoFrame>| Video::from_frames(frames).unwrap_err();
        assert!(error(vec![]).message().contains("no frames"));
        for (times, index) in
            [([-0.1, 0.0], 0), ([1.0, 0.9], 1), ([0.0, f64::NAN], 1), ([0.0, f64::INFINITY], 1)]
        {
            let error = error(times.iter().map(|t| frame(0, *t)).collect());
            assert_eq!((error.code(), &error.details()["frame"]), (Code::InvalidMedia, &index.into()));
        }
        assert_eq!(Video::from_frames(vec![frame(0, 2.0), frame(1, 2.0)]).unwrap().frames().len(), 2);
    }
}
