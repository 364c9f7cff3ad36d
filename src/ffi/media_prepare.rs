//! Media without what a model does not take of them.

use std::mem::MaybeUninit;

use super::boundary::{call, required};
use super::media::{reference, rmlx_media};
use super::media_options::{rmlx_media_options, with_options};
use super::model::rmlx_model;
use super::status::{rmlx_error, rmlx_status};

/// Makes the same medium again without what `model` does not take of it: of an image or a video, only the
/// sizes that the model's processor brings its pictures to are kept. A photo of 12 megapixels holds 36 MB,
/// and some 2 MB for Gemma then. The new one takes the place of `media` in prompts, which you may release:
/// answers are the same bit for bit, and to sessions both are the same medium, whichever they saw first.
///
/// It goes with this model, and with every other that takes its pictures at the same sizes; another one
/// needs `media` itself, and answers INVALID_ARGUMENT for the new one. What would be larger than
/// `media`, and a sound, is handed back as it is. Runs on your thread, and takes what a submit would take for it.
///
/// - `options`: of these, only the cancel object counts; or NULL
/// - `out`: gets a reference for you
///
/// Errors: UNSUPPORTED (the model does not understand such media, or not in this detail); INVALID_ARGUMENT
/// (`media` was prepared for another model); INVALID_MEDIA (a picture that cannot be brought to any size of
/// the model's); OUT_OF_MEMORY; CANCELLED.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_media_prepare(
    model: Option<&rmlx_model>,
    media: Option<&rmlx_media>,
    options: Option<&rmlx_media_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_media>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let media = required(media, "media")?;
        let out = required(out, "out")?;
        let prepared = with_options(options, |options| {
            (options.check)()?;
            model.prepare_media(&media.media, options.check)
        })?;
        out.write(reference(prepared));
        Ok(())
    })
}
