//! Bicubic resizing of 8-bit RGB, equal bit for bit to Pillow 13's
//! `Image.resize(size, Image.Resampling.BICUBIC)`.
//!
//! The references resize so, and one level of difference moves logits, so the arithmetic is Pillow's
//! (`src/libImaging/Resample.c`): a Keys kernel with a = -0.5, widened by the scale when shrinking; weights
//! computed in `f64`, normalized, rounded to 22-bit fixed point; a horizontal and a vertical pass, each rounded
//! and clipped to 8 bits, so that their order shows; a pass that would not change the size is left out.
//! Earlier Pillow always began with the horizontal pass: it differs by a few levels where [`vertical_first`] holds.

use super::limits::{check_dimensions, zeroed};
use crate::error::{Error, Result};

/// Fraction bits of a weight: 32, less 8 for the pixel and 2 for the kernel's overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half a level, added before the shift.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// The kernel reaches two source pixels to each side (before widening).
const SUPPORT: f64 = 2.0;
/// Bytes of a row that the vertical pass sums at a time: its `i32` sums stay in the nearest cache.
const TILE: usize = 2048;

/// Resizes `rgb` (`height` rows of `width` times R, G, B) to `to_width` x `to_height`.
///
/// Errors: `InvalidArgument` when `rgb` has another length, `InvalidMedia` when a size is zero or beyond
/// [`super::limits`], `OutOfMemory`.
pub fn bicubic(rgb: &[u8], width: u32, height: u32, to_width: u32, to_height: u32) -> Result<Vec<u8>> {
    check_dimensions(width, height)?;
    check_dimensions(to_width, to_height)?;
    let expected = width as usize * height as usize * 3;
    if rgb.len() != expected {
        return Err(Error::invalid_argument(format!(
            "{width} x {height} RGB pixels take {expected} bytes, but {} were given",
            rgb.len()
        )));
    }
    // The picture between both passes is never larger than the larger of source and result.
    if vertical_first(width, height, to_width, to_height) {
        let flat = vertical(rgb, width, height, to_height)?;
        if width == to_width { Ok(flat) } else { horizontal(&flat, width, to_height, to_width) }
    } else if width == to_width {
        if height == to_height { copy(rgb) } else { vertical(rgb, width, height, to_height) }
    } else {
        let narrow = horizontal(rgb, width, height, to_width)?;
        if height == to_height { Ok(narrow) } else { vertical(&narrow, to_width, height, to_height) }
    }
}

/// Whether the vertical pass is the first: where the height loses more than twice the pixels that the width does.
fn vertical_first(width: u32, height: u32, to_width: u32, to_height: u32) -> bool {
    let lost_width = i64::from(width) - i64::from(to_width);
    let lost_height = i64::from(height) - i64::from(to_height);
    lost_height > 0 && lost_height > 2 * lost_width
}

fn copy(rgb: &[u8]) -> Result<Vec<u8>> {
    let mut out = zeroed::<u8>(rgb.len())?;
    out.copy_from_slice(rgb);
    Ok(out)
}

/// The weights with which source pixels make each output pixel along one axis.
struct Kernel {
    /// For each output pixel: its first source pixel, how many there are, and where their weights begin.
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<i32>,
}

impl Kernel {
    fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let widening = scale.max(1.0);
        let support = SUPPORT * widening;
        let mut kernel = Kernel { spans: Vec::with_capacity(to as usize), weights: Vec::new() };
        let mut exact = Vec::new();
        for x in 0..to {
            let center = (f64::from(x) + 0.5) * scale;
            // Casts truncate towards zero and clip negative numbers to zero.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            exact.clear();
            exact.extend((first..end).map(|i| keys((i as f64 - center + 0.5) * (1.0 / widening))));
            let sum: f64 = exact.iter().sum();
            kernel.spans.push((first, exact.len(), kernel.weights.len()));
            kernel.weights.extend(exact.iter().map(|w| fixed(if sum != 0.0 { w / sum } else { *w })));
        }
        kernel
    }

    /// For each output pixel, its first source pixel and the weights from there on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans.iter().map(|&(first, len, at)| (first, &self.weights[at..at + len]))
    }
}

/// Keys' cubic convolution kernel with a = -0.5.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Fixed point, rounded half away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION_BITS);
    if weight < 0.0 { (scaled - 0.5) as i32 } else { (scaled + 0.5) as i32 }
}

