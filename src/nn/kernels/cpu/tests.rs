use mlx_rs::Array;

use super::driver::{self, Products};
use super::format::{self, Stored};
use super::{Operand, available};
use crate::nn::mlx;
use crate::nn::testing::{host, random};
use crate::snapshot::quantization::{Mode, Quantization};

/// Every storage that kernels take.
fn storages() -> Vec<Quantization> {
    let mut all: Vec<Quantization> = [(Mode::Mxfp4, 4, 32), (Mode::Nvfp4, 4, 16), (Mode::Mxfp8, 8, 32)]
        .map(|(mode, bits, group_size)| Quantization { mode, bits, group_size })
        .to_vec();
    for bits in [2, 3, 4, 5, 6, 8] {
        all.extend([32, 64, 128].map(|group_size| Quantization { mode: Mode::Affine, bits, group_size }));
    }
    all
}

/// A matrix on the host: its parts as they are stored, and its values.
struct Matrix {
    codes: Vec<u8>,
    scales: Vec<u8>,
    biases: Vec<u8>,
    values: Vec<f32>,
    format: u8,
    group: usize,
    input: usize,
}

impl Matrix {
    fn stored(&self, matrices: usize) -> Stored {
        Stored {
            format: self.format,
            codes: self.codes.as_ptr(),
            scales: self.scales.as_ptr(),
            biases: self.biases.as_ptr(),
            rows: self.values.len() / self.input / matrices,
            input: self.input,
            group: self.group,
        }
    }
}

/// The bytes exactly, so that a sanitizer sees what is read after them.
fn bytes<T: mlx_rs::ArrayElement + Copy>(array: &Array) -> Vec<u8> {
    array.eval().unwrap();
    let numbers = array.as_slice::<T>();
    // SAFETY: numbers are read as their bytes.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) }.to_vec()
}

fn packed(codes: &Array, scales: &Array, biases: Option<&Array>, quantization: Quantization) -> Matrix {
    let values = mlx::dequantize(codes, scales, biases, quantization, mlx_rs::Dtype::Float32).unwrap();
    let input = values.dim(-1) as usize;
    let affine = quantization.mode == Mode::Affine;
    Matrix {
        codes: bytes::<u32>(codes),
        scales: if affine { bytes::<f32>(scales) } else { bytes::<u8>(scales) },
        biases: biases.map(bytes::<f32>).unwrap_or_default(),
        values: host(&values),
        format: format::of_packed(quantization, input).unwrap(),
        group: quantization.group_size as usize,
        input,
    }
}

fn quantized(rows: i32, input: i32, quantization: Quantization) -> Matrix {
    let (codes, scales, biases) = mlx::quantize(&random(&[rows, input], 3), quantization).unwrap();
    packed(&codes, &scales, biases.as_ref(), quantization)
}

fn dense(rows: i32, input: i32, dtype: mlx_rs::Dtype) -> Matrix {
    let w = random(&[rows, input], 3).as_dtype(dtype).unwrap();
    let codes = match dtype {
        mlx_rs::Dtype::Float32 => bytes::<f32>(&w),
        _ => bytes::<u16>(&w.view_dtype(mlx_rs::Dtype::Uint16).unwrap()),
    };
    let format = format::of_dense(dtype).unwrap();
    let values = host(&w);
    Matrix { codes, scales: vec![], biases: vec![], values, format, group: 0, input: input as usize }
}

/// Every product, in `f64`, and the sum of the magnitudes that it adds up.
fn expected(matrix: &Matrix, matrices: usize, x: &[f32], experts: &[u32], share: usize) -> Vec<(f64, f64)> {
    let rows = matrix.values.len() / matrix.input / matrices;
    let mut all = Vec::new();
    for (i, expert) in experts.iter().enumerate() {
        let x = &x[i / share * matrix.input..][..matrix.input];
        let w = &matrix.values[*expert as usize * rows * matrix.input..][..rows * matrix.input];
        for w in w.chunks(matrix.input) {
            let terms = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            all.push(terms.fold((0.0, 0.0), |(sum, most), term| (sum + term, most + term.abs())));
        }
    }
    all
}

/// What all kernels make of it, beside the sums of exact values.
#[track_caller]
fn check(matrix: &Matrix, matrices: usize, experts: Option<&[u32]>, products: usize, share: usize) {
    let x = host(&random(&[products.div_ceil(share) as i32, matrix.input as i32], 7));
    let first = vec![0; products];
    let expected = expected(matrix, matrices, &x, experts.unwrap_or(&first), share);
    for kernels in available() {
        let mut y = vec![f32::NAN; expected.len()];
        let w = matrix.stored(matrices);
        let all = Products { w, x: x.as_ptr(), y: y.as_mut_ptr(), experts, matrices, products, share };
        // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
        unsafe { driver::multiply(&kernels, &all) };
        for (at, (found, (sum, magnitude))) in y.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(*found) - sum).abs() <= magnitude * 1e-6 + 1e-30,
                "{} format {} of {} values, {products} rows, {at}: {found} {sum}",
                kernels.name,
                matrix.format,
                matrix.input,
            );
        }
    }
}

#[test]
fn products_of_every_storage_are_sums_of_its_values() {
    for quantization in storages() {
        // Rows that are no whole number of four, and no whole tile.
        let matrix = quantized(67, 256, quantization);
        for rows in [1, 2, 3, 4, 5, 8, 9, 16, 17, 19, 40] {
            check(&matrix, 1, None, rows, 1);
        }
    }
}

