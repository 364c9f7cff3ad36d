//! A picture: 8-bit RGB rows, from encoded bytes or from the host's own pixels.

use std::sync::Arc;

use super::limits::{check_dimensions, reserve};
use super::{ContentHash, contain, image_decode};
use crate::error::{Error, Result};

/// The numbers of soft tokens that an image may be given at most (Gemma 4's `max_soft_tokens`).
pub const SOFT_TOKEN_BUDGETS: [u32; 5] = [70, 140, 280, 560, 1120];

/// A decoded picture, upright, its alpha dropped. Clones share the pixels.
#[derive(Clone)]
pub struct Image {
    width: u32,
    height: u32,
    /// `height` rows of `width` times R, G, B, without padding.
    rgb: Arc<Vec<u8>>,
    soft_token_budget: Option<u32>,
    /// Over the pixels alone; `hash` adds the budget.
    pixels_hash: ContentHash,
    hash: ContentHash,
}

/// How raw pixels lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct PixelDesc {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// From the first byte of a row to the first byte of the next, in bytes; 0 means rows without padding.
    pub row_stride: usize,
    pub format: PixelFormat,
}

/// The bytes of one raw pixel, in memory order. Alpha is ignored: premultiply, or composite on a background,
/// before handing the pixels over, if that is what the picture needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    Rgb8,
    Rgba8,
    Bgra8,
    Gray8,
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub fn bytes(self) -> usize {
        match self {
            PixelFormat::Rgb8 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
            PixelFormat::Gray8 => 1,
        }
    }
}

impl Image {
    /// Decodes PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF, told apart by their bytes.
    ///
    /// The EXIF (or TIFF) orientation is applied. Alpha is dropped, not composited; gray and palette pictures
    /// become RGB; of 16-bit samples the high byte is kept. Colour profiles are not applied. This is what
    /// Pillow's `ImageOps.exif_transpose(image).convert("RGB")` gives, except that Pillow saturates 16-bit gray
    /// at 255, and that JPEG and lossy WebP decoders may differ from libjpeg-turbo and libwebp by small amounts.
    ///
    /// Errors: `InvalidMedia` (unknown format, truncated or corrupt bytes, larger than [`super::limits`]),
    /// `OutOfMemory`.
    pub fn decode(encoded: &[u8]) -> Result<Image> {
        let (width, height, rgb) = contain("image", encoded, image_decode::decode)?;
        Ok(Self::new(width, height, rgb))
    }

    /// Takes a copy of raw pixels. `pixels` holds at least `(height - 1) * row_stride + width * bytes per pixel`
    /// bytes; what lies beyond is not read.
    ///
    /// Errors: `InvalidArgument` (stride or length too small), `InvalidMedia` (empty, or larger than
    /// [`super::limits`]), `OutOfMemory`.
    pub fn from_pixels(desc: &PixelDesc, pixels: &[u8]) -> Result<Image> {
        check_dimensions(desc.width, desc.height)?;
        let (width, height) = (desc.width as usize, desc.height as usize);
        let row_bytes = width * desc.format.bytes();
        let stride = if desc.row_stride == 0 { row_bytes } else { desc.row_stride };
        if stride < row_bytes {
            let message = format!(
                "the row stride is {stride} bytes, but a row of {width} {:?} pixels takes {row_bytes}",
                desc.format
            );
            return Err(Error::invalid_argument(message).with("row_stride", stride));
        }
        let needed = (height - 1).checked_mul(stride).and_then(|n| n.checked_add(row_bytes));
        if needed.is_none_or(|n| n > pixels.len()) {
            let needed =
                needed.map_or("more bytes than can be addressed".to_owned(), |n| format!("{n} bytes"));
            let message = format!(
                "{width} x {height} {:?} pixels with a row stride of {stride} bytes take {needed}, but {} were given",
                desc.format,
                pixels.len()
            );
            return Err(Error::invalid_argument(message).with("bytes", pixels.len()));
        }
        let mut rgb = Vec::new();
        reserve(&mut rgb, width * height * 3)?;
        for row in pixels.chunks(stride).take(height) {
            append_rgb(&mut rgb, &row[..row_bytes], desc.format);
        }
        Ok(Self::new(desc.width, desc.height, rgb))
    }

    /// Gives this image its own limit of soft tokens instead of the snapshot's: one of
    /// [`SOFT_TOKEN_BUDGETS`], or `None` for the snapshot's. The budget is part of the hash.
    pub fn with_soft_token_budget(mut self, budget: Option<u32>) -> Result<Image> {
        if let Some(n) = budget
            && !SOFT_TOKEN_BUDGETS.contains(&n)
        {
            return Err(Error::invalid_argument(format!(
                "an image's soft-token budget is {n}: it must be one of {SOFT_TOKEN_BUDGETS:?}"
            ))
            .with("soft_token_budget", n));
        }
        self.soft_token_budget = budget;
        self.hash = full_hash(&self.pixels_hash, budget);
        Ok(self)
    }

    /// In pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `height` rows of `width` times R, G, B, without padding.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    pub fn soft_token_budget(&self) -> Option<u32> {
        self.soft_token_budget
    }

    pub fn hash(&self) -> &ContentHash {
        &self.hash
    }

    /// `rgb` has `width * height * 3` bytes and both sides are within the limits.
    fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len() as u64, u64::from(width) * u64::from(height) * 3);
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rmlx image rgb8");
        hasher.update(&width.to_le_bytes());
        hasher.update(&height.to_le_bytes());
        hasher.update(&rgb);
        let pixels_hash = *hasher.finalize().as_bytes();
        let hash = full_hash(&pixels_hash, None);
        Image { width, height, rgb: Arc::new(rgb), soft_token_budget: None, pixels_hash, hash }
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} x {}, soft_token_budget: {:?})", self.width, self.height, self.soft_token_budget)
    }
}

