//! Images, sounds and videos.

use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;
use std::sync::Arc;

use super::boundary::{array, call, release, required, retain, unknown_value};
use super::media_options::{rmlx_media_options, with_options};
use super::sized::{Versioned, read_sized};
use super::status::{rmlx_error, rmlx_status};
use crate::error::{Error, Result};
use crate::media::{Audio, Image, Media, PixelDesc, PixelFormat, Video, VideoFrame};

/// An image, a sound or a video, decoded and ready to be part of a prompt.
///
/// Thread-safe. It does not change. Two media of the same content are the same to a session, which
/// therefore does not evaluate a prompt's beginning again when an equal medium is made anew.
///
/// Lifetime: reference-counted. Prompts hold a reference, so yours may go before theirs.
pub struct rmlx_media {
    pub(super) media: Arc<Media>,
}

/// What a medium is: one of RMLX_MEDIA_*.
pub type rmlx_media_type = i32;

/// An image.
pub const RMLX_MEDIA_IMAGE: rmlx_media_type = 1;
/// A sound.
pub const RMLX_MEDIA_AUDIO: rmlx_media_type = 2;
/// A video: images and their times.
pub const RMLX_MEDIA_VIDEO: rmlx_media_type = 3;

/// How raw pixels lie in memory: one of RMLX_PIXELS_*.
pub type rmlx_pixel_format = i32;

/// 3 bytes a pixel: red, green, blue.
pub const RMLX_PIXELS_RGB8: rmlx_pixel_format = 1;
/// 4 bytes a pixel: red, green, blue, alpha. Alpha is not looked at.
pub const RMLX_PIXELS_RGBA8: rmlx_pixel_format = 2;
/// 4 bytes a pixel: blue, green, red, alpha. Alpha is not looked at.
pub const RMLX_PIXELS_BGRA8: rmlx_pixel_format = 3;
/// 1 byte a pixel: brightness.
pub const RMLX_PIXELS_GRAY8: rmlx_pixel_format = 4;

/// Raw pixels, described: rows from top to bottom, pixels from left to right, sRGB.
///
/// Set every field, for example with an initializer, so that the ones you do not name are 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct rmlx_pixels {
    /// sizeof(rmlx_pixels)
    pub struct_size: usize,
    /// The first byte of the first row.
    pub data: *const c_void,
    /// How many bytes may be read from `data`.
    pub size: usize,
    /// Bytes from the beginning of a row to that of the next; 0 if rows follow each other without a
    /// gap.
    pub row_stride: usize,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// One of RMLX_PIXELS_*.
    pub format: rmlx_pixel_format,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), size first; integers and a pointer that is only followed where the caller says it may be.
unsafe impl Versioned for rmlx_pixels {
    const FIRST_SIZE: usize = offset_of!(rmlx_pixels, reserved) + size_of::<u32>();
}

/// Decodes an image file that is in memory: PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF,
/// recognized by its bytes. The orientation that EXIF or XMP states is applied. `bytes` are not needed any
/// more when this returns.
///
/// - `options`: how much it may ask for; NULL for the defaults
/// - `out`: gets a reference for you
///
/// Errors: INVALID_MEDIA (no image, truncated, corrupt, a side of more than 65535 pixels, or beyond what
/// `options` allow); UNSUPPORTED (another format, HEIC or AVIF for example, or a kind of these that is not
/// read, such as arithmetic coding: the message names it and what to do); OUT_OF_MEMORY; CANCELLED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_image_from_encoded(
    bytes: *const c_void,
    len: usize,
    options: Option<&rmlx_media_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes `len` readable bytes.
        let bytes = unsafe { array(bytes.cast::<u8>(), len, "bytes") }?;
        let out = required(out, "out")?;
        let image = with_options(options, |options| Image::decode_with(bytes, options))?;
        out.write(reference(Media::Image(image)));
        Ok(())
    })
}

