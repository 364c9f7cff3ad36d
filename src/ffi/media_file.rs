//! Images and sounds in files.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;

use super::boundary::{call, path, required};
use super::media::{reference, rmlx_media};
use super::media_options::{rmlx_media_options, with_options};
use super::status::{rmlx_error, rmlx_status};
use crate::error::Result;
use crate::media::{Audio, Image, Media};

/// Decodes an image file. Formats and limits are those of rmlx_image_from_encoded.
///
/// - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
/// - `options`: how much it may ask for; NULL for the defaults
/// - `out`: gets a reference for you
///
/// Errors: NOT_FOUND; INVALID_MEDIA (it cannot be read or is no file, and as rmlx_image_from_encoded);
/// UNSUPPORTED; OUT_OF_MEMORY; CANCELLED. The message and the detail "path" name the file.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_image_from_file(
    path_utf8: *const c_char,
    options: Option<&rmlx_media_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    // SAFETY: by this function's contract.
    call(error, || unsafe {
        open(path_utf8, out, |path| {
            with_options(options, |options| Image::open_with(path, options)).map(Media::Image)
        })
    })
}

/// Decodes a sound file. Formats and limits are those of rmlx_audio_from_encoded.
///
/// - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
/// - `options`: how much it may ask for; NULL for the defaults
/// - `out`: gets a reference for you
///
/// Errors: NOT_FOUND; INVALID_MEDIA (it cannot be read or is no file, and as rmlx_audio_from_encoded);
/// UNSUPPORTED; OUT_OF_MEMORY; CANCELLED. The message and the detail "path" name the file.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_audio_from_file(
    path_utf8: *const c_char,
    options: Option<&rmlx_media_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    // SAFETY: by this function's contract.
    call(error, || unsafe {
        open(path_utf8, out, |path| {
            with_options(options, |options| Audio::open_with(path, options)).map(Media::Audio)
        })
    })
}

/// # Safety
/// `path_utf8` is NULL or a NUL-terminated text.
unsafe fn open(
    path_utf8: *const c_char,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    decode: impl FnOnce(&Path) -> Result<Media>,
) -> Result<()> {
    // SAFETY: by this function's contract.
    let path = unsafe { path(path_utf8, "path_utf8") }?;
    let out = required(out, "out")?;
    out.write(reference(decode(path)?));
    Ok(())
}
