//! Mixtures of experts: each row goes through a few of many gated networks.

use mlx_rs::ops::indexing::take_along_axis;
use mlx_rs::ops::{argpartition_axis, argsort, concatenate, softmax_axis};
use mlx_rs::{Array, Dtype};

use super::activation::Glu;
use super::linear::Around;
use super::matrix::Matrix;
use super::norm::cast;
use super::{Device, mlx};
use crate::error::{Code, Error, Result};

/// From so many products on, rows are brought into the order of their experts, so that each expert is read once.
const SORT_FROM: i32 = 64;

/// Where the rows go.
pub struct Routing {
    /// `[T, K]`, whole numbers: the experts of each row, in no order.
    pub experts: Array,
    /// `[T, K]` `f32`: their weights in the sum.
    pub weights: Array,
}

/// The `top_k` best of `scores` `[T, E]`, weighted by the softmax over all of them divided by the sum of those chosen,
/// which is the softmax over those chosen.
pub fn route(scores: &Array, top_k: usize) -> Result<Routing> {
    let (rows, count, top_k) = (scores.dim(0), scores.dim(1), top_k as i32);
    let order = argpartition_axis(scores, count - top_k, -1)?;
    let experts = mlx::slice(&order, &[0, count - top_k], &[rows, count])?;
    let chosen = cast(&take_along_axis(scores, &experts, -1)?, Dtype::Float32)?;
    Ok(Routing { experts, weights: softmax_axis(chosen, -1, true)? })
}

/// `down(act(gate x) · up x)` for each expert.
pub struct Experts {
    /// Gate and up, `[E, 2I, H]` or, where they are stored differently, `[E, I, H]` each.
    gate_up: Vec<Matrix>,
    /// `[E, H, I]`.
    down: Matrix,
    /// Around what goes through it.
    around: Around,
    glu: Glu,
    device: Device,
}

impl Experts {
    /// `gate_up` is one matrix, or two.
    pub fn new(gate_up: Vec<Matrix>, down: Matrix, around: Around, glu: Glu, device: Device) -> Experts {
        Experts { gate_up, down, around, glu, device }
    }

    /// The weighted sum of each row's experts, or a rank's part of it: `[T, H]` → `[T, H]`.
    ///
    /// Lazy but on a CPU without kernels of our own, where the routing is evaluated: see [`by_expert`](Self::by_expert).
    pub fn forward(&self, x: &Array, routing: &Routing) -> Result<Array> {
        let products = match self.device {
            Device::Cpu => match self.by_kernels(x, &routing.experts)? {
                Some(products) => products,
                None => self.by_expert(x, &routing.experts)?,
            },
            Device::Gpu if routing.experts.size() as i32 >= SORT_FROM => self.sorted(x, &routing.experts)?,
            Device::Gpu => self.unsorted(x, &routing.experts)?,
        };
        let weights = routing.weights.expand_dims(-1)?;
        cast(&products.multiply(weights)?.sum_axis(1, false)?, x.dtype())
    }

    /// `[T, K, H]` by kernels of our own for the CPU, which bring the products of an expert together themselves; nothing
    /// where there is none.
    fn by_kernels(&self, x: &Array, experts: &Array) -> Result<Option<Array>> {
        let flat = experts.reshape(&[-1])?;
        let mut parts = Vec::new();
        for matrix in &self.gate_up {
            let Some(part) = matrix.by_kernel(x, Some(&flat)) else { return Ok(None) };
            parts.push(part?);
        }
        let inner = match &parts[..] {
            [gate, up] => self.glu.forward(gate, up)?,
            [both] => self.glu.halves(both)?,
            _ => return Ok(None),
        };
        let Some(products) = self.down.by_kernel(&self.around.pad(&inner)?, Some(&flat)) else {
            return Ok(None);
        };
        Ok(Some(products?.reshape(&[x.dim(0), experts.dim(1), -1])?))
    }

    /// `[T, K, H]`: one product for each row and expert, in the rows' order.
    fn unsorted(&self, x: &Array, experts: &Array) -> Result<Array> {
        let (rows, top_k, width) = (x.dim(0), experts.dim(1), x.dim(1));
        let x = x.reshape(&[rows, 1, 1, width])?;
        Ok(self.gather(&x, experts, false)?.reshape(&[rows, top_k, width])?)
    }

    /// The same, computed in the experts' order.
    fn sorted(&self, x: &Array, experts: &Array) -> Result<Array> {
        let (rows, top_k, width) = (x.dim(0), experts.dim(1), x.dim(1));
        let flat = experts.reshape(&[-1])?;
        let order = argsort(&flat)?;
        let row_of = order.floor_divide(Array::from_int(top_k).as_dtype(order.dtype())?)?;
        let x = x.take_axis(row_of, 0)?.reshape(&[rows * top_k, 1, width])?;
        let products = self.gather(&x, &flat.take_axis(&order, 0)?, true)?;
        let products = products.reshape(&[rows * top_k, width])?.take_axis(argsort(&order)?, 0)?;
        Ok(products.reshape(&[rows, top_k, width])?)
    }

