//! Rotary position embedding, NeoX style: dimension `i` turns with dimension `i + D/2`.

use mlx_rs::ops::concatenate;
use mlx_rs::{Array, Dtype, fast};

use super::mlx::{self, halves};
use super::norm::cast;
use super::positions::Positions;
use super::{Device, kernels};
use crate::error::Result;

/// The frequencies of one kind of layer.
pub struct Rope {
    /// `[D/2]`, radians per position; 0 where a pair does not turn.
    inverse_frequencies: Vec<f32>,
    /// Their reciprocals, as MLX's kernel wants them.
    frequencies: Array,
    /// `[D/2]`: which of a position's three numbers turns a pair. Empty where there is only one.
    axes: Vec<usize>,
    device: Device,
}

/// The angles of a pass's rows, shared by all layers of one kind.
#[derive(Clone)]
pub enum Angles {
    /// For MLX's kernel: the first of consecutive positions.
    Kernel(i32),
    /// For MLX's kernel: the position of each row, `[n]` for as many rows as it takes at once.
    Rows(Vec<Array>),
    Table(Table),
}

/// How many rows with positions of their own MLX's kernel takes: on CUDA a block is as long as they are along its third axis,
/// where it may have no more threads.
const MOST_ROWS: usize = 64;

impl Angles {
    fn of_rows(rows: &[i32]) -> Angles {
        match rows.first() {
            Some(first) if rows.iter().zip(*first..).all(|(row, position)| *row == position) => {
                Angles::Kernel(*first)
            }
            _ => {
                let array = |rows: &[i32]| Array::from_slice(rows, &[rows.len() as i32]);
                Angles::Rows(rows.chunks(MOST_ROWS).map(array).collect())
            }
        }
    }
}

/// The angles of rows in numbers, `[T, D]` each: `[cos, cos]` and `[-sin, sin]`.
#[derive(Clone)]
pub struct Table {
    cos: Array,
    sin: Array,
}

impl Table {
    /// `angle` gives those of a row's pairs, in radians.
    pub fn new(
        rows: usize,
        pairs: usize,
        dtype: Dtype,
        angle: impl Fn(usize, usize) -> f32,
    ) -> Result<Table> {
        let mut cos = vec![0.0f32; rows * pairs * 2];
        let mut sin = vec![0.0f32; rows * pairs * 2];
        for row in 0..rows {
            for pair in 0..pairs {
                let (s, c) = angle(row, pair).sin_cos();
                let at = row * pairs * 2 + pair;
                (cos[at], cos[at + pairs]) = (c, c);
                (sin[at], sin[at + pairs]) = (-s, s);
            }
        }
        let array =
            |values: &[f32]| cast(&Array::from_slice(values, &[rows as i32, pairs as i32 * 2]), dtype);
        Ok(Table { cos: array(&cos)?, sin: array(&sin)? })
    }

    /// Turns `x` `[.., T, D]`.
    pub fn turn(&self, x: &Array) -> Result<Array> {
        if let Some(turned) = kernels::turn(x, &self.cos, &self.sin) {
            return turned;
        }
        let [first, second] = halves(x)?;
        let swapped = concatenate(&[second, first], -1)?;
        Ok(x.multiply(&self.cos)?.add(swapped.multiply(&self.sin)?)?)
    }
}

