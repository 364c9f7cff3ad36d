//! Rotary position embedding, NeoX style: dimension `i` turns with dimension `i + D/2`.

use mlx_rs::ops::concatenate;
use mlx_rs::{Array, Dtype, fast};

use super::{Device, mlx};
use crate::error::Result;

/// The frequencies of one kind of layer.
pub struct Rope {
    /// `[D/2]`, radians per position; 0 where a pair does not turn.
    inverse_frequencies: Vec<f32>,
    /// Their reciprocals, as MLX's kernel wants them.
    frequencies: Array,
    device: Device,
}

/// The angles of consecutive positions, shared by all layers of one kind.
pub enum Angles {
    /// For MLX's kernel: the first position.
    Kernel(i32),
    /// `[T, D]` each: `[cos, cos]` and `[-sin, sin]`.
    Table { cos: Array, sin: Array },
}

impl Rope {
    pub fn new(inverse_frequencies: Vec<f32>, device: Device) -> Rope {
        let frequencies: Vec<f32> = inverse_frequencies.iter().map(|f| 1.0 / f).collect();
        let frequencies = Array::from_slice(&frequencies, &[frequencies.len() as i32]);
        Rope { inverse_frequencies, frequencies, device }
    }

    /// All of `dim` dimensions turn: `θ^(-2i/D)`.
    pub fn plain(dim: usize, theta: f32, device: Device) -> Rope {
        Rope::new(plain_frequencies(dim, theta, dim / 2), device)
    }

    /// transformers' `proportional` type: the first `partial · D/2` pairs turn as in the plain type of all `D`
    /// dimensions, slowed by `factor`, and the others do not.
    pub fn proportional(dim: usize, theta: f32, partial: f32, factor: f32, device: Device) -> Rope {
        let turning = (partial * dim as f32 / 2.0) as usize;
        let frequencies = plain_frequencies(dim, theta, turning.min(dim / 2));
        Rope::new(frequencies.iter().map(|f| f / factor).collect(), device)
    }

    /// Of `count` positions from `offset` on. The products are `f32` as in the reference, which matters for far
    /// positions.
    pub fn angles(&self, offset: usize, count: usize, dtype: Dtype) -> Result<Angles> {
        if self.device == Device::Gpu {
            return Ok(Angles::Kernel(offset as i32));
        }
        let half = self.inverse_frequencies.len();
        let mut cos = vec![0.0f32; count * half * 2];
        let mut sin = vec![0.0f32; count * half * 2];
        for (row, position) in (offset..offset + count).enumerate() {
            for (i, frequency) in self.inverse_frequencies.iter().enumerate() {
                let (s, c) = (position as f32 * frequency).sin_cos();
                let at = row * half * 2 + i;
                (cos[at], cos[at + half]) = (c, c);
                (sin[at], sin[at + half]) = (-s, s);
            }
        }
        let table = |values: &[f32]| {
            super::norm::cast(&Array::from_slice(values, &[count as i32, half as i32 * 2]), dtype)
        };
        Ok(Angles::Table { cos: table(&cos)?, sin: table(&sin)? })
    }

    /// Turns `x` `[1, heads, T, D]`.
    pub fn apply(&self, x: &Array, angles: &Angles) -> Result<Array> {
        let dim = self.inverse_frequencies.len() as i32 * 2;
        match angles {
            Angles::Kernel(offset) => Ok(fast::rope(x, dim, false, None, 1.0, *offset, &self.frequencies)?),
            Angles::Table { cos, sin } => {
                let (heads, count) = (x.dim(1), x.dim(2));
                let first = mlx::slice(x, &[0; 4], &[1, heads, count, dim / 2])?;
                let second = mlx::slice(x, &[0, 0, 0, dim / 2], &[1, heads, count, dim])?;
                let swapped = concatenate(&[second, first], -1)?;
                Ok(x.multiply(cos)?.add(swapped.multiply(sin)?)?)
            }
        }
    }
}

/// `θ^(-2i/D)` for the first `turning` of `D/2` pairs, 0 for the others; in `f32` like the reference.
fn plain_frequencies(dim: usize, theta: f32, turning: usize) -> Vec<f32> {
    let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f32 / dim as f32);
    (0..dim / 2).map(|i| if i < turning { frequency(i) } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{close, host, random};

    /// Rotation by definition, in `f64`.
    fn reference(
        x: &[f32],
        count: usize,
        dim: usize,
        offset: usize,
        frequency: impl Fn(usize) -> f64,
    ) -> Vec<f32> {
        let mut out = x.to_vec();
        for (r, row) in x.chunks(dim).enumerate() {
            let position = (offset + r % count) as f64;
            for i in 0..dim / 2 {
                let (s, c) = (position * frequency(i)).sin_cos();
                let (a, b) = (f64::from(row[i]), f64::from(row[i + dim / 2]));
                out[r * dim + i] = (a * c - b * s) as f32;
                out[r * dim + i + dim / 2] = (b * c + a * s) as f32;
            }
        }
        out
    }

    #[test]
    fn both_paths_follow_the_formula() {
        let (dim, count, offset) = (32, 3, 41);
        let x = random(&[1, 2, count as i32, dim as i32], 7);
        let plain = |i: usize| 1e4f64.powf(-2.0 * i as f64 / dim as f64);
        let quarter = |i: usize| if i < 4 { plain(i) / 2.0 } else { 0.0 };
        for device in [Device::Cpu, Device::Gpu] {
            let turn = |rope: Rope| {
                let angles = rope.angles(offset, count, Dtype::Float32).unwrap();
                host(&rope.apply(&x, &angles).unwrap())
            };
            close(
                &turn(Rope::plain(dim, 1e4, device)),
                &reference(&host(&x), count, dim, offset, plain),
                1e-5,
            );
            let proportional = Rope::proportional(dim, 1e4, 0.25, 2.0, device);
            close(&turn(proportional), &reference(&host(&x), count, dim, offset, quarter), 1e-5);
        }
    }
}
