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
    /// Missing ids are transformers' own, where the vocabulary has them. The end-of-audio id goes by two names, depending
    /// on who wrote the file; transformers writes its default beside the other one.
    pub fn read(root: &Section, vocab_size: usize) -> Result<Tokens> {
        let own = |id: u32| Some(id).filter(|id| (*id as usize) < vocab_size);
        let end_audio = root.optional_token("eoa_token_id")?;
        let end_audio =
            end_audio.map_or_else(|| root.optional_token("eoa_token_index"), |id| Ok(Some(id)))?;
        Ok(Tokens {
            image: root.optional_token("image_token_id")?.or(own(258_880)),
            begin_image: root.optional_token("boi_token_id")?.or(own(255_999)),
            end_image: root.optional_token("eoi_token_id")?.or(own(258_882)),
            audio: root.optional_token("audio_token_id")?.or(own(258_881)),
            begin_audio: root.optional_token("boa_token_id")?.or(own(256_000)),
            end_audio: end_audio.or(own(258_883)),
            video: root.optional_token("video_token_id")?,
        })
    }
}
