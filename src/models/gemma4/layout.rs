//! Where media go in a prompt of Gemma 4, and how many soft tokens they take, with or without towers.

use std::sync::Arc;

use super::tokens::Tokens;
use crate::audio::gemma4::{raw_frame_count, raw_frames, speech_clips, speech_tokens};
use crate::audio::mel::{self, MelFrontEnd};
use crate::error::{Error, Result};
use crate::media::{Audio, Check, Image, Media, MediaKind, Video, VideoFrame};
use crate::models::{MediaModel, Prepared, lacks};
use crate::prompt::{MediaLayout, SoftBlock};
use crate::snapshot::processors::ProcessorFiles;
use crate::vision::gemma4::ImageProcessor;
use crate::vision::resize::Target;

/// The kinds that the model has an encoder for.
pub struct Layout {
    pub image: Option<(Markers, ImageProcessor)>,
    /// Frames are pictures with a soft token and a processor of their own.
    pub video: Option<(Markers, ImageProcessor)>,
    pub audio: Option<(Markers, Sound)>,
    /// The encoder takes the patches of a tower, not whole squares of a soft token.
    pub tower: bool,
    /// Whether the soft tokens of a picture see each other both ways.
    pub image_blocks: bool,
}

/// Begin token, soft tokens, end token.
#[derive(Clone, Copy, Debug)]
pub struct Markers {
    begin: u32,
    soft: u32,
    end: u32,
}

/// What a soft token of sound stands for.
#[derive(Clone)]
pub enum Sound {
    /// So many raw samples.
    Samples(usize),
    /// Four frames of the speech encoder's front end.
    Speech(MelFrontEnd),
}

impl Layout {
    /// `side` is that of a soft token's square in pixels, where the model sees; `sound` is given where it hears.
    ///
    /// Errors: `InvalidSnapshot` for a token that `config.json` lacks, or an image processor that does not fit.
    pub fn new(
        tokens: &Tokens,
        side: Option<usize>,
        sound: Option<Sound>,
        processors: &ProcessorFiles,
    ) -> Result<Layout> {
        let markers = |ids, names| Markers::new(ids, names);
        let mut layout = Layout { image: None, video: None, audio: None, tower: false, image_blocks: false };
        if let Some(side) = side {
            let names = ["boi_token_id", "image_token_id", "eoi_token_id"];
            let images = markers([tokens.begin_image, tokens.image, tokens.end_image], names)?;
            let processor = ImageProcessor::read(&processors.image()?)?;
            check_side(&processor, "image", side)?;
            layout.image = Some((images, processor));
            if let Some(soft) = tokens.video {
                let processor = processor.for_video(&processors.video()?)?;
                check_side(&processor, "video", side)?;
                layout.video = Some((Markers { soft, ..images }, processor));
            }
        }
        if let Some(sound) = sound {
            let names = ["boa_token_id", "audio_token_id", "eoa_token_index"];
            let sounds = markers([tokens.begin_audio, tokens.audio, tokens.end_audio], names)?;
            layout.audio = Some((sounds, sound));
        }
        Ok(layout)
    }
}

fn check_side(processor: &ImageProcessor, what: &str, side: usize) -> Result<()> {
    let found = processor.side() as usize;
    if found == side {
        return Ok(());
    }
    Err(Error::snapshot(format!(
        "the {what} processor makes squares of {found} pixels, but the model's soft tokens stand for {side}"
    )))
}

impl Markers {
    fn new(ids: [Option<u32>; 3], names: [&str; 3]) -> Result<Markers> {
        match ids {
            [Some(begin), Some(soft), Some(end)] => Ok(Markers { begin, soft, end }),
            _ => {
                let missing = ids.iter().zip(names).find(|(id, _)| id.is_none()).map_or("", |(_, name)| name);
                Err(Error::snapshot(format!("config.json: {missing} is missing")).with("key", missing))
            }
        }
    }

    fn around(self, media: Arc<Media>, count: usize, lead: String) -> SoftBlock {
        SoftBlock {
            media,
            lead,
            before: vec![self.begin],
            soft: self.soft,
            count,
            after: vec![self.end],
            tail: String::new(),
            grid: None,
            together: false,
        }
    }
}

impl MediaLayout for Layout {
    fn placeholder(&self, kind: MediaKind) -> Option<&[u32]> {
        let soft = match kind {
            MediaKind::Image => self.image.as_ref().map(|(markers, _)| &markers.soft),
            MediaKind::Audio => self.audio.as_ref().map(|(markers, _)| &markers.soft),
            MediaKind::Video => self.video.as_ref().map(|(markers, _)| &markers.soft),
        };
        soft.map(std::slice::from_ref)
    }

