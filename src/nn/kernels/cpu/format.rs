//! How rows of a matrix are stored, and their values in plain Rust.
//!
//! A *step* is 32 values of a row. Codes of all widths are a stream of bits whose first are the lowest ones, so a step of
//! `b` bits is `4 b` bytes. Scales are bytes in the float modes, else `f32`, one for each group of values; groups have 16
//! values for nvfp4 and a whole number of steps elsewhere.

use mlx_rs::Dtype;

use crate::nn::unpack::e2m1;
use crate::snapshot::quantization::{Mode, Quantization};

/// Values of a step.
pub const STEP: usize = 32;

/// What the values of a row are stored as: numbers, for which kernels are compiled.
pub const MXFP4: u8 = 0;
pub const NVFP4: u8 = 1;
pub const MXFP8: u8 = 2;
pub const BF16: u8 = 3;
pub const F16: u8 = 4;
pub const F32: u8 = 5;
/// Unsigned integers with a scale and a bias: the number of bits more than this.
pub const AFFINE: u8 = 8;
pub const AFFINE2: u8 = AFFINE + 2;
pub const AFFINE3: u8 = AFFINE + 3;
pub const AFFINE4: u8 = AFFINE + 4;
pub const AFFINE5: u8 = AFFINE + 5;
pub const AFFINE6: u8 = AFFINE + 6;
pub const AFFINE8: u8 = AFFINE + 8;

/// A function that is compiled for each format, of the one that `$format` is.
macro_rules! of_format {
    ($format:expr, $function:ident($($argument:expr),*)) => {
        format::of_format!(
            $format, $function, ($($argument),*),
            MXFP4 NVFP4 MXFP8 BF16 F16 F32 AFFINE2 AFFINE3 AFFINE4 AFFINE5 AFFINE6, AFFINE8
        )
    };
    ($format:expr, $function:ident, $arguments:tt, $($name:ident)*, $last:ident) => {
        match $format {
            $(format::$name => format::of_format!(@ $function, $name, $arguments),)*
            _ => format::of_format!(@ $function, $last, $arguments),
        }
    };
    (@ $function:ident, $name:ident, ($($argument:expr),*)) => {
        $function::<{ format::$name }>($($argument),*)
    };
}
pub(super) use of_format;

/// The format of a packed matrix whose rows have `input` values, if it is one that kernels take.
pub fn of_packed(quantization: Quantization, input: usize) -> Option<u8> {
    let Quantization { mode, bits, group_size } = quantization;
    let whole = input > 0 && input.is_multiple_of(STEP);
    let format = match (mode, bits, group_size) {
        (Mode::Mxfp4, 4, 32) => MXFP4,
        (Mode::Nvfp4, 4, 16) => NVFP4,
        (Mode::Mxfp8, 8, 32) => MXFP8,
        (Mode::Affine, 2 | 3 | 4 | 5 | 6 | 8, 32 | 64 | 128) => AFFINE + bits as u8,
        _ => return None,
    };
    whole.then_some(format)
}

/// The format of a dense matrix.
pub fn of_dense(dtype: Dtype) -> Option<u8> {
    match dtype {
        Dtype::Bfloat16 => Some(BF16),
        Dtype::Float16 => Some(F16),
        Dtype::Float32 => Some(F32),
        _ => None,
    }
}

/// A number of the format `BF16`, else of `F16`.
pub fn widened(format: u8, bits: u16) -> f32 {
    if format == BF16 { f32::from_bits(u32::from(bits) << 16) } else { half(bits) }
}

pub const fn bits(format: u8) -> usize {
    match format {
        MXFP4 | NVFP4 => 4,
        MXFP8 => 8,
        BF16 | F16 => 16,
        F32 => 32,
        _ => (format - AFFINE) as usize,
    }
}

/// Four-bit codes, which vector kernels take apart as a step's even values and then its odd ones.
pub const fn is_paired(format: u8) -> bool {
    bits(format) == 4
}

/// Matrices of the same format and size, one after the other: `[E, rows, input]`.
#[derive(Clone, Copy)]
pub struct Stored {
    pub format: u8,
    pub codes: *const u8,
    /// Of bytes or of `f32`; nothing where the format has none.
    pub scales: *const u8,
    pub biases: *const u8,
    pub rows: usize,
    pub input: usize,
    /// Values that share a scale.
    pub group: usize,
}

// SAFETY: it is read only, and lives as long as the operation that it is an input of.
unsafe impl Send for Stored {}
// SAFETY: as above.
unsafe impl Sync for Stored {}

impl Stored {
    pub fn row_bytes(&self) -> usize {
        self.input * bits(self.format) / 8
    }

    /// Row `index` of all rows of all matrices.
    pub fn row(&self, index: usize) -> Row {
        let groups = self.input.checked_div(self.group).unwrap_or(0);
        let scale_bytes = if self.format > AFFINE { 4 } else { 1 };
        Row {
            codes: self.codes.wrapping_add(index * self.row_bytes()),
            scales: self.scales.wrapping_add(index * groups * scale_bytes),
            biases: self.biases.wrapping_add(index * groups * 4),
            // Groups of less than a step are nvfp4's, which does not ask.
            shift: (self.group / STEP).max(1).trailing_zeros(),
        }
    }
}

/// Where a row begins.
#[derive(Clone, Copy)]
pub struct Row {
    pub codes: *const u8,
    pub scales: *const u8,
    pub biases: *const u8,
    /// Steps of a group, as a power of two.
    pub shift: u32,
}

