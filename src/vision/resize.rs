//! Resizing of 8-bit RGB, equal bit for bit to Pillow 13's `Image.resize(size, filter)`.
//!
//! The references resize so, and one level of difference moves logits, so the arithmetic is Pillow's
//! (`src/libImaging/Resample.c`): a kernel that is widened by the scale when shrinking (which is what keeps a smaller
//! picture from aliasing); weights computed in `f64`, normalized, rounded to 22-bit fixed point; a horizontal and a
//! vertical pass, each rounded and clipped to 8 bits, so that their order shows; a pass that would not change the size
//! is left out.
//! Earlier Pillow always began with the horizontal pass: it differs by a few levels where [`vertical_first`] holds.

use std::sync::Arc;

use crate::error::{Error, Result};
pub use crate::media::Filter;
use crate::media::limits::{check_dimensions, zeroed};
use crate::media::{Check, Image, Pixels, Reduced};

/// Fraction bits of a weight: 32, less 8 for the pixel and 2 for the kernel's overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half a level, added before the shift.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Bytes of a row that the vertical pass sums at a time: its `i32` sums stay in the nearest cache.
const TILE: usize = 2048;
/// Rows of a result between two questions whether to go on.
const ROWS: usize = 16;

/// The size that a processor brings a picture to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How it is resampled.
    pub filter: Filter,
}

/// A picture of the size that it was brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// `height` rows of `width` times R, G, B.
    pub rgb: Vec<u8>,
}

/// `image` at the size that a model takes it at: resized, or what was kept of it for that.
///
/// Errors: as for [`resize`], and `InvalidArgument` for an image of which another size was kept.
pub fn resized(image: &Image, target: Target, check: Check) -> Result<Resized> {
    let Target { width, height, filter } = target;
    match (image.pixels(), image.reduced(width, height, filter)) {
        (Some(pixels), _) => resize(pixels, width, height, filter, check),
        (None, Some(kept)) => Ok(Resized { width, height, rgb: kept.rgb.clone() }),
        (None, None) => Err(Error::invalid_argument(format!(
            "the image was prepared for a model that takes it at another size: this one takes it at {width} x {height} \
             pixels, and needs the image itself"
        ))),
    }
}

/// What a model takes of `image`, to be kept instead of it.
///
/// Errors: as for [`resized`].
pub(crate) fn reduced(image: &Image, target: Target, check: Check) -> Result<Arc<Reduced>> {
    let Target { width, height, filter } = target;
    match image.reduced(width, height, filter) {
        Some(kept) => Ok(Arc::clone(kept)),
        None => Ok(Arc::new(image.reduced_to(width, height, filter, resized(image, target, check)?.rgb))),
    }
}

/// Resizes `source` to `width` x `height`.
///
/// Errors: `InvalidMedia` when a size is zero or beyond [`crate::media::limits`], `OutOfMemory`, and what `check`
/// ends it with.
pub fn resize(source: Pixels, width: u32, height: u32, filter: Filter, check: Check) -> Result<Resized> {
    check_dimensions(width, height)?;
    let (same_width, same_height) = (source.width() == width, source.height() == height);
    // The picture between both passes is never larger than the larger of source and result.
    let rgb = if same_width && same_height {
        copy(source)?
    } else if same_width {
        vertical(source, height, filter, check)?
    } else if same_height {
        horizontal(source, width, filter, check)?
    } else if vertical_first(&source, width, height) {
        let flat = vertical(source, height, filter, check)?;
        horizontal(Pixels::new(&flat, source.width(), height)?, width, filter, check)?
    } else {
        let narrow = horizontal(source, width, filter, check)?;
        vertical(Pixels::new(&narrow, width, source.height())?, height, filter, check)?
    };
    Ok(Resized { width, height, rgb })
}

/// Whether the vertical pass is the first: where the height loses more than twice the pixels that the width does.
fn vertical_first(source: &Pixels, width: u32, height: u32) -> bool {
    let lost_width = i64::from(source.width()) - i64::from(width);
    let lost_height = i64::from(source.height()) - i64::from(height);
    lost_height > 0 && lost_height > 2 * lost_width
}

