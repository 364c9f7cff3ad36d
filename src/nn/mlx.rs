//! The MLX calls that mlx-rs lacks, or makes with more operations than they need. All of the crate's direct use of
//! mlx-sys is here and in [`memory`].

pub mod group;
pub mod memory;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlx_rs::{Array, Dtype, Stream};
use mlx_sys::{mlx_array, mlx_optional_dtype, mlx_optional_int, mlx_stream, mlx_vector_array};

use crate::error::{Code, Error, Result};
use crate::snapshot::keep_errors;
use crate::snapshot::quantization::{Mode, Quantization};

/// Makes what MLX has one of for the process and for the calling thread, so that exit handlers that are registered after
/// this run before those of MLX.
pub fn set_up() {
    keep_errors();
    let sum = Array::from_int(1).add(Array::from_int(1));
    // What fails here will fail again, where somebody is told.
    let _ = sum.map(|sum| eval([&sum]));
    let _ = mlx_rs::memory::clear_cache();
    synchronize();
}

/// Lets `handler` run at the process's exit.
pub fn at_exit(handler: extern "C" fn()) {
    // SAFETY: a plain function that lives as long as the library's image.
    unsafe { libc::atexit(handler) };
}

/// Lets `before` run before the process is forked, and `after` afterwards in the parent.
pub fn at_fork(before: extern "C" fn(), after: extern "C" fn()) {
    // SAFETY: plain functions that live as long as the library's image.
    unsafe { libc::pthread_atfork(Some(before), Some(after), None) };
}

/// Waits for the work of the calling thread's streams.
pub fn synchronize() {
    keep_errors();
    let types = [mlx_sys::mlx_device_type__MLX_CPU, mlx_sys::mlx_device_type__MLX_GPU];
    let there = if super::default_device() == super::Device::Gpu { 2 } else { 1 };
    for kind in &types[..there] {
        // SAFETY: both handles are owned and freed once; a call that fails leaves nothing to wait for.
        unsafe {
            let device = mlx_sys::mlx_device_new_type(*kind, 0);
            let mut stream = mlx_sys::mlx_stream_new();
            if mlx_sys::mlx_get_default_stream(&raw mut stream, device) == 0 {
                mlx_sys::mlx_synchronize(stream);
            }
            mlx_sys::mlx_stream_free(stream);
            mlx_sys::mlx_device_free(device);
        }
    }
}

/// Waits for the work of the calling thread's streams and frees what MLX holds for them. The thread must not use MLX
/// afterwards.
pub fn clear_streams() {
    synchronize();
    // SAFETY: the call takes nothing.
    unsafe { mlx_sys::mlx_clear_streams() };
}

/// How often the process has set MLX to work by the functions below.
static EVALUATIONS: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
pub fn evaluations() -> u64 {
    EVALUATIONS.load(Ordering::SeqCst)
}

/// What goes with each wait for MLX's results.
pub trait Waits {
    fn begin(&self);

    /// An error where what was waited for is not to be used.
    fn end(&self) -> Result<()>;
}

thread_local! {
    static WAITS: RefCell<Option<Arc<dyn Waits>>> = const { RefCell::new(None) };
}

/// Runs `f`, whose waits for results on this thread go with `waits`.
pub fn with_waits<R>(waits: Option<Arc<dyn Waits>>, f: impl FnOnce() -> R) -> R {
    struct Before(Option<Arc<dyn Waits>>);
    impl Drop for Before {
        fn drop(&mut self) {
            WAITS.set(self.0.take());
        }
    }
    let _before = Before(WAITS.replace(waits));
    f()
}

fn waited<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    EVALUATIONS.fetch_add(1, Ordering::SeqCst);
    let Some(waits) = WAITS.with_borrow(Clone::clone) else { return work() };
    waits.begin();
    let result = work();
    waits.end()?;
    result
}

/// Computes the arrays, and waits for them.
pub fn eval<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Result<()> {
    waited(|| Ok(mlx_rs::transforms::eval(arrays)?))
}

/// Lets MLX compute the arrays, and does not wait.
pub fn async_eval<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Result<()> {
    EVALUATIONS.fetch_add(1, Ordering::SeqCst);
    Ok(mlx_rs::transforms::async_eval(arrays)?)
}

/// The words that an array of `u32` holds, once they are computed.
pub fn words(array: &Array) -> Result<Vec<u32>> {
    let words = || array.try_as_slice::<u32>().map(<[u32]>::to_vec);
    waited(|| words().map_err(|e| Error::new(Code::Backend, e.to_string())))
}

