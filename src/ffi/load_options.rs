//! How a model is loaded.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::boundary::{call, required, text, unknown_value, value};
use super::callback::{UserData, rmlx_destroy_callback};
use super::cancel::rmlx_cancel;
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{
    CacheType, CancelToken, DeviceChoice, GroupOptions, LoadOptions, ProgressFn, WeightsChoice,
};
use crate::error::{Error, Result};

/// Where a model runs: one of RMLX_DEVICE_*.
pub type rmlx_device = i32;

/// The GPU where MLX has one, else the CPU.
pub const RMLX_DEVICE_AUTO: rmlx_device = 0;
/// The CPU.
pub const RMLX_DEVICE_CPU: rmlx_device = 1;
/// The GPU; loading answers UNSUPPORTED where there is none.
pub const RMLX_DEVICE_GPU: rmlx_device = 2;

/// Where weights are that stay as they are stored: one of RMLX_WEIGHTS_*.
pub type rmlx_weights = i32;

/// As RMLX_WEIGHTS_MAPPED on iOS, as RMLX_WEIGHTS_READ elsewhere.
pub const RMLX_WEIGHTS_AUTO: rmlx_weights = 0;
/// In memory of the process.
pub const RMLX_WEIGHTS_READ: rmlx_weights = 1;
/// In the pages of the weight files where MLX takes them from there, which is on Metal; read elsewhere.
pub const RMLX_WEIGHTS_MAPPED: rmlx_weights = 2;

/// What keys and values of sessions are kept as: one of RMLX_CACHE_*.
pub type rmlx_cache_type = i32;

/// As the activations are computed: 32-bit floats on the CPU, the snapshot's type on a GPU.
pub const RMLX_CACHE_AUTO: rmlx_cache_type = 0;
/// 32-bit floats.
pub const RMLX_CACHE_F32: rmlx_cache_type = 1;
/// 16-bit floats with 10 bits of fraction; an answer whose values pass 65,504 ends with an error.
pub const RMLX_CACHE_F16: rmlx_cache_type = 2;
/// The upper 16 bits of 32-bit floats, with 7 bits of fraction.
pub const RMLX_CACHE_BF16: rmlx_cache_type = 3;

/// Told how far a load is: `fraction` goes from 0 to 1 and never back.
///
/// It runs on the thread that called rmlx_model_load, during that call. It may trigger a cancel object;
/// it must not call any other function of rmlx.
pub type rmlx_progress_callback = Option<unsafe extern "C" fn(fraction: f32, user_data: *mut c_void)>;

/// How a model is loaded. Everything has a default, so rmlx_model_load also takes NULL for it.
///
/// Use it from one thread at a time. A load takes a copy of what it needs: changing or releasing the
/// options later has no effect on it.
///
/// Lifetime: yours, until rmlx_load_options_release.
#[derive(Default)]
pub struct rmlx_load_options {
    device: DeviceChoice,
    weights: WeightsChoice,
    cache_type: CacheType,
    progress: Option<Progress>,
    cancel: Option<CancelToken>,
    memory_limit: Option<u64>,
    ignore_system_memory: bool,
    context_length: Option<usize>,
    media_cache_bytes: Option<u64>,
    chat_template: Option<String>,
    pub(super) group: Option<GroupOptions>,
}

#[derive(Clone)]
struct Progress {
    callback: unsafe extern "C" fn(f32, *mut c_void),
    user_data: Arc<UserData>,
}

impl Progress {
    fn relay(&self) -> ProgressFn {
        let Self { callback, user_data } = self.clone();
        // SAFETY: the host gave this function for this user data, which lives as long as the closure.
        Box::new(move |fraction| unsafe { callback(fraction, user_data.get()) })
    }
}

