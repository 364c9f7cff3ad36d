//! The inverse cosine transform: libjpeg's exact one of integers, with the saturations of libjpeg-turbo's vector code.

use std::num::Wrapping;

use super::scans::{Block, Quantization};

type Int = Wrapping<i32>;

/// Fraction bits of the constants, and those that the first pass leaves.
const CONST_BITS: usize = 13;
const PASS1_BITS: usize = 2;

const fn fix(x: f64) -> Int {
    Wrapping((x * (1 << CONST_BITS) as f64 + 0.5) as i32)
}

/// Eight samples of one column or row, of which each has `CONST_BITS` more fraction bits than the coefficients.
fn transform(x: [Int; 8]) -> [Int; 8] {
    let z1 = (x[2] + x[6]) * fix(0.541196100);
    let tmp2 = z1 - x[6] * fix(1.847759065);
    let tmp3 = z1 + x[2] * fix(0.765366865);
    let tmp0 = (x[0] + x[4]) << CONST_BITS;
    let tmp1 = (x[0] - x[4]) << CONST_BITS;
    let even = [tmp0 + tmp3, tmp1 + tmp2, tmp1 - tmp2, tmp0 - tmp3];

    let (z3, z4) = (x[7] + x[3], x[5] + x[1]);
    let z5 = (z3 + z4) * fix(1.175875602);
    let z1 = -(x[7] + x[1]) * fix(0.899976223);
    let z2 = -(x[5] + x[3]) * fix(2.562915447);
    let z3 = z5 - z3 * fix(1.961570560);
    let z4 = z5 - z4 * fix(0.390180644);
    let odd = [
        x[1] * fix(1.501321110) + z1 + z4,
        x[3] * fix(3.072711026) + z2 + z3,
        x[5] * fix(2.053119869) + z2 + z4,
        x[7] * fix(0.298631336) + z1 + z3,
    ];
    std::array::from_fn(|i| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] })
}

/// Drops fraction bits, rounding.
fn descale(x: Int, bits: usize) -> i32 {
    ((x + Wrapping(1 << (bits - 1))) >> bits).0
}

/// Writes the 8 x 8 samples of a block to the beginnings of rows that are `stride` bytes apart.
pub fn inverse(block: &Block, quantization: &Quantization, out: &mut [u8], stride: usize) {
    if block[1..].iter().all(|&c| c == 0) {
        let level = i32::from(block[0].wrapping_mul(quantization[0] as i16)) << PASS1_BITS;
        let sample = sample(descale(Wrapping(level), PASS1_BITS + 3));
        out.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(sample));
        return;
    }
    let mut columns = [0i16; 64];
    for i in 0..8 {
        let value = |row: usize| {
            let at = row * 8 + i;
            Wrapping(i32::from(block[at].wrapping_mul(quantization[at] as i16)))
        };
        let column = transform(std::array::from_fn(value));
        for (row, x) in column.into_iter().enumerate() {
            let level = descale(x, CONST_BITS - PASS1_BITS);
            columns[row * 8 + i] = level.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
    for (row, out) in columns.as_chunks::<8>().0.iter().zip(out.chunks_mut(stride)) {
        let row = transform(row.map(|x| Wrapping(i32::from(x))));
        for (out, x) in out.iter_mut().zip(row) {
            *out = sample(descale(x, CONST_BITS + PASS1_BITS + 3));
        }
    }
}

fn sample(level: i32) -> u8 {
    (level.clamp(-128, 127) + 128) as u8
}
