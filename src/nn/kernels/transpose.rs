//! A matrix written out the other way round.

const SIDE: usize = 8;

/// Writes `n` rows of `k` numbers, `step` apart, as `k` rows of `n`.
///
/// # Safety
///
/// The rows can be read, and `out` has room.
pub unsafe fn columns(from: *const f32, step: usize, n: usize, k: usize, out: &mut [f32]) {
    let out = &mut out[..n * k];
    let (mut whole_n, mut whole_k) = (0, 0);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        (whole_n, whole_k) = (n - n % SIDE, k - k % SIDE);
        for i in (0..whole_n).step_by(SIDE) {
            for j in (0..whole_k).step_by(SIDE) {
                // SAFETY: the processor has AVX2, and the square is inside both matrices.
                unsafe { x86::square(from.add(i * step + j), step, out.as_mut_ptr().add(j * n + i), n) }
            }
        }
    }
    for i in 0..n {
        let done = if i < whole_n { whole_k } else { 0 };
        for j in done..k {
            // SAFETY: the caller's rows can be read.
            out[j * n + i] = unsafe { *from.add(i * step + j) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps,
        _mm256_unpacklo_ps,
    };

    use super::SIDE;

    /// Turns a square of 8 rows of 8 numbers.
    ///
    /// # Safety
    ///
    /// The square can be read, and written to `to`.
    #[target_feature(enable = "avx2")]
    pub unsafe fn square(from: *const f32, step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: the caller's square can be read.
        let rows: [_; SIDE] = std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from.add(i * step)) });
        let pair =
            |i: usize| (_mm256_unpacklo_ps(rows[i], rows[i + 1]), _mm256_unpackhi_ps(rows[i], rows[i + 1]));
        let half = |i: usize| {
            let ((low, high), (low2, high2)) = (pair(i), pair(i + 2));
            [
                _mm256_shuffle_ps::<0x44>(low, low2),
                _mm256_shuffle_ps::<0xee>(low, low2),
                _mm256_shuffle_ps::<0x44>(high, high2),
                _mm256_shuffle_ps::<0xee>(high, high2),
            ]
        };
        let (upper, lower) = (half(0), half(4));
        for j in 0..SIDE / 2 {
            let first = _mm256_permute2f128_ps::<0x20>(upper[j], lower[j]);
            let second = _mm256_permute2f128_ps::<0x31>(upper[j], lower[j]);
            // SAFETY: the caller's square can be written.
            unsafe {
                _mm256_storeu_ps(to.add(j * to_step), first);
                _mm256_storeu_ps(to.add((j + SIDE / 2) * to_step), second);
            }
        }
    }
}