/// The numbers that an array holds, once they are computed.
pub fn floats(array: &Array) -> Result<Vec<f32>> {
    waited(|| array.to_vec_cast::<f32>().map_err(|e| Error::new(Code::Backend, e.to_string())))
}

/// Names the file of Metal kernels that MLX loads with its first operation on the GPU.
pub fn set_metallib(path: &Path) -> Result<()> {
    let told = || Error::new(Code::Backend, format!("MLX cannot be told of {}", path.display()));
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| told())?;
    keep_errors();
    // SAFETY: a C string, of which MLX keeps a copy.
    if unsafe { mlx_sys::mlx_metal_set_metallib_path(path.as_ptr()) } == 0 { Ok(()) } else { Err(told()) }
}

/// A number that MLX knows of the GPU, such as `max_buffer_length`; none where it does not know it.
pub fn gpu_fact(key: &CStr) -> Option<u64> {
    keep_errors();
    let mut value = 0usize;
    // SAFETY: both handles are owned and freed once; the key is a C string, and the value is written on success only.
    let status = unsafe {
        let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_GPU, 0);
        let mut info = mlx_sys::mlx_device_info_new();
        let mut status = mlx_sys::mlx_device_info_get(&raw mut info, device);
        if status == 0 {
            status = mlx_sys::mlx_device_info_get_size(&raw mut value, info, key.as_ptr());
        }
        mlx_sys::mlx_device_info_free(info);
        mlx_sys::mlx_device_free(device);
        status
    };
    (status == 0).then_some(value as u64)
}

/// `x · Wᵀ` for packed `W` `[out, in]` and `x` `[.., in]`.
pub fn quantized_matmul(
    x: &Array,
    codes: &Array,
    scales: &Array,
    biases: Option<&Array>,
    quantization: Quantization,
) -> Result<Array> {
    call("quantized_matmul", |out, stream| {
        // SAFETY: the handles belong to live arrays, the mode is a C string, and `out` is an empty array handle.
        unsafe {
            mlx_sys::mlx_quantized_matmul(
                out,
                x.as_ptr(),
                codes.as_ptr(),
                scales.as_ptr(),
                handle(biases),
                true,
                int(quantization.group_size),
                int(quantization.bits),
                mode(quantization).as_ptr(),
                stream,
            )
        }
    })
}

/// `x[i] · W[experts[i]]ᵀ` for packed `W` `[E, out, in]` and `x` `[.., rows, in]`, whose leading axes are broadcast
/// against `experts`.
pub fn gather_qmm(
    x: &Array,
    codes: &Array,
    scales: &Array,
    biases: Option<&Array>,
    quantization: Quantization,
    experts: &Array,
    sorted: bool,
) -> Result<Array> {
    call("gather_qmm", |out, stream| {
        // SAFETY: as in `quantized_matmul`; a null handle stands for "the rows of x in their order".
        unsafe {
            mlx_sys::mlx_gather_qmm(
                out,
                x.as_ptr(),
                codes.as_ptr(),
                scales.as_ptr(),
                handle(biases),
                handle(None),
                experts.as_ptr(),
                true,
                int(quantization.group_size),
                int(quantization.bits),
                mode(quantization).as_ptr(),
                sorted,
                stream,
            )
        }
    })
}

/// The values of packed rows, as `dtype`.
pub fn dequantize(
    codes: &Array,
    scales: &Array,
    biases: Option<&Array>,
    quantization: Quantization,
    dtype: Dtype,
) -> Result<Array> {
    let dtype = mlx_optional_dtype { value: dtype.into(), has_value: true };
    call("dequantize", |out, stream| {
        // SAFETY: as in `quantized_matmul`; a null handle stands for "no global scale".
        unsafe {
            mlx_sys::mlx_dequantize(
                out,
                codes.as_ptr(),
                scales.as_ptr(),
                handle(biases),
                int(quantization.group_size),
                int(quantization.bits),
                mode(quantization).as_ptr(),
                handle(None),
                dtype,
                stream,
            )
        }
    })
}

/// `array[start..stop]` along every axis, as one view.
pub fn slice(array: &Array, start: &[i32], stop: &[i32]) -> Result<Array> {
    slice_every(array, start, stop, 1)
}

/// `array[start..stop]` along every axis, taking each `step`th of the last one.
pub fn slice_every(array: &Array, start: &[i32], stop: &[i32], step: i32) -> Result<Array> {
    let mut strides = vec![1; start.len()];
    if let Some(last) = strides.last_mut() {
        *last = step;
    }
    call("slice", |out, stream| {
        // SAFETY: the handle is live, and each pointer goes with its own length.
        unsafe {
            mlx_sys::mlx_slice(
                out,
                array.as_ptr(),
                start.as_ptr(),
                start.len(),
                stop.as_ptr(),
                stop.len(),
                strides.as_ptr(),
                strides.len(),
                stream,
            )
        }
    })
}

