//! Texts that the library hands over to the host.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::error::{Code, Error, Result};

/// A copy of `text` with a NUL after it, for the host to keep: from C's own allocator, since its length
/// would otherwise be lost where the text has a NUL inside.
pub(super) fn hand_over(text: &str) -> Result<*mut c_char> {
    // SAFETY: malloc has no preconditions.
    let copy = unsafe { libc::malloc(text.len() + 1) }.cast::<u8>();
    if copy.is_null() {
        let message = format!("no memory for a text of {} bytes", text.len());
        return Err(Error::new(Code::OutOfMemory, message));
    }
    // SAFETY: `copy` has room for the text and its NUL, and overlaps nothing.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
        copy.add(text.len()).write(0);
    }
    Ok(copy.cast())
}

/// Releases a text that a function returned through a `char **` argument. NULL is fine.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_string_release(string: *mut c_char) {
    // SAFETY: the caller gives back what `hand_over` made with malloc, or NULL.
    unsafe { libc::free(string.cast::<c_void>()) };
}
