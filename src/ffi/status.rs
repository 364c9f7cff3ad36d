//! Statuses and error objects.

use std::ffi::c_char;

use serde_json::Value;

use super::boundary::{c_bytes, value};
use crate::error::Error;

/// What a call came to: RMLX_OK or one of RMLX_ERROR_*.
///
/// Later versions may add codes: treat one that you do not know as a failure like any other.
pub type rmlx_status = i32;

/// The call did what it says.
pub const RMLX_OK: rmlx_status = 0;
/// An argument is NULL, out of range, of an unknown enum value, or not valid UTF-8.
pub const RMLX_ERROR_INVALID_ARGUMENT: rmlx_status = 1;
/// A file or folder that was named does not exist.
pub const RMLX_ERROR_NOT_FOUND: rmlx_status = 2;
/// The snapshot folder is incomplete, corrupt, contradicts itself, or may not be read.
pub const RMLX_ERROR_INVALID_SNAPSHOT: rmlx_status = 3;
/// Valid, but not something that this build can do: an unknown architecture, a model that cannot hear,
/// no GPU.
pub const RMLX_ERROR_UNSUPPORTED: rmlx_status = 4;
/// Memory ran out, or the files or threads that the process may have; or a limit that the host set would be passed.
pub const RMLX_ERROR_OUT_OF_MEMORY: rmlx_status = 5;
/// The prompt and its media need more positions than the context has.
pub const RMLX_ERROR_CONTEXT_FULL: rmlx_status = 6;
/// The host cancelled the operation.
pub const RMLX_ERROR_CANCELLED: rmlx_status = 7;
/// The library is suspended (rmlx_suspend), and the call would need work. After rmlx_resume it can be made again.
pub const RMLX_ERROR_SUSPENDED: rmlx_status = 8;
/// Another operation is running on this session.
pub const RMLX_ERROR_BUSY: rmlx_status = 9;
/// MLX reported a failure.
pub const RMLX_ERROR_BACKEND: rmlx_status = 10;
/// An earlier bug went through this session: only rmlx_session_reset and rmlx_session_release are left.
pub const RMLX_ERROR_POISONED: rmlx_status = 11;
/// A bug in rmlx was caught before it could harm the host. Please report it with the error's message
/// and details.
pub const RMLX_ERROR_PANIC: rmlx_status = 12;
/// Image or audio data cannot be decoded, or is not usable as such.
pub const RMLX_ERROR_INVALID_MEDIA: rmlx_status = 13;
/// The conversation cannot be rendered: the chat template raised, looped, or has no place for a medium.
pub const RMLX_ERROR_INVALID_PROMPT: rmlx_status = 14;
/// What a call waited for did not come in the time that it was given. Nothing is lost: it may come later.
pub const RMLX_ERROR_TIMEOUT: rmlx_status = 15;
/// What rmlx_session_load was given is no saved session, is damaged, or was saved from another snapshot or in
/// another way. The detail "fault" says which; see rmlx_session_load.
pub const RMLX_ERROR_INVALID_SAVE: rmlx_status = 16;
/// A file cannot be read or written: no space, no permission, a fault of the disk.
pub const RMLX_ERROR_IO: rmlx_status = 17;

/// What was wrong, where, and what would be right.
///
/// Written by a failing call to its last argument, if that is not NULL; what was there before is
/// overwritten, so release it first. Immutable: any number of threads may read it.
///
/// Lifetime: yours, until rmlx_error_release. The error of an event (rmlx_event_error) belongs to the
/// event.
pub struct rmlx_error {
    status: rmlx_status,
    /// UTF-8 that ends with its only NUL.
    message: Vec<u8>,
    /// The same, of a JSON object.
    details: Vec<u8>,
}

impl rmlx_error {
    pub(super) fn new(error: &Error) -> Self {
        Self {
            status: error.code() as rmlx_status,
            message: c_bytes(error.message()),
            details: c_bytes(&Value::Object(error.details().clone()).to_string()),
        }
    }
}

/// The name of a status: "RMLX_OK", "RMLX_ERROR_BUSY".
///
/// Returns: a text that lives as long as the library; "RMLX_ERROR_UNKNOWN" for a number that is no
/// status.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_status_name(status: rmlx_status) -> *const c_char {
    let name = match status {
        RMLX_OK => c"RMLX_OK",
        RMLX_ERROR_INVALID_ARGUMENT => c"RMLX_ERROR_INVALID_ARGUMENT",
        RMLX_ERROR_NOT_FOUND => c"RMLX_ERROR_NOT_FOUND",
        RMLX_ERROR_INVALID_SNAPSHOT => c"RMLX_ERROR_INVALID_SNAPSHOT",
        RMLX_ERROR_UNSUPPORTED => c"RMLX_ERROR_UNSUPPORTED",
        RMLX_ERROR_OUT_OF_MEMORY => c"RMLX_ERROR_OUT_OF_MEMORY",
        RMLX_ERROR_CONTEXT_FULL => c"RMLX_ERROR_CONTEXT_FULL",
        RMLX_ERROR_CANCELLED => c"RMLX_ERROR_CANCELLED",
        RMLX_ERROR_SUSPENDED => c"RMLX_ERROR_SUSPENDED",
        RMLX_ERROR_BUSY => c"RMLX_ERROR_BUSY",
        RMLX_ERROR_BACKEND => c"RMLX_ERROR_BACKEND",
        RMLX_ERROR_POISONED => c"RMLX_ERROR_POISONED",
        RMLX_ERROR_PANIC => c"RMLX_ERROR_PANIC",
        RMLX_ERROR_INVALID_MEDIA => c"RMLX_ERROR_INVALID_MEDIA",
        RMLX_ERROR_INVALID_PROMPT => c"RMLX_ERROR_INVALID_PROMPT",
        RMLX_ERROR_TIMEOUT => c"RMLX_ERROR_TIMEOUT",
        RMLX_ERROR_INVALID_SAVE => c"RMLX_ERROR_INVALID_SAVE",
        RMLX_ERROR_IO => c"RMLX_ERROR_IO",
        _ => c"RMLX_ERROR_UNKNOWN",
    };
    name.as_ptr()
}

