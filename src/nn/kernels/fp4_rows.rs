//! Few rows times a matrix of packed four-bit floats, on an NVIDIA GPU.
//!
//! MLX's kernel reads the matrix again for each of 2 to 7 rows, at a third of the card's speed, and some of its products
//! of 2 to 100 rows were wrong. Here 8 rows cost what one does, and [`ROWS`] less than twice that: tensor cores multiply
//! codes, made into exact `bf16`, by the rows, and sum in `f32`.

use mlx_rs::{Array, Dtype};
use once_cell::unsync::OnceCell;

use crate::error::{Code, Error, Result};
use crate::nn::mlx::{CudaKernel, CudaLaunch};
use crate::snapshot::quantization::{Mode, Quantization};

/// Rows of a launch, at most.
pub const ROWS: i32 = 32;
/// The largest exponent of a scale of mxfp4 that the kernel's factors leave room for; 2^9 is far above any weight's.
const LARGEST_E8M0: u8 = 136;
/// Values of a row that a warp takes at a time.
const CHUNK: i32 = 128;
/// Rows of the matrix that a tensor core takes at a time.
const TILE: i32 = 16;

thread_local! {
    // MLX's arrays and streams belong to their thread; so does this.
    static KERNEL: OnceCell<CudaKernel> = const { OnceCell::new() };
}

/// Whether [`multiply`] takes a matrix of `codes` `[out, in / 8]` and `scales`, which are evaluated for mxfp4.
pub fn takes(codes: &Array, scales: &Array, quantization: Quantization) -> Result<bool> {
    let fits = codes.ndim() == 2 && codes.dim(0) % TILE == 0 && codes.dim(1) * 8 % CHUNK == 0;
    Ok(fits
        && match quantization.mode {
            Mode::Nvfp4 => true,
            Mode::Mxfp4 => largest(scales)? <= u32::from(LARGEST_E8M0),
            Mode::Affine | Mode::Mxfp8 => false,
        })
}

fn largest(codes: &Array) -> Result<u32> {
    let largest = codes.max(false)?.try_item_cast::<u32>();
    largest.map_err(|e| Error::new(Code::Backend, format!("the largest of a matrix's scales: {e}")))
}

/// `x · Wᵀ` for `x` `[T, in]` of `bf16`, at most [`ROWS`] rows: `[T, out]`.
pub fn multiply(x: &Array, codes: &Array, scales: &Array, quantization: Quantization) -> Result<Array> {
    let (rows, outer, inner) = (x.dim(0), codes.dim(0), x.dim(1));
    let groups = match (rows + 7) / 8 {
        1 => 1,
        2 => 2,
        _ => 4,
    };
    // Two tiles read x half as often, where there are enough of them for all of the card.
    let tiles = if outer % (2 * TILE) == 0 && outer >= 8192 { 2 } else { 1 };
    // Shared memory for the sums is 2 KB a warp, group and tile.
    let warps = if inner / CHUNK >= 32 && groups < 4 { 8 } else { 4 };
    let block = warps * 32;
    let launch = CudaLaunch {
        constants: &[
            (c"SIZE", quantization.group_size),
            (c"TILES", tiles),
            (c"GROUPS", groups),
            (c"WARPS", warps),
        ],
        grid: outer / (TILE * tiles) * block,
        block,
        shape: &[rows, outer],
        dtype: Dtype::Bfloat16,
    };
    KERNEL.with(|kernel| {
        let kernel = kernel.get_or_try_init(|| {
            let (header, body) = (include_str!("fp4_rows.h"), include_str!("fp4_rows.cu"));
            CudaKernel::new(c"rmlx_fp4_rows", [c"x", c"w", c"scales"], c"y", header, body)
        })?;
        kernel.launch([x, codes, scales], &launch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{host, random};
    use crate::nn::{has_cuda, mlx};

    const MXFP4: Quantization = Quantization { mode: Mode::Mxfp4, bits: 4, group_size: 32 };
    const NVFP4: Quantization = Quantization { mode: Mode::Nvfp4, bits: 4, group_size: 16 };

    fn quantized(outer: i32, inner: i32, quantization: Quantization) -> (Array, Array) {
        let w = random(&[outer, inner], 5);
        let (codes, scales, _) = mlx::quantize(&w, quantization).unwrap();
        (codes, scales)
    }

    #[test]
    fn only_what_the_kernel_can_do_is_taken() {
        let scales =
            |code: u8, shape: &[i32]| Array::from_slice(&vec![code; (shape[0] * shape[1]) as usize], shape);
        let of = |(outer, inner): (i32, i32), code: u8, quantization: Quantization| {
            let (codes, _) = quantized(outer, inner, quantization);
            takes(&codes, &scales(code, &[outer, inner / 32]), quantization).unwrap()
        };
        assert!(of((32, 256), LARGEST_E8M0, MXFP4) && of((32, 256), 0xff, NVFP4));
        assert!(!of((32, 256), LARGEST_E8M0 + 1, MXFP4));
        assert!(!of((24, 256), 120, MXFP4) && !of((32, 192), 120, MXFP4));
        let mxfp8 = Quantization { mode: Mode::Mxfp8, bits: 8, group_size: 32 };
        assert!(!of((32, 256), 120, mxfp8));
    }

    /// Every code under every scale that a kernel takes, beside the sums of MLX's exact values.
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn products_are_those_of_the_values_on_cuda() {
        assert!(has_cuda());
        for quantization in [MXFP4, NVFP4] {
            for (outer, inner) in [(16, 128), (2560, 2560), (8192, 4096), (10240, 2560), (2560, 10240)] {
                let (codes, _) = quantized(outer, inner, quantization);
                let groups = inner / quantization.group_size;
                // From 2^-20 to 2^9, and all of E4M3 but the two NaNs.
                let code = |i: i32| match quantization.mode {
                    Mode::Mxfp4 => (107 + i * 7 % 30) as u8,
                    _ => (i * 37 % 127) as u8 | if i % 5 == 0 { 0x80 } else { 0 },
                };
                let scales: Vec<u8> = (0..outer * groups).map(code).collect();
                let scales = Array::from_slice(&scales, &[outer, groups]);
                assert!(takes(&codes, &scales, quantization).unwrap());
                let w = mlx::dequantize(&codes, &scales, None, quantization, Dtype::Float32).unwrap();
                for rows in [1, 2, 7, 8, 9, 16, 17, 31, 32] {
                    let x = random(&[rows, inner], 9).as_dtype(Dtype::Bfloat16).unwrap();
                    let found = host(&multiply(&x, &codes, &scales, quantization).unwrap());
                    let x = x.as_dtype(Dtype::Float32).unwrap();
                    let (expected, magnitude) = mlx_rs::with_stream(&mlx_rs::Stream::cpu(), || {
                        let magnitude = x.abs().unwrap().matmul(w.abs().unwrap().t()).unwrap();
                        (host(&x.matmul(w.t()).unwrap()), host(&magnitude))
                    });
                    for (at, ((found, expected), magnitude)) in
                        found.iter().zip(&expected).zip(&magnitude).enumerate()
                    {
                        // The result is rounded to bf16, and sums in f32 differ by their order.
                        let bound = expected.abs() / 256.0 + magnitude * 1e-5;
                        assert!(
                            (found - expected).abs() <= bound,
                            "{quantization} {outer}x{inner}, {rows} rows, {at}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}
