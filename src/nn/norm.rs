//! RMS and layer normalization over the last axis.

use mlx_rs::{Array, Dtype, fast};

use super::Device;
use super::kernels::{RowFunction, rows};
use crate::error::Result;

/// `x / sqrt(mean(x²) + eps) · w`, with the statistics in `f32`.
pub struct RmsNorm {
    weight: Option<Array>,
    eps: f32,
    /// Constants of the form that takes few operations, where MLX has no kernel.
    plain: Option<Plain>,
}

/// `x · rsqrt(Σx² / n + eps) · w` for `f32` activations.
struct Plain {
    /// `1 / n`, for sums over `n` values.
    inverse_count: Array,
    eps: Array,
}

impl RmsNorm {
    /// `weight` is `[n]`, or `[.., n]` broadcast against the input; `None` for ones.
    pub fn new(weight: Option<Array>, n: usize, eps: f32, device: Device) -> RmsNorm {
        let plain = (device == Device::Cpu)
            .then(|| Plain { inverse_count: Array::from_f32(1.0 / n as f32), eps: Array::from_f32(eps) });
        RmsNorm { weight, eps, plain }
    }

    /// `[.., n]` → `[.., n]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let one_dimensional = self.weight.as_ref().filter(|w| w.ndim() == 1);
        let function = RowFunction::RmsNorm { eps: self.eps };
        if let Some(normed) = self.plain.as_ref().and_then(|_| rows(function, x, self.weight.as_ref())) {
            return normed;
        }
        let normed = match &self.plain {
            None => fast::rms_norm(x, one_dimensional, self.eps)?,
            Some(plain) => {
                let mean = x.square()?.sum_axis(-1, true)?.multiply(&plain.inverse_count)?;
                x.multiply(mean.add(&plain.eps)?.rsqrt()?)?
            }
        };
        match &self.weight {
            Some(weight) if self.plain.is_some() || weight.ndim() > 1 => Ok(normed.multiply(weight)?),
            _ => Ok(normed),
        }
    }
}

/// `(x - mean) / sqrt(var + eps) · w + b`, in `f32`, given back in the input's dtype.
pub struct LayerNorm {
    pub weight: Array,
    pub bias: Array,
    pub eps: f32,
    pub device: Device,
}

impl LayerNorm {
    /// `[.., n]` → `[.., n]`.
    ///
    /// On the CPU the mean is taken out twice: MLX's sums there are 1e-6 off over thousands of values, a shift that all values
    /// share and that the dense layer after it would amplify.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let dtype = x.dtype();
        let x = cast(x, Dtype::Float32)?;
        if self.device == Device::Gpu {
            return cast(&fast::layer_norm(&x, &self.weight, &self.bias, self.eps)?, dtype);
        }
        let normed = rows(RowFunction::LayerNorm { eps: self.eps }, &x, None);
        let normed = normed.unwrap_or_else(|| self.normed_plainly(&x))?;
        cast(&normed.multiply(&self.weight)?.add(&self.bias)?, dtype)
    }

    fn normed_plainly(&self, x: &Array) -> Result<Array> {
        let centred = x.subtract(x.mean_axis(-1, true)?)?;
        let centred = centred.subtract(centred.mean_axis(-1, true)?)?;
        let variance = centred.square()?.mean_axis(-1, true)?;
        Ok(centred.multiply(variance.add(Array::from_f32(self.eps))?.rsqrt()?)?)
    }
}

/// `x` as `dtype`, without an operation when it is that already.
pub fn cast(x: &Array, dtype: Dtype) -> Result<Array> {
    Ok(if x.dtype() == dtype { x.clone() } else { x.as_dtype(dtype)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{close, host, random};

    #[test]
    fn rms_is_its_formula_on_both_paths() {
        let (x, w) = (random(&[3, 5, 64], 1), random(&[64], 2));
        let (hx, hw) = (host(&x), host(&w));
        let expected: Vec<f32> = hx
            .chunks(64)
            .flat_map(|row| {
                let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 64.0;
                let scale = 1.0 / (mean + 1e-6).sqrt();
                row.iter().zip(&hw).map(move |(v, w)| (f64::from(*v) * scale) as f32 * w).collect::<Vec<_>>()
            })
            .collect();
        for device in [Device::Cpu, Device::Gpu] {
            let norm = RmsNorm::new(Some(w.clone()), 64, 1e-6, device);
            close(&host(&norm.forward(&x).unwrap()), &expected, 1e-5);
        }
        let per_head = |device| RmsNorm::new(Some(random(&[5, 64], 3)), 64, 1e-6, device);
        let [plain, fused] = [Device::Cpu, Device::Gpu].map(|device| per_head(device).forward(&x).unwrap());
        close(&host(&plain), &host(&fused), 1e-5);
    }

    #[test]
    fn layer_norm_of_a_flat_picture_is_exact() {
        let n = 6912;
        let flat: Vec<f32> = (0..n).map(|i| 0.7 + 1e-4 * ((i % 7) as f32 - 3.0)).collect();
        let x = Array::from_slice(&flat, &[1, n]);
        let norm = LayerNorm {
            weight: Array::from_slice(&vec![1.0f32; n as usize], &[n]),
            bias: Array::from_slice(&vec![0.0f32; n as usize], &[n]),
            eps: 1e-5,
            device: Device::Cpu,
        };
        let mean = flat.iter().map(|v| f64::from(*v)).sum::<f64>() / f64::from(n);
        let variance = flat.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / f64::from(n);
        let expected: Vec<f32> =
            flat.iter().map(|v| ((f64::from(*v) - mean) / (variance + 1e-5).sqrt()) as f32).collect();
        close(&host(&norm.forward(&x).unwrap()), &expected, 2e-6);
        close(&host(&norm.normed_plainly(&x).unwrap()), &expected, 2e-6);
    }

    #[test]
    fn layer_norm_is_the_same_on_both_paths() {
        let x = random(&[5, 72], 1);
        let [cpu, gpu] = [Device::Cpu, Device::Gpu].map(|device| {
            let (weight, bias) = (random(&[72], 2), random(&[72], 3));
            host(&LayerNorm { weight, bias, eps: 1e-5, device }.forward(&x).unwrap())
        });
        close(&cpu, &gpu, 1e-5);
    }
}
