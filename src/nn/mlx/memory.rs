//! Arrays' memory as plain bytes: read where it lies, and handed to MLX where it was filled.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;

use mlx_rs::{Array, Dtype};

use crate::error::{Code, Error, Result};
use crate::snapshot::keep_errors;

/// Rows of one index of an array `[N, heads, capacity, D]` that has been computed. Any thread may read them, and they stay
/// as they are as long as this lives: MLX writes in place only into what nobody else holds.
pub struct HostRows {
    /// Keeps the memory.
    _array: Array,
    /// The first row of the first head.
    data: NonNull<u8>,
    heads: usize,
    /// Bytes from one head to the next.
    stride: usize,
    /// Bytes of the rows of a head.
    run: usize,
}

// SAFETY: the memory is read only, nobody writes to it, and handles of arrays may move between threads.
unsafe impl Send for HostRows {}
// SAFETY: as above; the handle itself is not used.
unsafe impl Sync for HostRows {}

impl HostRows {
    /// `array[index, :, rows]`. `None` where the array has yet to be computed, or a head's rows do not lie one behind the
    /// other. Not for arrays in the memory of a CUDA device, which would be moved.
    pub fn of(array: &Array, index: usize, rows: Range<usize>) -> Option<HostRows> {
        let mut available = false;
        // SAFETY: the handle is live, and the answer has a place.
        let status = unsafe { mlx_sys::_mlx_array_is_available(&raw mut available, array.as_ptr()) };
        let &[count, heads, capacity, width] = array.shape() else { return None };
        let &[from_index, from_head, from_row, from_value] = array.strides() else { return None };
        let [count, heads, capacity, width] = [count, heads, capacity, width].map(|n| n as usize);
        let dense = from_value == 1 && from_row == width;
        if status != 0 || !available || !dense || index >= count || rows.end > capacity || rows.is_empty() {
            return None;
        }
        let item = array.item_size();
        // SAFETY: the array is computed, so it has memory.
        let data = NonNull::new(unsafe { mlx_sys::mlx_array_data_uint8(array.as_ptr()) }.cast_mut())?;
        let first = (index * from_index + rows.start * width) * item;
        Some(HostRows {
            // SAFETY: an element of the array, whose strides these are.
            data: unsafe { data.add(first) },
            heads,
            stride: from_head * item,
            run: rows.len() * width * item,
            _array: array.clone(),
        })
    }

    /// The rows of each head.
    pub fn runs(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.heads).map(|head| {
            // SAFETY: rows of this head are dense (checked in `of`), within the array that is held here, and not written.
            unsafe { slice::from_raw_parts(self.data.add(head * self.stride).as_ptr(), self.run) }
        })
    }
}

/// Whole pages of memory that are to become an array: zeros to begin with.
pub struct Pages {
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to this object alone.
unsafe impl Send for Pages {}

impl Pages {
    /// `len` bytes, at least one. `OUT_OF_MEMORY` where the system has not so many.
    pub fn new(len: usize) -> Result<Pages> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
        // SAFETY: a new mapping of its own.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        match NonNull::new(at.cast()) {
            Some(data) if at != libc::MAP_FAILED => Ok(Pages { data, len }),
            _ => {
                Err(Error::new(Code::OutOfMemory, format!("the system gives no {len} bytes"))
                    .with("needed", len))
            }
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has `len` bytes, which are initialised, and `self` is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }

    /// The array that these bytes are; MLX takes the memory over, or copies it where its allocator needs that.
    pub fn into_array(self, shape: &[i32], dtype: Dtype) -> Result<Array> {
        let items: usize = shape.iter().map(|n| *n as usize).product();
        if items * super::super::item_size(dtype) != self.len {
            let message = format!("{} bytes are no array {shape:?} of {dtype:?}", self.len);
            return Err(Error::new(Code::Backend, message));
        }
        keep_errors();
        let (data, len, count) = (self.data, self.len, shape.len() as i32);
        let payload = Box::into_raw(Box::new(self)).cast::<c_void>();
        // SAFETY: the shape's pointer goes with its count; the memory has as many bytes as the array (checked) and lives
        // until MLX gives the payload back, which it does once.
        let array = unsafe {
            let data = data.as_ptr().cast();
            mlx_sys::mlx_array_new_data_managed_payload(
                data,
                shape.as_ptr(),
                count,
                dtype.into(),
                payload,
                Some(free),
            )
        };
        if array.ctx.is_null() {
            // SAFETY: MLX gives the payload back as the last thing that it does with the memory, which failed before.
            unsafe { free(payload) };
            return Err(Error::new(Code::OutOfMemory, format!("MLX has no memory for {len} bytes"))
                .with("needed", len));
        }
        // SAFETY: a new handle that nobody else owns.
        Ok(unsafe { Array::from_ptr(array) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and is taken back once.
        unsafe { libc::munmap(self.data.as_ptr().cast(), self.len) };
    }
}

/// # Safety
///
/// `payload` is a boxed [`Pages`] that nobody uses any more.
unsafe extern "C" fn free(payload: *mut c_void) {
    // SAFETY: what the caller promises.
    drop(unsafe { Box::from_raw(payload.cast::<Pages>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::mlx::{eval, slice};

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|n| n as f32).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    #[test]
    fn rows_are_read_where_they_lie() {
        let array = Array::from_slice(&numbers(2 * 3 * 5 * 4), &[2, 3, 5, 4]);
        let rows = HostRows::of(&array, 1, 2..4).unwrap();
        let of_head = |head: usize| bytes(&numbers(120)[60 + head * 20 + 8..60 + head * 20 + 16]);
        let runs: Vec<Vec<u8>> = rows.runs().map(<[u8]>::to_vec).collect();
        assert_eq!(runs, [0, 1, 2].map(of_head));
        assert!(HostRows::of(&array, 2, 0..1).is_none() && HostRows::of(&array, 0, 4..6).is_none());
        let view = slice(&array, &[1, 1, 1, 0], &[2, 3, 5, 4]).unwrap();
        assert!(HostRows::of(&view, 0, 0..2).is_none(), "it is not computed");
        eval([&view]).unwrap();
        let rows = HostRows::of(&view, 0, 1..3).unwrap();
        assert_eq!(rows.runs().next().unwrap(), bytes(&numbers(120)[88..96]));
        let turned = array.swap_axes(2, 3).unwrap();
        eval([&turned]).unwrap();
        assert!(HostRows::of(&turned, 0, 0..2).is_none(), "its rows are not dense");
    }

    #[test]
    fn what_was_filled_is_the_array() {
        let mut pages = Pages::new(4 * 3 * 4).unwrap();
        pages.bytes_mut().copy_from_slice(&bytes(&numbers(12)));
        let array = pages.into_array(&[1, 1, 3, 4], Dtype::Float32).unwrap();
        assert_eq!(crate::nn::testing::host(&array), numbers(12));
        assert!(Pages::new(16).unwrap().into_array(&[1, 5], Dtype::Float32).is_err());
        assert_eq!(Pages::new(1 << 60).err().map(|e| e.code()), Some(Code::OutOfMemory));
    }
}