/// Appends one row of `format` to `rgb`.
fn append_rgb(rgb: &mut Vec<u8>, row: &[u8], format: PixelFormat) {
    match format {
        PixelFormat::Rgb8 => rgb.extend_from_slice(row),
        PixelFormat::Rgba8 => rgb.extend(row.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b])),
        PixelFormat::Bgra8 => rgb.extend(row.as_chunks::<4>().0.iter().flat_map(|&[b, g, r, _]| [r, g, b])),
        PixelFormat::Gray8 => rgb.extend(row.iter().flat_map(|&v| [v, v, v])),
    }
}

/// The hash of an image whose pixels have `pixels_hash`, processed with `budget`.
fn full_hash(pixels_hash: &ContentHash, budget: Option<u32>) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rmlx image");
    hasher.update(pixels_hash);
    hasher.update(&budget.unwrap_or(0).to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::{Media, MediaKind};
    use super::*;
    use crate::error::Code;

    fn desc(width: u32, height: u32, row_stride: usize, format: PixelFormat) -> PixelDesc {
        PixelDesc { width, height, row_stride, format }
    }

    #[test]
    fn every_pixel_format_becomes_rgb() {
        for (format, bytes, want) in [
            (PixelFormat::Rgb8, &[1u8, 2, 3, 4, 5, 6][..], [1u8, 2, 3, 4, 5, 6]),
            (PixelFormat::Rgba8, &[1, 2, 3, 0, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6]),
            (PixelFormat::Bgra8, &[3, 2, 1, 0, 6, 5, 4, 255], [1, 2, 3, 4, 5, 6]),
            (PixelFormat::Gray8, &[7, 9], [7, 7, 7, 9, 9, 9]),
        ] {
            let image = Image::from_pixels(&desc(2, 1, 0, format), bytes).unwrap();
            assert_eq!((image.width(), image.height(), image.rgb()), (2, 1, &want[..]), "{format:?}");
        }
    }

    #[test]
    fn padding_between_rows_is_skipped() {
        let padded = [1, 2, 3, 99, 99, 4, 5, 6, 99, 99, 7, 8, 9];
        let image = Image::from_pixels(&desc(1, 3, 5, PixelFormat::Rgb8), &padded).unwrap();
        assert_eq!(image.rgb(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let tight =
            Image::from_pixels(&desc(1, 3, 0, PixelFormat::Rgb8), &[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        assert_eq!(image.hash(), tight.hash());
    }

    #[test]
    fn impossible_layouts_are_errors() {
        let of = |d: PixelDesc, len: usize| Image::from_pixels(&d, &vec![0; len]).unwrap_err();
        let error = of(desc(4, 2, 11, PixelFormat::Rgb8), 100);
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(
            error.message().contains("stride is 11 bytes, but a row of 4 Rgb8 pixels takes 12"),
            "{error}"
        );
        let error = of(desc(4, 2, 16, PixelFormat::Rgb8), 27);
        assert!(error.message().contains("take 28 bytes, but 27 were given"), "{error}");
        let error = of(desc(4, 3, usize::MAX, PixelFormat::Rgba8), 27);
        assert!(error.message().contains("more bytes than can be addressed"), "{error}");
        assert_eq!(of(desc(0, 2, 0, PixelFormat::Rgb8), 0).code(), Code::InvalidMedia);
        assert_eq!(of(desc(u32::MAX, u32::MAX, 0, PixelFormat::Rgba8), 0).code(), Code::InvalidMedia);
        assert_eq!(of(desc(100_000, 1, 0, PixelFormat::Gray8), 100_000).code(), Code::InvalidMedia);
    }

    #[test]
    fn hashes_tell_content_size_and_budget_apart() {
        let of = |w, h, bytes: &[u8]| Image::from_pixels(&desc(w, h, 0, PixelFormat::Gray8), bytes).unwrap();
        let image = of(2, 3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(image.hash(), of(2, 3, &[1, 2, 3, 4, 5, 6]).hash());
        assert_ne!(image.hash(), of(3, 2, &[1, 2, 3, 4, 5, 6]).hash());
        assert_ne!(image.hash(), of(2, 3, &[1, 2, 3, 4, 5, 7]).hash());
        let frugal = image.clone().with_soft_token_budget(Some(70)).unwrap();
        assert_eq!(frugal.soft_token_budget(), Some(70));
        assert_ne!(image.hash(), frugal.hash());
        assert_ne!(frugal.hash(), frugal.clone().with_soft_token_budget(Some(140)).unwrap().hash());
        let back = frugal.with_soft_token_budget(None).unwrap();
        assert_eq!(image.hash(), back.hash());
        let media = Media::Image(back);
        assert_eq!((media.kind(), media.hash()), (MediaKind::Image, image.hash()));
    }

    #[test]
    fn only_the_models_budgets_are_taken() {
        let image = Image::from_pixels(&desc(1, 1, 0, PixelFormat::Gray8), &[0]).unwrap();
        for budget in SOFT_TOKEN_BUDGETS {
            assert!(image.clone().with_soft_token_budget(Some(budget)).is_ok());
        }
        let error = image.with_soft_token_budget(Some(100)).unwrap_err();
        assert!(error.message().contains("[70, 140, 280, 560, 1120]"), "{error}");
    }
}
