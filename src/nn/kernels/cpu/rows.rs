//! What is computed of a row at a time: softmax, gated activations, RMS norm.
//!
//! Written once over plain numbers, in loops that a compiler makes vectors of, and compiled for each set of instructions.
//! MLX computes these a number at a time on one thread, with the C library's `exp`.

use crate::nn::kernels::{RowFunction as Function, pool};

/// Numbers that are summed side by side.
const LANES: usize = 16;
/// Values that are handed out at a time.
const BLOCK: usize = 1 << 14;
/// Fewer values than this are not worth waking a helper.
const ALONE: usize = 1 << 15;

/// How long a row is that becomes `n` values.
pub fn input(function: Function, n: usize) -> usize {
    if matches!(function, Function::GeluGlu | Function::SiluGlu) { 2 * n } else { n }
}

/// A function of one row `x`, with the row's weight: as long as `y`, or of no length.
pub type Row = unsafe fn(function: Function, x: &[f32], weight: &[f32], y: &mut [f32]);

#[derive(Clone, Copy)]
struct Result(*mut f32);

// SAFETY: two threads never have the same row.
unsafe impl Sync for Result {}

impl Result {
    /// # Safety
    /// There is such a row of `n`, and nobody else has it.
    unsafe fn row<'a>(self, row: usize, n: usize) -> &'a mut [f32] {
        // SAFETY: as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(row * n), n) }
    }
}

/// All rows of `x`, `n` values each in the result. The rows of `weight` are taken in turn.
///
/// # Safety
/// `y` has `n` values for each row of `x` and is nobody else's, and the processor has the instructions of `row`.
pub unsafe fn all(row: Row, function: Function, x: &[f32], weight: &[f32], y: *mut f32, n: usize) {
    let input = input(function, n);
    let count = x.len() / input;
    let (step, weights) = ((BLOCK / input).max(1), weight.len() / n);
    let y = Result(y);
    let work = |block: usize| {
        // Taken as a whole: the pointer in it may not go to another thread by itself.
        let y = &y;
        for i in block * step..count.min((block + 1) * step) {
            let weight = if weights == 0 { weight } else { &weight[i % weights * n..][..n] };
            // SAFETY: as the caller says, and no other block has the row.
            unsafe { row(function, &x[i * input..(i + 1) * input], weight, y.row(i, n)) };
        }
    };
    let blocks = count.div_ceil(step);
    if x.len() < ALONE {
        (0..blocks).for_each(work);
    } else if !pool::run(blocks, work) {
        // SAFETY: as the caller says.
        unsafe { y.row(0, count * n) }.fill(f32::NAN);
    }
}

