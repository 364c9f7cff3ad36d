//! Where media go in a prompt of `gemma4`, and how many soft tokens they take.

use super::config::Config;
use crate::error::{Error, Result};
use crate::media::{Media, MediaKind};
use crate::prompt::{MediaLayout, SoftBlock};

pub struct Layout;

impl Layout {
    pub fn new(_config: &Config, _processor_config: Option<&serde_json::Value>) -> Result<Layout> {
        Ok(Layout)
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, _kind: MediaKind) -> Option<u32> {
        None
    }

    fn block(&self, media: &Media) -> Result<SoftBlock> {
        Err(lacks(media.kind()))
    }
}

/// The error for a medium that the model has no tower for.
pub fn lacks(kind: MediaKind) -> Error {
    Error::unsupported(format!("this model takes no {} input", kind.name())).with("modality", kind.name())
}