/// Makes an image of raw pixels, which are copied.
///
/// - `desc`: where the pixels are, how many and of which format
/// - `out`: gets a reference for you
///
/// Errors: INVALID_ARGUMENT (unknown format, wrong struct_size, `size` too small for the rest);
/// INVALID_MEDIA (no pixel, or too many); OUT_OF_MEMORY.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_image_from_pixels(
    desc: *const rmlx_pixels,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes a structure of as many bytes as its first field says.
        let desc = unsafe { read_sized(desc, "desc") }?;
        let out = required(out, "out")?;
        if desc.reserved != 0 {
            return Err(Error::invalid_argument("`desc.reserved` is not 0").with("argument", "desc"));
        }
        // SAFETY: the caller says that `size` bytes may be read.
        let pixels = unsafe { array(desc.data.cast::<u8>(), desc.size, "desc.data") }?;
        out.write(reference(Media::Image(Image::from_pixels(&described(&desc)?, pixels)?)));
        Ok(())
    })
}

/// The safe API's description of the same pixels.
fn described(desc: &rmlx_pixels) -> Result<PixelDesc> {
    let format = match desc.format {
        RMLX_PIXELS_RGB8 => PixelFormat::Rgb8,
        RMLX_PIXELS_RGBA8 => PixelFormat::Rgba8,
        RMLX_PIXELS_BGRA8 => PixelFormat::Bgra8,
        RMLX_PIXELS_GRAY8 => PixelFormat::Gray8,
        unknown => return Err(unknown_value(unknown, "desc.format")),
    };
    Ok(PixelDesc { width: desc.width, height: desc.height, row_stride: desc.row_stride, format })
}

/// Makes the same image again, to be shown to the model in more or less detail than it would by itself.
///
/// Which numbers a model can do is its own: Gemma 4 takes 70, 140, 280, 560 and 1120, Gemma 3 its 256 only,
/// Qwen3-VL any. Another one is an error (UNSUPPORTED, with what the model can do) of the call that places
/// the image in a prompt: a submit, or counting tokens. Without this, the model's own number holds.
///
/// - `soft_tokens`: the most positions that it may take, at least 1
/// - `out`: gets a reference to the new image for you
///
/// Errors: INVALID_ARGUMENT (0, or `image` is no image).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_image_with_soft_token_budget(
    image: Option<&rmlx_media>,
    soft_tokens: u32,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let image = picture(image)?;
        let out = required(out, "out")?;
        out.write(reference(Media::Image(image.with_soft_token_budget(Some(soft_tokens))?)));
        Ok(())
    })
}

/// Makes the same image again, to be shown to the model whole, or whole and in crops where it is long: what
/// Gemma 3 calls pan and scan, and its snapshots mostly have off. Each crop takes as many positions as the
/// image.
///
/// Asking for crops of a model without them is an error (UNSUPPORTED) of the call that places the image in
/// a prompt.
///
/// - `pan_and_scan`: whether crops are shown too
/// - `out`: gets a reference to the new image for you
///
/// Errors: INVALID_ARGUMENT (`image` is no image).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_image_with_pan_and_scan(
    image: Option<&rmlx_media>,
    pan_and_scan: bool,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let image = picture(image)?;
        let out = required(out, "out")?;
        out.write(reference(Media::Image(image.with_pan_and_scan(Some(pan_and_scan)))));
        Ok(())
    })
}

/// Makes the same image again, to be brought to another range of sizes than the model's own: what Qwen3-VL
/// calls min_pixels and max_pixels. Within the range, it keeps about its size.
///
/// A range that the model cannot do is an error (UNSUPPORTED, with what it can do) of the call that places
/// the image in a prompt: most models know no such range.
///
/// - `min_pixels`: the fewest pixels that it may be brought to
/// - `max_pixels`: the most, at least 1
/// - `out`: gets a reference to the new image for you
///
/// Errors: INVALID_ARGUMENT (`max_pixels` is 0 or less than `min_pixels`, or `image` is no image).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_image_with_pixel_range(
    image: Option<&rmlx_media>,
    min_pixels: u32,
    max_pixels: u32,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let image = picture(image)?;
        let out = required(out, "out")?;
        out.write(reference(Media::Image(image.with_pixel_range(Some((min_pixels, max_pixels)))?)));
        Ok(())
    })
}

/// The image behind an argument of this name.
fn picture(image: Option<&rmlx_media>) -> Result<Image> {
    match required(image, "image")?.media.as_ref() {
        Media::Image(image) => Ok(image.clone()),
        Media::Audio(_) | Media::Video(_) => {
            Err(Error::invalid_argument("`image` is no image").with("argument", "image"))
        }
    }
}