    fn blocks(&self, media: &Arc<Media>) -> Result<Vec<SoftBlock>> {
        let mut blocks = match (media.as_ref(), &self.image, &self.audio, &self.video) {
            (Media::Image(image), Some((markers, processor)), _, _) => {
                let count = processor.soft_tokens(image)?;
                vec![markers.around(Arc::clone(media), count, String::new())]
            }
            (Media::Audio(audio), _, Some((markers, sound)), _) => sound.blocks(*markers, media, audio)?,
            (Media::Video(video), _, _, Some((markers, processor))) => frames(*markers, processor, video)?,
            _ => return Err(lacks(media.kind())),
        };
        let is_picture = media.kind() != MediaKind::Audio;
        blocks.iter_mut().for_each(|block| block.together = is_picture && self.image_blocks);
        Ok(blocks)
    }
}

impl MediaModel for Layout {
    fn targets(&self, media: &Media) -> Result<Vec<(Image, Target)>> {
        match (media, &self.image) {
            (Media::Image(image), Some((_, processor))) => {
                Ok(vec![(image.clone(), processor.target(image)?)])
            }
            (Media::Audio(_), _) => Ok(Vec::new()),
            _ => Err(lacks(media.kind())),
        }
    }

    fn prepare(&self, media: &Media, check: Check) -> Result<Prepared> {
        check()?;
        match (media, &self.image, &self.audio) {
            (Media::Image(image), Some((_, processor)), _) => {
                let side = if self.tower { processor.patch_size } else { processor.side() };
                Ok(Prepared::Patches(processor.patches(image, side, check)?))
            }
            (Media::Audio(sound), _, Some((_, Sound::Samples(samples)))) => {
                Ok(Prepared::Samples(raw_frames(sound, *samples)?))
            }
            (Media::Audio(sound), _, Some((_, Sound::Speech(mel)))) => {
                Ok(Prepared::Mel(mel.frames(sound.samples(), check)?))
            }
            _ => Err(lacks(media.kind())),
        }
    }
}

impl Sound {
    fn blocks(&self, markers: Markers, media: &Arc<Media>, audio: &Audio) -> Result<Vec<SoftBlock>> {
        let samples = match self {
            Sound::Samples(samples) => *samples,
            Sound::Speech(_) => return clips(markers, media, audio),
        };
        let count = raw_frame_count(audio, samples);
        Ok(vec![markers.around(Arc::clone(media), count, String::new())])
    }
}

/// A sound as it is, or the clips that it is cut into.
fn clips(markers: Markers, media: &Arc<Media>, audio: &Audio) -> Result<Vec<SoftBlock>> {
    let clips = speech_clips(audio)?;
    let whole = clips.len() == 1 && clips.first().is_some_and(|clip| clip.len() == audio.samples().len());
    let block = |clip: std::ops::Range<usize>| {
        let count = speech_tokens(mel::frame_count(clip.len()));
        let media = if whole { Arc::clone(media) } else { Arc::new(Media::Audio(audio.clip(clip))) };
        markers.around(media, count, String::new())
    };
    Ok(clips.into_iter().map(block).collect())
}

/// `mm:ss ` and the frame, frame after frame with a space between (transformers' `replace_video_token`).
fn frames(markers: Markers, processor: &ImageProcessor, video: &Video) -> Result<Vec<SoftBlock>> {
    let block = |(i, frame): (usize, &VideoFrame)| {
        let budget = frame.image.wishes().soft_token_budget.unwrap_or(processor.max_soft_tokens);
        let image = frame.image.clone().with_soft_token_budget(Some(budget))?;
        let count = processor.soft_tokens(&image)?;
        let (space, time) = (if i == 0 { "" } else { " " }, timestamp(frame.seconds));
        Ok(markers.around(Arc::new(Media::Image(image)), count, format!("{space}{time} ")))
    };
    let at = |(i, frame)| block((i, frame)).map_err(|e: Error| e.with("frame", i));
    video.frames().iter().enumerate().map(at).collect()
}

