//! The questions of the self-test, put to MLX on its current stream, by the ways that models take.

use mlx_rs::{Array, Dtype};

use super::Operations;
use super::cases::{Attention, Product, Stored};
use crate::error::Result;
use crate::nn::Device;
use crate::nn::attention::{Mask, MaskShape, attend};
use crate::nn::matrix::{Matrix, Packed};
use crate::nn::norm::cast;

/// MLX on a device, whose stream must be the current one.
pub struct Mlx(pub Device);

impl Mlx {
    fn dtype(&self) -> Dtype {
        match self.0 {
            Device::Cpu => Dtype::Float32,
            Device::Gpu => Dtype::Bfloat16,
        }
    }

    fn array(&self, values: &[f32], shape: &[usize]) -> Result<Array> {
        array(values, shape, self.dtype())
    }
}

impl Operations for Mlx {
    fn product(&self, product: &Product, rows: usize) -> Result<Vec<f32>> {
        let Product { stored, weights, output, input, .. } = product;
        let matrix = match (stored, packed(product, self.dtype())?) {
            (Stored::Packed { quantization, .. }, Some((codes, scales, biases))) => {
                Matrix::Packed(Packed::new(codes, scales, biases, *quantization, self.0)?)
            }
            _ => Matrix::Dense(self.array(weights, &[*output, *input])?),
        };
        values(&matrix.multiply(&self.array(&product.x(rows), &[rows, *input])?)?)
    }

    fn attention(&self, attention: &Attention) -> Result<Vec<f32>> {
        let Attention { heads, head_dim, queries, keys, .. } = *attention;
        let q = self.array(&attention.q, &[1, heads, queries, head_dim])?;
        let k = self.array(&attention.k, &[1, 1, keys, head_dim])?;
        let v = self.array(&attention.v, &[1, 1, keys, head_dim])?;
        let mask = Mask::new(&MaskShape { queries, keys, window: None, blocks: &[] }, self.0)?;
        values(&attend(&q, &k, &v, attention.scale, &mask, self.0)?)
    }
}

/// Codes, scales and biases.
pub type Parts = (Array, Array, Option<Array>);

/// The arrays of a packed `W`, those of floats in `dtype`.
pub fn packed(product: &Product, dtype: Dtype) -> Result<Option<Parts>> {
    let Stored::Packed { codes, bytes, scales, biases, quantization } = &product.stored else {
        return Ok(None);
    };
    let rows = product.output as i32;
    let groups = [product.output, product.input / quantization.group_size as usize];
    let codes = Array::from_slice(codes, &[rows, quantization.words(product.input) as i32]);
    Ok(Some(if bytes.is_empty() {
        (codes, array(scales, &groups, dtype)?, Some(array(biases, &groups, dtype)?))
    } else {
        (codes, Array::from_slice(bytes, &[rows, groups[1] as i32]), None)
    }))
}

fn array(values: &[f32], shape: &[usize], dtype: Dtype) -> Result<Array> {
    let shape: Vec<i32> = shape.iter().map(|&n| n as i32).collect();
    cast(&Array::from_slice(values, &shape), dtype)
}

/// The values in row-major order.
fn values(array: &Array) -> Result<Vec<f32>> {
    let flat = array.reshape(&[-1])?.as_dtype(Dtype::Float32)?;
    flat.eval()?;
    Ok(flat.as_slice::<f32>().to_vec())
}
