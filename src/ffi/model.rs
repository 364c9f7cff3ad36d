//! Models.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use super::boundary::{array, call, fill, path, release, required, retain, text};
use super::generation_options::rmlx_generation_options;
use super::load_options::rmlx_load_options;
use super::prompt::rmlx_prompt;
use super::status::{rmlx_error, rmlx_status};
use super::string::hand_over;
use crate::engine::{GenerationOptions, LoadOptions, Model};

/// A loaded model: weights, tokenizer and chat template of one snapshot folder.
///
/// Thread-safe. It does not change, and any number of sessions share its weights.
///
/// Lifetime: reference-counted. Sessions hold a reference, so yours may go before theirs; the memory is
/// given back with the last one.
pub struct rmlx_model {
    pub(super) model: Model,
}

/// Loads a snapshot: a folder as Hugging Face and mlx-community publish them, with config.json,
/// *.safetensors, tokenizer.json and a chat template. A tower that is not there is left out: the model does
/// not take its media, and the log says so. Blocks until all weights are in memory; while the library is
/// suspended (rmlx_suspend) that does not go on.
///
/// - `dir`: path of the folder, UTF-8 and NUL-terminated
/// - `options`: or NULL for the defaults
/// - `out`: gets a reference for you
///
/// Errors: NOT_FOUND (no such folder, or no config.json or tokenizer.json in it); INVALID_SNAPSHOT (a file
/// that may not be read, broken JSON, truncated or missing weights, a tensor of the wrong shape, a template
/// that cannot be compiled); UNSUPPORTED (architecture, a format or quantization of other programs, or no
/// GPU where one was asked for); OUT_OF_MEMORY; CANCELLED; BACKEND; INVALID_ARGUMENT.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_load(
    dir: *const c_char,
    options: Option<&rmlx_load_options>,
    out: Option<&mut MaybeUninit<*mut rmlx_model>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let dir = unsafe { path(dir, "dir") }?;
        let out = required(out, "out")?;
        let options = options.map_or_else(LoadOptions::default, rmlx_load_options::to_options);
        let model = Model::load(dir, options)?;
        out.write(Arc::into_raw(Arc::new(rmlx_model { model })).cast_mut());
        Ok(())
    })
}

/// Adds a reference.
///
/// Returns: `model`; NULL for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_retain(model: *const rmlx_model) -> *mut rmlx_model {
    // SAFETY: the caller holds a reference, which `into_raw` made, or passes NULL.
    unsafe { retain(model) }
}

/// Gives a reference back. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_release(model: Option<NonNull<rmlx_model>>) {
    // SAFETY: the caller gives back a reference of its own, or passes NULL.
    unsafe { release(model) };
}

/// Tells what a snapshot folder holds, without reading a weight: quick, and no memory is taken.
///
/// - `dir`: path of the folder, UTF-8 and NUL-terminated
/// - `out_json`: gets a JSON object (architecture, modalities, quantization, bytes, tensors,
///   parameters) for you to release with rmlx_string_release. "notes" are sentences about what of the
///   folder is not used: towers without weights, files that belong to something else.
///
/// Errors: NOT_FOUND, INVALID_SNAPSHOT, UNSUPPORTED, BACKEND as rmlx_model_load: what it refuses of the
/// files, of the configuration and of the tensors' names, types and shapes is refused here, in the same
/// words. The texts of the tokenizer and of the chat template are not looked at.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_inspect(
    dir: *const c_char,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let dir = unsafe { path(dir, "dir") }?;
        let out = required(out_json, "out_json")?;
        out.write(hand_over(&Model::inspect(dir)?.to_string())?);
        Ok(())
    })
}

/// Tells how much memory a load and a session would take, from the configuration and the headers of the
/// weight files: quick, and no weight is read.
///
/// - `dir`: path of the folder, UTF-8 and NUL-terminated
/// - `options`: those of the load; or NULL for the defaults
/// - `context_tokens`: positions that the session is to hold; 0 for as many as the options or the model allow
/// - `out_json`: gets a JSON object for you to release with rmlx_string_release. In bytes: "weights" as they
///   are held, of which "text_weights", "vision_weights" and "audio_weights", and of all parts "mapped_weights",
///   which stay in the pages of the files and are in no peak (rmlx_load_options_set_weights); "cache", of the session at
///   "context_tokens"; "checkpoints", the most that it keeps of earlier positions
///   (rmlx_session_options_set_checkpoints); "prefill", what pieces of "prefill_chunk" tokens are computed with; "media", for each
///   kind of medium what one (1024 x 1024 pixels, 10 seconds) is encoded with; "load_peak"; "peak", the most
///   of all that at a time; "available", what the system has now, or null. "fits": whether the peak is within
///   that and the memory limit of the options. "device".
///
/// Errors: as rmlx_model_inspect; UNSUPPORTED (no GPU where one was asked for); OUT_OF_MEMORY.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_estimate(
    dir: *const c_char,
    options: Option<&rmlx_load_options>,
    context_tokens: usize,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let dir = unsafe { path(dir, "dir") }?;
        let out = required(out_json, "out_json")?;
        let options = options.map_or_else(LoadOptions::default, rmlx_load_options::to_options);
        out.write(hand_over(&Model::estimate(dir, &options, context_tokens)?.to_string())?);
        Ok(())
    })
}