    fn gather(&self, x: &Array, experts: &Array, sorted: bool) -> Result<Array> {
        let inner = self.glu_of(|matrix| matrix.gather(x, experts, sorted))?;
        self.down.gather(&self.around.pad(&inner)?, experts, sorted)
    }

    /// The same, an expert after the other. MLX's own CPU backend gathers a row at a time, with the kernels that
    /// [`Matrix::multiply`] avoids for several rows; here an expert's rows are one product, which takes as long for one
    /// row and a third to a thirtieth of the time for 160. How many rows there are must be known for that, so the
    /// routing is evaluated.
    fn by_expert(&self, x: &Array, experts: &Array) -> Result<Array> {
        let (rows, top_k, width) = (x.dim(0), experts.dim(1), x.dim(1));
        let chosen = to_host(experts)?;
        let mut order: Vec<usize> = (0..chosen.len()).collect();
        order.sort_by_key(|&i| chosen[i]);
        let index = |values: Vec<i32>| Array::from_slice(&values, &[values.len() as i32]);
        let row_of = index(order.iter().map(|&i| i as i32 / top_k).collect());
        let x = x.take_axis(row_of, 0)?;
        let mut products: Vec<Array> = Vec::new();
        let mut first = 0;
        for group in order.chunk_by(|&a, &b| chosen[a] == chosen[b]) {
            let stop = first + group.len() as i32;
            let part = mlx::slice(&x, &[first, 0], &[stop, width])?;
            // One expert after the other, so that only one is unpacked at a time.
            let part = products.last().map_or(Ok(part.clone()), |last| mlx::after(&part, last))?;
            products.push(self.expert(chosen[group[0]] as usize, &part)?);
            first = stop;
        }
        let mut place = vec![0; order.len()];
        for (at, &i) in order.iter().enumerate() {
            place[i] = at as i32;
        }
        let products = concatenate(&products, 0)?.take_axis(index(place), 0)?;
        Ok(products.reshape(&[rows, top_k, width])?)
    }

    /// `[n, H]` → `[n, H]` through one expert.
    fn expert(&self, expert: usize, x: &Array) -> Result<Array> {
        let inner = self.glu_of(|matrix| matrix.expert(expert)?.multiply(x))?;
        self.down.expert(expert)?.multiply(&self.around.pad(&inner)?)
    }

    fn glu_of(&self, product: impl Fn(&Matrix) -> Result<Array>) -> Result<Array> {
        match &self.gate_up[..] {
            [gate, up] => self.glu.forward(&product(gate)?, &product(up)?),
            [both] => self.glu.halves(&product(both)?),
            _ => Err(Error::new(Code::Backend, "experts have a gate and an up matrix")),
        }
    }
}