impl rmlx_load_options {
    pub(super) fn to_options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device,
            weights: self.weights,
            cache_type: self.cache_type,
            progress: self.progress.as_ref().map(Progress::relay),
            cancel: self.cancel.clone(),
            memory_limit: self.memory_limit,
            ignore_system_memory: self.ignore_system_memory,
            context_length: self.context_length,
            media_cache_bytes: self.media_cache_bytes,
            chat_template: self.chat_template.clone(),
            group: self.group.clone(),
        }
    }
}

/// Makes load options that hold the defaults.
///
/// Returns: an object for you to release; NULL only if a bug in rmlx was caught.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_new() -> Option<Box<rmlx_load_options>> {
    value(None, || Some(Box::default()))
}

/// Releases load options. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_release(options: Option<Box<rmlx_load_options>>) {
    value((), || drop(options));
}

/// Chooses where the model runs. Default: RMLX_DEVICE_AUTO.
///
/// Errors: INVALID_ARGUMENT (unknown device).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_device(
    options: Option<&mut rmlx_load_options>,
    device: rmlx_device,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.device = match device {
            RMLX_DEVICE_AUTO => DeviceChoice::Auto,
            RMLX_DEVICE_CPU => DeviceChoice::Cpu,
            RMLX_DEVICE_GPU => DeviceChoice::Gpu,
            unknown => return Err(unknown_value(unknown, "device")),
        };
        Ok(())
    })
}

/// Chooses where weights are that stay as they are stored. Default: RMLX_WEIGHTS_AUTO.
///
/// Mapped weights are pages of the files that the system reads when they are first computed with, and may drop and read
/// again: a load is short, and they do not count as memory that the app holds. Packed matrices, and dense ones of the
/// activations' type, can be mapped where their place in the file is a multiple of their number's size; queries, keys
/// and values, and gate and up, are then multiplied one by one. rmlx_model_estimate tells how many bytes those are
/// ("mapped_weights"), and rmlx_model_info_json how many they were ("mapped_bytes").
///
/// As long as a model has mapped weights, its files must not become shorter nor be written to: the process would end
/// with SIGBUS, or go on with other weights. Replacing or removing a file as a whole is harmless.
///
/// Errors: INVALID_ARGUMENT (unknown value).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_weights(
    options: Option<&mut rmlx_load_options>,
    weights: rmlx_weights,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.weights = match weights {
            RMLX_WEIGHTS_AUTO => WeightsChoice::Auto,
            RMLX_WEIGHTS_READ => WeightsChoice::Read,
            RMLX_WEIGHTS_MAPPED => WeightsChoice::Mapped,
            unknown => return Err(unknown_value(unknown, "weights")),
        };
        Ok(())
    })
}

/// Chooses what keys and values of the model's sessions are kept as. Default: RMLX_CACHE_AUTO.
///
/// 16 bits halve what a session takes on the CPU, and what each token there has to read of a long prompt. Logits then move
/// by what is rounded: by up to 0.007 standard deviations with RMLX_CACHE_F16 and 0.04 with RMLX_CACHE_BF16 in small random
/// models, and more where a router chooses other experts for it. On a GPU RMLX_CACHE_AUTO is what the snapshot is stored as,
/// 16 bits in nearly all cases. A saved session can be loaded with the type that it was saved with (else INVALID_SAVE).
/// rmlx_model_info_json says what it is ("cache_type").
///
/// Errors: INVALID_ARGUMENT (unknown value).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_cache_type(
    options: Option<&mut rmlx_load_options>,
    cache_type: rmlx_cache_type,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.cache_type = match cache_type {
            RMLX_CACHE_AUTO => CacheType::Auto,
            RMLX_CACHE_F32 => CacheType::F32,
            RMLX_CACHE_F16 => CacheType::F16,
            RMLX_CACHE_BF16 => CacheType::Bf16,
            unknown => return Err(unknown_value(unknown, "cache_type")),
        };
        Ok(())
    })
}

