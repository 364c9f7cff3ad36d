//! What the back end is asked, and the right answers, in plain Rust.

use crate::nn::Device;
use crate::nn::unpack::{e2m1, e4m3, e8m0};
use crate::snapshot::quantization::{Mode, Quantization};

/// Rows of `x` that differ; a prime, so that no row of a kernel's tile repeats another.
const DISTINCT: usize = 17;
/// Keys before the first query.
const EARLIER: usize = 31;
/// Of the queries of a long run, each so many is compared.
const STRIDE: usize = 19;

/// How large the questions are on a device, and how far an answer may be from the right one.
pub struct Sizes {
    /// Rows of the products, and of the attentions.
    pub rows: &'static [usize],
    pub output: usize,
    pub input: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// The largest distance of a value, in units of the right values' root mean square.
    pub tolerance: f32,
}

impl Sizes {
    /// On a GPU activations are `bf16`, whose rounding alone makes one percent of the largest values; kernels for one
    /// row, a few rows and tiles of rows differ. The CPU's arithmetic is `f32` and slow: it is asked little.
    pub fn of(device: Device) -> Sizes {
        match device {
            Device::Gpu => Sizes {
                rows: &[1, 8, 9, 33, 300],
                output: 128,
                input: 256,
                heads: 2,
                head_dim: 128,
                tolerance: 0.05,
            },
            Device::Cpu => {
                Sizes { rows: &[1, 9, 33], output: 16, input: 128, heads: 2, head_dim: 32, tolerance: 1e-3 }
            }
        }
    }
}

/// `W` as a back end takes it.
pub enum Stored {
    Dense,
    /// `scales` of the float modes are bytes in `bytes`, those of the affine mode floats.
    Packed {
        codes: Vec<u32>,
        bytes: Vec<u8>,
        scales: Vec<f32>,
        biases: Vec<f32>,
        quantization: Quantization,
    },
}

/// `x · Wᵀ`.
pub struct Product {
    pub stored: Stored,
    /// `[output, input]`, each value exact in `bf16` where dense.
    pub weights: Vec<f32>,
    pub output: usize,
    pub input: usize,
    x: Vec<f32>,
    right: Vec<f32>,
}

impl Product {
    pub fn dense(sizes: &Sizes) -> Product {
        let weights = Numbers(1).values(sizes.output * sizes.input);
        Product::new(Stored::Dense, weights, sizes)
    }

    pub fn packed(quantization: Quantization, sizes: &Sizes) -> Product {
        let count = sizes.output * sizes.input;
        let groups = count / quantization.group_size as usize;
        let mut numbers = Numbers(2);
        let mut codes: Vec<u32> = (0..quantization.words(count)).map(|_| numbers.next() as u32).collect();
        let (mut bytes, mut scales, mut biases) = (vec![], vec![], vec![]);
        for _ in 0..groups {
            let number = numbers.next() as u8;
            match quantization.mode {
                Mode::Affine => {
                    let eighths = f32::from(1 + number % 8) / 8.0;
                    scales.push(eighths * (-quantization.bits as f32).exp2());
                    biases.push(-eighths / 2.0);
                }
                Mode::Mxfp4 | Mode::Mxfp8 => bytes.push(124 + number % 4),
                Mode::Nvfp4 => bytes.push(0x30 + number % 16),
            }
        }
        if quantization.mode == Mode::Mxfp8 {
            // Below 2, and never the code that some read as a number and others as NaN.
            codes.iter_mut().for_each(|word| *word &= 0xbfbf_bfbf);
        }
        let weights = (0..count)
            .map(|i| {
                let code = code(&codes, i, quantization.bits as usize);
                let group = i / quantization.group_size as usize;
                match quantization.mode {
                    Mode::Affine => f32::from(code) * scales[group] + biases[group],
                    Mode::Mxfp4 => e2m1(code) * e8m0(bytes[group]),
                    Mode::Nvfp4 => e2m1(code) * e4m3(bytes[group]),
                    Mode::Mxfp8 => e4m3(code) * e8m0(bytes[group]),
                }
            })
            .collect();
        Product::new(Stored::Packed { codes, bytes, scales, biases, quantization }, weights, sizes)
    }

    fn new(stored: Stored, weights: Vec<f32>, sizes: &Sizes) -> Product {
        let x = Numbers(3).values(DISTINCT * sizes.input);
        let rows = x.chunks(sizes.input);
        let right = rows.flat_map(|x| weights.chunks(sizes.input).map(|w| dot(x, w))).collect();
        Product { stored, weights, output: sizes.output, input: sizes.input, x, right }
    }

    /// `[rows, input]`.
    pub fn x(&self, rows: usize) -> Vec<f32> {
        repeat(&self.x, self.input, rows)
    }

    /// How far `found` `[rows, output]` is from the right product.
    pub fn distance(&self, rows: usize, found: &[f32]) -> f32 {
        distance(found, &repeat(&self.right, self.output, rows))
    }
}

/// `softmax(q kᵀ · scale) v`, causal, with the queries at the end of the keys, which all heads share.
pub struct Attention {
    pub heads: usize,
    pub head_dim: usize,
    pub queries: usize,
    pub keys: usize,
    pub scale: f32,
    /// `[heads, queries, head_dim]`.
    pub q: Vec<f32>,
    /// `[keys, head_dim]`.
    pub k: Vec<f32>,
    pub v: Vec<f32>,
}

