use super::{AS_IT_IS, COLUMN_MAJOR, c_int, sgemm};

const ROW_MAJOR: c_int = 101;
const TRANSPOSED: c_int = 112;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    std::iter::repeat_with({
        let mut state = seed;
        move || next(&mut state).unwrap_or_default()
    })
    .take(count)
    .collect()
}

/// The product beside one in 64-bit numbers, in every layout.
fn compare(m: usize, n: usize, k: usize, alpha: f32, beta: f32) {
    for (layout, ta, tb) in [
        (ROW_MAJOR, AS_IT_IS, AS_IT_IS),
        (ROW_MAJOR, AS_IT_IS, TRANSPOSED),
        (ROW_MAJOR, TRANSPOSED, AS_IT_IS),
        (ROW_MAJOR, TRANSPOSED, TRANSPOSED),
        (COLUMN_MAJOR, AS_IT_IS, TRANSPOSED),
        (COLUMN_MAJOR, TRANSPOSED, AS_IT_IS),
    ] {
        let is_row_major = layout == ROW_MAJOR;
        // How far apart rows, or columns, are: three more than they are long.
        let step = |rows: usize, columns: usize, transposed: c_int| {
            3 + if (transposed == AS_IT_IS) == is_row_major { columns } else { rows }
        };
        let at = |i: usize, j: usize, step: usize, transposed: c_int| {
            if (transposed == AS_IT_IS) == is_row_major { i * step + j } else { j * step + i }
        };
        let (lda, ldb, ldc) = (step(m, k, ta), step(k, n, tb), step(m, n, AS_IT_IS));
        let (a, b) = (numbers((m + k) * lda + m * k, 1), numbers((k + n) * ldb + k * n, 2));
        let before = numbers((m + n) * ldc + m * n, 3);
        let mut c = before.clone();
        if beta == 0.0 {
            c.fill(f32::NAN);
        }
        let [m32, n32, k32, lda32, ldb32, ldc32] = [m, n, k, lda, ldb, ldc].map(|x| x as c_int);
        // SAFETY: the matrices are larger than they are said to be.
        unsafe {
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
            sgemm(layout, ta, tb, m32, n32, k32, alpha, a, lda32, b, ldb32, beta, c, ldc32);
        }
        let mut written = vec![false; c.len()];
        for i in 0..m {
            for j in 0..n {
                let sum: f64 =
                    (0..k).map(|l| f64::from(a[at(i, l, lda, ta)]) * f64::from(b[at(l, j, ldb, tb)])).sum();
                let place = at(i, j, ldc, AS_IT_IS);
                let kept = if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(before[place]) };
                let expected = f64::from(alpha) * sum + kept;
                let off = (f64::from(c[place]) - expected).abs();
                assert!(off < 1e-5 * (k as f64 + 1.0).sqrt(), "{layout} {ta} {tb} {m} {n} {k}: off by {off}");
                written[place] = true;
            }
        }
        for (place, written) in written.into_iter().enumerate() {
            assert!(written || c[place].is_nan() || c[place] == before[place], "{place} is not C's");
        }
    }
}

#[test]
fn products_of_all_shapes_are_those_of_longer_numbers() {
    for m in [1, 2, 3, 17, 65] {
        for n in [1, 2, 9, 64, 131] {
            for k in [1, 5, 33, 130] {
                compare(m, n, k, 1.0, 0.0);
            }
        }
    }
}

#[test]
fn products_that_threads_share_are_whole() {
    for (m, n, k) in [(1, 1100, 2100), (3, 400, 2100), (70, 300, 130), (300, 70, 130)] {
        compare(m, n, k, 1.0, 0.0);
    }
}

#[test]
fn what_was_there_is_taken_in_and_what_is_not_wanted_is_not_read() {
    compare(5, 70, 33, 0.5, -2.0);
    compare(70, 5, 2100, 2.0, 1.0);
    compare(4, 6, 0, 1.0, 3.0);
    compare(0, 6, 3, 1.0, 0.0);
}