/// A sum of weighted pixels, which already holds [`HALF`], as a pixel.
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn horizontal(rgb: &[u8], width: u32, height: u32, to_width: u32) -> Result<Vec<u8>> {
    let (row_bytes, to_bytes) = (width as usize * 3, to_width as usize * 3);
    let mut out = zeroed::<u8>(to_bytes * height as usize)?;
    let kernel = Kernel::new(width, to_width);
    for (row, out_row) in rgb.chunks_exact(row_bytes).zip(out.chunks_exact_mut(to_bytes)) {
        let row = row.as_chunks::<3>().0;
        for ((first, weights), pixel) in kernel.iter().zip(out_row.as_chunks_mut::<3>().0) {
            let mut sum = [HALF; 3];
            for (&weight, source) in weights.iter().zip(&row[first..]) {
                for c in 0..3 {
                    sum[c] += i32::from(source[c]) * weight;
                }
            }
            *pixel = sum.map(clip);
        }
    }
    Ok(out)
}

fn vertical(rgb: &[u8], width: u32, height: u32, to_height: u32) -> Result<Vec<u8>> {
    let row_bytes = width as usize * 3;
    let mut out = zeroed::<u8>(row_bytes * to_height as usize)?;
    let kernel = Kernel::new(height, to_height);
    let mut sums = [HALF; TILE];
    for ((first, weights), out_row) in kernel.iter().zip(out.chunks_exact_mut(row_bytes)) {
        for (tile, out_tile) in out_row.chunks_mut(TILE).enumerate() {
            let sums = &mut sums[..out_tile.len()];
            sums.fill(HALF);
            for (i, &weight) in weights.iter().enumerate() {
                let at = (first + i) * row_bytes + tile * TILE;
                for (sum, &source) in sums.iter_mut().zip(&rgb[at..at + out_tile.len()]) {
                    *sum += i32::from(source) * weight;
                }
            }
            for (pixel, &sum) in out_tile.iter_mut().zip(sums.iter()) {
                *pixel = clip(sum);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fnv, noise, testdata};
    use super::*;

    #[test]
    fn every_bit_is_pillows() {
        let mut count = 0;
        for line in testdata("resize.txt").unwrap_text().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [w, h, to_w, to_h, seed] = [0, 1, 2, 3, 4].map(|i| fields[i].parse::<u32>().unwrap());
            let source = noise(w as usize * h as usize * 3, u64::from(seed));
            let resized = bicubic(&source, w, h, to_w, to_h).unwrap();
            assert_eq!(resized.len(), to_w as usize * to_h as usize * 3);
            assert_eq!(fnv(&resized), fields[5], "{line}");
            count += 1;
        }
        assert_eq!(count, 80);
    }

    #[test]
    fn a_row_longer_than_a_tile_is_resized_like_a_short_one() {
        // Vertically, columns do not know each other: a wide picture is its narrow one repeated.
        let (narrow, repeats) = (noise(16 * 9 * 3, 2), 3 * TILE / 48);
        let wide: Vec<u8> = narrow.chunks(48).flat_map(|row| row.repeat(repeats)).collect();
        let width = 16 * repeats as u32;
        let small = bicubic(&narrow, 16, 9, 16, 31).unwrap();
        let large = bicubic(&wide, width, 9, width, 31).unwrap();
        for (small, large) in small.chunks(48).zip(large.chunks(48 * repeats)) {
            assert!(large.chunks(48).all(|part| part == small));
        }
    }

    #[test]
    fn the_pass_order_is_pillows() {
        assert!(!vertical_first(3024, 4032, 672, 912));
        assert!(vertical_first(1080, 2400, 528, 1152));
        assert!(vertical_first(90, 120, 81, 101));
        assert!(!vertical_first(90, 120, 80, 100));
        assert!(!vertical_first(64, 64, 768, 768));
    }

    #[test]
    fn wrong_sizes_are_errors() {
        for (len, w, h, to_w, to_h) in [
            (11, 2, 2, 4, 4),
            (13, 2, 2, 4, 4),
            (0, 0, 2, 4, 4),
            (12, 2, 2, 0, 4),
            (12, 2, 2, 4, 70_000),
            (12, 2, 2, 60_000, 60_000),
        ] {
            assert!(bicubic(&vec![0; len], w, h, to_w, to_h).is_err());
        }
    }
}
