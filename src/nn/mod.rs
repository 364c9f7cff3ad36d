//! Layers that architectures share, over MLX arrays.

pub mod cache;

/// Where the arrays live, which decides the activations' dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// MLX's CPU backend accumulates in the activations' dtype: activations are `f32`.
    Cpu,
    /// Metal or CUDA: activations keep the snapshot's dtype.
    Gpu,
}

/// The GPU where this build of MLX has one, else the CPU.
pub fn default_device() -> Device {
    match mlx_rs::Device::try_default().and_then(|d| d.get_type()) {
        Ok(mlx_rs::DeviceType::Gpu) => Device::Gpu,
        _ => Device::Cpu,
    }
}
