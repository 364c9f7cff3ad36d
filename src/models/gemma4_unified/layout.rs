//! Where media go in a prompt of `gemma4_unified`, and how many soft tokens they take.

use super::config::Config;
use crate::error::{Error, Result};
use crate::media::gemma4::{ImageProcessor, raw_frame_count};
use crate::media::{Media, MediaKind};
use crate::models::gemma4::tokens::Tokens;
use crate::prompt::{MediaLayout, SoftBlock};

/// Begin token, soft tokens, end token.
pub struct Layout {
    pub image: Option<(Frame, ImageProcessor)>,
    pub audio: Option<(Frame, usize)>,
}

/// The ids of one kind of medium.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    begin: u32,
    soft: u32,
    end: u32,
}

impl Layout {
    /// The kinds that the model has an embedder for, by the ids of `config.json`.
    pub fn new(config: &Config, processor_config: Option<&serde_json::Value>) -> Result<Layout> {
        let Tokens { image, begin_image, end_image, audio, begin_audio, end_audio, .. } = config.tokens;
        let image = match &config.vision {
            None => None,
            Some(vision) => {
                let frame = Frame::new(
                    [begin_image, image, end_image],
                    ["boi_token_id", "image_token_id", "eoi_token_id"],
                )?;
                let processor = ImageProcessor::from_config(processor_config)?;
                if processor.side() as usize != vision.model_patch_size {
                    return Err(Error::snapshot(format!(
                        "the image processor makes patches of {} pixels, but vision_config.model_patch_size is {}",
                        processor.side(),
                        vision.model_patch_size
                    )));
                }
                Some((frame, processor))
            }
        };
        let audio = match &config.audio {
            None => None,
            Some(config) => {
                let names = ["boa_token_id", "audio_token_id", "eoa_token_index"];
                Some((Frame::new([begin_audio, audio, end_audio], names)?, config.samples_per_token))
            }
        };
        Ok(Layout { image, audio })
    }
}

impl Frame {
    fn new(ids: [Option<u32>; 3], names: [&str; 3]) -> Result<Frame> {
        match ids {
            [Some(begin), Some(soft), Some(end)] => Ok(Frame { begin, soft, end }),
            _ => {
                let missing = ids.iter().zip(names).find(|(id, _)| id.is_none()).map_or("", |(_, name)| name);
                Err(Error::snapshot(format!("config.json: {missing} is missing")).with("key", missing))
            }
        }
    }

    fn around(self, count: usize) -> SoftBlock {
        SoftBlock { before: vec![self.begin], soft: self.soft, count, after: vec![self.end] }
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, kind: MediaKind) -> Option<u32> {
        match kind {
            MediaKind::Image => self.image.as_ref().map(|(frame, _)| frame.soft),
            MediaKind::Audio => self.audio.as_ref().map(|(frame, _)| frame.soft),
        }
    }

    fn block(&self, media: &Media) -> Result<SoftBlock> {
        match (media, &self.image, &self.audio) {
            (Media::Image(image), Some((frame, processor)), _) => {
                Ok(frame.around(processor.soft_tokens(image)?))
            }
            (Media::Audio(audio), _, Some((frame, samples))) => {
                Ok(frame.around(raw_frame_count(audio, *samples)))
            }
            _ => Err(lacks(media.kind())),
        }
    }
}

/// The error for a medium that the model has no embedder for.
pub fn lacks(kind: MediaKind) -> Error {
    Error::unsupported(format!("this model takes no {} input", kind.name())).with("modality", kind.name())
}
