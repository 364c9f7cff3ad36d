//! A weight file as MLX reads it: each tensor when it is evaluated, on a thread of MLX's own.
//!
//! MLX's reader throws on that thread when a file turns out to be shorter than its header said, or cannot be read any
//! more, and nothing catches it there: the process ends. The reader here gives zeros instead and keeps the error,
//! which whoever evaluates has to ask for.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, OnceLock};

use mlx_rs::{Array, Stream};

use super::file_name;
use super::header::{TensorInfo, unreadable};
use super::part::Part;
use crate::error::{Error, Result};
use crate::files;

/// To be called before mlx-c is: its own error handler ends the process. mlx-rs puts another in place with its first
/// operation.
pub fn keep_errors() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| drop(mlx_rs::memory::active_memory()));
}

/// What went wrong while tensors of a file were read; empty while nothing has.
#[derive(Clone)]
pub struct Fault {
    file: String,
    error: Arc<OnceLock<io::Error>>,
}

impl Fault {
    /// The error, if there was one. What was evaluated since holds zeros in place of weights.
    pub fn check(&self) -> Result<()> {
        let Some(error) = self.error.get() else { return Ok(()) };
        let name = file_name(Path::new(&self.file));
        let message = format!("{name} could not be read to its end while it was loaded: {error}");
        Err(Error::snapshot(message).with("file", self.file.as_str()))
    }
}

/// Lazy arrays of all tensors of the file, by their names in it.
pub fn open(path: &Path) -> Result<(HashMap<String, Array>, Fault)> {
    let (file, _) = files::open(path)?;
    let fault = Fault { file: path.display().to_string(), error: Arc::default() };
    let arrays = arrays(Source::new(Arc::new(file), None, fault.clone()), path)?;
    Ok((arrays, fault))
}

/// A part of a tensor of the open `file` at `path`, as a lazy array.
pub fn open_part(file: &Arc<File>, path: &Path, info: &TensorInfo, part: Part) -> Result<(Array, Fault)> {
    let fault = Fault { file: path.display().to_string(), error: Arc::default() };
    let view = View::new(info, part);
    let mut arrays = arrays(Source::new(Arc::clone(file), Some(view), fault.clone()), path)?;
    let array = arrays.remove(NAME).ok_or_else(|| unreadable(path, "MLX finds no part of a tensor in it"))?;
    Ok((array, fault))
}

fn arrays(source: Source, path: &Path) -> Result<HashMap<String, Array>> {
    let fault = source.fault.clone();
    keep_errors();
    load(source).map_or_else(
        || {
            fault.check()?;
            Err(unreadable(path, "MLX does not take it for a safetensors file"))
        },
        Ok,
    )
}

fn load(source: Source) -> Option<HashMap<String, Array>> {
    let stream = Stream::thread_local_or_cpu();
    let source = Box::into_raw(Box::new(source));
    // SAFETY: the reader owns `source` from here on and frees it with the last array that needs it. The maps and
    // the iterator are made, used and freed here; a string handed out by the iterator is copied at once.
    unsafe {
        let reader = mlx_sys::mlx_io_reader_new(source.cast(), CALLBACKS);
        let mut tensors = mlx_sys::mlx_map_string_to_array_new();
        let mut metadata = mlx_sys::mlx_map_string_to_string_new();
        let status = mlx_sys::mlx_load_safetensors_reader(
            &mut tensors,
            &mut metadata,
            reader,
            stream.as_ref().as_ptr(),
        );
        let arrays = (status == 0).then(|| collect(tensors));
        mlx_sys::mlx_map_string_to_array_free(tensors);
        mlx_sys::mlx_map_string_to_string_free(metadata);
        mlx_sys::mlx_io_reader_free(reader);
        arrays
    }
}