/// Decodes a sound file that is in memory, recognized by its bytes, whatever tags stand before it: WAV (RF64,
/// BW64 and W64 too), AIFF, AU and CAF; FLAC; MP3; AAC-LC and ALAC in M4A; Ogg Vorbis and Opus; Matroska and
/// WebM with one of these. It becomes 16 kHz mono. `bytes` are not needed any more when this returns.
///
/// A file that is cut short or damaged gives what is there, as players do: rmlx_audio_lost_seconds tells how
/// much is missing.
///
/// - `options`: how much it may ask for; NULL for the defaults
/// - `out`: gets a reference for you
///
/// Errors: INVALID_MEDIA (no sound, nothing in it that can be read, no samples, a sample that is NaN or
/// infinite, far more samples than its size explains, or beyond what `options` allow); UNSUPPORTED (another
/// format or codec, WMA, AMR or AC-3 for example: the message names it and what to do); OUT_OF_MEMORY;
/// CANCELLED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_audio_from_encoded(
    bytes: *const c_void,
    len: usize,
    options: Option<&rmlx_media_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes `len` readable bytes.
        let bytes = unsafe { array(bytes.cast::<u8>(), len, "bytes") }?;
        let out = required(out, "out")?;
        let audio = with_options(options, |options| Audio::decode_with(bytes, options))?;
        out.write(reference(Media::Audio(audio)));
        Ok(())
    })
}

/// Makes a sound of PCM samples, which are copied, mixed down to mono and resampled to 16 kHz.
///
/// - `samples`: `frames` times `channels` numbers, the channels of a frame side by side, full scale
///   from -1 to 1
/// - `rate`: frames a second
/// - `out`: gets a reference for you
///
/// Errors: INVALID_ARGUMENT (no channel); INVALID_MEDIA (no frame, a sample that is NaN or infinite, a
/// rate outside of 1000 to 768000, or more than an hour); OUT_OF_MEMORY.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_audio_from_pcm_f32(
    samples: *const f32,
    frames: usize,
    channels: u32,
    rate: u32,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let count = frames.saturating_mul(channels as usize);
        // SAFETY: the caller passes `frames` times `channels` readable numbers.
        let samples = unsafe { array(samples, count, "samples") }?;
        let out = required(out, "out")?;
        out.write(reference(Media::Audio(Audio::from_pcm_f32(samples, channels, rate)?)));
        Ok(())
    })
}

/// Makes the same sound again, to be cut into clips or not where a model takes only so many seconds at once
/// (Gemma 4 with an audio tower: 30). Without this, a longer sound is an error of the submit, which states
/// the limit and the length.
///
/// Each clip takes a place of its own in the prompt, one right after the other. Nothing changes for a
/// sound that is short enough, or for a model without such a limit.
///
/// - `split`: whether it may be cut
/// - `out`: gets a reference to the new sound for you
///
/// Errors: INVALID_ARGUMENT (`audio` is no sound).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_audio_with_split(
    audio: Option<&rmlx_media>,
    split: bool,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let Media::Audio(audio) = required(audio, "audio")?.media.as_ref() else {
            return Err(Error::invalid_argument("`audio` is no sound").with("argument", "audio"));
        };
        let out = required(out, "out")?;
        out.write(reference(Media::Audio(audio.clone().with_split(split))));
        Ok(())
    })
}