impl Row {
    /// The codes of a step.
    #[inline(always)]
    pub fn step<const F: u8>(&self, step: usize) -> *const u8 {
        self.codes.wrapping_add(step * STEP * bits(F) / 8)
    }

    /// Scale and bias of a step of integers.
    ///
    /// # Safety
    /// The row has the step, and its scales are `f32`.
    #[inline(always)]
    pub unsafe fn affine(&self, step: usize) -> (f32, f32) {
        let group = step >> self.shift;
        // SAFETY: the group is one of the row's; MLX aligns arrays, and rows begin at whole numbers.
        unsafe { (*self.scales.cast::<f32>().add(group), *self.biases.cast::<f32>().add(group)) }
    }

    /// The `index`th scale byte.
    ///
    /// # Safety
    /// The row has so many groups, and its scales are bytes.
    #[inline(always)]
    pub unsafe fn byte(&self, index: usize) -> usize {
        // SAFETY: as the caller says.
        usize::from(unsafe { *self.scales.add(index) })
    }
}

/// Every number that a byte of a scale stands for, as MLX reads it.
pub struct Tables {
    pub e8m0: [f32; 256],
    pub e4m3: [f32; 256],
}

/// Made when this is compiled, so that no step asks whether they are there.
static TABLES: Tables = Tables::new();

pub fn tables() -> &'static Tables {
    &TABLES
}

impl Tables {
    const fn new() -> Tables {
        let mut tables = Tables { e8m0: [f32::NAN; 256], e4m3: [0.0; 256] };
        let mut code = 0;
        while code < 256 {
            // 2^-127 is no normal number.
            tables.e8m0[code] = match code {
                0 => f32::from_bits(1 << 22),
                255 => f32::NAN,
                _ => f32::from_bits((code as u32) << 23),
            };
            let (exponent, fraction) = ((code as u32) >> 3 & 15, (code & 7) as f32);
            let (whole, exponent) = if exponent == 0 { (fraction, 1) } else { (8.0 + fraction, exponent) };
            let magnitude = whole * f32::from_bits((exponent + 117) << 23);
            tables.e4m3[code] = if code < 128 { magnitude } else { -magnitude };
            code += 1;
        }
        tables
    }
}

/// The bytes of the `index`th of the numbers that follow each other from `at`.
///
/// # Safety
/// There is one.
unsafe fn bytes<const N: usize>(at: *const u8, index: usize) -> [u8; N] {
    // SAFETY: as the caller says.
    unsafe { at.add(index * N).cast::<[u8; N]>().read() }
}

/// The values of a step, in their order.
///
/// # Safety
/// The row is of format `F` and has the step.
#[inline(always)]
pub unsafe fn values<const F: u8>(row: &Row, step: usize) -> [f32; STEP] {
    let codes = row.step::<F>(step);
    let tables = tables();
    // SAFETY: all that is read is of the step.
    unsafe {
        match F {
            MXFP4 => {
                let scale = tables.e8m0[row.byte(step)];
                std::array::from_fn(|i| e2m1(code::<4>(codes, i)) * scale)
            }
            NVFP4 => {
                let scales = [row.byte(2 * step), row.byte(2 * step + 1)].map(|byte| tables.e4m3[byte]);
                std::array::from_fn(|i| e2m1(code::<4>(codes, i)) * scales[i / 16])
            }
            MXFP8 => {
                let scale = tables.e8m0[row.byte(step)];
                std::array::from_fn(|i| tables.e4m3[usize::from(*codes.add(i))] * scale)
            }
            BF16 | F16 => std::array::from_fn(|i| widened(F, u16::from_le_bytes(bytes(codes, i)))),
            F32 => std::array::from_fn(|i| f32::from_le_bytes(bytes(codes, i))),
            _ => {
                let (scale, bias) = row.affine(step);
                std::array::from_fn(|i| {
                    let code = match F - AFFINE {
                        2 => code::<2>(codes, i),
                        3 => code::<3>(codes, i),
                        4 => code::<4>(codes, i),
                        5 => code::<5>(codes, i),
                        6 => code::<6>(codes, i),
                        _ => code::<8>(codes, i),
                    };
                    f32::from(code) * scale + bias
                })
            }
        }
    }
}

/// Code `index` of `B` bits.
///
/// # Safety
/// There is one.
#[inline(always)]
unsafe fn code<const B: usize>(codes: *const u8, index: usize) -> u8 {
    let (byte, shift) = (index * B / 8, index * B % 8);
    // SAFETY: the second byte is read only where the code goes on in it.
    let both = unsafe {
        let low = u16::from(*codes.add(byte));
        if shift + B > 8 { low | u16::from(*codes.add(byte + 1)) << 8 } else { low }
    };
    (both >> shift) as u8 & (0xff >> (8 - B))
}

/// The value of a 16-bit float.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * (-24f32).exp2(),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * ((exponent - 25) as f32).exp2(),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::unpack::{e4m3, e8m0};

    #[test]
    fn tables_have_the_numbers_of_every_byte() {
        for code in 0..=255u8 {
            let index = usize::from(code);
            assert_eq!(tables().e8m0[index].to_bits(), e8m0(code).to_bits(), "{code}");
            assert_eq!(tables().e4m3[index].to_bits(), e4m3(code).to_bits(), "{code}");
        }
    }
}