/// # Safety
///
/// `tensors` must be a live map.
unsafe fn collect(tensors: mlx_sys::mlx_map_string_to_array) -> HashMap<String, Array> {
    let mut arrays = HashMap::new();
    // SAFETY: the map outlives the iterator; each `value` is a new handle, owned by its array.
    unsafe {
        let iterator = mlx_sys::mlx_map_string_to_array_iterator_new(tensors);
        loop {
            let mut name: *const c_char = std::ptr::null();
            let mut value = mlx_sys::mlx_array_new();
            if mlx_sys::mlx_map_string_to_array_iterator_next(&mut name, &mut value, iterator) != 0 {
                mlx_sys::mlx_array_free(value);
                break;
            }
            arrays.insert(CStr::from_ptr(name).to_string_lossy().into_owned(), Array::from_ptr(value));
        }
        mlx_sys::mlx_map_string_to_array_iterator_free(iterator);
    }
    arrays
}

/// What MLX reads from. Tensors are read at their offsets, by several threads at once; the position is for the header.
struct Source {
    file: Arc<File>,
    /// What MLX sees in place of the file.
    view: Option<View>,
    position: AtomicU64,
    label: CString,
    fault: Fault,
}

/// A safetensors file with a part of a tensor in it, and nothing else.
struct View {
    header: Vec<u8>,
    part: Part,
}

/// Of the tensor in a [`View`].
const NAME: &str = "part";

impl View {
    fn new(info: &TensorInfo, part: Part) -> View {
        let tensor = serde_json::json!({
            "dtype": info.dtype.to_string(),
            "shape": part.shape(),
            "data_offsets": [0, part.len()],
        });
        let json = serde_json::json!({ NAME: tensor }).to_string();
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend_from_slice(json.as_bytes());
        View { header, part }
    }

    fn len(&self) -> u64 {
        (self.header.len() + self.part.len()) as u64
    }