/// Tells about a loaded model: what rmlx_model_inspect tells, and its device, the bytes of its weights
/// as loaded, its context length, and whether it has a chat template.
///
/// - `out_json`: gets a JSON object for you to release with rmlx_string_release
///
/// Errors: OUT_OF_MEMORY.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_model_info_json(
    model: Option<&rmlx_model>,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let out = required(out_json, "out_json")?;
        out.write(hand_over(&model.info().to_string())?);
        Ok(())
    })
}

/// Turns a text into token ids. Nothing is added: no BOS, no template.
///
/// - `utf8`, `len`: the text and its bytes
/// - `parse_special`: whether spellings of special tokens, such as "<bos>", become those tokens;
///   otherwise they are text like any other
/// - `out`, `capacity`, `out_count`: the array protocol (see the top of this file)
///
/// Errors: INVALID_ARGUMENT (not UTF-8; too little room); INVALID_PROMPT (the tokenizer fails on it).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_tokenize(
    model: Option<&rmlx_model>,
    utf8: *const c_char,
    len: usize,
    parse_special: bool,
    out: *mut u32,
    capacity: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        // SAFETY: the caller passes `len` readable bytes.
        let text = unsafe { text(utf8, len, "utf8") }?;
        let out_count = required(out_count, "out_count")?;
        let ids = model.tokenize(text, parse_special)?;
        // SAFETY: the caller passes `capacity` writable elements.
        unsafe { fill(&ids, out, capacity, out_count) }
    })
}

/// Turns token ids into text. Bytes that make no whole character become U+FFFD.
///
/// - `ids`, `count`: the tokens
/// - `skip_special`: whether special tokens are left out; otherwise they are spelled out
/// - `out_utf8`: gets the text, NUL-terminated, for you to release with rmlx_string_release
/// - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
///
/// Errors: INVALID_PROMPT (the tokenizer fails on them). An id that is no token adds nothing to the text.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_model_detokenize(
    model: Option<&rmlx_model>,
    ids: *const u32,
    count: usize,
    skip_special: bool,
    out_utf8: Option<&mut MaybeUninit<*mut c_char>>,
    out_len: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        // SAFETY: the caller passes `count` readable ids.
        let ids = unsafe { array(ids, count, "ids") }?;
        let out = required(out_utf8, "out_utf8")?;
        write_text(&model.detokenize(ids, skip_special)?, out, out_len)
    })
}

/// Shows the text that the model's own chat template makes of a conversation, up to where the answer
/// begins. Each medium is one placeholder in it, before it becomes its tokens.
///
/// - `options`: those of the submit, for what they say to the template (thinking); or NULL
/// - `out_utf8`: gets the text, NUL-terminated, for you to release with rmlx_string_release
/// - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
///
/// Errors: INVALID_PROMPT (the template refuses the conversation); OUT_OF_MEMORY.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_model_render_prompt(
    model: Option<&rmlx_model>,
    prompt: Option<&rmlx_prompt>,
    options: Option<&rmlx_generation_options>,
    out_utf8: Option<&mut MaybeUninit<*mut c_char>>,
    out_len: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let prompt = required(prompt, "prompt")?;
        let out = required(out_utf8, "out_utf8")?;
        write_text(&model.render_prompt(&prompt.prompt, &generation(options))?, out, out_len)
    })
}

fn generation(options: Option<&rmlx_generation_options>) -> GenerationOptions {
    options.map_or_else(GenerationOptions::default, |options| options.options.clone())
}

pub(super) fn write_text(
    text: &str,
    out_utf8: &mut MaybeUninit<*mut c_char>,
    out_len: Option<&mut MaybeUninit<usize>>,
) -> crate::Result<()> {
    out_utf8.write(hand_over(text)?);
    if let Some(out_len) = out_len {
        out_len.write(text.len());
    }
    Ok(())
}

/// Counts the positions that a conversation takes in the context, those of its media included.
///
/// - `options`: those of the submit, for what they say to the template (thinking); or NULL
///
/// Errors: INVALID_PROMPT (the template refuses it, or has no place for a medium); UNSUPPORTED (a
/// medium that this model does not understand).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_model_count_tokens(
    model: Option<&rmlx_model>,
    prompt: Option<&rmlx_prompt>,
    options: Option<&rmlx_generation_options>,
    out_count: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let model = &required(model, "model")?.model;
        let prompt = required(prompt, "prompt")?;
        let out = required(out_count, "out_count")?;
        out.write(model.count_tokens(&prompt.prompt, &generation(options))?);
        Ok(())
    })
}
