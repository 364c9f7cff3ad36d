//! Products with packed rows on MLX's CPU backend: the exact `f32` values, in few passes over few MB.
//!
//! MLX's own `dequantize` takes 5 to 30 ns a weight there. Operations over whole arrays with one scalar or
//! broadcast operand take 0.2 to 0.4 ns, so codes are taken apart by shifts and masks: one *plane* for each place
//! of a code in its 32-bit word. Four-bit floats are looked up, four at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::thread::LocalKey;

use mlx_rs::{Array, Dtype};

use super::matrix::Packed;
use super::mlx::{self, bitwise_and as and, left_shift, right_shift};
use crate::error::Result;
use crate::snapshot::quantization::{Mode, Quantization};

/// How the codes of one quantization become numbers; the constants for it, which all its matrices share.
#[derive(Clone)]
pub struct Unpack {
    way: Rc<Way>,
    quantization: Quantization,
}

/// What exists once on a thread, as its arrays belong to it, and as long as somebody there holds it.
type Shared<K, V> = RefCell<HashMap<K, Weak<V>>>;

thread_local! {
    static WAYS: Shared<(Mode, i32), Way> = RefCell::default();
    /// Half a MB, of both modes of four-bit floats.
    static E2M1_QUADS: Shared<(), Array> = RefCell::default();
}

enum Way {
    /// Unsigned integers of 2, 4 or 8 bits: shift down, mask, convert.
    Integers { shifts: Array, mask: Array },
    /// E4M3: shift so that sign, exponent and fraction are where an `f32` has them.
    Bytes { shifts: Array, place: Array, mask: Array, scales: Array, gain: Array },
    /// E2M1: `pairs[16 bits]` is four `bf16`; `scales[code]` is the scale.
    Table { quads: Rc<Array>, scales: Array },
    /// Codes that straddle words: MLX's own way.
    Dequantize,
}

/// Exponents of E4M3 and `f32` are biased by 7 and 127.
const EXPONENT_SHIFT: i32 = 120;

impl Unpack {
    pub fn new(quantization: Quantization) -> Result<Unpack> {
        let Quantization { mode, bits, .. } = quantization;
        let way = shared(&WAYS, (mode, bits), || Way::new(mode, bits))?;
        Ok(Unpack { way, quantization })
    }

    /// Measured nanoseconds a weight: for each row of `x` by MLX's kernel, and once by this way.
    pub fn costs(&self) -> (f64, f64) {
        match *self.way {
            Way::Integers { .. } => (0.75, 1.6),
            Way::Bytes { .. } => (6.0, 1.2),
            Way::Table { .. } => (0.4, 2.8),
            Way::Dequantize => (0.9, 25.0),
        }
    }

    /// `x` `[T, in]` in the order in which [`product`](Self::product) wants it.
    pub fn arrange(&self, x: &Array) -> Result<Array> {
        match &*self.way {
            Way::Integers { .. } => self.by_plane(x),
            // Half of the exponents' difference goes into x, half into the scales, so that neither overflows.
            Way::Bytes { gain, .. } => Ok(self.by_plane(x)?.multiply(gain)?),
            Way::Table { .. } | Way::Dequantize => Ok(x.clone()),
        }
    }

    /// Bytes of the table that all matrices of the mode share.
    pub fn table_bytes(&self) -> usize {
        match &*self.way {
            Way::Table { quads, .. } => quads.nbytes(),
            _ => 0,
        }
    }

    /// Products that are added up.
    pub fn planes(&self) -> usize {
        match &*self.way {
            Way::Integers { .. } | Way::Bytes { .. } => 32 / self.quantization.bits as usize,
            Way::Table { .. } | Way::Dequantize => 1,
        }
    }

    /// `[T, in]` → `[planes, T, words]`.
    fn by_plane(&self, x: &Array) -> Result<Array> {
        let planes = 32 / self.quantization.bits;
        Ok(x.reshape(&[x.dim(0), -1, planes])?.transpose_axes(&[2, 0, 1])?.contiguous()?)
    }

    /// `x · Wᵀ` for an [`arrange`](Self::arrange)d `x` and all rows of `w`: `[T, out]`.
    pub fn product(&self, x: &Array, w: &Packed) -> Result<Array> {
        let values = self.values(w)?;
        let product = x.matmul(values.swap_axes(-1, -2)?)?;
        Ok(if product.ndim() == 3 { product.sum_axis(0, false)? } else { product })
    }

