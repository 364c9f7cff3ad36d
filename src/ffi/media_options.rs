//! How an image or a sound file is decoded.

use std::mem::MaybeUninit;

use super::boundary::{call, required, value};
use super::cancel::rmlx_cancel;
use super::load_options::not_zero;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::CancelToken;
use crate::error::Result;
use crate::media::MediaOptions;

/// How much a file of an image or a sound may ask for while it is decoded. Everything has a default, so the
/// calls that decode also take NULL for it.
///
/// Use it from one thread at a time. A call that decodes reads it only until it returns.
///
/// Lifetime: yours, until rmlx_media_options_release.
#[derive(Default)]
pub struct rmlx_media_options {
    max_pixels: Option<u64>,
    max_bytes: Option<u64>,
    max_seconds: Option<u64>,
    cancel: Option<CancelToken>,
}

/// Calls `work` with the options of the safe API that are the same.
pub(super) fn with_options<T>(
    options: Option<&rmlx_media_options>,
    work: impl FnOnce(&MediaOptions) -> Result<T>,
) -> Result<T> {
    let Some(set) = options else { return work(&MediaOptions::default()) };
    let check = || set.cancel.as_ref().map_or(Ok(()), CancelToken::check);
    let defaults = MediaOptions::default();
    work(&MediaOptions {
        max_pixels: set.max_pixels.unwrap_or(defaults.max_pixels),
        max_bytes: set.max_bytes,
        max_seconds: set.max_seconds.unwrap_or(defaults.max_seconds),
        check: &check,
    })
}

/// Makes media options that hold the defaults.
///
/// Returns: an object for you to release; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_new() -> Option<Box<rmlx_media_options>> {
    value(None, || Some(Box::default()))
}

/// Releases media options. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_release(options: Option<Box<rmlx_media_options>>) {
    value((), || drop(options));
}

/// Refuses images of more pixels. Default: 128 Mi; on iOS 64 Mi. More than 256 Mi are refused whatever is set.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_set_max_pixels(
    options: Option<&mut rmlx_media_options>,
    pixels: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.max_pixels = Some(not_zero(pixels, "pixels")?);
        Ok(())
    })
}

/// Refuses files for which rmlx would hold more bytes at once while it decodes them: what the decoder works with,
/// what it makes, and the file itself where rmlx reads it. The bytes are counted from the file's headers, before they
/// are taken. Default: 256 MiB and 64 for each byte of the file, up to 1 GiB; on iOS 128 MiB and 64 for each byte, up
/// to 384 MiB.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_set_max_bytes(
    options: Option<&mut rmlx_media_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.max_bytes = Some(not_zero(bytes, "bytes")?);
        Ok(())
    })
}

/// Refuses sounds of more seconds. Default: 3600.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_set_max_seconds(
    options: Option<&mut rmlx_media_options>,
    seconds: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.max_seconds = Some(not_zero(seconds, "seconds")?);
        Ok(())
    })
}

/// Sets the cancel object that a call with these options watches; NULL for none, which is the default. The options
/// take a reference. A JPEG or PNG ends within some rows, a picture of another format when it is decoded.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_options_set_cancel(
    options: Option<&mut rmlx_media_options>,
    cancel: Option<&rmlx_cancel>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.cancel = cancel.map(|cancel| cancel.token.clone());
        Ok(())
    })
}
