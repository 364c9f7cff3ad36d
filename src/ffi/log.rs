//! The log callback.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::boundary::{c_bytes, call, unknown_value};
use super::callback::{UserData, rmlx_destroy_callback};
use super::status::{rmlx_error, rmlx_status};
use crate::error::{Code, Error, Result};
use crate::log::{self, Level};

/// How much a message of the log matters: one of RMLX_LOG_*. A smaller number matters more.
pub type rmlx_log_level = i32;

/// Something failed that no call could return: a bug that was caught.
pub const RMLX_LOG_ERROR: rmlx_log_level = 1;
/// Something went differently from what the host may expect.
pub const RMLX_LOG_WARNING: rmlx_log_level = 2;
/// What happens, at the rate of loads.
pub const RMLX_LOG_INFO: rmlx_log_level = 3;
/// What happens in detail.
pub const RMLX_LOG_DEBUG: rmlx_log_level = 4;

/// Receives the messages of the log: UTF-8, NUL-terminated, without a newline, valid during the call
/// only.
///
/// It runs on a thread of its own, one message at a time, and must not call rmlx.
pub type rmlx_log_callback =
    Option<unsafe extern "C" fn(level: rmlx_log_level, message: *const c_char, user_data: *mut c_void)>;

/// Sends the log of the whole process to a callback, or to nobody with a NULL `callback`, which is how
/// it begins.
///
/// Only messages of `level` and those that matter more are sent. The callback that was set before has
/// had its last message, and its user data has been destroyed, when this returns. `destroy` may be
/// NULL. If the call fails, `destroy` is not called: `user_data` is still yours.
///
/// Errors: INVALID_ARGUMENT (unknown level; the callback that was set before stays); OUT_OF_MEMORY (no
/// thread could be started; nobody gets messages now).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_set_log_callback(
    level: rmlx_log_level,
    callback: rmlx_log_callback,
    user_data: *mut c_void,
    destroy: rmlx_destroy_callback,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let most = known_level(level)?;
        let user_data = Arc::new(UserData::new(user_data, destroy));
        let relay = callback.map(|callback| relay(callback, Arc::clone(&user_data)));
        if log::set_callback(relay, most) {
            return Ok(());
        }
        if let Some(user_data) = Arc::into_inner(user_data) {
            user_data.forget();
        }
        Err(Error::new(Code::OutOfMemory, "the thread of the log cannot be started"))
    })
}

fn known_level(level: rmlx_log_level) -> Result<Level> {
    match level {
        RMLX_LOG_ERROR => Ok(Level::Error),
        RMLX_LOG_WARNING => Ok(Level::Warning),
        RMLX_LOG_INFO => Ok(Level::Info),
        RMLX_LOG_DEBUG => Ok(Level::Debug),
        unknown => Err(unknown_value(unknown, "level")),
    }
}

/// The closure that hands messages to the host.
fn relay(
    callback: unsafe extern "C" fn(rmlx_log_level, *const c_char, *mut c_void),
    user_data: Arc<UserData>,
) -> log::LogFn {
    Box::new(move |level, message| {
        let message = c_bytes(message);
        // SAFETY: the host gave this function for this user data, which is alive, and the text ends with a NUL.
        unsafe { callback(level as rmlx_log_level, message.as_ptr().cast(), user_data.get()) };
    })
}
