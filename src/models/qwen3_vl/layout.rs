//! Where pictures and videos go in a prompt of Qwen3-VL, and which positions they take.

use std::sync::Arc;

use super::config::SightConfig;
use crate::error::Result;
use crate::media::{Check, Image, Media, MediaKind};
use crate::models::{MediaModel, Prepared, lacks};
use crate::nn::positions::Positions;
use crate::prompt::{Grid, MediaLayout, Placed, SoftBlock};
use crate::snapshot::processors::ProcessorFiles;
use crate::vision::qwen3_vl::{self, ImageProcessor, Tower, VideoProcessor};
use crate::vision::resize::Target;

pub struct Layout {
    sight: Option<Sight>,
}

struct Sight {
    images: ImageProcessor,
    videos: VideoProcessor,
    /// A start, a soft token, an end.
    image: [u32; 3],
    video: [u32; 3],
}

impl Layout {
    pub fn new(config: Option<&SightConfig>, processors: &ProcessorFiles) -> Result<Layout> {
        let Some(config) = config else { return Ok(Layout { sight: None }) };
        let tower = Tower {
            patch_size: config.patch_size as u32,
            temporal_patch_size: config.temporal_patch_size as u32,
            merge_size: config.merge_size as u32,
        };
        Ok(Layout {
            sight: Some(Sight {
                images: ImageProcessor::read(&processors.image()?, tower)?,
                videos: VideoProcessor::read(&processors.video()?, tower)?,
                image: [config.start, config.image, config.end],
                video: [config.start, config.video, config.end],
            }),
        })
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        match (kind, &self.sight) {
            (MediaKind::Image, Some(sight)) => Some(&sight.image),
            // As transformers (from 5.12 on) does it: what stands around a video stays there, and each part has its own.
            (MediaKind::Video, Some(sight)) => Some(&sight.video[1..2]),
            _ => None,
        }
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        match (media.as_ref(), &self.sight) {
            (Media::Image(image), Some(sight)) => {
                Ok(vec![block(Arc::clone(media), String::new(), sight.image, sight.images.grid(image)?)])
            }
            (Media::Video(video), Some(sight)) => {
                let part = |part: qwen3_vl::Part| {
                    block(Arc::new(Media::Video(part.frames)), part.lead, sight.video, part.grid)
                };
                Ok(sight.videos.parts(video)?.into_iter().map(part).collect())
            }
            _ => Err(lacks(media.kind())),
        }
    }
}

fn block(media: Arc<Media>, lead: String, [start, soft, end]: [u32; 3], grid: qwen3_vl::Grid) -> SoftBlock {
    SoftBlock {
        media,
        lead,
        before: vec![start],
        soft,
        count: grid.count(),
        after: vec![end],
        tail: String::new(),
        grid: Some(Grid { rows: grid.rows, columns: grid.columns }),
        together: false,
    }
}

impl MediaModel for Layout {
    fn targets(&self, media: &Media) -> Result<Vec<(Image, Target)>> {
        match (media, &self.sight) {
            (Media::Image(image), Some(sight)) => Ok(vec![(image.clone(), sight.images.target(image)?)]),
            (Media::Video(part), Some(sight)) => {
                let target = sight.videos.target(part)?;
                Ok(part.frames().iter().map(|frame| (frame.image.clone(), target)).collect())
            }
            _ => Err(lacks(media.kind())),
        }
    }

    fn prepare(&self, media: &Media, check: Check) -> Result<Prepared> {
        match (media, &self.sight) {
            (Media::Image(image), Some(sight)) => Ok(Prepared::Patches(sight.images.patches(image, check)?)),
            (Media::Video(frames), Some(sight)) => {
                Ok(Prepared::Patches(sight.videos.patches(frames, check)?))
            }
            _ => Err(lacks(media.kind())),
        }
    }

