//! Mixtures of experts: each row goes through a few of many gated networks.

use mlx_rs::ops::indexing::take_along_axis;
use mlx_rs::ops::{argpartition_axis, argsort, concatenate, softmax_axis};
use mlx_rs::{Array, Dtype};

use super::activation::GeluGlu;
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

/// `down(gelu(gate x) · up x)` for each expert.
pub struct Experts {
    /// Gate and up, `[E, 2I, H]` or, where they are stored differently, `[E, I, H]` each.
    gate_up: Vec<Matrix>,
    /// `[E, H, I]`.
    down: Matrix,
    glu: GeluGlu,
    device: Device,
}

impl Experts {
    /// `gate_up` is one matrix, or two.
    pub fn new(gate_up: Vec<Matrix>, down: Matrix, glu: GeluGlu, device: Device) -> Result<Experts> {
        let gate_up = match Matrix::stacked(gate_up)? {
            Ok(stacked) => vec![stacked],
            Err(parts) => parts,
        };
        Ok(Experts { gate_up, down, glu, device })
    }

    /// The weighted sum of each row's experts: `[T, H]` → `[T, H]`.
    ///
    /// Lazy on the GPU. On the CPU the routing is evaluated: see [`by_expert`](Self::by_expert).
    pub fn forward(&self, x: &Array, routing: &Routing) -> Result<Array> {
        let products = match self.device {
            Device::Cpu => self.by_expert(x, &routing.experts)?,
            Device::Gpu if routing.experts.size() as i32 >= SORT_FROM => self.sorted(x, &routing.experts)?,
            Device::Gpu => self.unsorted(x, &routing.experts)?,
        };
        let weights = routing.weights.expand_dims(-1)?;
        cast(&products.multiply(weights)?.sum_axis(1, false)?, x.dtype())
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
        self.down.gather(&inner, experts, sorted)
    }

    /// The same, an expert after the other. MLX's CPU backend gathers a row at a time, with the kernels that
    /// [`Matrix::multiply`] avoids for several rows; here an expert's rows are one product. That takes their numbers,
    /// so the routing is evaluated.
    fn by_expert(&self, x: &Array, experts: &Array) -> Result<Array> {
        let (rows, top_k, width) = (x.dim(0), experts.dim(1), x.dim(1));
        let chosen = experts
            .reshape(&[-1])?
            .to_vec_cast::<u32>()
            .map_err(|e| Error::new(Code::Backend, format!("the routing of experts: {e}")))?;
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
        self.down.expert(expert)?.multiply(&inner)
    }

    fn glu_of(&self, product: impl Fn(&Matrix) -> Result<Array>) -> Result<Array> {
        match &self.gate_up[..] {
            [gate, up] => self.glu.forward(&product(gate)?, &product(up)?),
            [both] => self.glu.halves(&product(both)?),
            _ => Err(Error::new(Code::Backend, "experts have a gate and an up matrix")),
        }
    }

    pub fn arrays(&self) -> Vec<&Array> {
        self.gate_up.iter().chain([&self.down]).flat_map(Matrix::arrays).collect()
    }
}