fn copy(source: Pixels) -> Result<Vec<u8>> {
    let row_bytes = source.width() as usize * 3;
    let mut out = zeroed::<u8>(row_bytes * source.height() as usize)?;
    for (row, out_row) in source.rows().zip(out.chunks_exact_mut(row_bytes)) {
        out_row.copy_from_slice(row);
    }
    Ok(out)
}

/// The weights with which source pixels make each output pixel along one axis.
struct Kernel {
    /// For each output pixel: its first source pixel, how many there are, and where their weights begin.
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<i32>,
}

impl Kernel {
    fn new(from: u32, to: u32, filter: Filter) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let mut kernel = Kernel { spans: Vec::with_capacity(to as usize), weights: Vec::new() };
        let mut exact = Vec::new();
        for x in 0..to {
            let center = (f64::from(x) + 0.5) * scale;
            // Casts truncate towards zero and clip negative numbers to zero.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            exact.clear();
            exact.extend((first..end).map(|i| filter.weight((i as f64 - center + 0.5) * (1.0 / widening))));
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

impl Filter {
    /// Source pixels that the kernel reaches to each side, before it is widened.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
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

fn horizontal(source: Pixels, width: u32, filter: Filter, check: Check) -> Result<Vec<u8>> {
    let row_bytes = width as usize * 3;
    let mut out = zeroed::<u8>(row_bytes * source.height() as usize)?;
    let kernel = Kernel::new(source.width(), width, filter);
    for (y, (row, out_row)) in source.rows().zip(out.chunks_exact_mut(row_bytes)).enumerate() {
        if y.is_multiple_of(ROWS) {
            check()?;
        }
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

fn vertical(source: Pixels, height: u32, filter: Filter, check: Check) -> Result<Vec<u8>> {
    let row_bytes = source.width() as usize * 3;
    let mut out = zeroed::<u8>(row_bytes * height as usize)?;
    let kernel = Kernel::new(source.height(), height, filter);
    let mut sums = [HALF; TILE];
    for (y, ((first, weights), out_row)) in kernel.iter().zip(out.chunks_exact_mut(row_bytes)).enumerate() {
        if y.is_multiple_of(ROWS) {
            check()?;
        }
        for (tile, out_tile) in out_row.chunks_mut(TILE).enumerate() {
            let sums = &mut sums[..out_tile.len()];
            sums.fill(HALF);
            for (i, &weight) in weights.iter().enumerate() {
                for (sum, &level) in sums.iter_mut().zip(&source.row(first + i)[tile * TILE..]) {
                    *sum += i32::from(level) * weight;
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
    use std::cell::Cell;

    use super::*;
    use crate::error::Code;
    use crate::media::testing::{fnv, noise, text_beside};
    use crate::media::{PixelDesc, PixelFormat, go_on};

    fn resized(rgb: &[u8], from: (u32, u32), to: (u32, u32), filter: Filter) -> Vec<u8> {
        resize(Pixels::new(rgb, from.0, from.1).unwrap(), to.0, to.1, filter, &go_on).unwrap().rgb
    }

    #[test]
    fn every_bit_is_pillows() {
        for (file, filter, lines) in
            [("bicubic.txt", Filter::Bicubic, 80), ("bilinear.txt", Filter::Bilinear, 200)]
        {
            let mut count = 0;
            for line in text_beside(file!(), file).lines() {
                let fields: Vec<&str> = line.split(' ').collect();
                let [w, h, to_w, to_h, seed] = [0, 1, 2, 3, 4].map(|i| fields[i].parse::<u32>().unwrap());
                let source = noise(w as usize * h as usize * 3, u64::from(seed));
                let resized = resized(&source, (w, h), (to_w, to_h), filter);
                assert_eq!(resized.len(), to_w as usize * to_h as usize * 3);
                assert_eq!(fnv(&resized), fields[5], "{file}: {line}");
                count += 1;
            }
            assert_eq!(count, lines, "{file}");
        }
    }

    #[test]
    fn a_row_longer_than_a_tile_is_resized_like_a_short_one() {
        // Vertically, columns do not know each other: a wide picture is its narrow one repeated.
        let (narrow, repeats) = (noise(16 * 9 * 3, 2), 3 * TILE / 48);
        let wide: Vec<u8> = narrow.chunks(48).flat_map(|row| row.repeat(repeats)).collect();
        let width = 16 * repeats as u32;
        let small = resized(&narrow, (16, 9), (16, 31), Filter::Bicubic);
        let large = resized(&wide, (width, 9), (width, 31), Filter::Bicubic);
        for (small, large) in small.chunks(48).zip(large.chunks(48 * repeats)) {
            assert!(large.chunks(48).all(|part| part == small));
        }
    }

    #[test]
    fn a_crop_is_resized_like_a_picture_of_its_own() {
        let desc = |width, height| PixelDesc { width, height, row_stride: 0, format: PixelFormat::Rgb8 };
        let whole = noise(50 * 40 * 3, 2);
        let own: Vec<u8> = whole.chunks(150).skip(5).take(20).flat_map(|row| row[30..120].to_vec()).collect();
        let crop = Image::from_pixels(&desc(50, 40), &whole).unwrap().crop(10, 5, 30, 20).unwrap();
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for to in [(30, 20), (30, 7), (7, 20), (64, 48), (9, 8), (28, 3)] {
                let found = resize(crop.pixels().unwrap(), to.0, to.1, filter, &go_on).unwrap();
                assert_eq!(found.rgb, resized(&own, (30, 20), to, filter), "{to:?}");
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_picture_is_what_resizing_it_gives() {
        let desc = PixelDesc { width: 50, height: 40, row_stride: 0, format: PixelFormat::Rgb8 };
        let whole = Image::from_pixels(&desc, &noise(50 * 40 * 3, 2)).unwrap();
        let crop = |image: &Image| image.crop(10, 5, 30, 20).unwrap();
        let target = |width, height, filter| Target { width, height, filter };
        let (first, second) = (target(20, 16, Filter::Bicubic), target(9, 8, Filter::Bilinear));
        let kept = [reduced(&whole, first, &go_on).unwrap(), reduced(&crop(&whole), second, &go_on).unwrap()];
        let small = whole.with_sizes(&kept);
        assert!(small.pixels().is_none() && Arc::ptr_eq(&reduced(&small, first, &go_on).unwrap(), &kept[0]));
        let all = |image: &Image, target| super::resized(image, target, &go_on);
        assert_eq!(all(&small, first), all(&whole, first));
        assert_eq!(all(&crop(&small), second), all(&crop(&whole), second));
        for (image, other) in [
            (&small, second),
            (&small, target(20, 16, Filter::Bilinear)),
            (&crop(&small), first),
            (&small.crop(0, 0, 30, 20).unwrap(), second),
        ] {
            assert_eq!(all(image, other).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn the_pass_order_is_pillows() {
        let first = |w, h, to_w, to_h| {
            let rgb = vec![0; w as usize * h as usize * 3];
            vertical_first(&Pixels::new(&rgb, w, h).unwrap(), to_w, to_h)
        };
        assert!(!first(3024, 4032, 672, 912));
        assert!(first(1080, 2400, 528, 1152));
        assert!(first(90, 120, 81, 101));
        assert!(!first(90, 120, 80, 100));
        assert!(!first(64, 64, 768, 768));
    }

    #[test]
    fn wrong_sizes_are_errors() {
        for (len, w, h) in [(11, 2, 2), (13, 2, 2), (0, 0, 2)] {
            assert!(Pixels::new(&vec![0; len], w, h).is_err());
        }
        for (to_w, to_h) in [(0, 4), (4, 70_000), (60_000, 60_000)] {
            let source = Pixels::new(&[0; 12], 2, 2).unwrap();
            assert!(resize(source, to_w, to_h, Filter::Bilinear, &go_on).is_err());
        }
    }

    #[test]
    fn a_cancel_ends_it_between_rows() {
        let rgb = vec![0; 64 * 64 * 3];
        let asked = Cell::new(0);
        let check = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 { Err(Error::new(Code::Cancelled, "enough")) } else { Ok(()) }
        };
        let source = Pixels::new(&rgb, 64, 64).unwrap();
        let error = resize(source, 32, 32, Filter::Bicubic, &check).unwrap_err();
        assert_eq!((error.code(), asked.get()), (Code::Cancelled, 3));
    }
}