macro_rules! rows {
    ($name:ident, $fma:expr, $(#[$attribute:meta])*) => {
        /// [`Row`] by one set of instructions.
        ///
        /// # Safety
        /// The processor has them.
        $(#[$attribute])*
        pub unsafe fn $name(function: Function, x: &[f32], weight: &[f32], y: &mut [f32]) {
            match function {
                Function::Softmax => softmax::<{ $fma }>(x, y),
                Function::GeluGlu => {
                    let (gate, up) = x.split_at(y.len());
                    activated::<{ $fma }>(gate, up, y, gelu_inner::<{ $fma }>);
                }
                Function::SiluGlu => {
                    let (gate, up) = x.split_at(y.len());
                    activated::<{ $fma }>(gate, up, y, |x| x);
                }
                Function::Gelu => activated::<{ $fma }>(x, weight, y, gelu_inner::<{ $fma }>),
                Function::Silu => activated::<{ $fma }>(x, weight, y, |x| x),
                Function::RmsNorm { eps } => rms_norm(x, weight, eps, y),
                Function::LayerNorm { eps } => layer_norm(x, eps, y),
            }
        }
    };
}

rows!(plain, false,);
#[cfg(target_arch = "x86_64")]
rows!(avx2, true, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
rows!(avx512, true, #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")]);

/// Without an instruction for it `mul_add` is a call of the C library.
#[inline(always)]
fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x` within two units of the last place; 0 below -87, and at most `e^88`. NaN stays.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding this rounds to a whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let bounded = if x > 88.0 { 88.0 } else { x };
    let rounded = fma::<FMA>(bounded, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let rest = fma::<FMA>(n, -0.693_359_4, bounded);
    let rest = fma::<FMA>(n, 2.121_944_4e-4, rest);
    let mut sum = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = fma::<FMA>(sum, rest, c);
    }
    let sum = fma::<FMA>(sum, rest * rest, rest) + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(sum.to_bits()));
    let power = if x < -87.0 { 0.0 } else { power };
    if x.is_nan() { x } else { power }
}

#[inline(always)]
fn softmax<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    let most = most(x);
    let mut sums = [0.0f32; LANES];
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact_mut(LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        for i in 0..LANES {
            y[i] = exp::<FMA>(x[i] - most);
            sums[i] += y[i];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for (x, y) in xs.remainder().iter().zip(ys.into_remainder()) {
        *y = exp::<FMA>(x - most);
        sum += *y;
    }
    let scale = 1.0 / sum;
    y.iter_mut().for_each(|y| *y *= scale);
}

/// The largest; NaN where there is one is lost here, but not by what is taken from it.
#[inline(always)]
pub fn most(x: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    for x in chunks.remainder() {
        most[0] = if *x > most[0] { *x } else { most[0] };
    }
    for x in chunks {
        for i in 0..LANES {
            most[i] = if x[i] > most[i] { x[i] } else { most[i] };
        }
    }
    most.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// gelu_tanh(x) is x · sigmoid(2 √(2/π) (x + 0.044715 x³)).
#[inline(always)]
fn gelu_inner<const FMA: bool>(x: f32) -> f32 {
    const LINEAR: f32 = 1.595_769_2;
    x * fma::<FMA>(x * x, LINEAR * 0.044_715, LINEAR)
}

/// `x · sigmoid(inner(x))`, times the factor where there is one.
#[inline(always)]
fn activated<const FMA: bool>(x: &[f32], factor: &[f32], y: &mut [f32], inner: impl Fn(f32) -> f32) {
    if factor.is_empty() {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x / (1.0 + exp::<FMA>(-inner(*x))));
        return;
    }
    for ((y, x), factor) in y.iter_mut().zip(x).zip(factor) {
        *y = x / (1.0 + exp::<FMA>(-inner(*x))) * factor;
    }
}

#[inline(always)]
fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let scale = 1.0 / (mean(x, |x| x * x) + eps).sqrt();
    if weight.is_empty() {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale);
    } else {
        y.iter_mut().zip(x).zip(weight).for_each(|((y, x), w)| *y = x * scale * w);
    }
}

/// The mean is taken out twice: what the first is off by is a shift that all values share, and that a dense layer amplifies.
#[inline(always)]
fn layer_norm(x: &[f32], eps: f32, y: &mut [f32]) {
    let first = mean(x, |x| x);
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x - first);
    let rest = mean(y, |y| y);
    let scale = 1.0 / (mean(y, |y| (y - rest) * (y - rest)) + eps).sqrt();
    y.iter_mut().for_each(|y| *y = (*y - rest) * scale);
}

#[inline(always)]
fn mean(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| of(*x)).sum();
    for x in chunks {
        for i in 0..LANES {
            sums[i] += of(x[i]);
        }
    }
    (rest + sums.iter().sum::<f32>()) / x.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{host, random};

    fn rows() -> impl Iterator<Item = Row> {
        crate::nn::kernels::cpu::available().into_iter().map(|kernels| kernels.row)
    }

    fn of(row: Row, function: Function, x: &[f32], weight: &[f32], n: usize) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / input(function, n) * n];
        // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
        unsafe { all(row, function, x, weight, y.as_mut_ptr(), n) };
        y
    }

    fn values(count: usize, size: f32) -> Vec<f32> {
        host(&random(&[count as i32], 3)).iter().map(|x| x * size).collect()
    }

    #[test]
    fn softmax_is_its_formula_for_rows_of_any_length() {
        for n in [1, 5, 16, 33, 4000] {
            let x = values(n * 9, 40.0);
            for row in rows() {
                for (x, y) in x.chunks(n).zip(of(row, Function::Softmax, &x, &[], n).chunks(n)) {
                    let most = x.iter().copied().fold(f32::MIN, f32::max);
                    let exps: Vec<f64> = x.iter().map(|x| f64::from(x - most).exp()).collect();
                    let sum: f64 = exps.iter().sum();
                    for (y, e) in y.iter().zip(&exps) {
                        assert!(
                            (f64::from(*y) - e / sum).abs() <= 1e-6 * (e / sum) + 1e-37,
                            "{y} {}",
                            e / sum
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_hidden_weighs_nothing_and_what_is_no_number_stays_none() {
        for row in rows() {
            let y = of(row, Function::Softmax, &[1.0, f32::MIN, f32::NEG_INFINITY, 1.0], &[], 4);
            assert_eq!(y, [0.5, 0.0, 0.0, 0.5]);
            let y = of(row, Function::Softmax, &[1.0, f32::NAN, 0.0], &[], 3);
            assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
            let y = of(row, Function::GeluGlu, &[-1e9, 1e9, f32::NAN, 1.0, 1.0, 1.0], &[], 3);
            assert!(y[0].abs() < 1e-20 && y[1] == 1e9 && y[2].is_nan(), "{y:?}");
        }
    }

    #[test]
    fn gates_are_their_formulas() {
        let n = 70;
        let x = values(n * 2 * 3, 9.0);
        for row in rows() {
            for function in [Function::GeluGlu, Function::SiluGlu] {
                let y = of(row, function, &x, &[], n);
                for (x, y) in x.chunks(2 * n).zip(y.chunks(n)) {
                    (0..n).for_each(|i| is_gated(function, x[i], x[n + i], y[i]));
                }
            }
        }
    }

    fn is_gated(function: Function, gate: f32, up: f32, found: f32) {
        let (gate, up) = (f64::from(gate), f64::from(up));
        let inner = match function {
            Function::GeluGlu | Function::Gelu => {
                (8.0 / std::f64::consts::PI).sqrt() * (gate + 0.044715 * gate.powi(3))
            }
            _ => gate,
        };
        let expected = gate / (1.0 + (-inner).exp()) * up;
        // What is far below zero has the exponent's rounding many times.
        assert!((f64::from(found) - expected).abs() <= 2e-5 * expected.abs() + 1e-30, "{found} {expected}");
    }

    #[test]
    fn activations_are_their_formulas_with_a_factor_for_each_value_or_none() {
        let n = 70;
        let (x, factors) = (values(n * 600, 9.0), values(n * 601, 1.0).split_off(n));
        for row in rows() {
            for function in [Function::Gelu, Function::Silu] {
                let alone = of(row, function, &x, &[], n);
                let times = of(row, function, &x, &factors, n);
                for i in 0..x.len() {
                    is_gated(function, x[i], 1.0, alone[i]);
                    is_gated(function, x[i], factors[i], times[i]);
                }
            }
        }
    }

    #[test]
    fn layer_norms_are_their_formula_for_what_hardly_differs_too() {
        for n in [5, 83, 1152] {
            let x: Vec<f32> = values(n * 50, 1.0).iter().map(|x| 0.7 + 1e-3 * x).collect();
            for row in rows() {
                let y = of(row, Function::LayerNorm { eps: 1e-12 }, &x, &[], n);
                for (x, y) in x.chunks(n).zip(y.chunks(n)) {
                    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64;
                    let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n as f64;
                    for i in 0..n {
                        let expected = (f64::from(x[i]) - mean) / (variance + 1e-12).sqrt();
                        assert!((f64::from(y[i]) - expected).abs() <= 2e-5, "{} {expected}", y[i]);
                    }
                }
            }
        }
    }

    #[test]
    fn norms_are_their_formula() {
        let n = 83;
        let (x, weight) = (values(n * 700, 3.0), values(n, 1.0));
        for row in rows() {
            for weight in [&weight[..], &[]] {
                let y = of(row, Function::RmsNorm { eps: 1e-6 }, &x, weight, n);
                for (x, y) in x.chunks(n).zip(y.chunks(n)) {
                    let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n as f64;
                    for i in 0..n {
                        let w = weight.get(i).map_or(1.0, |w| f64::from(*w));
                        let expected = f64::from(x[i]) / (mean + 1e-6).sqrt() * w;
                        assert!((f64::from(y[i]) - expected).abs() <= 1e-6 * expected.abs() + 1e-30);
                    }
                }
            }
        }
    }
}