/// The code of an error, the same as the status of the call that made it.
///
/// Returns: RMLX_OK for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_error_code(error: Option<&rmlx_error>) -> rmlx_status {
    error.map_or(RMLX_OK, |error| error.status)
}

/// What went wrong, as a sentence for people: UTF-8, NUL-terminated, without a full stop.
///
/// Returns: a text that lives as long as the error; "" for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_error_message(error: Option<&rmlx_error>) -> *const c_char {
    error.map_or(c"".as_ptr(), |error| error.message.as_ptr().cast())
}

/// What went wrong, for programs: a JSON object, such as {"argument":"utf8","byte":17}. Which members
/// there are depends on the error and may grow; "{}" if there is nothing to add to code and message.
///
/// Returns: a text that lives as long as the error; "{}" for NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_error_details_json(error: Option<&rmlx_error>) -> *const c_char {
    error.map_or(c"{}".as_ptr(), |error| error.details.as_ptr().cast())
}

/// Releases an error. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_error_release(error: Option<Box<rmlx_error>>) {
    value((), || drop(error));
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::error::Code;

    #[test]
    fn every_code_of_the_crate_has_its_number_and_name_in_c() {
        let codes = [
            (Code::InvalidArgument, RMLX_ERROR_INVALID_ARGUMENT, "RMLX_ERROR_INVALID_ARGUMENT"),
            (Code::NotFound, RMLX_ERROR_NOT_FOUND, "RMLX_ERROR_NOT_FOUND"),
            (Code::InvalidSnapshot, RMLX_ERROR_INVALID_SNAPSHOT, "RMLX_ERROR_INVALID_SNAPSHOT"),
            (Code::Unsupported, RMLX_ERROR_UNSUPPORTED, "RMLX_ERROR_UNSUPPORTED"),
            (Code::OutOfMemory, RMLX_ERROR_OUT_OF_MEMORY, "RMLX_ERROR_OUT_OF_MEMORY"),
            (Code::ContextFull, RMLX_ERROR_CONTEXT_FULL, "RMLX_ERROR_CONTEXT_FULL"),
            (Code::Cancelled, RMLX_ERROR_CANCELLED, "RMLX_ERROR_CANCELLED"),
            (Code::Suspended, RMLX_ERROR_SUSPENDED, "RMLX_ERROR_SUSPENDED"),
            (Code::Busy, RMLX_ERROR_BUSY, "RMLX_ERROR_BUSY"),
            (Code::Backend, RMLX_ERROR_BACKEND, "RMLX_ERROR_BACKEND"),
            (Code::Poisoned, RMLX_ERROR_POISONED, "RMLX_ERROR_POISONED"),
            (Code::Panic, RMLX_ERROR_PANIC, "RMLX_ERROR_PANIC"),
            (Code::InvalidMedia, RMLX_ERROR_INVALID_MEDIA, "RMLX_ERROR_INVALID_MEDIA"),
            (Code::InvalidPrompt, RMLX_ERROR_INVALID_PROMPT, "RMLX_ERROR_INVALID_PROMPT"),
            (Code::Timeout, RMLX_ERROR_TIMEOUT, "RMLX_ERROR_TIMEOUT"),
            (Code::InvalidSave, RMLX_ERROR_INVALID_SAVE, "RMLX_ERROR_INVALID_SAVE"),
            (Code::Io, RMLX_ERROR_IO, "RMLX_ERROR_IO"),
        ];
        for (code, status, name) in codes {
            assert_eq!(code as rmlx_status, status);
            // SAFETY: the library's names are NUL-terminated.
            assert_eq!(unsafe { CStr::from_ptr(rmlx_status_name(status)) }.to_str(), Ok(name));
        }
    }

    #[test]
    fn an_error_reads_in_c_as_it_was_made() {
        let error = rmlx_error::new(&Error::new(Code::Busy, "one\0two").with("session", 3));
        assert_eq!(rmlx_error_code(Some(&error)), RMLX_ERROR_BUSY);
        // SAFETY: the accessors return NUL-terminated texts.
        let text = |text| unsafe { CStr::from_ptr(text) }.to_str().unwrap();
        assert_eq!(text(rmlx_error_message(Some(&error))), "one\u{FFFD}two");
        assert_eq!(text(rmlx_error_details_json(Some(&error))), r#"{"session":3}"#);
    }
}