/// Makes a video of images and their times. Decoding a video file, and choosing a few of its frames, is
/// yours to do: a frame or two a second, and some 30 in all, are what models are made for.
///
/// The model is shown the frames, and when they were taken, as its family does it: Gemma 4 each frame after
/// its minutes and seconds, Qwen3-VL frames in pairs (of one size) after their seconds. The frames take
/// fewer positions than images by themselves: as many as the snapshot says of videos, or as many as
/// rmlx_image_with_soft_token_budget gave them.
///
/// - `frames`: `count` images, which the video shares
/// - `timestamps_seconds`: `count` times from the beginning of the video, ascending
/// - `out`: gets a reference for you
///
/// Errors: INVALID_ARGUMENT (one of `frames` is no image); INVALID_MEDIA (no frame, or a time that is
/// negative, not finite, or before that of the frame before).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_video_from_frames(
    frames: *const *const rmlx_media,
    timestamps_seconds: *const f64,
    count: usize,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes `count` readable handles.
        let frames = unsafe { array(frames, count, "frames") }?;
        // SAFETY: the caller passes `count` readable numbers.
        let times = unsafe { array(timestamps_seconds, count, "timestamps_seconds") }?;
        let out = required(out, "out")?;
        let frames = frames.iter().zip(times).enumerate().map(|(index, (&frame, &seconds))| {
            // SAFETY: NULL, or an object that the caller holds a reference to.
            let media = unsafe { frame.as_ref() }.map(|frame| frame.media.as_ref());
            match media {
                Some(Media::Image(image)) => Ok(VideoFrame { image: image.clone(), seconds }),
                _ => {
                    let message = format!("`frames[{index}]` is no image");
                    Err(Error::invalid_argument(message).with("argument", "frames").with("index", index))
                }
            }
        });
        let frames = frames.collect::<Result<Vec<_>>>()?;
        out.write(reference(Media::Video(Video::from_frames(frames)?)));
        Ok(())
    })
}

/// Adds a reference.
///
/// Returns: `media`; NULL for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_media_retain(media: *const rmlx_media) -> *mut rmlx_media {
    // SAFETY: the caller holds a reference, which `into_raw` made, or passes NULL.
    unsafe { retain(media) }
}

/// Gives a reference back. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_media_release(media: Option<NonNull<rmlx_media>>) {
    // SAFETY: the caller gives back a reference of its own, or passes NULL.
    unsafe { release(media) };
}

/// What a medium is.
///
/// Returns: one of RMLX_MEDIA_*; 0 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_kind(media: Option<&rmlx_media>) -> rmlx_media_type {
    media.map_or(0, |media| match media.media.as_ref() {
        Media::Image(_) => RMLX_MEDIA_IMAGE,
        Media::Audio(_) => RMLX_MEDIA_AUDIO,
        Media::Video(_) => RMLX_MEDIA_VIDEO,
    })
}

/// How many bytes a medium holds: its pixels (3 bytes each) or samples (4 bytes), which media made of it
/// share; of an image or a video from rmlx_media_prepare, those that are left.
///
/// Returns: 0 for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_bytes(media: Option<&rmlx_media>) -> u64 {
    media.map_or(0, |media| media.media.bytes() as u64)
}

/// The width of an image in pixels, the right way up.
///
/// Returns: 0 for NULL and for everything that is no image.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_image_width(image: Option<&rmlx_media>) -> u32 {
    image.map_or(0, |image| match image.media.as_ref() {
        Media::Image(image) => image.width(),
        Media::Audio(_) | Media::Video(_) => 0,
    })
}

/// The height of an image in pixels, the right way up.
///
/// Returns: 0 for NULL and for everything that is no image.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_image_height(image: Option<&rmlx_media>) -> u32 {
    image.map_or(0, |image| match image.media.as_ref() {
        Media::Image(image) => image.height(),
        Media::Audio(_) | Media::Video(_) => 0,
    })
}

/// How long a sound is, in seconds.
///
/// Returns: 0 for NULL and for everything that is no sound.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_audio_seconds(audio: Option<&rmlx_media>) -> f64 {
    audio.map_or(0.0, |audio| match audio.media.as_ref() {
        Media::Image(_) | Media::Video(_) => 0.0,
        Media::Audio(audio) => audio.samples().len() as f64 / f64::from(Audio::SAMPLE_RATE),
    })
}

/// How much of its file's sound is missing, in seconds: damaged packets that were left out, and what a file
/// that was cut short states beyond its end, as far as the file tells. A file without any mention of its
/// length (an MP3 from a stream, say) may have lost more at its end.
///
/// Returns: 0 for a whole file, for a sound of samples, for NULL and for everything that is no sound.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_audio_lost_seconds(audio: Option<&rmlx_media>) -> f64 {
    audio.map_or(0.0, |audio| match audio.media.as_ref() {
        Media::Image(_) | Media::Video(_) => 0.0,
        Media::Audio(audio) => audio.lost_seconds(),
    })
}

pub(super) fn reference(media: Media) -> *mut rmlx_media {
    Arc::into_raw(Arc::new(rmlx_media { media: Arc::new(media) })).cast_mut()
}
