//! What every function of the C ABI goes through: the panic boundary, the checks of what C passes in, and the ways
//! in which results go out.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::{ptr, slice, str};

use super::status::{RMLX_OK, rmlx_error, rmlx_status};
use crate::engine::worker;
use crate::error::{Error, Result};
use crate::panics;

/// The optional last argument of a fallible function: where its error object goes.
pub type ErrorOut<'a> = Option<&'a mut MaybeUninit<*mut rmlx_error>>;

/// Runs the body of a fallible function: its error, or the panic that it was left by, goes to `error`
/// and comes back as a status. In a forked child of a process that uses models it is not run.
pub fn call(error: ErrorOut<'_>, body: impl FnOnce() -> Result<()>) -> rmlx_status {
    match panics::catch(|| worker::require_own_process().and_then(|()| body())) {
        Ok(()) => RMLX_OK,
        Err(e) => {
            let status = e.code() as rmlx_status;
            if let Some(out) = error {
                out.write(Box::into_raw(Box::new(rmlx_error::new(&e))));
            }
            status
        }
    }
}

/// Runs the body of a function that cannot fail; `fallback` stands for its value after a panic.
pub fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    panics::catch(|| Ok(body())).unwrap_or(fallback)
}

/// Runs what a signal handler may run, and leaves `errno` as the code that it interrupted has it.
pub fn keep_errno(body: impl FnOnce()) {
    #[cfg(not(target_vendor = "apple"))]
    use libc::__errno_location as location;
    #[cfg(target_vendor = "apple")]
    use libc::__error as location;
    // SAFETY: the place is the calling thread's own, and there as long as the thread.
    let errno = unsafe { *location() };
    body();
    // SAFETY: as above.
    unsafe { *location() = errno };
}

/// The argument, which must not be NULL.
pub fn required<T>(argument: Option<T>, name: &str) -> Result<T> {
    argument.ok_or_else(|| Error::invalid_argument(format!("`{name}` is NULL")).with("argument", name))
}

/// The object behind a handle that several threads may use.
///
/// # Safety
/// A handle that is not NULL came from this library and is not released before `'a` ends.
pub unsafe fn shared<'a, T>(handle: Option<NonNull<T>>, name: &str) -> Result<&'a T> {
    let handle = required(handle, name)?;
    // SAFETY: by this function's contract the object lives, and handles are only ever read through.
    Ok(unsafe { handle.as_ref() })
}

/// Adds a reference to a reference-counted object; NULL stays NULL.
///
/// # Safety
/// `object` is NULL or came from `Arc::into_raw` and has a reference that outlives this call.
pub unsafe fn retain<T>(object: *const T) -> *mut T {
    if !object.is_null() {
        // SAFETY: by this function's contract.
        unsafe { Arc::increment_strong_count(object) };
    }
    object.cast_mut()
}

/// Gives a reference to a reference-counted object back; the last one drops it. NULL does nothing.
///
/// # Safety
/// `object` is NULL or came from `Arc::into_raw`, and its caller owns one reference, which ends here.
pub unsafe fn release<T>(object: Option<NonNull<T>>) {
    if let Some(object) = object {
        // SAFETY: by this function's contract.
        let reference = unsafe { Arc::from_raw(object.as_ptr()) };
        value((), || drop(reference));
    }
}

/// An array argument; NULL is fine where its length is 0.
///
/// # Safety
/// `data` points to `len` readable elements that nobody changes before `'a` ends, or `len` is 0.
pub unsafe fn array<'a, T>(data: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check_array(data, len, name)?;
    // SAFETY: not NULL, aligned, at most isize::MAX bytes (checked), and readable by this function's contract.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// An array that is to be written to, of at least one element.
///
/// # Safety
/// `out` is NULL or points to `capacity` writable elements that nobody else uses before `'a` ends.
pub unsafe fn room<'a, T>(out: *mut T, capacity: usize, name: &str) -> Result<&'a mut [MaybeUninit<T>]> {
    check_array(out, capacity, name)?;
    // SAFETY: not NULL, aligned, at most isize::MAX bytes (checked), and writable by this function's contract.
    Ok(unsafe { slice::from_raw_parts_mut(out.cast(), capacity) })
}

/// What can be seen to be wrong with a non-empty array without touching it.
fn check_array<T>(data: *const T, len: usize, name: &str) -> Result<()> {
    if data.is_null() {
        return required(None, name);
    }
    if !data.is_aligned() {
        let message = format!("`{name}` is not aligned to {} bytes", align_of::<T>());
        return Err(Error::invalid_argument(message).with("argument", name));
    }
    if len > isize::MAX as usize / size_of::<T>() {
        let message =
            format!("`{name}` cannot have {len} elements: that is more than the address space holds");
        return Err(Error::invalid_argument(message).with("argument", name));
    }
    Ok(())
}

/// A text argument given as bytes and length, which must be UTF-8.
///
/// # Safety
/// As for [`array`].
pub unsafe fn text<'a>(utf8: *const c_char, len: usize, name: &str) -> Result<&'a str> {
    // SAFETY: by this function's contract; c_char and u8 are alike in size and alignment.
    let bytes = unsafe { array(utf8.cast::<u8>(), len, name) }?;
    check_utf8(bytes, name)
}