#[test]
fn rows_of_any_length_that_a_storage_has_are_whole() {
    for quantization in storages() {
        for input in [32, 96, 160, 1056, 2080] {
            if input % quantization.group_size == 0 {
                let matrix = quantized(5, input, quantization);
                [1, 2, 20].into_iter().for_each(|rows| check(&matrix, 1, None, rows, 1));
            }
        }
    }
    for dtype in [mlx_rs::Dtype::Bfloat16, mlx_rs::Dtype::Float16, mlx_rs::Dtype::Float32] {
        for input in [1, 31, 32, 33, 269, 1024, 1100] {
            let matrix = dense(6, input, dtype);
            [1, 3, 8, 18, 23].into_iter().for_each(|rows| check(&matrix, 1, None, rows, 1));
        }
    }
}

#[test]
fn many_rows_are_parted() {
    let matrix = quantized(70, 64, storages()[0]);
    check(&matrix, 1, None, 1100, 1);
}

/// What happens where there is no memory for a copy of all rows.
#[test]
fn rows_one_by_one_are_what_they_are_together() {
    let matrix = quantized(12, 5 * 64, storages()[0]);
    let x = host(&random(&[20, 64], 7));
    let experts: Vec<u32> = (0..60).map(|i| i % 5).collect();
    for kernels in available() {
        let of = |multiply: unsafe fn(&super::Kernels, &Products)| {
            let mut y = vec![f32::NAN; 60 * 12];
            let w = Stored { input: 64, ..matrix.stored(1) };
            let (x, y_at, experts) = (x.as_ptr(), y.as_mut_ptr(), Some(&experts[..]));
            let all = Products { w, x, y: y_at, experts, matrices: 5, products: 60, share: 3 };
            // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
            unsafe { multiply(&kernels, &all) };
            y
        };
        crate::nn::testing::close(&of(driver::one_by_one), &of(driver::multiply), 1e-5);
    }
}

#[test]
fn each_product_is_with_its_expert() {
    for quantization in [storages()[0], storages()[1], storages()[2], storages()[3], storages()[9]] {
        let (codes, scales, biases) = mlx::quantize(&random(&[5, 12, 128], 3), quantization).unwrap();
        let matrix = packed(&codes, &scales, biases.as_ref(), quantization);
        check(&matrix, 5, Some(&[4, 0, 3]), 3, 3);
        check(&matrix, 5, Some(&[1, 1, 0, 4, 2, 1]), 6, 2);
        // Some with few rows, some with many, one with none.
        let experts: Vec<u32> = (0..60).map(|i| if i % 3 == 0 { 4 } else { i % 3 }).collect();
        check(&matrix, 5, Some(&experts), 60, 4);
        check(&matrix, 5, Some(&experts), 60, 1);
    }
}

/// All codes under all scales, by a product with each column of the identity: one value and zeros.
#[test]
fn every_code_and_scale_is_exact() {
    for quantization in [storages()[0], storages()[1], storages()[2]] {
        let all = 256 * 32 / quantization.bits;
        let words: Vec<u32> =
            (0..256 * 64u32).map(|i| i.wrapping_mul(0x9e37_79b1).rotate_left(i % 29)).collect();
        let groups = 64 * 32 / quantization.bits / quantization.group_size;
        let scales: Vec<u8> = (0..=255u8).flat_map(|scale| vec![scale; groups as usize]).collect();
        let codes = Array::from_slice(&words, &[256, 64]);
        let scales = Array::from_slice(&scales, &[256, groups]);
        let matrix = packed(&codes, &scales, None, quantization);
        assert!(matrix.input as i32 <= all);
        for kernels in available() {
            for column in 0..matrix.input {
                let mut x = vec![0.0f32; matrix.input];
                x[column] = 1.0;
                let mut y = vec![0.0f32; 256];
                let w = matrix.stored(1);
                let all = Products {
                    w,
                    x: x.as_ptr(),
                    y: y.as_mut_ptr(),
                    experts: None,
                    matrices: 1,
                    products: 1,
                    share: 1,
                };
                // SAFETY: the sizes are those of the vectors, and the processor has the instructions.
                unsafe { driver::multiply(&kernels, &all) };
                for (row, found) in y.iter().enumerate() {
                    let values = &matrix.values[row * matrix.input..][..matrix.input];
                    // A scale that is no number, or that takes a code beyond all numbers, spoils its row in MLX too.
                    if values.iter().all(|value| value.is_finite()) {
                        assert_eq!(*found, values[column], "{} {quantization} {row} {column}", kernels.name);
                    } else {
                        assert!(!found.is_finite(), "{} {quantization} {row}: {found}", kernels.name);
                    }
                }
            }
        }
    }
}

#[test]
fn an_operation_is_lazy_and_takes_views() {
    let quantization = storages()[0];
    let w = random(&[24, 64], 5);
    let (codes, scales, _) = mlx::quantize(&w, quantization).unwrap();
    let values = mlx::dequantize(&codes, &scales, None, quantization, mlx_rs::Dtype::Float32).unwrap();
    let operand = Operand::packed(&codes, &scales, None, quantization).unwrap();
    let x = random(&[64, 6], 9);
    let product = operand.multiply(&x.t().reshape(&[2, 3, 64]).unwrap()).unwrap().unwrap();
    assert_eq!(product.shape(), [2, 3, 24]);
    let expected = x.t().matmul(values.t()).unwrap();
    crate::nn::testing::close(&host(&product), &host(&expected), 1e-5);
    assert!(operand.multiply(&x.t().as_dtype(mlx_rs::Dtype::Bfloat16).unwrap()).is_none());
    assert!(operand.multiply(&x).is_none());
}