/// Whole numbers in row-major order.
fn to_host(experts: &Array) -> Result<Vec<u32>> {
    // A slice is made contiguous by the reshape, and a slice of one row by the conversion.
    let flat = experts.reshape(&[-1])?.as_dtype(Dtype::Int32)?;
    flat.to_vec_cast::<u32>().map_err(|e| Error::new(Code::Backend, format!("the routing of experts: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::activation::GeluGlu;
    use crate::nn::matrix::Packed;
    use crate::nn::testing::{close, host, random};
    use crate::snapshot::quantization::{Mode, Quantization};

    const EXPERTS: usize = 8;
    const HIDDEN: i32 = 64;
    const INNER: i32 = 32;

    /// `[E, out, in]` in a storage, and its values.
    fn matrix(
        out: i32,
        input: i32,
        seed: u64,
        storage: Option<Quantization>,
        device: Device,
    ) -> (Matrix, Array) {
        let w = random(&[EXPERTS as i32, out, input], seed);
        let Some(quantization) = storage else { return (Matrix::Dense(w.clone()), w) };
        let (codes, scales, biases) = mlx::quantize(&w, quantization).unwrap();
        let values = mlx::dequantize(&codes, &scales, biases.as_ref(), quantization, Dtype::Float32).unwrap();
        (Matrix::Packed(Packed::new(codes, scales, biases, quantization, device).unwrap()), values)
    }

    fn storages() -> Vec<Option<Quantization>> {
        let packed = |mode, bits, group_size| Some(Quantization { mode, bits, group_size });
        vec![
            None,
            packed(Mode::Affine, 4, 32),
            packed(Mode::Affine, 5, 32),
            packed(Mode::Affine, 8, 32),
            packed(Mode::Mxfp4, 4, 32),
            packed(Mode::Nvfp4, 4, 16),
            packed(Mode::Mxfp8, 8, 32),
        ]
    }

    fn gelu(x: f32) -> f32 {
        let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    }

    /// `[rows, in]` by `[out, in]`, of one expert of `w`.
    fn product(x: &[f32], w: &[f32], expert: usize, out: usize, input: usize) -> Vec<f32> {
        let w = &w[expert * out * input..(expert + 1) * out * input];
        w.chunks(input).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }

    /// The definition, a row and an expert at a time.
    fn reference(x: &Array, gate_up: &Array, down: &Array, experts: &[u32], weights: &[f32]) -> Vec<f32> {
        let (hidden, inner) = (HIDDEN as usize, INNER as usize);
        let (gate_up, down) = (host(gate_up), host(down));
        let top_k = experts.len() / x.dim(0) as usize;
        let mut sums = Vec::new();
        for (row, x) in host(x).chunks(hidden).enumerate() {
            let mut sum = vec![0.0; hidden];
            for k in row * top_k..(row + 1) * top_k {
                let expert = experts[k] as usize;
                let both = product(x, &gate_up, expert, 2 * inner, hidden);
                let glu: Vec<f32> = (0..inner).map(|i| gelu(both[i]) * both[inner + i]).collect();
                for (sum, y) in sum.iter_mut().zip(product(&glu, &down, expert, hidden, inner)) {
                    *sum += weights[k] * y;
                }
            }
            sums.extend(sum);
        }
        sums
    }

    #[test]
    fn every_way_gives_the_sum_of_the_chosen_experts() {
        for storage in storages() {
            for device in [Device::Cpu, Device::Gpu] {
                let (gate, gate_values) = matrix(INNER, HIDDEN, 1, storage, device);
                let (up, up_values) = matrix(INNER, HIDDEN, 2, storage, device);
                let (down, down_values) = matrix(HIDDEN, INNER, 3, storage, device);
                let values = concatenate(&[gate_values, up_values], 1).unwrap();
                let glu = Glu::GeluTanh(GeluGlu::new(Dtype::Float32).unwrap());
                let Ok(both) = Matrix::stacked(vec![gate, up]).unwrap() else { panic!() };
                let experts = Experts::new(vec![both], down, Around::default(), glu, device);
                // One row, few rows and, for the GPU, enough to be sorted.
                for rows in [1, 5, 40] {
                    let x = random(&[rows, HIDDEN], 7);
                    let routing = route(&random(&[rows, EXPERTS as i32], 8), 3).unwrap();
                    let chosen = to_host(&routing.experts).unwrap();
                    let expected = reference(&x, &values, &down_values, &chosen, &host(&routing.weights));
                    close(&host(&experts.forward(&x, &routing).unwrap()), &expected, 2e-3);
                }
            }
        }
    }

    #[test]
    fn matrices_that_are_stored_differently_are_not_joined() {
        let storages = [storages()[1], storages()[4]];
        let (gate, gate_values) = matrix(INNER, HIDDEN, 1, storages[0], Device::Cpu);
        let (up, up_values) = matrix(INNER, HIDDEN, 2, storages[1], Device::Cpu);
        let (down, down_values) = matrix(HIDDEN, INNER, 3, None, Device::Cpu);
        let glu = Glu::GeluTanh(GeluGlu::new(Dtype::Float32).unwrap());
        let Err(both) = Matrix::stacked(vec![gate, up]).unwrap() else { panic!() };
        let experts = Experts::new(both, down, Around::default(), glu, Device::Cpu);
        let x = random(&[6, HIDDEN], 7);
        let routing = route(&random(&[6, EXPERTS as i32], 8), 2).unwrap();
        let chosen = to_host(&routing.experts).unwrap();
        let values = concatenate(&[gate_values, up_values], 1).unwrap();
        let expected = reference(&x, &values, &down_values, &chosen, &host(&routing.weights));
        close(&host(&experts.forward(&x, &routing).unwrap()), &expected, 2e-3);
    }

    #[test]
    fn the_best_are_chosen_and_weighted_by_their_share() {
        let scores = Array::from_slice(&[0.0f32, 2.0, -1.0, 1.0, 5.0, 4.0, 4.5, -3.0], &[2, 4]);
        let routing = route(&scores, 2).unwrap();
        let experts = to_host(&routing.experts).unwrap();
        let weights = host(&routing.weights);
        for (row, best) in [(0, [(1, 2.0f32), (3, 1.0)]), (1, [(0, 5.0), (2, 4.5)])] {
            let sum: f32 = best.iter().map(|(_, score)| score.exp()).sum();
            let mut found: Vec<(u32, f32)> =
                (0..2).map(|k| (experts[row * 2 + k], weights[row * 2 + k])).collect();
            found.sort_by_key(|(expert, _)| *expert);
            for ((expert, weight), (wanted, score)) in found.into_iter().zip(best) {
                assert_eq!(expert, wanted);
                assert!((weight - score.exp() / sum).abs() < 1e-6, "{weight}");
            }
        }
    }
}