    /// Text advances time, height and width together. A picture that starts at `p` has the time `p`, heights from `p`
    /// by its rows and widths from `p` by its columns; text goes on behind the larger of both.
    fn positions(&self, prompt: &Placed) -> Positions {
        if prompt.media.iter().all(|medium| medium.grid.is_none()) {
            return Positions::counting(prompt.ids.len());
        }
        let mut rows: Vec<[i32; 3]> = Vec::with_capacity(prompt.ids.len());
        let mut next = 0;
        let text = |rows: &mut Vec<[i32; 3]>, until: usize, next: &mut i32| {
            while rows.len() < until {
                rows.push([*next; 3]);
                *next += 1;
            }
        };
        for medium in &prompt.media {
            let Some(grid) = medium.grid else { continue };
            text(&mut rows, medium.tokens.start, &mut next);
            for i in 0..medium.tokens.len() {
                let (row, column) = ((i / grid.columns) as i32, (i % grid.columns) as i32);
                rows.push([next, next + row, next + column]);
            }
            next += grid.rows.max(grid.columns) as i32;
        }
        text(&mut rows, prompt.ids.len(), &mut next);
        Positions::Each(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Image, PixelDesc, PixelFormat, Video, VideoFrame};
    use serde_json::json;

    fn layout() -> Layout {
        let config = json!({
            "text_config": { "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 2, "head_dim": 128 },
            "vision_config": { "hidden_size": 32, "num_heads": 2, "out_hidden_size": 32 },
            "vision_start_token_id": 1, "image_token_id": 2, "video_token_id": 3, "vision_end_token_id": 4,
        });
        let config = super::super::config::Config::from_json(&config).unwrap();
        let size = json!({ "shortest_edge": 1024, "longest_edge": 65536 });
        let files = json!({ "image_processor": { "size": size }, "video_processor": { "size": size } });
        Layout::new(config.sight.as_ref(), &ProcessorFiles::of(files)).unwrap()
    }

    fn image(width: u32, height: u32) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Gray8 };
        Image::from_pixels(&desc, &vec![9; (width * height) as usize]).unwrap()
    }

    #[test]
    fn pictures_and_pairs_of_frames_lie_in_their_grids() {
        let layout = layout();
        let one = layout.blocks(&Arc::new(Media::Image(image(96, 64)))).unwrap();
        assert_eq!((one.len(), one[0].count, one[0].grid.unwrap().columns), (1, 6, 3));
        assert_eq!((&one[0].before[..], one[0].soft, &one[0].after[..]), (&[1][..], 2, &[4][..]));
        let frame = |seconds| VideoFrame { image: image(64, 64), seconds };
        let video = Video::from_frames(vec![frame(0.0), frame(1.0), frame(2.0)]).unwrap();
        let parts = layout.blocks(&Arc::new(Media::Video(video))).unwrap();
        let leads: Vec<&str> = parts.iter().map(|part| part.lead.as_str()).collect();
        assert_eq!(leads, ["<0.5 seconds>", "<2.0 seconds>"]);
        assert!(parts.iter().all(|part| part.soft == 3 && part.count == 4));
    }

    #[test]
    fn text_goes_on_behind_the_larger_side_of_a_picture() {
        let layout = layout();
        let media = Arc::new(Media::Image(image(96, 64)));
        let grid = Some(Grid { rows: 2, columns: 3 });
        let placed = crate::prompt::PlacedMedia { media, tokens: 2..8, grid, together: false };
        let prompt = Placed { ids: vec![0; 10], media: vec![placed], ..Placed::default() };
        let expected = [
            [0, 0, 0],
            [1, 1, 1],
            [2, 2, 2],
            [2, 2, 3],
            [2, 2, 4],
            [2, 3, 2],
            [2, 3, 3],
            [2, 3, 4],
            [5, 5, 5],
            [6, 6, 6],
        ];
        assert_eq!(layout.positions(&prompt), Positions::Each(expected.to_vec()));
        assert_eq!(layout.positions(&prompt).next(), 7);
        let text = Placed { ids: vec![0; 4], ..Placed::default() };
        assert_eq!(layout.positions(&text), Positions::counting(4));
    }
}
