use std::ops::Range;

use mlx_rs::{Array, Dtype};

use super::{Attention, Strided, attend};
use crate::nn::kernels::cpu::{available, format};
use crate::nn::testing::{host, random};

/// Sizes of an attention, and the keys that each query sees.
struct Case {
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    seen: Option<Vec<[u32; 2]>>,
}

impl Case {
    fn new([heads, kv_heads, queries, keys, dim]: [usize; 5]) -> Case {
        Case { heads, kv_heads, queries, keys, dim, seen: None }
    }

    /// The last keys are the queries' own.
    fn causal(self, window: usize) -> Case {
        let before = self.keys - self.queries;
        let seen =
            |query: usize| [(before + query + 1).saturating_sub(window) as u32, (before + query + 1) as u32];
        Case { seen: Some((0..self.queries).map(seen).collect()), ..self }
    }

    fn seen(&self, query: usize) -> Range<usize> {
        self.seen.as_ref().map_or(0..self.keys, |seen| seen[query][0] as usize..seen[query][1] as usize)
    }
}

fn values(count: usize, seed: u64) -> Vec<f32> {
    host(&random(&[count as i32], seed)).iter().map(|x| x * 2.0).collect()
}

/// `[heads, rows, dim]` by definition, in `f64`: `[rows, heads, dim]`.
fn expected(case: &Case, scale: f32, [q, k, v]: [&[f32]; 3]) -> Vec<f64> {
    let (dim, group) = (case.dim, case.heads / case.kv_heads);
    let row =
        |x: &[f32], index: usize| x[index * dim..][..dim].iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let mut y = Vec::new();
    for query in 0..case.queries {
        for head in 0..case.heads {
            let of_q = row(q, head * case.queries + query);
            let key = |key: usize| head / group * case.keys + key;
            let score = |at: usize| {
                let products = of_q.iter().zip(row(k, key(at))).map(|(q, k)| q * k);
                (at, products.sum::<f64>() * f64::from(scale))
            };
            let scores: Vec<_> = case.seen(query).map(score).collect();
            let most = scores.iter().map(|(_, score)| *score).fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|(_, score)| (score - most).exp()).sum();
            let mut of_y = vec![0.0; dim];
            for (at, score) in scores {
                let weight = (score - most).exp() / sum;
                of_y.iter_mut().zip(row(v, key(at))).for_each(|(y, v)| *y += weight * v);
            }
            y.extend(of_y);
        }
    }
    y
}

/// `[heads, rows, dim]` that lies so.
fn laid(x: &[f32], rows: usize, dim: usize, strided: impl Fn(*const u8) -> Strided) -> (Vec<f32>, Strided) {
    let (heads, mut memory) = (x.len() / rows / dim, Vec::new());
    let lies = strided(std::ptr::null());
    let most =
        (heads as isize - 1) * lies.head + (rows as isize - 1) * lies.row + (dim as isize - 1) * lies.column;
    memory.resize(most as usize + 1, f32::NAN);
    for (index, x) in x.iter().enumerate() {
        let (head, row, column) = (index / dim / rows, index / dim % rows, index % dim);
        memory[head * lies.head as usize + row * lies.row as usize + column * lies.column as usize] = *x;
    }
    let at = memory.as_ptr().cast();
    (memory, strided(at))
}

/// Numbers that 16 bits hold in either format: three bits of fraction, and exponents near 0.
fn coarse(x: f32) -> f32 {
    (x * 8.0).round() / 8.0
}

/// What 16 bits of the format hold, bit for bit.
fn narrowed(format: u8, x: &[f32]) -> Vec<u16> {
    let dtype = if format == format::BF16 { Dtype::Bfloat16 } else { Dtype::Float16 };
    let narrow = Array::from_slice(x, &[x.len() as i32]).as_dtype(dtype).unwrap();
    let bits = narrow.view_dtype(Dtype::Uint16).unwrap();
    bits.try_as_slice::<u16>().unwrap().to_vec()
}

/// What all kernels make of the inputs.
#[track_caller]
fn check_kernels(case: &Case, [q, k, v]: [Strided; 3], expected: &[f64], off: f64, how: &str) {
    let Case { heads, kv_heads, queries, keys, dim, .. } = *case;
    for kernels in available() {
        let mut y = vec![f32::NAN; expected.len()];
        let (seen, y_at, scale) = (case.seen.as_deref(), y.as_mut_ptr(), 1.0 / (dim as f32).sqrt());
        let all = Attention { q, k, v, y: y_at, heads, kv_heads, queries, keys, dim, scale, seen };
        // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
        unsafe { attend(&kernels, &all) };
        for (at, (found, expected)) in y.iter().zip(expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() < off,
                "{} {heads} {kv_heads} {queries} {keys} {dim}, {how}, {at}: {found} {expected}",
                kernels.name,
            );
        }
    }
}

/// Rows of one head, one after the other.
fn flat(dim: usize) -> impl Fn(&[f32]) -> Strided {
    move |x| Strided { at: x.as_ptr().cast(), format: format::F32, head: 0, row: dim as isize, column: 1 }
}

