//! Activation functions, from plain operations: MLX's compiled ones call a C++ compiler at run time on the CPU.

use mlx_rs::ops::{erf, sigmoid};
use mlx_rs::{Array, Dtype};

use super::kernels::{RowFunction, rows};
use super::mlx::halves;
use super::norm::cast;
use crate::error::Result;

/// `gelu_tanh(gate) · up`.
#[derive(Clone)]
pub struct GeluGlu {
    linear: Array,
    cubic: Array,
}

impl GeluGlu {
    /// Constants in the activations' dtype: an `f32` one would turn everything after it into `f32`.
    pub fn new(dtype: Dtype) -> Result<GeluGlu> {
        let twice = 2.0 * (2.0 / std::f32::consts::PI).sqrt();
        let constant = |value: f32| Array::from_f32(value).as_dtype(dtype);
        Ok(GeluGlu { linear: constant(twice)?, cubic: constant(twice * 0.044_715)? })
    }

    /// `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))` is `x · sigmoid(x (a + b x²))` with `a = 2√(2/π)` and
    /// `b = 0.044715 a`, which takes fewer operations.
    pub fn forward(&self, gate: &Array, up: &Array) -> Result<Array> {
        if let Some(gated) = rows(RowFunction::Gelu, gate, Some(up)) {
            return gated;
        }
        let inner = gate.square()?.multiply(&self.cubic)?.add(&self.linear)?.multiply(gate)?;
        Ok(gate.multiply(sigmoid(inner)?)?.multiply(up)?)
    }

    /// `gelu_tanh(x)`.
    pub fn plain(&self, x: &Array) -> Result<Array> {
        if let Some(activated) = rows(RowFunction::Gelu, x, None) {
            return activated;
        }
        let inner = x.square()?.multiply(&self.cubic)?.add(&self.linear)?.multiply(x)?;
        Ok(x.multiply(sigmoid(inner)?)?)
    }
}

/// `act(gate) · up` for the activations that language models have.
#[derive(Clone)]
pub enum Glu {
    GeluTanh(GeluGlu),
    Silu,
}

impl Glu {
    pub fn forward(&self, gate: &Array, up: &Array) -> Result<Array> {
        match self {
            Glu::GeluTanh(gelu) => gelu.forward(gate, up),
            Glu::Silu => rows(RowFunction::Silu, gate, Some(up))
                .unwrap_or_else(|| Ok(gate.multiply(sigmoid(gate)?)?.multiply(up)?)),
        }
    }

    /// Of the gate and up halves of the last axis: `[.., 2n]` → `[.., n]`.
    pub fn halves(&self, both: &Array) -> Result<Array> {
        let function = match self {
            Glu::GeluTanh(_) => RowFunction::GeluGlu,
            Glu::Silu => RowFunction::SiluGlu,
        };
        if let Some(gated) = rows(function, both, None) {
            return gated;
        }
        let [gate, up] = halves(both)?;
        self.forward(&gate, &up)
    }
}

/// `x · sigmoid(x)`.
pub fn silu(x: &Array) -> Result<Array> {
    rows(RowFunction::Silu, x, None).unwrap_or_else(|| Ok(x.multiply(sigmoid(x)?)?))
}

/// `x · Φ(x)` with the error function, not its approximation; computed in `f32`.
pub fn gelu_erf(x: &Array) -> Result<Array> {
    let wide = cast(x, Dtype::Float32)?;
    let scaled = wide.multiply(Array::from_f32(std::f32::consts::FRAC_1_SQRT_2))?;
    let half = wide.multiply(Array::from_f32(0.5))?;
    cast(&half.multiply(erf(scaled)?.add(Array::from_f32(1.0))?)?, x.dtype())
}

#[cfg(test)]
mod tests {
    use mlx_rs::ops::concatenate;

    use super::*;
    use crate::nn::testing::{close, host, random};

    #[test]
    fn gelu_is_its_formula() {
        let (x, up) = (random(&[200], 4).multiply(Array::from_f32(6.0)).unwrap(), random(&[200], 5));
        let expected: Vec<f32> = host(&x)
            .iter()
            .zip(host(&up))
            .map(|(&x, up)| {
                let x = f64::from(x);
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                (0.5 * x * (1.0 + inner.tanh())) as f32 * up
            })
            .collect();
        let glu = GeluGlu::new(Dtype::Float32).unwrap();
        close(&host(&glu.forward(&x, &up).unwrap()), &expected, 5e-6);
        let both =
            concatenate(&[x.reshape(&[5, 1, 40]).unwrap(), up.reshape(&[5, 1, 40]).unwrap()], -1).unwrap();
        close(&host(&Glu::GeluTanh(glu.clone()).halves(&both).unwrap()), &expected, 5e-6);
        let ones = Array::from_slice(&[1.0f32; 200], &[200]);
        close(&host(&glu.plain(&x).unwrap()), &host(&glu.forward(&x, &ones).unwrap()), 0.0);
    }

    #[test]
    fn gelu_with_the_error_function_is_not_its_approximation() {
        let x = Array::from_slice(&[-3.0f32, -1.0, 0.0, 0.5, 2.0], &[5]);
        // x · Φ(x) to eight digits.
        let expected = [-0.004_049_694, -0.158_655_25, 0.0, 0.345_731_23, 1.954_499_7];
        close(&host(&gelu_erf(&x).unwrap()), &expected, 3e-7);
    }

    #[test]
    fn silu_gates() {
        let (gate, up) = (Array::from_slice(&[1.0f32, -2.0], &[2]), Array::from_slice(&[2.0f32, 3.0], &[2]));
        close(&host(&Glu::Silu.forward(&gate, &up).unwrap()), &[1.462_117_2, -0.715_217_5], 1e-6);
    }
}
