//! Structures that the caller allocates, and that may grow in later versions: they begin with their size, as the
//! caller was compiled.

use std::mem::MaybeUninit;
use std::ptr;

use crate::error::{Error, Result};

/// More than any such structure will ever have: a larger size is a field that was never set.
const LARGEST: usize = 4096;

/// A structure of the header that begins with `size_t struct_size`.
///
/// # Safety The type is `repr(C)`, its first field is the `usize` size, and every pattern of bytes is a
/// value of it.
pub unsafe trait Versioned: Copy {
    /// Its size in the first version that had it, up to the end of what was its last field; a caller's can never be
    /// smaller.
    const FIRST_SIZE: usize;
}

/// Reads a structure that the caller filled in. Fields that it did not know are 0; fields that this
/// version does not know must be.
///
/// # Safety `from` is NULL or points to as many readable bytes as its `struct_size` says.
pub unsafe fn read_sized<T: Versioned>(from: *const T, name: &str) -> Result<T> {
    // SAFETY: by this function's contract.
    let size = unsafe { checked_size(from, name) }?;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` bytes may be read and `value` has room for its own size; the two do not overlap. All bytes of
    // `value` are initialised, and any are a value of T (`Versioned`).
    let value = unsafe {
        ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast(), size.min(size_of::<T>()));
        value.assume_init()
    };
    for offset in size_of::<T>()..size {
        // SAFETY: `size` bytes may be read.
        if unsafe { from.cast::<u8>().add(offset).read() } != 0 {
            let message = format!("`{name}` uses byte {offset}, which this version of rmlx does not know");
            return Err(Error::unsupported(message).with("argument", name).with("byte", offset));
        }
    }
    Ok(value)
}

/// Fills a structure of the caller: the fields that it knows. Fields that only the caller knows become
/// 0.
///
/// # Safety `out` is NULL or points to as many writable bytes as its `struct_size` says.
pub unsafe fn write_sized<T: Versioned>(value: &T, out: *mut T, name: &str) -> Result<()> {
    // SAFETY: by this function's contract.
    let size = unsafe { checked_size(out, name) }?;
    let (skip, known) = (size_of::<usize>(), size.min(size_of::<T>()));
    let (from, to) = (ptr::from_ref(value).cast::<u8>(), out.cast::<u8>());
    // SAFETY: `known` bytes are within both structures, `size` bytes within the caller's; they do not overlap. The
    // size field itself stays as the caller set it.
    unsafe {
        ptr::copy_nonoverlapping(from.add(skip), to.add(skip), known - skip);
        ptr::write_bytes(to.add(known), 0, size - known);
    }
    Ok(())
}

/// The caller's size of its structure.
///
/// # Safety
/// `structure` is NULL or points to a readable `usize`.
unsafe fn checked_size<T: Versioned>(structure: *const T, name: &str) -> Result<usize> {
    if structure.is_null() || !structure.is_aligned() {
        let fault = if structure.is_null() { "is NULL" } else { "is not aligned" };
        return Err(Error::invalid_argument(format!("`{name}` {fault}")).with("argument", name));
    }
    // SAFETY: not NULL and aligned (checked), and readable by this function's contract.
    let size = unsafe { structure.cast::<usize>().read() };
    if !(T::FIRST_SIZE..=LARGEST).contains(&size) {
        let message = format!(
            "`{name}.struct_size` is {size}; set it to the sizeof of the structure, {} in this version",
            size_of::<T>()
        );
        return Err(Error::invalid_argument(message).with("argument", name).with("struct_size", size));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// What the library knows.
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Now {
        struct_size: usize,
        first: u64,
        second: u64,
    }
    // SAFETY: repr(C), size first, integers only.
    unsafe impl Versioned for Now {
        const FIRST_SIZE: usize = 16;
    }

    /// A caller's memory, with one more field than the library knows and a guard behind it.
    type Memory = [usize; 5];

    fn memory(struct_size: usize) -> Memory {
        [struct_size, 11, 12, 0, 14]
    }

    #[test]
    fn callers_older_and_newer_than_the_library_are_filled_as_far_as_both_know() {
        let value = Now { struct_size: 0, first: 1, second: 2 };
        for (size, expected) in [
            (16, [16, 1, 12, 0, 14]),
            (24, [24, 1, 2, 0, 14]),
            (32, [32, 1, 2, 0, 14]),
            (40, [40, 1, 2, 0, 0]),
        ] {
            let mut memory = memory(size);
            // SAFETY: the memory is as large as its first word says.
            unsafe { write_sized(&value, memory.as_mut_ptr().cast(), "out") }.unwrap();
            assert_eq!(memory, expected);
        }
    }

    #[test]
    fn callers_older_and_newer_than_the_library_are_read_as_far_as_both_know() {
        let read = |memory: Memory| {
            // SAFETY: the memory is as large as its first word says.
            unsafe { read_sized::<Now>(memory.as_ptr().cast(), "desc") }
        };
        assert_eq!(read(memory(16)), Ok(Now { struct_size: 16, first: 11, second: 0 }));
        assert_eq!(read(memory(24)), Ok(Now { struct_size: 24, first: 11, second: 12 }));
        assert_eq!(read(memory(32)), Ok(Now { struct_size: 32, first: 11, second: 12 }));
        let error = read(memory(40)).unwrap_err();
        assert_eq!((error.code(), &error.details()["byte"]), (Code::Unsupported, &32.into()));
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for size in [0, 8, 15, LARGEST + 1, usize::MAX] {
            // SAFETY: the size is refused before the memory is used.
            let error = unsafe { read_sized::<Now>(memory(size).as_ptr().cast(), "desc") }.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(error.message().contains("24 in this version"), "{error}");
        }
        // SAFETY: NULL is checked.
        assert!(unsafe { read_sized::<Now>(ptr::null(), "desc") }.is_err());
    }
}