    fn read(&self, file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let at = offset as usize;
        match self.header.get(at..).and_then(|rest| rest.get(..bytes.len())) {
            Some(header) => {
                bytes.copy_from_slice(header);
                Ok(())
            }
            None if at == self.header.len() && bytes.len() == self.part.len() => self.part.read(file, bytes),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Source {
    fn new(file: Arc<File>, view: Option<View>, fault: Fault) -> Source {
        let label = CString::new(fault.file.clone()).unwrap_or_default();
        Source { file, view, position: AtomicU64::new(0), label, fault }
    }

    fn len(&self) -> Option<u64> {
        match &self.view {
            Some(view) => Some(view.len()),
            None => Some(self.file.metadata().ok()?.len()),
        }
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.view {
            Some(view) => view.read(&self.file, bytes, offset),
            None => self.file.read_exact_at(bytes, offset),
        }
    }

    fn move_to(&self, offset: i64, whence: c_int) -> Option<()> {
        let from = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => self.position.load(Ordering::Relaxed),
            libc::SEEK_END => self.len()?,
            _ => return None,
        };
        self.position.store(from.checked_add_signed(offset)?, Ordering::Relaxed);
        Some(())
    }

    /// The bytes at the position, which moves past them; how many were there.
    fn read_on(&self, bytes: &mut [u8]) -> usize {
        let position = self.position.load(Ordering::Relaxed);
        if let Err(error) = self.read(bytes, position) {
            let _ = self.fault.error.set(error);
            return 0;
        }
        self.position.store(position.saturating_add(bytes.len() as u64), Ordering::Relaxed);
        bytes.len()
    }

    /// A tensor's bytes; zeros, and a fault, if they are not there.
    fn read_tensor(&self, bytes: &mut [u8], offset: u64) {
        if let Err(error) = self.read(bytes, offset) {
            bytes.fill(0);
            let _ = self.fault.error.set(error);
        }
    }
}

const CALLBACKS: mlx_sys::mlx_io_vtable = mlx_sys::mlx_io_vtable {
    is_open: Some(is_usable),
    good: Some(is_usable),
    tell: Some(tell),
    seek: Some(seek),
    read: Some(read),
    read_at_offset: Some(read_at_offset),
    write: Some(write),
    label: Some(label),
    free: Some(free),
};

/// # Safety
///
/// `source` must be the pointer that the reader was made with, and not freed.
unsafe fn borrowed<'a>(source: *mut c_void) -> &'a Source {
    // SAFETY: what the caller promises; nothing ever borrows it mutably.
    unsafe { &*source.cast::<Source>() }
}

/// # Safety
///
/// `data` must point to `n` writable bytes.
unsafe fn buffer<'a>(data: *mut c_char, n: usize) -> &'a mut [u8] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: what the caller promises.
    unsafe { std::slice::from_raw_parts_mut(data.cast(), n) }
}

unsafe extern "C" fn is_usable(_: *mut c_void) -> bool {
    true
}

unsafe extern "C" fn tell(source: *mut c_void) -> usize {
    // SAFETY: MLX passes the reader's own pointer.
    unsafe { borrowed(source) }.position.load(Ordering::Relaxed) as usize
}

unsafe extern "C" fn seek(source: *mut c_void, offset: i64, whence: c_int) -> c_int {
    // SAFETY: as in `tell`.
    unsafe { borrowed(source) }.move_to(offset, whence).map_or(-1, |()| 0)
}

unsafe extern "C" fn read(source: *mut c_void, data: *mut c_char, n: usize) -> usize {
    // SAFETY: as in `tell`; MLX passes a buffer of `n` bytes.
    unsafe { borrowed(source).read_on(buffer(data, n)) }
}

unsafe extern "C" fn read_at_offset(
    source: *mut c_void,
    data: *mut c_char,
    n: usize,
    offset: usize,
) -> usize {
    // SAFETY: as in `read`.
    unsafe { borrowed(source).read_tensor(buffer(data, n), offset as u64) };
    n
}

unsafe extern "C" fn write(_: *mut c_void, _: *const c_char, _: usize) -> usize {
    0
}

unsafe extern "C" fn label(source: *mut c_void) -> *const c_char {
    // SAFETY: as in `tell`.
    unsafe { borrowed(source) }.label.as_ptr()
}

unsafe extern "C" fn free(source: *mut c_void) {
    // SAFETY: MLX calls this once, when nothing reads any more.
    drop(unsafe { Box::from_raw(source.cast::<Source>()) });
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mlx_rs::ops::indexing::TryIndexOp;
    use mlx_rs::transforms::eval;

    use super::*;

    fn copy_of_fixture(folder: &Path) -> PathBuf {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx");
        let copy = folder.join("model.safetensors");
        std::fs::copy(fixture.join("model.safetensors"), &copy).unwrap();
        copy
    }

    #[test]
    fn tensors_are_those_that_mlx_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = copy_of_fixture(folder.path());
        let (ours, fault) = open(&path).unwrap();
        let theirs = Array::load_safetensors(&path).unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (name, array) in &ours {
            assert!(array.eq_values(&theirs[name]).unwrap(), "{name}");
        }
        fault.check().unwrap();
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // ranges are meant, and not what is in them
    fn parts_are_slices_of_the_tensors() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx/model.safetensors");
        let (metadata, data) = super::super::header::read_header(&path).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let (whole, _) = open(&path).unwrap();
        let mut parts = 0;
        for (name, info) in metadata.tensors() {
            let [rows, columns] = info.shape[..] else { continue };
            let info = TensorInfo {
                file_name: name.clone(),
                shard: 0,
                dtype: info.dtype,
                shape: info.shape.clone(),
                bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
                offset: data + info.data_offsets.0 as u64,
            };
            let part = Part::of(&info, Some(&[rows / 3..rows / 2]), Some(&[columns / 4..columns])).unwrap();
            let (array, fault) = open_part(&file, &path, &info, part).unwrap();
            let (rows, columns) = (rows as i32, columns as i32);
            let expected = whole[&name].try_index((rows / 3..rows / 2, columns / 4..columns)).unwrap();
            assert!(array.eq_values(&expected).unwrap(), "{name}");
            fault.check().unwrap();
            parts += 1;
        }
        assert!(parts > 5);
    }

    #[test]
    fn a_file_cut_while_it_is_loaded_is_an_error_and_not_the_end_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = copy_of_fixture(folder.path());
        let (arrays, fault) = open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(20_000).unwrap();
        eval(arrays.values()).unwrap();
        let error = fault.check().unwrap_err();
        assert!(error.message().contains("model.safetensors could not be read to its end"), "{error}");
    }

    #[test]
    fn what_is_no_safetensors_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, b"abc").unwrap();
        assert!(open(&path).is_err());
    }
}
