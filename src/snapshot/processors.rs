//! The files that say how media become an encoder's input.

use std::path::Path;

use serde_json::Value;

use super::config::{Section, read_optional_json};
use crate::error::Result;

const PROCESSOR: &str = "processor_config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
const VIDEO_PREPROCESSOR: &str = "video_preprocessor_config.json";

/// The processor files of a snapshot. transformers writes one file with a block for each processor, and older versions
/// of it a flat file for each; many snapshots have some of both.
#[derive(Clone, Debug, Default)]
pub struct ProcessorFiles {
    processor: Option<Value>,
    preprocessor: Option<Value>,
    video_preprocessor: Option<Value>,
}

impl ProcessorFiles {
    /// Reads those that `dir` has.
    ///
    /// Errors: `InvalidSnapshot` for one that is no JSON.
    pub fn read(dir: &Path) -> Result<ProcessorFiles> {
        let read = |name: &str| read_optional_json(&dir.join(name));
        Ok(ProcessorFiles {
            processor: read(PROCESSOR)?,
            preprocessor: read(PREPROCESSOR)?,
            video_preprocessor: read(VIDEO_PREPROCESSOR)?,
        })
    }

    /// What each file says, in a fixed order.
    pub fn all(&self) -> [Option<&Value>; 3] {
        [&self.processor, &self.preprocessor, &self.video_preprocessor].map(Option::as_ref)
    }

    /// The image processor: its block of processor_config.json, else preprocessor_config.json, else no keys.
    pub fn image(&self) -> Result<Section<'_>> {
        self.find("image_processor", &[(PREPROCESSOR, &self.preprocessor)])
    }

    /// The video processor: its block of processor_config.json, else video_preprocessor_config.json, else (as the
    /// reference does it) preprocessor_config.json, else no keys.
    pub fn video(&self) -> Result<Section<'_>> {
        let flat = [(VIDEO_PREPROCESSOR, &self.video_preprocessor), (PREPROCESSOR, &self.preprocessor)];
        self.find("video_processor", &flat)
    }

    /// The feature extractor of sounds: its block of processor_config.json, else preprocessor_config.json, else no keys.
    pub fn sound(&self) -> Result<Section<'_>> {
        self.find("feature_extractor", &[(PREPROCESSOR, &self.preprocessor)])
    }

    fn find<'a>(&'a self, block: &str, flat: &[(&'static str, &'a Option<Value>)]) -> Result<Section<'a>> {
        if let Some(json) = &self.processor
            && let Some(section) = Section::file(PROCESSOR, json)?.section(block)?
        {
            return Ok(section);
        }
        match flat.iter().find_map(|(name, json)| json.as_ref().map(|json| (*name, json))) {
            Some((name, json)) => Section::file(name, json),
            None => Ok(Section::empty(PROCESSOR)),
        }
    }
}

#[cfg(test)]
impl ProcessorFiles {
    /// A snapshot that has processor_config.json only.
    pub fn of(processor_config: Value) -> ProcessorFiles {
        ProcessorFiles { processor: Some(processor_config), ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_block_is_taken_before_a_flat_file() {
        let value = |section: Result<Section>| section.unwrap().optional_usize("n").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, json: Value| std::fs::write(dir.path().join(name), json.to_string()).unwrap();
        let read = || ProcessorFiles::read(dir.path()).unwrap();
        assert_eq!(value(read().image()), None);
        write("preprocessor_config.json", json!({ "n": 1 }));
        write("processor_config.json", json!({ "n": 5, "processor_class": "Gemma3Processor" }));
        assert_eq!(
            (value(read().image()), value(read().video()), value(read().sound())),
            (Some(1), Some(1), Some(1))
        );
        write("video_preprocessor_config.json", json!({ "n": 2 }));
        assert_eq!((value(read().image()), value(read().video())), (Some(1), Some(2)));
        let blocks = json!({ "image_processor": { "n": 3 }, "video_processor": { "n": 4 }, "feature_extractor": null });
        write("processor_config.json", blocks);
        assert_eq!(
            (value(read().image()), value(read().video()), value(read().sound())),
            (Some(3), Some(4), Some(1))
        );
        write("processor_config.json", json!({ "image_processor": [] }));
        let error = read().image().unwrap_err();
        assert!(error.message().contains("processor_config.json: image_processor is []"), "{error}");
    }
}