/// The two halves of the last axis: `[.., 2n]` → twice `[.., n]`.
pub fn halves(array: &Array) -> Result<[Array; 2]> {
    let (shape, middle) = (array.shape(), array.dim(-1) / 2);
    let (mut start, mut stop) = (vec![0; shape.len()], shape.to_vec());
    if let (Some(from), Some(to)) = (start.last_mut(), stop.last_mut()) {
        (*from, *to) = (middle, middle);
    }
    Ok([slice(array, &vec![0; shape.len()], &stop)?, slice(array, &start, shape)?])
}

/// `array` with `array[start..stop]` replaced; written in place when nobody else holds `array` once it is evaluated.
pub fn slice_update(array: &Array, update: &Array, start: &[i32], stop: &[i32]) -> Result<Array> {
    let strides = vec![1; start.len()];
    call("slice_update", |out, stream| {
        // SAFETY: the handles are live, and each pointer goes with its own length.
        unsafe {
            mlx_sys::mlx_slice_update(
                out,
                array.as_ptr(),
                update.as_ptr(),
                start.as_ptr(),
                start.len(),
                stop.as_ptr(),
                stop.len(),
                strides.as_ptr(),
                strides.len(),
                stream,
            )
        }
    })
}

/// `array` `[B, heads, n, D]` with `rows` `[B, heads, 1, D]` in the places `at`: the indices of the first axis and of the
/// third, `[B]` each. Written in place like [`slice_update`].
pub fn put_rows(array: &Array, rows: &Array, at: &[Array; 2]) -> Result<Array> {
    let mut indices = Vector::of(&at[0]);
    indices.push(&at[1])?;
    let axes = [0, 2];
    let updates = rows.reshape(&[rows.dim(0), 1, rows.dim(1), 1, rows.dim(3)])?;
    call("scatter", |out, stream| {
        // SAFETY: the handles are live, there is an index for each axis, and the pointer goes with its length.
        unsafe {
            let (array, updates) = (array.as_ptr(), updates.as_ptr());
            mlx_sys::mlx_scatter(out, array, indices.0, updates, axes.as_ptr(), axes.len(), stream)
        }
    })
}

/// `a & b` of integers.
pub fn bitwise_and(a: &Array, b: &Array) -> Result<Array> {
    // SAFETY: the handles belong to live arrays, and `out` is an empty array handle.
    call("bitwise_and", |out, stream| unsafe {
        mlx_sys::mlx_bitwise_and(out, a.as_ptr(), b.as_ptr(), stream)
    })
}

/// `a << b`.
pub fn left_shift(a: &Array, b: &Array) -> Result<Array> {
    // SAFETY: as in `bitwise_and`.
    call("left_shift", |out, stream| unsafe { mlx_sys::mlx_left_shift(out, a.as_ptr(), b.as_ptr(), stream) })
}

/// `a >> b`, which keeps the sign of signed integers.
pub fn right_shift(a: &Array, b: &Array) -> Result<Array> {
    // SAFETY: as in `bitwise_and`.
    call("right_shift", |out, stream| unsafe {
        mlx_sys::mlx_right_shift(out, a.as_ptr(), b.as_ptr(), stream)
    })
}

/// `array`, but not before `first` has been evaluated.
pub fn after(array: &Array, first: &Array) -> Result<Array> {
    let arrays = Vector::of(array);
    let firsts = Vector::of(first);
    let mut both = Vector::empty();
    call("depends", |out, _| {
        // SAFETY: the three vectors are live, and `out` is an empty array handle.
        unsafe {
            match mlx_sys::mlx_depends(&mut both.0, arrays.0, firsts.0) {
                0 => mlx_sys::mlx_vector_array_get(out, both.0, 0),
                status => status,
            }
        }
    })
}