impl Rope {
    pub fn new(inverse_frequencies: Vec<f32>, device: Device) -> Rope {
        let frequencies: Vec<f32> = inverse_frequencies.iter().map(|f| 1.0 / f).collect();
        let frequencies = Array::from_slice(&frequencies, &[frequencies.len() as i32]);
        Rope { inverse_frequencies, frequencies, axes: Vec::new(), device }
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

    /// transformers' `linear` type: the plain one, slowed by `factor`.
    pub fn linear(dim: usize, theta: f32, factor: f32, device: Device) -> Rope {
        let frequencies = plain_frequencies(dim, theta, dim / 2);
        Rope::new(frequencies.iter().map(|f| f / factor).collect(), device)
    }

    /// Interleaved M-RoPE (Qwen3-VL): pair `i` turns with the height where `i % 3 == 1`, with the width where
    /// `i % 3 == 2`, as long as `i` is below three times that axis' section, and else with the time.
    pub fn interleaved(dim: usize, theta: f32, sections: [usize; 3], device: Device) -> Rope {
        let axis = |i: usize| if !i.is_multiple_of(3) && i < 3 * sections[i % 3] { i % 3 } else { 0 };
        Rope { axes: (0..dim / 2).map(axis).collect(), ..Rope::plain(dim, theta, device) }
    }

    /// Of the rows at `positions`. The products are `f32` as in the reference, which matters for far positions.
    pub fn angles(&self, positions: &Positions, dtype: Dtype) -> Result<Angles> {
        if self.device == Device::Gpu {
            if let Positions::Consecutive { start, .. } = positions {
                return Ok(Angles::Kernel(*start));
            }
            if let Some(rows) = positions.scalars() {
                return Ok(Angles::of_rows(&rows));
            }
        }
        let frequencies = &self.inverse_frequencies;
        let angle = |row: usize, pair: usize| {
            let axis = self.axes.get(pair).copied().unwrap_or(0);
            positions.row(row)[axis] as f32 * frequencies[pair]
        };
        Ok(Angles::Table(Table::new(positions.count(), frequencies.len(), dtype, angle)?))
    }

    /// Turns `x` `[1, heads, T, D]`.
    pub fn apply(&self, x: &Array, angles: &Angles) -> Result<Array> {
        let dim = self.inverse_frequencies.len() as i32 * 2;
        match angles {
            Angles::Kernel(offset) => Ok(fast::rope(x, dim, false, None, 1.0, *offset, &self.frequencies)?),
            Angles::Rows(positions) => {
                // The kernel takes a position for each entry of the first axis.
                let turned = self.turn_rows(&x.swap_axes(0, 2)?, positions)?;
                Ok(turned.swap_axes(0, 2)?)
            }
            Angles::Table(table) => table.turn(x),
        }
    }

    /// Turns `rows` `[T, heads, 1, D]` in as many parts as there are positions for.
    fn turn_rows(&self, rows: &Array, positions: &[Array]) -> Result<Array> {
        let dim = self.inverse_frequencies.len() as i32 * 2;
        let mut parts = Vec::with_capacity(positions.len());
        let mut done = 0;
        for positions in positions {
            let (mut start, mut stop) = (vec![0; rows.ndim()], rows.shape().to_vec());
            (start[0], stop[0]) = (done, done + positions.dim(0));
            done = stop[0];
            let part = mlx::slice(rows, &start, &stop)?;
            parts.push(fast::rope_dynamic(part, dim, false, None, 1.0, positions, &self.frequencies)?);
        }
        Ok(concatenate(&parts, 0)?)
    }
}

/// `θ^(-2i/D)` for the first `turning` of `D/2` pairs, 0 for the others; in `f32` like the reference.
pub fn plain_frequencies(dim: usize, theta: f32, turning: usize) -> Vec<f32> {
    let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f32 / dim as f32);
    (0..dim / 2).map(|i| if i < turning { frequency(i) } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::mlx;
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
                let positions = Positions::Consecutive { start: offset as i32, count };
                let angles = rope.angles(&positions, Dtype::Float32).unwrap();
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

    #[test]
    fn any_number_of_sessions_turns_in_one_pass() {
        let dim = 16usize;
        for count in [1, 63, 64, 65, 130] {
            let x = random(&[1, 2, count, dim as i32], 3);
            let rows: Vec<[i32; 3]> = (0..count).map(|row| [row * 7 % 50; 3]).collect();
            let [cpu, gpu] = [Device::Cpu, Device::Gpu].map(|device| {
                let rope = Rope::plain(dim, 1e4, device);
                let angles = rope.angles(&Positions::Each(rows.clone()), Dtype::Float32).unwrap();
                host(&rope.apply(&x, &angles).unwrap())
            });
            close(&gpu, &cpu, 1e-5);
        }
    }

    #[test]
    fn rows_that_follow_each_other_are_one_run_for_the_kernel() {
        let rope = Rope::interleaved(16, 1e4, [4, 2, 2], Device::Gpu);
        let of = |rows: &[i32]| {
            let rows = rows.iter().map(|row| [*row; 3]).collect();
            rope.angles(&Positions::Each(rows), Dtype::Float32).unwrap()
        };
        assert!(matches!(of(&[7, 8, 9]), Angles::Kernel(7)));
        assert!(matches!(of(&[7, 8, 8]), Angles::Rows(parts) if parts.len() == 1));
        let far: Vec<i32> = (0..130).map(|row| row * 2).collect();
        assert!(matches!(of(&far), Angles::Rows(parts) if parts.len() == 3));
    }

    #[test]
    fn rows_of_several_sessions_turn_by_their_own_positions() {
        let dim = 16usize;
        let x = random(&[1, 3, 2, dim as i32], 7);
        let rows = [[9; 3], [2; 3]];
        let turn = |rope: Rope, x: &Array, positions: Positions| {
            host(&rope.apply(x, &rope.angles(&positions, Dtype::Float32).unwrap()).unwrap())
        };
        for device in [Device::Cpu, Device::Gpu] {
            let joined = Positions::Each(rows.to_vec());
            let plain = turn(Rope::plain(dim, 1e4, device), &x, joined.clone());
            // Where the three numbers are equal, the axes make no difference.
            close(&turn(Rope::interleaved(dim, 1e4, [4, 2, 2], device), &x, joined), &plain, 1e-5);
            for (row, position) in [9, 2].into_iter().enumerate() {
                let at = row as i32;
                let alone = mlx::slice(&x, &[0, 0, at, 0], &[1, 3, at + 1, dim as i32]).unwrap();
                let positions = Positions::Consecutive { start: position, count: 1 };
                let expected = turn(Rope::plain(dim, 1e4, Device::Cpu), &alone, positions);
                let found: Vec<f32> = (0..3)
                    .flat_map(|head| plain[(head * 2 + row) * dim..(head * 2 + row + 1) * dim].to_vec())
                    .collect();
                close(&found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn pairs_turn_with_the_axis_of_their_section() {
        let (dim, sections) = (16usize, [4, 2, 2]);
        let x = random(&[1, 1, 2, dim as i32], 7);
        let rows = [[5, 7, 11], [6, 6, 6]];
        for device in [Device::Cpu, Device::Gpu] {
            let rope = Rope::interleaved(dim, 5e6, sections, device);
            let angles = rope.angles(&Positions::Each(rows.to_vec()), Dtype::Float32).unwrap();
            let mut expected = host(&x);
            for (row, vector) in expected.chunks_mut(dim).enumerate() {
                // t h w t h w t t
                for (i, axis) in [0, 1, 2, 0, 1, 2, 0, 0].into_iter().enumerate() {
                    let angle = f64::from(rows[row][axis]) * 5e6f64.powf(-2.0 * i as f64 / dim as f64);
                    let (a, b) = (f64::from(vector[i]), f64::from(vector[i + dim / 2]));
                    vector[i] = (a * angle.cos() - b * angle.sin()) as f32;
                    vector[i + dim / 2] = (b * angle.cos() + a * angle.sin()) as f32;
                }
            }
            close(&host(&rope.apply(&x, &angles).unwrap()), &expected, 1e-5);
        }
    }
}