/// What all kernels make of it, however the inputs lie, beside the definition.
#[track_caller]
fn check(case: &Case) {
    let Case { heads, kv_heads, queries, keys, dim, .. } = *case;
    let q = values(heads * queries * dim, 1);
    // Keys and values are the same in all formats.
    let [k, v] =
        [2, 3].map(|seed| values(kv_heads * keys * dim, seed).into_iter().map(coarse).collect::<Vec<_>>());
    let scale = 1.0 / (dim as f32).sqrt();
    // Scores are sums of `dim` numbers, and what they are off by is what weights are off by.
    let off = 3e-6 + 1e-8 * dim as f64;
    let expected = expected(case, scale, [&q, &k, &v]);
    let (d, far) = (dim as isize, (keys.max(queries) * dim + 40) as isize);
    for layout in 0..4 {
        let lies = |rows: usize, heads: usize| {
            let format = format::F32;
            move |at: *const u8| match layout {
                0 => Strided { at, format, head: rows as isize * d, row: d, column: 1 },
                // Room after each head's rows, as in a cache.
                1 => Strided { at, format, head: far, row: d, column: 1 },
                // Row after row, the heads of each side by side.
                2 => Strided { at, format, head: d, row: heads as isize * d, column: 1 },
                // The other way round.
                _ => Strided { at, format, head: rows as isize * d, row: 1, column: rows as isize },
            }
        };
        let (_q, q) = laid(&q, queries, dim, lies(queries, heads));
        let ((_k, k), (_v, v)) =
            (laid(&k, keys, dim, lies(keys, kv_heads)), laid(&v, keys, dim, lies(keys, kv_heads)));
        check_kernels(case, [q, k, v], &expected, off, &format!("layout {layout}"));
        for narrow in [format::BF16, format::F16] {
            let (of_k, of_v) = (narrowed(narrow, &_k), narrowed(narrow, &_v));
            let at = |x: Strided, memory: &[u16]| Strided { at: memory.as_ptr().cast(), format: narrow, ..x };
            let inputs = [q, at(k, &of_k), at(v, &of_v)];
            check_kernels(case, inputs, &expected, off, &format!("format {narrow}, layout {layout}"));
        }
    }
}

#[test]
fn all_keys_or_those_before_or_a_window_of_them_are_seen() {
    for sizes in [
        [4, 2, 5, 9, 16],
        [6, 1, 1, 7, 64],
        [3, 3, 70, 70, 72],
        [8, 2, 40, 200, 24],
        [2, 1, 130, 131, 80],
        [4, 4, 9, 300, 128],
        [8, 1, 33, 140, 256],
    ] {
        check(&Case::new(sizes));
        [1, 5, 64, 4096].into_iter().for_each(|window| check(&Case::new(sizes).causal(window)));
    }
}

#[test]
fn heads_of_any_size_are_taken() {
    for dim in [1, 2, 7, 8, 31, 33, 100, 200, 512, 1000] {
        check(&Case::new([2, 1, 3, 70, dim]));
        check(&Case::new([2, 1, 12, 70, dim]).causal(50));
    }
    assert!(Attention::takes(1024, 16) && Attention::takes(1, 128));
    assert!(!Attention::takes(0, 1) && !Attention::takes(1025, 1) && !Attention::takes(1024, 17));
    assert!(!Attention::takes(8, 129));
    check(&Case::new([16, 1, 2, 20, 1024]));
    check(&Case::new([128, 1, 2, 20, 8]));
}

#[test]
fn keys_that_are_parted_are_joined() {
    for keys in [600, 2_000, 2_001] {
        check(&Case::new([4, 1, 1, keys, 64]));
        check(&Case::new([4, 1, 2, keys, 64]).causal(1_000));
        check(&Case::new([2, 1, 3, keys, 72]).causal(100));
    }
}

#[test]
fn scores_that_grow_and_shrink_along_the_keys_weigh_what_they_should() {
    let (keys, dim) = (300, 8);
    for slope in [-3.0f32, 3.0] {
        let q = vec![1.0; dim];
        let k: Vec<f32> = (0..keys * dim).map(|i| slope * (i / dim) as f32).collect();
        let v: Vec<f32> = (0..keys * dim).map(|i| (i / dim) as f32).collect();
        let lies = flat(dim);
        for kernels in available() {
            let mut y = vec![f32::NAN; dim];
            let (q, k, v, y_at) = (lies(&q), lies(&k), lies(&v), y.as_mut_ptr());
            let (heads, kv_heads, queries, scale, seen) = (1, 1, 1, 1.0, None);
            let all = Attention { q, k, v, y: y_at, heads, kv_heads, queries, keys, dim, scale, seen };
            // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
            unsafe { attend(&kernels, &all) };
            let expected = if slope < 0.0 { 0.0 } else { (keys - 1) as f32 };
            assert!(y.iter().all(|y| (y - expected).abs() < 1e-4), "{}: {y:?}", kernels.name);
        }
    }
}

#[test]
fn what_is_no_number_spoils_its_row_alone() {
    let dim = 32;
    let (mut q, k, v) = (values(2 * dim, 1), values(40 * dim, 2), values(40 * dim, 3));
    q[3] = f32::NAN;
    let lies = flat(dim);
    for kernels in available() {
        let mut y = vec![0.0; 2 * dim];
        let (q, k, v, y_at) = (lies(&q), lies(&k), lies(&v), y.as_mut_ptr());
        let (heads, kv_heads, queries, keys, scale, seen) = (1, 1, 2, 40, 1.0, None);
        let all = Attention { q, k, v, y: y_at, heads, kv_heads, queries, keys, dim, scale, seen };
        // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
        unsafe { attend(&kernels, &all) };
        assert!(y[..dim].iter().all(|y| y.is_nan()) && y[dim..].iter().all(|y| y.is_finite()));
    }
}
