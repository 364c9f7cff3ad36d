//! Tensors in the pages of their file: nothing is read before somebody looks at them, and the system may drop the pages
//! again, as it can read them once more.
//!
//! Only for back ends that take memory as it is, which MLX does on Metal. Nobody may write into such an array: it is for
//! what stays as it is stored, under a handle that is held as long as something may be computed from it, since MLX
//! writes results into inputs that nobody else holds.

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use mlx_rs::{Array, Dtype};

use super::header::unreadable;
use super::shard::keep_errors;
use crate::error::Result;
use crate::files;

/// A weight file whose pages become arrays.
pub struct PagedFile {
    file: File,
    path: PathBuf,
}

impl PagedFile {
    pub fn open(path: &Path) -> Result<PagedFile> {
        let (file, _) = files::open(path)?;
        Ok(PagedFile { file, path: path.to_owned() })
    }

    /// The pages around a tensor as one array of its type, `[n]`, and which of the numbers is its first. `None` where it has
    /// to be read after all, as the process has no addresses left.
    pub fn pages(&self, around: &Around, dtype: Dtype) -> Result<Option<(Array, usize)>> {
        // Behind a file's end its pages cannot be looked at.
        let there = self.file.metadata().map_err(|e| files::unreadable(&self.path, &e))?.len();
        if there < around.end {
            return Err(unreadable(&self.path, &format!("it was cut to {there} bytes while it was loaded")));
        }
        let Some(pages) = Pages::map(&self.file, around.begin, around.len) else { return Ok(None) };
        Ok(pages.into_array(around.count, dtype).map(|array| (array, around.first)))
    }
}

/// The whole pages that a tensor's bytes lie in.
pub struct Around {
    /// Where the pages begin in the file, and their bytes.
    begin: u64,
    len: usize,
    /// As many numbers, and the first of the tensor.
    count: i32,
    first: usize,
    /// Where the tensor ends in the file.
    end: u64,
}

impl Around {
    /// Of `bytes` from `offset` on, numbers of `item` bytes. `None` where they can only be read: they are not aligned, none,
    /// or too many for one axis of an array.
    pub fn of(offset: u64, bytes: u64, item: usize) -> Option<Around> {
        let (page, item) = (page_size(), item as u64);
        let (begin, end) = (offset / page * page, offset.checked_add(bytes)?);
        let len = end.checked_next_multiple_of(page)? - begin;
        let count = i32::try_from(len / item).ok()?;
        let first = ((offset - begin) / item) as usize;
        let fits = bytes > 0 && offset.is_multiple_of(item);
        fits.then_some(Around { begin, len: usize::try_from(len).ok()?, count, first, end })
    }
}

fn page_size() -> u64 {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(0).max(4096)
}

/// Mapped pages of a file.
struct Pages {
    data: *mut c_void,
    len: usize,
}

impl Pages {
    fn map(file: &File, begin: u64, len: usize) -> Option<Pages> {
        let begin = libc::off_t::try_from(begin).ok()?;
        // Not to be written: iOS reserves memory for all of a private mapping that could be.
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping of its own, of a file that is open.
        let data =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file.as_raw_fd(), begin) };
        (data != libc::MAP_FAILED).then_some(Pages { data, len })
    }

    /// All of the pages as `count` numbers. `None` where MLX has no room for the array.
    fn into_array(self, count: i32, dtype: Dtype) -> Option<Array> {
        keep_errors();
        let data = self.data;
        let payload = Box::into_raw(Box::new(self)).cast::<c_void>();
        // SAFETY: the shape has one axis, whose numbers are the bytes of the mapping; it lives until MLX gives the payload
        // back, which it does once. MLX reads from it only (see the top of the file).
        let array = unsafe {
            mlx_sys::mlx_array_new_data_managed_payload(
                data,
                &raw const count,
                1,
                dtype.into(),
                payload,
                Some(unmap),
            )
        };
        if array.ctx.is_null() {
            // SAFETY: MLX gives the payload back as the last thing that it does with the memory, which failed before.
            unsafe { unmap(payload) };
            return None;
        }
        // SAFETY: a new handle that nobody else owns.
        Some(unsafe { Array::from_ptr(array) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and is taken back once.
        unsafe { libc::munmap(self.data, self.len) };
    }
}

/// # Safety
///
/// `payload` is a boxed [`Pages`] that nobody uses any more.
unsafe extern "C" fn unmap(payload: *mut c_void) {
    // SAFETY: what the caller promises.
    drop(unsafe { Box::from_raw(payload.cast::<Pages>()) });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PagedFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let file = PagedFile::open(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn pages_around_numbers_are_one_array_with_the_numbers_in_it() {
        let numbers: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        let (_folder, file) = file(&numbers);
        for first in [0, 1, 1023, 1024, 5000, 9990] {
            let around = Around::of(first * 4, 40, 4).unwrap();
            let (array, at) = file.pages(&around, Dtype::Uint32).unwrap().unwrap();
            let words = array.as_slice::<u32>();
            assert_eq!(words[at..at + 10], (first as u32..first as u32 + 10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_not_aligned_is_empty_or_is_too_long_is_left_to_be_read() {
        for (offset, bytes, item) in
            [(2, 8, 4), (4097, 2, 2), (8, 0, 1), (0, 1 << 31, 1), (u64::MAX - 7, 8, 1)]
        {
            assert!(Around::of(offset, bytes, item).is_none(), "{bytes} from {offset} on");
        }
        assert!(Around::of(4097, 3, 1).is_some() && Around::of(0, 1 << 31, 2).is_some());
    }

    #[test]
    fn a_file_that_was_cut_is_an_error_before_it_is_mapped() {
        let (folder, file) = file(&[7; 9000]);
        File::options()
            .write(true)
            .open(folder.path().join("model.safetensors"))
            .unwrap()
            .set_len(5000)
            .unwrap();
        let error = file.pages(&Around::of(4096, 4000, 1).unwrap(), Dtype::Uint8).unwrap_err();
        assert!(error.message().contains("cut to 5000 bytes"), "{error}");
    }
}