    /// `[out, in]`, or `[planes, out, words]`.
    fn values(&self, w: &Packed) -> Result<Array> {
        match &*self.way {
            Way::Integers { shifts, mask } => {
                let codes = right_shift(&w.codes.expand_dims(0)?, shifts)?;
                let codes = and(&codes, mask)?.view_dtype(Dtype::Int32)?.as_dtype(Dtype::Float32)?;
                self.scaled(&codes, &w.scales, w.biases.as_ref())
            }
            Way::Bytes { shifts, place, mask, scales, .. } => {
                let words = w.codes.view_dtype(Dtype::Int32)?.expand_dims(0)?;
                let bits = and(&right_shift(&left_shift(&words, shifts)?, place)?, mask)?;
                self.scaled(&bits.view_dtype(Dtype::Float32)?, &scales.take_axis(&w.scales, 0)?, None)
            }
            Way::Table { quads, scales } => {
                let values =
                    quads.take_axis(w.codes.view_dtype(Dtype::Uint16)?, 0)?.view_dtype(Dtype::Bfloat16)?;
                self.scaled(&values.as_dtype(Dtype::Float32)?, &scales.take_axis(&w.scales, 0)?, None)
            }
            Way::Dequantize => {
                mlx::dequantize(&w.codes, &w.scales, w.biases.as_ref(), self.quantization, Dtype::Float32)
            }
        }
    }

    /// `values · scale + bias` with the groups along the last axis.
    fn scaled(&self, values: &Array, scales: &Array, biases: Option<&Array>) -> Result<Array> {
        let (rows, groups) = (scales.dim(0), scales.dim(1));
        let shape = values.shape().to_vec();
        let grouped = values.reshape(&[-1, rows, groups, shape[shape.len() - 1] / groups])?;
        let mut scaled = grouped.multiply(scales.expand_dims(-1)?)?;
        if let Some(biases) = biases {
            scaled = scaled.add(biases.expand_dims(-1)?)?;
        }
        Ok(scaled.reshape(&shape)?)
    }
}

impl Way {
    fn new(mode: Mode, bits: i32) -> Result<Way> {
        Ok(match mode {
            Mode::Affine if 32 % bits == 0 => {
                let shifts: Vec<u32> = (0..32 / bits as u32).map(|k| k * bits as u32).collect();
                let shifts = Array::from_slice(&shifts, &[shifts.len() as i32, 1, 1]);
                Way::Integers { shifts, mask: Array::from_slice(&[(1u32 << bits) - 1], &[1]) }
            }
            Mode::Affine => Way::Dequantize,
            Mode::Mxfp8 => Way::Bytes {
                shifts: Array::from_slice(&[24i32, 16, 8, 0], &[4, 1, 1]),
                place: Array::from_int(4),
                mask: Array::from_int(0x87f0_0000_u32 as i32),
                scales: table(|code| e8m0(code) * exp2(EXPONENT_SHIFT / 2)),
                gain: Array::from_f32(exp2(EXPONENT_SHIFT / 2)),
            },
            Mode::Mxfp4 => Way::Table { quads: shared(&E2M1_QUADS, (), e2m1_quads)?, scales: table(e8m0) },
            Mode::Nvfp4 => Way::Table { quads: shared(&E2M1_QUADS, (), e2m1_quads)?, scales: table(e4m3) },
        })
    }
}

/// The one of `key`, made by the first who asks.
fn shared<K: Eq + Hash, V>(
    registry: &'static LocalKey<Shared<K, V>>,
    key: K,
    make: impl FnOnce() -> Result<V>,
) -> Result<Rc<V>> {
    registry.with_borrow_mut(|known| {
        if let Some(value) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        let value = Rc::new(make()?);
        known.insert(key, Rc::downgrade(&value));
        Ok(value)
    })
}

/// `[256]` of `f` at every byte.
fn table(f: impl Fn(u8) -> f32) -> Array {
    let values: Vec<f32> = (0..=255).map(f).collect();
    Array::from_slice(&values, &[256])
}

fn exp2(exponent: i32) -> f32 {
    (exponent as f32).exp2()
}

/// A power of two.
pub(super) fn e8m0(code: u8) -> f32 {
    if code == 255 { f32::NAN } else { (f64::from(code) - 127.0).exp2() as f32 }
}

