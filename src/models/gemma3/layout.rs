//! Where pictures go in a prompt of Gemma 3.

use std::sync::Arc;

use super::config::SightConfig;
use crate::error::Result;
use crate::media::{Check, Image, Media, MediaKind};
use crate::models::{MediaModel, Prepared, lacks};
use crate::prompt::{MediaLayout, SoftBlock};
use crate::snapshot::processors::ProcessorFiles;
use crate::vision::gemma3::{AROUND_PICTURE, ImageProcessor, Part, Tower};
use crate::vision::resize::Target;

pub struct Layout {
    sight: Option<Sight>,
}

struct Sight {
    processor: ImageProcessor,
    /// What the template writes for a picture, which is also what begins its soft tokens.
    begin: [u32; 1],
    soft: u32,
    end: u32,
}

impl Layout {
    pub fn new(config: Option<&SightConfig>, processors: &ProcessorFiles) -> Result<Layout> {
        let Some(config) = config else { return Ok(Layout { sight: None }) };
        let tower = Tower {
            image_size: config.image_size as u32,
            patch_size: config.patch_size as u32,
            soft_tokens: config.soft_tokens as u32,
        };
        let processor = ImageProcessor::read(&processors.image()?, tower)?;
        let sight = Sight { processor, begin: [config.begin], soft: config.soft, end: config.end };
        Ok(Layout { sight: Some(sight) })
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        self.sight.as_ref().filter(|_| kind == MediaKind::Image).map(|sight| &sight.begin[..])
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        match (media.as_ref(), &self.sight) {
            (Media::Image(image), Some(sight)) => {
                let parts = sight.processor.parts(image)?;
                Ok(parts.into_iter().map(|part| sight.block(part)).collect())
            }
            _ => Err(lacks(media.kind())),
        }
    }
}

impl Sight {
    fn block(&self, part: Part) -> SoftBlock {
        SoftBlock {
            media: Arc::new(Media::Image(part.image)),
            lead: part.lead + AROUND_PICTURE,
            before: self.begin.to_vec(),
            soft: self.soft,
            count: self.processor.soft_tokens(),
            after: vec![self.end],
            tail: AROUND_PICTURE.to_owned() + &part.tail,
            grid: None,
            together: true,
        }
    }
}

impl MediaModel for Layout {
    fn targets(&self, media: &Media) -> Result<Vec<(Image, Target)>> {
        match (media, &self.sight) {
            (Media::Image(image), Some(sight)) => Ok(vec![(image.clone(), sight.processor.target())]),
            _ => Err(lacks(media.kind())),
        }
    }

    fn prepare(&self, media: &Media, check: Check) -> Result<Prepared> {
        match (media, &self.sight) {
            (Media::Image(image), Some(sight)) => {
                Ok(Prepared::Patches(sight.processor.patches(image, check)?))
            }
            _ => Err(lacks(media.kind())),
        }
    }
}