/// `w` `[out, in]` packed: codes, scales and, for the affine mode, biases.
#[cfg(test)]
pub fn quantize(w: &Array, quantization: Quantization) -> Result<(Array, Array, Option<Array>)> {
    let mut parts = Vector::empty();
    let part = |parts: &Vector, index: usize| {
        call("vector_array_get", |out, _| {
            // SAFETY: the vector is live, and MLX checks the index.
            unsafe { mlx_sys::mlx_vector_array_get(out, parts.0, index) }
        })
    };
    let codes = call("quantize", |out, stream| {
        // SAFETY: as in `quantized_matmul`.
        unsafe {
            let (group_size, bits) = (int(quantization.group_size), int(quantization.bits));
            let mode = mode(quantization).as_ptr();
            match mlx_sys::mlx_quantize(
                &mut parts.0,
                w.as_ptr(),
                group_size,
                bits,
                mode,
                handle(None),
                stream,
            ) {
                0 => mlx_sys::mlx_vector_array_get(out, parts.0, 0),
                status => status,
            }
        }
    })?;
    let biases = (quantization.mode == Mode::Affine).then(|| part(&parts, 2)).transpose()?;
    Ok((codes, part(&parts, 1)?, biases))
}

/// A kernel in CUDA, which MLX compiles for each set of constants at its first use.
pub struct CudaKernel(mlx_sys::mlx_fast_cuda_kernel);

/// How a [`CudaKernel`] is run.
pub struct CudaLaunch<'a> {
    /// Known when the kernel is compiled.
    pub constants: &'a [(&'a CStr, i32)],
    /// Threads, a multiple of `block`.
    pub grid: i32,
    /// Threads of a block.
    pub block: i32,
    /// Of the result.
    pub shape: &'a [i32],
    pub dtype: Dtype,
}

impl CudaKernel {
    /// `body` sees the inputs and the output as pointers with these names, and `NAME_shape` of those whose shape it
    /// mentions. Inputs are made contiguous.
    pub fn new<const N: usize>(
        name: &CStr,
        inputs: [&CStr; N],
        output: &CStr,
        header: &str,
        body: &str,
    ) -> Result<CudaKernel> {
        // MLX copies and hashes the source at each launch.
        let text = |text: &str| {
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
            let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            CString::new(text).map_err(|_| Error::new(Code::Backend, "a kernel's source has a zero byte"))
        };
        let (header, body) = (text(header)?, text(body)?);
        let mut inputs = inputs.map(CStr::as_ptr);
        let mut outputs = [output.as_ptr()];
        // SAFETY: all strings live until the end of the block, and MLX copies them; the lists are freed once.
        unsafe {
            let inputs = mlx_sys::mlx_vector_string_new_data(inputs.as_mut_ptr(), N);
            let outputs = mlx_sys::mlx_vector_string_new_data(outputs.as_mut_ptr(), 1);
            let (header, body) = (header.as_ptr(), body.as_ptr());
            let kernel =
                mlx_sys::mlx_fast_cuda_kernel_new(name.as_ptr(), inputs, outputs, body, header, true, 0);
            mlx_sys::mlx_vector_string_free(inputs);
            mlx_sys::mlx_vector_string_free(outputs);
            Ok(CudaKernel(kernel))
        }
    }

    pub fn launch<const N: usize>(&self, inputs: [&Array; N], launch: &CudaLaunch) -> Result<Array> {
        let mut arrays = Vector::empty();
        for input in inputs {
            arrays.push(input)?;
        }
        let mut results = Vector::empty();
        let config = LaunchConfig::new(launch);
        call("cuda_kernel", |out, stream| {
            // SAFETY: kernel, lists and configuration are live, and `out` is an empty array handle.
            unsafe {
                match mlx_sys::mlx_fast_cuda_kernel_apply(&mut results.0, self.0, arrays.0, config.0, stream)
                {
                    0 => mlx_sys::mlx_vector_array_get(out, results.0, 0),
                    status => status,
                }
            }
        })
    }
}

impl Drop for CudaKernel {
    fn drop(&mut self) {
        // SAFETY: the kernel is owned and freed once.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_free(self.0) };
    }
}

/// An owned configuration of a launch.
struct LaunchConfig(mlx_sys::mlx_fast_cuda_kernel_config);

impl LaunchConfig {
    fn new(launch: &CudaLaunch) -> LaunchConfig {
        // SAFETY: the configuration is made here and freed on drop; the shape's pointer goes with its length.
        unsafe {
            let config = mlx_sys::mlx_fast_cuda_kernel_config_new();
            let shape = launch.shape;
            mlx_sys::mlx_fast_cuda_kernel_config_add_output_arg(
                config,
                shape.as_ptr(),
                shape.len(),
                launch.dtype.into(),
            );
            mlx_sys::mlx_fast_cuda_kernel_config_set_grid(config, launch.grid, 1, 1);
            mlx_sys::mlx_fast_cuda_kernel_config_set_thread_group(config, launch.block, 1, 1);
            for (name, value) in launch.constants {
                mlx_sys::mlx_fast_cuda_kernel_config_add_template_arg_int(config, name.as_ptr(), *value);
            }
            LaunchConfig(config)
        }
    }
}

