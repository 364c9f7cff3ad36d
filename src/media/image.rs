//! A picture: 8-bit RGB rows, from encoded bytes or from the host's own pixels.

use super::limits::{check_dimensions, reserve};
use super::{ContentHash, contain, image_decode};
use crate::error::{Error, Result};

/// The numbers of soft tokens that an image may be given at most (Gemma 4's `max_soft_tokens`).
pub const SOFT_TOKEN_BUDGETS: [u32; 5] = [70, 140, 280, 560, 1120];

/// A decoded picture, upright, its alpha dropped.
#[derive(Clone)]
pub struct Image {
    width: u32,
    height: u32,
    /// `height` rows of `width` times R, G, B, without padding.
    rgb: Vec<u8>,
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
        Image { width, height, rgb, soft_token_budget: None, pixels_hash, hash }
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
