//! The products by AVX2 and FMA, 8 numbers at a time.
//!
//! A step of four-bit codes is 16 bytes, whose low halves are the even values and whose high halves the odd ones. A table of
//! bytes has twice the four-bit floats, which are whole numbers. E4M3 goes through half floats, as by AVX-512. Codes of 2, 3,
//! 5 and 6 bits are brought, 8 at a time, two bytes to each lane, and shifted down by what is the lane's.

use std::arch::x86_64::*;
use std::ops::Range;

use super::attention::tiles::{self, Tiles, attention};
use super::attention::{self, Attention, Block, Strided};
use super::format::{self, AFFINE4, AFFINE8, Row, STEP, Stored, tables};
use super::products::{AHEAD, FEW, Kernels, Pair, TILE_INPUT, products};
use super::rows;

pub const KERNELS: Kernels = Kernels {
    #[cfg(test)]
    name: "avx2",
    pairs: true,
    few,
    many,
    row: rows::avx2,
    attend,
};

pub fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

type V = __m256;
const LANES: usize = 8;
const PARTS: usize = STEP / LANES;
const TILE_X: usize = 3;
/// Rows of the matrix at a time, for 1, 2, 4 and 8 rows of `x`.
const ROWS: [usize; 4] = [4, 4, 2, 1];

/// Twice the numbers of E2M1.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn zero() -> V {
    _mm256_setzero_ps()
}

/// Asks for the line of memory at an address, whatever is there.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fetch(at: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(at.cast());
}

/// # Safety
/// There are so many numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load(from: *const f32) -> V {
    // SAFETY: as the caller says.
    unsafe { _mm256_loadu_ps(from) }
}

/// # Safety
/// There is room for so many numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn store(to: *mut f32, v: V) {
    // SAFETY: as the caller says.
    unsafe { _mm256_storeu_ps(to, v) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn splat(value: f32) -> V {
    _mm256_set1_ps(value)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fma(a: V, b: V, c: V) -> V {
    _mm256_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum(v: V) -> f32 {
    let half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)))
}

/// The sums of four vectors, all halves of them at once.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum4(v: [V; 4]) -> [f32; 4] {
    let all = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    let quarter = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    let mut four = [0.0; 4];
    // SAFETY: the array has room for four numbers.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), quarter) };
    four
}

/// # Safety
/// The row is of format `F` and has the step.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn decode<const F: u8>(row: &Row, step: usize) -> [V; PARTS] {
    let codes = row.step::<F>(step);
    // SAFETY: what is read is the step's: 4 bytes for each bit of a code.
    unsafe {
        match F {
            format::MXFP4 => {
                let scale = _mm256_set1_ps(tables().e8m0[row.byte(step)]);
                let [a, b, c, d] = floats(codes);
                [a, b, c, d].map(|v| _mm256_mul_ps(v, scale))
            }
            format::NVFP4 => {
                let table = &tables().e4m3;
                let first = _mm256_set1_ps(table[row.byte(2 * step)]);
                let second = _mm256_set1_ps(table[row.byte(2 * step + 1)]);
                let [a, b, c, d] = floats(codes);
                // Even values of both groups, then odd ones.
                [
                    _mm256_mul_ps(a, first),
                    _mm256_mul_ps(b, second),
                    _mm256_mul_ps(c, first),
                    _mm256_mul_ps(d, second),
                ]
            }
            format::MXFP8 => {
                let scale = _mm256_set1_ps(tables().e8m0[row.byte(step)]);
                [0, 8, 16, 24].map(|at| {
                    let wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(codes.add(at).cast()));
                    let half = _mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(!0x4000));
                    let value = _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0));
                    _mm256_mul_ps(value, scale)
                })
            }
            format::BF16 => [0, 16, 32, 48].map(|at| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(codes.add(at).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))
            }),
            format::F16 => [0, 16, 32, 48].map(|at| _mm256_cvtph_ps(_mm_loadu_si128(codes.add(at).cast()))),
            format::F32 => [0, 32, 64, 96].map(|at| _mm256_loadu_ps(codes.add(at).cast())),
            AFFINE4 => {
                let (low, high) = halves(codes);
                scaled(row, step, [low, _mm_srli_si128(low, 8), high, _mm_srli_si128(high, 8)])
            }
            AFFINE8 => scaled(row, step, [0, 8, 16, 24].map(|at| _mm_loadl_epi64(codes.add(at).cast()))),
            _ => {
                let (scale, bias) = row.affine(step);
                let (scale, bias) = (_mm256_set1_ps(scale), _mm256_set1_ps(bias));
                let bits = format::bits(F);
                [0, 1, 2, 3].map(|part| {
                    let codes = eight::<F>(codes.add(part * bits));
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(codes), scale, bias)
                })
            }
        }
    }
}