/// Whole minutes and seconds, two digits each at least.
fn timestamp(seconds: f64) -> String {
    let rest = seconds % 60.0;
    format!("{:02}:{:02}", ((seconds - rest) / 60.0).round(), rest.floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::media::{Image, PixelDesc, PixelFormat};
    use crate::snapshot::config::Section;
    use serde_json::json;

    fn tokens() -> Tokens {
        let config = json!({ "image_token_id": 10, "boi_token_id": 11, "eoi_token_id": 12, "audio_token_id": 20,
            "boa_token_id": 21, "eoa_token_id": 22, "video_token_id": 30 });
        Tokens::read(&Section::root(&config).unwrap(), 1000).unwrap()
    }

    fn towers() -> Layout {
        let processors = json!({ "video_processor": { "max_soft_tokens": 140 } });
        let mel = MelFrontEnd::read(&ProcessorFiles::default().sound().unwrap()).unwrap();
        let sound = Some(Sound::Speech(mel));
        Layout::new(&tokens(), Some(48), sound, &ProcessorFiles::of(processors)).unwrap()
    }

    fn image(width: u32, height: u32) -> Image {
        let desc = PixelDesc { width, height, row_stride: 0, format: PixelFormat::Gray8 };
        Image::from_pixels(&desc, &vec![9; (width * height) as usize]).unwrap()
    }

    fn sound(samples: usize) -> Audio {
        Audio::from_pcm_f32(&vec![0.25; samples], 1, 16_000).unwrap()
    }

    fn blocks(layout: &Layout, media: Media) -> Result<Vec<SoftBlock>> {
        layout.blocks(&Arc::new(media))
    }

    #[test]
    fn frames_carry_their_time_and_the_videos_budget() {
        let frugal = image(64, 64).with_soft_token_budget(Some(70)).unwrap();
        let frame = |image, seconds| VideoFrame { image, seconds };
        let video = Video::from_frames(vec![
            frame(image(64, 64), 0.0),
            frame(frugal, 59.999),
            frame(image(64, 32), 60.0),
            frame(image(64, 64), 6_125.5),
        ]);
        let blocks = blocks(&towers(), Media::Video(video.unwrap())).unwrap();
        let leads: Vec<&str> = blocks.iter().map(|b| b.lead.as_str()).collect();
        assert_eq!(leads, ["00:00 ", " 00:59 ", " 01:00 ", " 102:05 "]);
        let counts: Vec<usize> = blocks.iter().map(|b| b.count).collect();
        assert_eq!(counts, [121, 64, 128, 121]);
        for block in &blocks {
            assert_eq!((&block.before[..], block.soft, &block.after[..]), (&[11][..], 30, &[12][..]));
            let Media::Image(image) = block.media.as_ref() else { panic!() };
            assert_eq!(ImageProcessor::default().soft_tokens(image).unwrap(), block.count);
        }
        assert_eq!(blocks[0].media.hash(), blocks[3].media.hash());
        assert_ne!(blocks[0].media.hash(), image(64, 64).hash());
    }

    #[test]
    fn sounds_are_whole_unless_they_are_cut() {
        let layout = towers();
        let one = blocks(&layout, Media::Audio(sound(16_060))).unwrap();
        assert_eq!((one.len(), one[0].count, one[0].soft), (1, 25, 20));
        assert_eq!(one[0].media.hash(), sound(16_060).hash());
        let error = blocks(&layout, Media::Audio(sound(480_001))).unwrap_err();
        assert_eq!(error.code(), Code::InvalidMedia);
        let cut = blocks(&layout, Media::Audio(sound(496_060).with_split(true))).unwrap();
        assert_eq!(cut.iter().map(|b| b.count).collect::<Vec<_>>(), [750, 25]);
        assert_eq!(cut[1].media.hash(), sound(16_060).hash());
        let unified =
            Layout::new(&tokens(), None, Some(Sound::Samples(640)), &ProcessorFiles::default()).unwrap();
        assert_eq!(blocks(&unified, Media::Audio(sound(496_060).with_split(true))).unwrap()[0].count, 776);
    }

    #[test]
    fn a_model_without_an_encoder_says_so() {
        let deaf = Layout::new(&tokens(), Some(48), None, &ProcessorFiles::default()).unwrap();
        let kinds = |layout: &Layout| -> Vec<MediaKind> {
            MediaKind::ALL.into_iter().filter(|kind| layout.placeholder(*kind).is_some()).collect()
        };
        assert_eq!(kinds(&deaf), [MediaKind::Image, MediaKind::Video]);
        let error = blocks(&deaf, Media::Audio(sound(1_000))).unwrap_err();
        assert_eq!((error.code(), &error.details()["modality"]), (Code::Unsupported, &json!("audio")));
        let without = Tokens { video: None, ..tokens() };
        assert_eq!(
            kinds(&Layout::new(&without, Some(48), None, &ProcessorFiles::default()).unwrap()),
            [MediaKind::Image]
        );
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let missing = Tokens { end_image: None, ..tokens() };
        let error = Layout::new(&missing, Some(48), None, &ProcessorFiles::default()).err().unwrap();
        assert!(error.message().contains("eoi_token_id is missing"), "{error}");
        let error = Layout::new(&tokens(), Some(32), None, &ProcessorFiles::default()).err().unwrap();
        assert!(error.message().contains("squares of 48 pixels"), "{error}");
        let processors = json!({ "video_processor": { "patch_size": 8 } });
        let error = Layout::new(&tokens(), Some(48), None, &ProcessorFiles::of(processors)).err().unwrap();
        assert!(error.message().contains("video processor makes squares of 24"), "{error}");
    }
}