/// As MLX reads it: the code that stands for NaN elsewhere is 480.
pub(super) fn e4m3(code: u8) -> f32 {
    let (exponent, fraction) = (i32::from(code >> 3 & 15), f32::from(code & 7));
    let magnitude = if exponent == 0 { fraction * exp2(-9) } else { (8.0 + fraction) * exp2(exponent - 10) };
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// A float of four bits.
pub(super) fn e2m1(code: u8) -> f32 {
    const MAGNITUDES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let magnitude = MAGNITUDES[usize::from(code & 7)];
    if code & 8 == 0 { magnitude } else { -magnitude }
}

/// `[65536]` of four `bf16` in eight bytes, as the largest element that MLX gathers in one piece.
fn e2m1_quads() -> Result<Array> {
    let bf16 = |code: u32| e2m1(code as u8).to_bits() >> 16;
    let pair = |byte: u32| bf16(byte & 15) | bf16(byte >> 4 & 15) << 16;
    let words: Vec<u32> = (0..=0xffffu32).flat_map(|quad| [pair(quad & 0xff), pair(quad >> 8)]).collect();
    Ok(Array::from_slice(&words, &[words.len() as i32]).view_dtype(Dtype::Complex64)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Device;
    use crate::nn::testing::{close, host, random};

    fn packed(codes: Array, scales: Array, biases: Option<Array>, quantization: Quantization) -> Packed {
        Packed::new(codes, scales, biases, quantization, Device::Cpu).unwrap()
    }

    #[test]
    fn every_code_and_scale_is_exact() {
        for (mode, bits, group_size) in [(Mode::Mxfp4, 4, 32), (Mode::Nvfp4, 4, 16), (Mode::Mxfp8, 8, 32)] {
            let quantization = Quantization { mode, bits, group_size };
            // One group for each scale that a weight can have, with all codes in the groups of a row.
            let scales: Vec<u8> = if mode == Mode::Nvfp4 { (0..=255).collect() } else { (80..190).collect() };
            let rows = scales.len() as i32;
            let words: Vec<u32> =
                (0..rows as u32 * 64).map(|i| i.wrapping_mul(0x9e37_79b1).rotate_left(i % 29)).collect();
            let codes = Array::from_slice(&words, &[rows, 64]);
            let groups = 64 * 32 / bits / group_size;
            let scales: Vec<u8> = scales.iter().flat_map(|s| vec![*s; groups as usize]).collect();
            let scales = Array::from_slice(&scales, &[rows, groups]);
            let expected = mlx::dequantize(&codes, &scales, None, quantization, Dtype::Float32).unwrap();
            let unpack = Unpack::new(quantization).unwrap();
            let mut values = unpack.values(&packed(codes, scales, None, quantization)).unwrap();
            if values.ndim() == 3 {
                let half = Array::from_f32(exp2(EXPONENT_SHIFT / 2));
                values = values.multiply(half).unwrap().transpose_axes(&[1, 2, 0]).unwrap();
            }
            assert_eq!(host(&values), host(&expected), "{quantization}");
        }
    }

    #[test]
    fn tables_are_shared_as_long_as_a_matrix_uses_them() {
        let of = |mode, group_size| Unpack::new(Quantization { mode, bits: 4, group_size }).unwrap();
        let quads = |unpack: &Unpack| match &*unpack.way {
            Way::Table { quads, .. } => Rc::clone(quads),
            _ => panic!(),
        };
        let (first, second, other) = (of(Mode::Mxfp4, 32), of(Mode::Mxfp4, 32), of(Mode::Nvfp4, 16));
        assert!(Rc::ptr_eq(&first.way, &second.way) && !Rc::ptr_eq(&first.way, &other.way));
        assert!(Rc::ptr_eq(&quads(&first), &quads(&other)));
        let affine = [of(Mode::Affine, 32), of(Mode::Affine, 128)];
        assert!(Rc::ptr_eq(&affine[0].way, &affine[1].way));
        let left = Rc::downgrade(&quads(&first));
        drop((first, second, other));
        assert!(left.upgrade().is_none());
    }

    #[test]
    fn integers_are_exact() {
        for bits in [2, 4, 8] {
            let quantization = Quantization { mode: Mode::Affine, bits, group_size: 32 };
            let (codes, scales, biases) = mlx::quantize(&random(&[16, 128], 1), quantization).unwrap();
            let expected =
                mlx::dequantize(&codes, &scales, biases.as_ref(), quantization, Dtype::Float32).unwrap();
            let unpack = Unpack::new(quantization).unwrap();
            let values = unpack.values(&packed(codes, scales, biases, quantization)).unwrap();
            close(&host(&values.transpose_axes(&[1, 2, 0]).unwrap()), &host(&expected), 1e-6);
        }
    }
}