/// A text argument that ends with a NUL byte, which must be UTF-8.
///
/// # Safety
/// `text` is NULL or points to bytes that end with a NUL and that nobody changes before `'a` ends.
pub unsafe fn c_text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return required(None, name);
    }
    // SAFETY: not NULL (checked), and NUL-terminated by this function's contract.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    check_utf8(bytes, name)
}

/// A path argument: UTF-8 that ends with a NUL byte and is not empty.
///
/// # Safety
/// As for [`c_text`].
pub unsafe fn path<'a>(path: *const c_char, name: &str) -> Result<&'a Path> {
    // SAFETY: by this function's contract.
    let path = unsafe { c_text(path, name) }?;
    if path.is_empty() {
        return Err(Error::invalid_argument(format!("`{name}` is empty")).with("argument", name));
    }
    Ok(Path::new(path))
}

fn check_utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str> {
    str::from_utf8(bytes).map_err(|e| {
        let byte = e.valid_up_to();
        Error::invalid_argument(format!("`{name}` is not valid UTF-8 at byte {byte}"))
            .with("argument", name)
            .with("byte", byte)
    })
}

/// A number of an enum that this version does not know.
pub fn unknown_value(value: i32, name: &str) -> Error {
    Error::invalid_argument(format!("`{name}` has the unknown value {value}"))
        .with("argument", name)
        .with("value", value)
}

/// Copies `items` into the caller's array by the header's capacity protocol: `out_count` gets their
/// number; with `out` NULL and `capacity` 0 that is all; a `capacity` that is too small is an error
/// that writes `out_count` only.
///
/// # Safety `out` points to `capacity` writable elements, or `capacity` is 0.
pub unsafe fn fill<T: Copy>(
    items: &[T],
    out: *mut T,
    capacity: usize,
    out_count: &mut MaybeUninit<usize>,
) -> Result<()> {
    if capacity > 0 {
        check_array(out, capacity, "out")?;
    }
    out_count.write(items.len());
    let only_counting = out.is_null() && capacity == 0;
    if only_counting {
        return Ok(());
    }
    if capacity < items.len() {
        let message = format!("`out` has room for {capacity} elements, and there are {}", items.len());
        return Err(Error::invalid_argument(message)
            .with("argument", "capacity")
            .with("needed", items.len()));
    }
    // SAFETY: `out` has room for `capacity` elements by this function's contract, which is enough (checked); the
    // caller's memory cannot overlap `items`, which is ours.
    unsafe { ptr::copy_nonoverlapping(items.as_ptr(), out, items.len()) };
    Ok(())
}

/// A text as C gets it: bytes and a NUL, with U+0000 inside replaced so that the text cannot end early.
pub fn c_bytes(text: &str) -> Vec<u8> {
    let mut bytes = text.replace('\0', "\u{FFFD}").into_bytes();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn null_names_its_argument() {
        let error = required::<()>(None, "model").unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.message(), "`model` is NULL");
    }

    #[test]
    fn bad_utf8_names_the_byte() {
        let bytes = b"abc\xFFdef";
        // SAFETY: the array is what its length says.
        let error = unsafe { text(bytes.as_ptr().cast(), bytes.len(), "utf8") }.unwrap_err();
        assert_eq!(error.details()["byte"], 3);
        assert!(error.message().contains("byte 3"));
    }

    #[test]
    fn null_is_an_empty_text_only_with_length_zero() {
        // SAFETY: NULL is among what these functions check.
        unsafe {
            assert_eq!(text(ptr::null(), 0, "utf8"), Ok(""));
            assert!(text(ptr::null(), 1, "utf8").is_err());
            assert!(c_text(ptr::null(), "role").is_err());
            assert!(array::<f32>(ptr::dangling::<f32>(), usize::MAX, "samples").is_err());
            assert!(array::<f32>(ptr::without_provenance(1), 1, "samples").is_err());
        }
    }

    #[test]
    fn the_capacity_protocol() {
        let (items, mut room) = ([1_u32, 2, 3], [0_u32; 4]);
        let mut count = MaybeUninit::new(77);
        // SAFETY: `room` has the capacities named, and `count` is initialised throughout.
        unsafe {
            assert_eq!(fill(&items, ptr::null_mut(), 0, &mut count), Ok(()));
            assert_eq!(count.assume_init(), 3);
            let error = fill(&items, room.as_mut_ptr(), 2, &mut count).unwrap_err();
            assert_eq!((error.code(), count.assume_init(), room), (Code::InvalidArgument, 3, [0; 4]));
            assert_eq!(error.details()["needed"], 3);
            assert!(fill(&items, ptr::null_mut(), 4, &mut count).is_err());
            assert!(fill(&items, room.as_mut_ptr(), 0, &mut count).is_err());
            assert_eq!(fill(&items, room.as_mut_ptr(), 4, &mut count), Ok(()));
        }
        assert_eq!(room, [1, 2, 3, 0]);
    }

    #[test]
    fn errors_go_out_only_when_there_are_any() {
        let mut error = MaybeUninit::new(ptr::null_mut());
        assert_eq!(call(Some(&mut error), || Ok(())), RMLX_OK);
        // SAFETY: initialised above.
        assert!(unsafe { error.assume_init() }.is_null());
        let status = call(Some(&mut error), || panic!("on purpose"));
        assert_eq!(status, Code::Panic as i32);
        // SAFETY: written by the failing call.
        drop(unsafe { Box::from_raw(error.assume_init()) });
        assert_eq!(value(7, || panic!("on purpose")), 7);
    }
}