/// Sets a callback that is told how far a load is; NULL for none, which is the default.
///
/// `destroy` (or NULL) is called once with `user_data` when the callback has been replaced or the
/// options have been released, and no load uses it. If the call fails, `destroy` is not called:
/// `user_data` is still yours.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_progress(
    options: Option<&mut rmlx_load_options>,
    callback: rmlx_progress_callback,
    user_data: *mut c_void,
    destroy: rmlx_destroy_callback,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let options = required(options, "options")?;
        let user_data = Arc::new(UserData::new(user_data, destroy));
        options.progress = callback.map(|callback| Progress { callback, user_data });
        Ok(())
    })
}

/// Sets the cancel object that a load watches; NULL for none, which is the default. The options take a
/// reference.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_cancel(
    options: Option<&mut rmlx_load_options>,
    cancel: Option<&rmlx_cancel>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.cancel = cancel.map(|cancel| cancel.token.clone());
        Ok(())
    })
}

/// Gives the model and one session of it at most `bytes`: as rmlx_model_estimate counts them, weights, cache
/// and what is computed with together. A load that needs more, with the context that was asked for or 256
/// positions, is refused with OUT_OF_MEMORY before any weight is read, and the error says by how much. Where
/// no context or prefill chunk is asked for, sessions get what fits; rmlx_session_new refuses one that does
/// not fit. Default: no limit of rmlx's own; on iOS what the system leaves to the app at the load.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_memory_limit(
    options: Option<&mut rmlx_load_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.memory_limit = Some(not_zero(bytes, "bytes")?);
        Ok(())
    })
}

/// Switches off the look at the memory that the system has. Otherwise a load, a prompt, or a medium that
/// needs more than the system says to have left is refused with OUT_OF_MEMORY: free memory, the limits of the
/// process and of its control group on Linux, what an app may take on iOS, all of the memory on macOS. What
/// would certainly fail is refused all the same. Default: false.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_ignore_system_memory(
    options: Option<&mut rmlx_load_options>,
    ignore: bool,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.ignore_system_memory = ignore;
        Ok(())
    })
}

/// Limits the context of every session of the model to `positions` tokens, prompt, media and answer
/// together, if the model itself allows that many. Default: what the model allows; with a memory limit, and on
/// iOS, what fits.
///
/// Errors: INVALID_ARGUMENT (0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_context_length(
    options: Option<&mut rmlx_load_options>,
    positions: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.context_length = Some(not_zero(positions, "positions")?);
        Ok(())
    })
}

/// Sets how many bytes of encoded images and sounds the model keeps, for all of its sessions together: a
/// medium that is shown to it again, in another session or after a reset, is then not encoded again. The
/// least recently used go first, and rmlx_memory_trim gives up all of them. 0 keeps none. Default: 64 MiB.
///
/// Errors: none of its own.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_media_cache(
    options: Option<&mut rmlx_load_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        required(options, "options")?.media_cache_bytes = Some(bytes);
        Ok(())
    })
}

/// Takes a chat template in the place of the snapshot's own, or of several of them: conversations with tools and
/// without go through this one. It is Jinja with what transformers gives to templates.
///
/// - `utf8`, `len`: the template, copied, and its bytes; of no bytes for the snapshot's own, which is the default
///
/// Errors: INVALID_ARGUMENT (not UTF-8). A template that is no Jinja fails the load, with INVALID_ARGUMENT, a message
/// that names this option and the line, and the details "option" and "line".
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_load_options_set_chat_template(
    options: Option<&mut rmlx_load_options>,
    utf8: *const c_char,
    len: usize,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let options = required(options, "options")?;
        // SAFETY: the caller passes `len` readable bytes.
        let template = unsafe { text(utf8, len, "utf8") }?;
        options.chat_template = (!template.is_empty()).then(|| template.to_owned());
        Ok(())
    })
}

/// Refuses a 0 where it could only be a mistake.
pub(super) fn not_zero<T: Default + PartialEq>(number: T, name: &str) -> Result<T> {
    if number == T::default() {
        return Err(Error::invalid_argument(format!("`{name}` is 0")).with("argument", name));
    }
    Ok(number)
}
