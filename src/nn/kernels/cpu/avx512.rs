//! The products by AVX-512, 16 numbers at a time.
//!
//! A step of four-bit codes is 16 bytes: widened to 16 numbers of 32 bits, their low four bits choose the even values from a
//! table of 16, and shifted down by four, the odd ones. E4M3 has the layout of a half float's upper bits but for the
//! exponent's bias, so it goes through one: exact, and without `f32` denormals, which cost 20 times. Codes of 2, 3, 5 and 6
//! bits are brought, 16 at a time, two bytes to each lane, and shifted down by what is the lane's.

use std::arch::x86_64::*;
use std::ops::Range;

use super::attention::tiles::{self, Tiles, attention};
use super::attention::{self, Attention, Block, Strided};
use super::format::{self, AFFINE4, AFFINE8, Row, STEP, Stored, tables};
use super::products::{AHEAD, FEW, Kernels, Pair, TILE_INPUT, products};
use super::rows;

pub const KERNELS: Kernels = Kernels {
    #[cfg(test)]
    name: "avx512",
    pairs: true,
    few,
    many,
    row: rows::avx512,
    attend,
};

pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}

type V = __m512;
const LANES: usize = 16;
const PARTS: usize = STEP / LANES;
const TILE_X: usize = 6;
/// Rows of the matrix at a time, for 1, 2, 4 and 8 rows of `x`.
const ROWS: [usize; 4] = [4, 4, 4, 2];

const E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];
const INTEGERS: [f32; 16] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn zero() -> V {
    _mm512_setzero_ps()
}

/// Asks for the line of memory at an address, whatever is there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn fetch(at: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(at.cast());
}

/// # Safety
/// There are so many numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn load(from: *const f32) -> V {
    // SAFETY: as the caller says.
    unsafe { _mm512_loadu_ps(from) }
}

/// # Safety
/// There is room for so many numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn store(to: *mut f32, v: V) {
    // SAFETY: as the caller says.
    unsafe { _mm512_storeu_ps(to, v) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn splat(value: f32) -> V {
    _mm512_set1_ps(value)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn fma(a: V, b: V, c: V) -> V {
    _mm512_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn sum(v: V) -> f32 {
    _mm512_reduce_add_ps(v)
}

/// The sums of four vectors, all halves of them at once.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn sum4(v: [V; 4]) -> [f32; 4] {
    let low = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    let high = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
    let all = _mm512_add_ps(
        _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
        _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)),
    );
    let half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    let quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    let mut four = [0.0; 4];
    // SAFETY: the array has room for four numbers.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), quarter) };
    four
}

/// # Safety
/// The row is of format `F` and has the step.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn decode<const F: u8>(row: &Row, step: usize) -> [V; PARTS] {
    let codes = row.step::<F>(step);
    // SAFETY: what is read is the step's: 4 bytes for each bit of a code.
    unsafe {
        match F {
            format::MXFP4 => {
                let scale = _mm512_set1_ps(tables().e8m0[row.byte(step)]);
                nibbles(codes, &E2M1).map(|v| _mm512_mul_ps(v, scale))
            }
            format::NVFP4 => {
                let table = &tables().e4m3;
                let first = _mm512_set1_ps(table[row.byte(2 * step)]);
                let second = _mm512_set1_ps(table[row.byte(2 * step + 1)]);
                // Byte 8, the even value 16 and the odd value 17, begins the second group.
                let scale = _mm512_mask_blend_ps(0xff00, first, second);
                nibbles(codes, &E2M1).map(|v| _mm512_mul_ps(v, scale))
            }
            format::MXFP8 => {
                let scale = _mm512_set1_ps(tables().e8m0[row.byte(step)]);
                [0, 16].map(|at| {
                    let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes.add(at).cast()));
                    let half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(!0x4000));
                    let value = _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0));
                    _mm512_mul_ps(value, scale)
                })
            }
            format::BF16 => [0, 32].map(|at| {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(codes.add(at).cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))
            }),
            format::F16 => [0, 32].map(|at| _mm512_cvtph_ps(_mm256_loadu_si256(codes.add(at).cast()))),
            format::F32 => [0, 64].map(|at| _mm512_loadu_ps(codes.add(at).cast())),
            AFFINE4 => {
                let (scale, bias) = row.affine(step);
                let (scale, bias) = (_mm512_set1_ps(scale), _mm512_set1_ps(bias));
                nibbles(codes, &INTEGERS).map(|v| _mm512_fmadd_ps(v, scale, bias))
            }
            AFFINE8 => {
                let (scale, bias) = row.affine(step);
                let (scale, bias) = (_mm512_set1_ps(scale), _mm512_set1_ps(bias));
                [0, 16].map(|at| {
                    let wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(codes.add(at).cast()));
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide), scale, bias)
                })
            }
            _ => {
                let (scale, bias) = row.affine(step);
                let (scale, bias) = (_mm512_set1_ps(scale), _mm512_set1_ps(bias));
                let bits = format::bits(F);
                [0, 2 * bits]
                    .map(|at| _mm512_fmadd_ps(_mm512_cvtepi32_ps(sixteen::<F>(codes.add(at))), scale, bias))
            }
        }
    }
}

/// What the codes of 16 bytes choose of a table: the even ones, and the odd ones.
///
/// # Safety
/// There are 16 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn nibbles(codes: *const u8, table: &[f32; 16]) -> [V; 2] {
    // SAFETY: as the caller says; the table has 16 numbers.
    let (wide, table) =
        unsafe { (_mm512_cvtepu8_epi32(_mm_loadu_si128(codes.cast())), _mm512_loadu_ps(table.as_ptr())) };
    // Only the low four bits of an index count.
    [_mm512_permutexvar_ps(wide, table), _mm512_permutexvar_ps(_mm512_srli_epi32(wide, 4), table)]
}

/// 16 codes of 2, 3, 5 or 6 bits.
///
/// # Safety
/// There are their bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn sixteen<const F: u8>(codes: *const u8) -> __m512i {
    const fn places(bits: usize) -> ([u8; 64], [u32; 16]) {
        let (mut bytes, mut shifts) = ([0x80; 64], [0; 16]);
        let mut lane = 0;
        while lane < 16 {
            let byte = (lane * bits / 8) as u8;
            bytes[4 * lane] = byte;
            bytes[4 * lane + 1] = byte + 1;
            shifts[lane] = (lane * bits % 8) as u32;
            lane += 1;
        }
        (bytes, shifts)
    }
    let bits = format::bits(F);
    let (bytes, shifts) = const { places(format::bits(F)) };
    // SAFETY: no more bytes are read than 16 codes have; both arrays are as long as a vector.
    unsafe {
        let read = _mm_maskz_loadu_epi8(((1u32 << (2 * bits)) - 1) as u16, codes.cast());
        let pairs =
            _mm512_shuffle_epi8(_mm512_broadcast_i32x4(read), _mm512_loadu_si512(bytes.as_ptr().cast()));
        let low = _mm512_srlv_epi32(pairs, _mm512_loadu_si512(shifts.as_ptr().cast()));
        _mm512_and_si512(low, _mm512_set1_epi32((1 << bits) - 1))
    }
}

/// Even and odd values, one after the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn in_order(parts: [V; PARTS]) -> [V; PARTS] {
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    [first, second].map(|order| _mm512_permutex2var_ps(parts[0], order, parts[1]))
}

products!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]);
attention!(true, 4, #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]);