/// Low and high halves of 16 bytes.
///
/// # Safety
/// There are 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves(codes: *const u8) -> (__m128i, __m128i) {
    let low = _mm_set1_epi8(15);
    // SAFETY: as the caller says.
    let both = unsafe { _mm_loadu_si128(codes.cast()) };
    (_mm_and_si128(both, low), _mm_and_si128(_mm_srli_epi16(both, 4), low))
}

/// The floats of 16 bytes: the even ones, and the odd ones.
///
/// # Safety
/// There are 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn floats(codes: *const u8) -> [V; 4] {
    // SAFETY: as the caller says; the table has 16 bytes.
    let ((low, high), table) = unsafe { (halves(codes), _mm_loadu_si128(E2M1.as_ptr().cast())) };
    let (low, high) = (_mm_shuffle_epi8(table, low), _mm_shuffle_epi8(table, high));
    let half = _mm256_set1_ps(0.5);
    [low, _mm_srli_si128(low, 8), high, _mm_srli_si128(high, 8)]
        .map(|bytes| _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), half))
}

/// The low eight bytes of each as integers, with scale and bias.
///
/// # Safety
/// As [`decode`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn scaled(row: &Row, step: usize, bytes: [__m128i; 4]) -> [V; 4] {
    // SAFETY: as the caller says.
    let (scale, bias) = unsafe { row.affine(step) };
    let (scale, bias) = (_mm256_set1_ps(scale), _mm256_set1_ps(bias));
    bytes.map(|bytes| _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), scale, bias))
}

/// 8 codes of 2, 3, 5 or 6 bits.
///
/// # Safety
/// There are their bytes, as many as a code has bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn eight<const F: u8>(codes: *const u8) -> __m256i {
    const fn shifts(bits: u32) -> [u32; 8] {
        let mut shifts = [0; 8];
        let mut lane = 0;
        while lane < 8 {
            // The upper four are brought down by the bytes before them first.
            let bit = lane as u32 * bits;
            shifts[lane] = if lane < 4 { bit } else { bit - upper(bits) * 8 };
            lane += 1;
        }
        shifts
    }
    /// The byte in which the fifth code begins.
    const fn upper(bits: u32) -> u32 {
        bits * 4 / 8
    }
    let bits = format::bits(F) as u32;
    // SAFETY: as many bytes are read as a code has bits; the array is as long as a vector.
    unsafe {
        let u16_at = |at: usize| u64::from(codes.add(at).cast::<u16>().read_unaligned());
        let u32_at = |at: usize| u64::from(codes.add(at).cast::<u32>().read_unaligned());
        let all = match bits {
            2 => u16_at(0),
            3 => u16_at(0) | u64::from(*codes.add(2)) << 16,
            5 => u32_at(0) | u64::from(*codes.add(4)) << 32,
            _ => u32_at(0) | u16_at(4) << 32,
        };
        let low = _mm_set1_epi32(all as i32);
        let high = _mm_set1_epi32((all >> (upper(bits) * 8)) as i32);
        let words = _mm256_set_m128i(high, low);
        let shifts = const { shifts(format::bits(F) as u32) };
        let down = _mm256_srlv_epi32(words, _mm256_loadu_si256(shifts.as_ptr().cast()));
        _mm256_and_si256(down, _mm256_set1_epi32((1 << bits) - 1))
    }
}

/// Even and odd values, one after the other.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn in_order(parts: [V; PARTS]) -> [V; PARTS] {
    let [a, b] = [(parts[0], parts[2]), (parts[1], parts[3])].map(|(even, odd)| {
        let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
        [_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)]
    });
    [a[0], a[1], b[0], b[1]]
}

products!(#[target_feature(enable = "avx2,fma,f16c")]);
attention!(true, 2, #[target_feature(enable = "avx2,fma,f16c")]);
