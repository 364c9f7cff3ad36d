//! Layers that architectures share, over MLX arrays.
//!
//! Activations are `[T, H]`; heads are `[1, heads, T, D]`. Everything is lazy: nothing here evaluates, but
//! [`loader::Loader::read`].

pub mod activation;
pub mod attention;
pub mod clipped;
pub mod encoder_attention;
mod extent;
pub mod group;
pub mod held;
pub mod kept;
pub mod kernels;
pub mod linear;
pub mod loader;
pub mod matrix;
pub mod mirror;
pub mod mlx;
pub mod moe;
pub mod norm;
mod on_cuda;
pub mod positions;
pub mod rope;
pub mod runs;
pub mod self_test;
pub mod split;
pub mod state;
#[cfg(test)]
pub mod testing;
pub mod together;
pub mod unpack;

use std::sync::OnceLock;

use mlx_rs::Dtype;

/// Where the arrays live, which decides the activations' dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// MLX's CPU backend accumulates in the activations' dtype: activations are `f32`.
    Cpu,
    /// Metal or CUDA: activations keep the snapshot's dtype.
    Gpu,
}

impl Device {
    pub fn name(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
        }
    }
}

/// Bytes of a number as activations are held.
pub fn item_size(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Bfloat16 | Dtype::Float16 => 2,
        _ => 4,
    }
}

/// The GPU where this build of MLX has one, else the CPU.
pub fn default_device() -> Device {
    // The simulator of iOS has no Metal that MLX could use, so MLX is not asked.
    if cfg!(all(target_os = "ios", target_abi = "sim")) {
        return Device::Cpu;
    }
    // Nobody changes MLX's default, and each token asks for it.
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        #[cfg(target_os = "linux")]
        kernels::products::register();
        match mlx_rs::Device::try_default().and_then(|d| d.get_type()) {
            Ok(mlx_rs::DeviceType::Gpu) => Device::Gpu,
            _ => Device::Cpu,
        }
    })
}

/// Whether the GPU is one that runs CUDA.
pub fn has_cuda() -> bool {
    cfg!(not(target_vendor = "apple")) && default_device() == Device::Gpu
}

/// Runs `f` with MLX's operations on `device`, which is [`default_device`]'s or the CPU.
pub fn on<R>(device: Device, f: impl FnOnce() -> R) -> R {
    match (device, default_device()) {
        (Device::Cpu, Device::Gpu) => mlx_rs::with_stream(&mlx_rs::Stream::cpu(), f),
        // Within work for the CPU: a step of a session while another model is loaded.
        (Device::Gpu, Device::Gpu) if mlx::stream_is_on_cpu() => {
            mlx_rs::with_stream(&mlx_rs::Stream::gpu(), f)
        }
        _ => f(),
    }
}