impl Attention {
    pub fn new(queries: usize, sizes: &Sizes) -> Attention {
        let (heads, head_dim, keys) = (sizes.heads, sizes.head_dim, queries + EARLIER);
        let mut numbers = Numbers(4);
        Attention {
            heads,
            head_dim,
            queries,
            keys,
            // Scores of a standard deviation of about 1.
            scale: 3.0 / (head_dim as f32).sqrt(),
            q: numbers.values(heads * queries * head_dim),
            k: numbers.values(keys * head_dim),
            v: numbers.values(keys * head_dim),
        }
    }

    /// How far `found` `[heads, queries, head_dim]` is from the right result, at some of the queries.
    pub fn distance(&self, found: &[f32]) -> f32 {
        if found.len() != self.q.len() || found.iter().any(|value| !value.is_finite()) {
            return f32::INFINITY;
        }
        let rows = (0..self.queries).step_by(STRIDE).chain([self.queries - 1]);
        let (mut some, mut right) = (vec![], vec![]);
        for query in rows {
            for head in 0..self.heads {
                let first = (head * self.queries + query) * self.head_dim;
                let range = first..first + self.head_dim;
                some.extend_from_slice(&found[range.clone()]);
                right.extend(self.row(&self.q[range], query));
            }
        }
        distance(&some, &right)
    }

    fn row(&self, q: &[f32], query: usize) -> Vec<f32> {
        let seen = EARLIER + query + 1;
        let scores: Vec<f32> =
            self.k.chunks(self.head_dim).take(seen).map(|k| dot(q, k) * self.scale).collect();
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        let weights: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let mut row = vec![0.0; self.head_dim];
        for (weight, v) in weights.iter().zip(self.v.chunks(self.head_dim)) {
            row.iter_mut().zip(v).for_each(|(sum, v)| *sum += weight * v);
        }
        row.iter().map(|value| value / sum).collect()
    }
}

/// Repeatable numbers, as xorshift makes them.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        let mut state = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0 = state;
        state >> 24
    }

    /// Values in -1..1 that `bf16` has exactly.
    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| f32::from(self.next() as i8) / 128.0).collect()
    }
}

/// Code `index` of a stream of codes, whose first bits are the lowest ones.
fn code(words: &[u32], index: usize, bits: usize) -> u8 {
    let (word, shift) = (index * bits / 32, index * bits % 32);
    let next = words.get(word + 1).copied().unwrap_or(0);
    let both = u64::from(words[word]) | u64::from(next) << 32;
    (both >> shift) as u8 & (u32::MAX >> (32 - bits)) as u8
}

/// Sums apart from each other, so that the compiler may compute them side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

fn repeat(values: &[f32], width: usize, rows: usize) -> Vec<f32> {
    values.chunks(width).cycle().take(rows).flatten().copied().collect()
}

/// The largest difference in units of the right values' root mean square; infinite where a value is none.
fn distance(found: &[f32], right: &[f32]) -> f32 {
    let is_whole = found.len() == right.len() && found.iter().all(|value| value.is_finite());
    if !is_whole {
        return f32::INFINITY;
    }
    let square = right.iter().map(|value| value * value).sum::<f32>() / right.len() as f32;
    let most = found.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    most / square.sqrt()
}

#[cfg(test)]
mod tests {
    use mlx_rs::{Array, Dtype};

    use super::*;
    use crate::nn::mlx;
    use crate::nn::self_test::{all_modes, on_mlx};
    use crate::nn::testing::host;

    /// The answers that everything is compared with are MLX's own unpacked values.
    #[test]
    fn the_reference_unpacks_as_mlx_does() {
        let sizes = Sizes::of(Device::Gpu);
        for quantization in all_modes() {
            let product = Product::packed(quantization, &sizes);
            let packed = on_mlx::packed(&product, Dtype::Float32).unwrap().unwrap();
            let (codes, scales, biases) = packed;
            let unpacked =
                mlx::dequantize(&codes, &scales, biases.as_ref(), quantization, Dtype::Float32).unwrap();
            assert_eq!(host(&unpacked), product.weights, "{quantization}");
        }
    }

    #[test]
    fn a_distance_is_infinite_for_what_is_no_number_or_missing() {
        assert_eq!(distance(&[1.0, f32::NAN], &[1.0, 2.0]), f32::INFINITY);
        assert_eq!(distance(&[1.0], &[1.0, 2.0]), f32::INFINITY);
        assert_eq!(distance(&[3.0, 4.0], &[3.0, 3.0]), 1.0 / 3.0);
    }

    #[test]
    fn the_reference_attention_is_that_of_softmax() {
        let attention = Attention::new(2, &Sizes::of(Device::Cpu));
        let (q, k) =
            (Array::from_slice(&attention.q, &[2, 2, 32]), Array::from_slice(&attention.k, &[33, 32]));
        let scores = q.matmul(k.t()).unwrap().multiply(Array::from_f32(attention.scale)).unwrap();
        let scores = host(&scores);
        // The last query sees every key.
        let last = &scores[33..66];
        let sum: f32 = last.iter().map(|score| score.exp()).sum();
        let expected: f32 = last.iter().zip(attention.v.chunks(32)).map(|(s, v)| s.exp() / sum * v[5]).sum();
        let row = attention.row(&attention.q[32..64], 1);
        assert!((row[5] - expected).abs() < 1e-5, "{} {expected}", row[5]);
    }
}
