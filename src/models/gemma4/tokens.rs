//! Ids of the tokens around and under media.

use crate::error::Result;
use crate::snapshot::config::Section;

/// What `config.json` says of both families; a kind of medium that the model lacks may have none.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    pub image: Option<u32>,
    pub begin_image: Option<u32>,
    pub end_image: Option<u32>,
    pub audio: Option<u32>,
    pub begin_audio: Option<u32>,
    pub end_audio: Option<u32>,
    /// Under a video's frames, which begin and end like images.
    pub video: Option<u32>,
}

impl Tokens {
    /// The end-of-audio id goes by two names, depending on who wrote the file.
    pub fn read(root: &Section) -> Result<Tokens> {
        let end_audio = root.optional_token("eoa_token_index")?;
        Ok(Tokens {
            image: root.optional_token("image_token_id")?,
            begin_image: root.optional_token("boi_token_id")?,
            end_image: root.optional_token("eoi_token_id")?,
            audio: root.optional_token("audio_token_id")?,
            begin_audio: root.optional_token("boa_token_id")?,
            end_audio: end_audio.or(root.optional_token("eoa_token_id")?),
            video: root.optional_token("video_token_id")?,
        })
    }
}