impl Drop for LaunchConfig {
    fn drop(&mut self) {
        // SAFETY: the configuration is owned and freed once.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_config_free(self.0) };
    }
}

/// Whether the calling thread's operations are the CPU's.
pub fn stream_is_on_cpu() -> bool {
    let stream = Stream::thread_local_or_default();
    // SAFETY: the stream is live, and the device is owned and freed once; what a failed call leaves is no device.
    unsafe {
        let mut device = mlx_sys::mlx_device_new();
        let mut kind = mlx_sys::mlx_device_type__MLX_GPU;
        if mlx_sys::mlx_stream_get_device(&raw mut device, stream.as_ptr()) == 0 {
            mlx_sys::mlx_device_get_type(&raw mut kind, device);
        }
        mlx_sys::mlx_device_free(device);
        kind == mlx_sys::mlx_device_type__MLX_CPU
    }
}

/// Runs one MLX operation that fills an array handle.
pub(in crate::nn) fn call(name: &str, f: impl FnOnce(*mut mlx_array, mlx_stream) -> c_int) -> Result<Array> {
    keep_errors();
    let stream = Stream::thread_local_or_default();
    // SAFETY: makes an empty handle, which owns nothing yet.
    let mut out = unsafe { mlx_sys::mlx_array_new() };
    match f(&mut out, stream.as_ptr()) {
        // SAFETY: on success the handle holds an array, and nobody else owns it.
        0 => Ok(unsafe { Array::from_ptr(out) }),
        _ => {
            // SAFETY: an empty handle may be freed.
            unsafe { mlx_sys::mlx_array_free(out) };
            Err(Error::new(Code::Backend, format!("MLX refuses {name} for these arrays"))
                .with("operation", name))
        }
    }
}

fn handle(array: Option<&Array>) -> mlx_array {
    // SAFETY: makes an empty handle, which owns nothing and stands for a missing array.
    array.map_or_else(|| unsafe { mlx_sys::mlx_array_new() }, Array::as_ptr)
}

fn int(value: i32) -> mlx_optional_int {
    mlx_optional_int { value, has_value: true }
}

fn mode(quantization: Quantization) -> &'static CStr {
    match quantization.mode {
        Mode::Affine => c"affine",
        Mode::Mxfp4 => c"mxfp4",
        Mode::Nvfp4 => c"nvfp4",
        Mode::Mxfp8 => c"mxfp8",
    }
}

/// An owned `mlx_vector_array`.
struct Vector(mlx_vector_array);

impl Vector {
    fn empty() -> Vector {
        // SAFETY: makes an empty vector, freed on drop.
        Vector(unsafe { mlx_sys::mlx_vector_array_new() })
    }

    fn of(array: &Array) -> Vector {
        // SAFETY: the handle is live; the vector takes its own reference.
        Vector(unsafe { mlx_sys::mlx_vector_array_new_value(array.as_ptr()) })
    }

    fn push(&mut self, array: &Array) -> Result<()> {
        // SAFETY: both handles are live; the vector takes its own reference.
        match unsafe { mlx_sys::mlx_vector_array_append_value(self.0, array.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Error::new(Code::Backend, "MLX refuses an array in a list")),
        }
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        // SAFETY: the vector is owned and freed once.
        unsafe { mlx_sys::mlx_vector_array_free(self.0) };
    }
}

/// How many operations of each name MLX would do for some arrays, as of now.
#[cfg(all(test, target_os = "linux"))]
pub fn operations<'a>(
    arrays: impl IntoIterator<Item = &'a Array>,
) -> std::collections::BTreeMap<String, usize> {
    let mut outputs = Vector::empty();
    arrays.into_iter().for_each(|array| outputs.push(array).unwrap());
    let (mut text, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the file is open until it is closed, after which text and length are those of what was written, to be freed once.
    let graph = unsafe {
        let file = libc::open_memstream(&raw mut text, &raw mut len);
        let namer = mlx_sys::mlx_node_namer_new();
        assert_eq!(mlx_sys::mlx_export_to_dot(file.cast(), namer, outputs.0), 0);
        mlx_sys::mlx_node_namer_free(namer);
        libc::fclose(file);
        let graph = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        graph
    };
    let mut counts = std::collections::BTreeMap::new();
    for line in graph.lines().filter(|line| line.contains("shape=rectangle")) {
        let name = line.split("label =\"").nth(1).and_then(|rest| rest.split('"').next());
        *counts.entry(name.unwrap_or(line).to_owned()).or_default() += 1;
    }
    counts
}
