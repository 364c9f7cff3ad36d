//! A picture: 8-bit RGB rows, from encoded bytes or from the host's own pixels.

use std::sync::Arc;

use super::limits::{check_dimensions, reserve};
use super::{ContentHash, MediaOptions, contain, image_decode};
use crate::error::{Error, Result};

/// A decoded picture, upright, its alpha dropped. Clones and crops share the pixels.
///
/// Of one that was prepared for a model (`Model::prepare_media`), only what that model takes may be left.
#[derive(Clone)]
pub struct Image {
    content: Content,
    width: u32,
    height: u32,
    wishes: ImageWishes,
    /// Over the pixels alone; `hash` adds the wishes.
    pixels_hash: ContentHash,
    hash: ContentHash,
}

/// What there is of a picture.
#[derive(Clone)]
enum Content {
    /// All of its pixels.
    Whole {
        /// Rows of R, G, B of the picture that this is, or is a part of.
        rgb: Arc<Vec<u8>>,
        /// Bytes of one of its rows.
        row_bytes: usize,
        /// Where this picture's first pixel is in it, in bytes.
        start: usize,
    },
    /// The sizes that a model brings it, and crops of it, to.
    Reduced(Arc<[Arc<Reduced>]>),
}

/// A picture, or a crop of one, at a size that it was brought to.
pub(crate) struct Reduced {
    /// Of the pixels that it was made of.
    of: ContentHash,
    pub width: u32,
    pub height: u32,
    pub filter: Filter,
    /// `height` rows of `width` times R, G, B.
    pub rgb: Vec<u8>,
}

/// How source pixels are weighed when a picture is brought to another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle that reaches one source pixel to each side.
    Bilinear,
    /// Keys' cubic convolution with a = -0.5, which reaches two.
    Bicubic,
}

/// How the host would like a picture to be shown. Which of it a model can do is for its processor to say; what it
/// cannot do is an error, not ignored. All of it is part of the picture's hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageWishes {
    /// Most soft tokens that the picture may take, at least 1.
    pub soft_token_budget: Option<u32>,
    /// Whether crops of a long picture are shown besides the whole of it.
    pub pan_and_scan: Option<bool>,
    /// Fewest and most pixels that the picture may be brought to.
    pub pixel_range: Option<(u32, u32)>,
}

/// The pixels of a picture, to read.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    rgb: &'a [u8],
    row_bytes: usize,
    width: u32,
    height: u32,
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
    /// How a pixel's bytes are read.
    pub format: PixelFormat,
}

/// The bytes of one raw pixel, in memory order. Alpha is ignored: premultiply, or composite on a background,
/// before handing the pixels over, if that is what the picture needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue: 3 bytes.
    Rgb8,
    /// Red, green, blue, alpha: 4 bytes.
    Rgba8,
    /// Blue, green, red, alpha: 4 bytes.
    Bgra8,
    /// Lightness: 1 byte.
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
    /// The orientation that EXIF or XMP states is applied. Alpha is dropped, not composited; gray and palette pictures
    /// become RGB; of 16-bit samples the high byte is kept. Colour profiles are not applied. This is what Pillow's
    /// `ImageOps.exif_transpose(image).convert("RGB")` gives, bit for bit for JPEG too, except that Pillow saturates
    /// 16-bit gray at 255, and that lossy WebP, CMYK, and in TIFF plain YCbCr and JPEG with alpha may differ by small amounts.
    ///
    /// Beside the picture, a JPEG in one scan and a PNG that is not interlaced take a few rows while they are decoded;
    /// other files up to the decoder's own copy of them.
    ///
    /// Errors: `InvalidMedia` (unknown format, truncated or corrupt bytes, more than [`MediaOptions::default`] allows),
    /// `Unsupported` (a format, or a kind of one of these, that is not read, by its name), `OutOfMemory`.
    pub fn decode(encoded: &[u8]) -> Result<Image> {
        Self::decode_with(encoded, &MediaOptions::default())
    }

    /// [`Image::decode`] within the host's bounds.
    ///
    /// Errors: as for [`Image::decode`], and what the options' check ends it with.
    pub fn decode_with(encoded: &[u8], options: &MediaOptions) -> Result<Image> {
        (options.check)()?;
        let (width, height, rgb) = contain("image", || image_decode::decode(encoded, options))?;
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

    /// Gives this image its own limit of soft tokens instead of the model's; `None` takes it back.
    ///
    /// Errors: `InvalidArgument` for 0. What else a model cannot do is an error when the image is placed.
    pub fn with_soft_token_budget(self, budget: Option<u32>) -> Result<Image> {
        if budget == Some(0) {
            let message = "an image's soft-token budget is 0: it must be at least 1";
            return Err(Error::invalid_argument(message).with("soft_token_budget", 0));
        }
        let wishes = ImageWishes { soft_token_budget: budget, ..self.wishes };
        Ok(self.with_wishes(wishes))
    }

    /// Says whether crops of a long picture are to be shown besides the whole of it; `None` leaves it to the model.
    pub fn with_pan_and_scan(self, pan_and_scan: Option<bool>) -> Image {
        let wishes = ImageWishes { pan_and_scan, ..self.wishes };
        self.with_wishes(wishes)
    }

    /// Gives this image its own fewest and most pixels that it may be brought to; `None` leaves them to the model.
    ///
    /// Errors: `InvalidArgument` where the fewest are more than the most, or the most are 0.
    pub fn with_pixel_range(self, range: Option<(u32, u32)>) -> Result<Image> {
        if let Some((least, most)) = range
            && (most == 0 || least > most)
        {
            let message = format!(
                "an image's pixel range is {least} to {most}: it must ascend, and end at 1 pixel or more"
            );
            return Err(Error::invalid_argument(message).with("min_pixels", least).with("max_pixels", most));
        }
        let wishes = ImageWishes { pixel_range: range, ..self.wishes };
        Ok(self.with_wishes(wishes))
    }

    /// What the host wishes of its processing.
    pub fn wishes(&self) -> &ImageWishes {
        &self.wishes
    }

    /// The image as it is shown once its wishes are answered.
    pub(crate) fn without_wishes(self) -> Image {
        self.with_wishes(ImageWishes::default())
    }

    fn with_wishes(mut self, wishes: ImageWishes) -> Image {
        self.wishes = wishes;
        self.hash = full_hash(&self.pixels_hash, &wishes);
        self
    }

    /// The part of this image that begins at (`left`, `top`), without wishes of its own. What lies outside of this
    /// image is left out.
    ///
    /// Errors: `InvalidArgument` where nothing is left.
    pub(crate) fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Result<Image> {
        let width = width.min(self.width.saturating_sub(left));
        let height = height.min(self.height.saturating_sub(top));
        if width == 0 || height == 0 {
            return Err(Error::invalid_argument(format!(
                "a crop of {width} x {height} pixels at ({left}, {top}) lies outside of a picture of {} x {}",
                self.width, self.height
            )));
        }
        // Not over the pixels again: the picture and the rectangle say what they are.
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rmlx image crop");
        hasher.update(&self.pixels_hash);
        [left, top, width, height].iter().for_each(|n| {
            hasher.update(&n.to_le_bytes());
        });
        let mut content = self.content.clone();
        if let Content::Whole { row_bytes, start, .. } = &mut content {
            *start += top as usize * *row_bytes + left as usize * 3;
        }
        let pixels_hash = *hasher.finalize().as_bytes();
        let crop = Image { content, width, height, pixels_hash, ..self.clone() };
        Ok(crop.without_wishes())
    }

    /// In pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `None` where only the sizes that a model takes are left of it.
    pub fn pixels(&self) -> Option<Pixels<'_>> {
        let Content::Whole { rgb, row_bytes, start } = &self.content else { return None };
        Some(Pixels { rgb: &rgb[*start..], row_bytes: *row_bytes, width: self.width, height: self.height })
    }

    /// The picture at a size, where that is what is left of it.
    pub(crate) fn reduced(&self, width: u32, height: u32, filter: Filter) -> Option<&Arc<Reduced>> {
        let Content::Reduced(sizes) = &self.content else { return None };
        sizes.iter().find(|size| {
            (size.of, size.width, size.height, size.filter) == (self.pixels_hash, width, height, filter)
        })
    }

    /// What `rgb`, `height` rows of `width` times R, G, B, is of this picture.
    pub(crate) fn reduced_to(&self, width: u32, height: u32, filter: Filter, rgb: Vec<u8>) -> Reduced {
        Reduced { of: self.pixels_hash, width, height, filter, rgb }
    }

    /// The same picture, of which only these sizes (of it and of its crops) are left, where they take less than all of
    /// it does.
    pub(crate) fn with_sizes(&self, sizes: &[Arc<Reduced>]) -> Image {
        let bytes: usize = sizes.iter().map(|size| size.rgb.len()).sum();
        match bytes < self.bytes() {
            true => Image { content: Content::Reduced(sizes.into()), ..self.clone() },
            false => self.clone(),
        }
    }

    /// [`Image::with_sizes`] of those that are of this very picture.
    pub(super) fn with_own_sizes(&self, sizes: &[Arc<Reduced>]) -> Image {
        let own: Vec<Arc<Reduced>> =
            sizes.iter().filter(|size| size.of == self.pixels_hash).cloned().collect();
        if own.is_empty() { self.clone() } else { self.with_sizes(&own) }
    }

    /// Of the pixels that are held, which clones and crops share.
    pub(super) fn bytes(&self) -> usize {
        match &self.content {
            Content::Whole { rgb, .. } => rgb.len(),
            Content::Reduced(sizes) => sizes.iter().map(|size| size.rgb.len()).sum(),
        }
    }

    /// Of its content: equal images have equal hashes.
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
        let wishes = ImageWishes::default();
        let hash = full_hash(&pixels_hash, &wishes);
        let content = Content::Whole { rgb: Arc::new(rgb), row_bytes: width as usize * 3, start: 0 };
        Image { content, width, height, wishes, pixels_hash, hash }
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} x {}, {:?})", self.width, self.height, self.wishes)
    }
}

impl<'a> Pixels<'a> {
    /// `rgb` is `height` rows of `width` times R, G, B.
    ///
    /// Errors: `InvalidArgument` when it has another length, `InvalidMedia` when a side is zero or beyond
    /// [`super::limits`].
    pub fn new(rgb: &'a [u8], width: u32, height: u32) -> Result<Pixels<'a>> {
        check_dimensions(width, height)?;
        let row_bytes = width as usize * 3;
        let expected = row_bytes * height as usize;
        if rgb.len() != expected {
            return Err(Error::invalid_argument(format!(
                "{width} x {height} RGB pixels take {expected} bytes, but {} were given",
                rgb.len()
            )));
        }
        Ok(Pixels { rgb, row_bytes, width, height })
    }

    /// In pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `width` times R, G, B of a row above [`Pixels::height`].
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.row_bytes;
        &self.rgb[start..start + self.width as usize * 3]
    }

    /// From top to bottom.
    pub fn rows(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.height as usize).map(move |y| self.row(y))
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

/// The hash of an image whose pixels have `pixels_hash`, shown as `wishes` say. A wish that is not there adds nothing.
fn full_hash(pixels_hash: &ContentHash, wishes: &ImageWishes) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rmlx image");
    hasher.update(pixels_hash);
    hasher.update(&wishes.soft_token_budget.unwrap_or(0).to_le_bytes());
    if let Some(pan_and_scan) = wishes.pan_and_scan {
        hasher.update(b"pan and scan");
        hasher.update(&[u8::from(pan_and_scan)]);
    }
    if let Some((least, most)) = wishes.pixel_range {
        hasher.update(b"pixel range");
        hasher.update(&least.to_le_bytes());
        hasher.update(&most.to_le_bytes());
    }
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

    fn bytes_of(image: &Image) -> Vec<u8> {
        image.pixels().unwrap().rows().flatten().copied().collect()
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
            assert_eq!(
                (image.width(), image.height(), bytes_of(&image)),
                (2, 1, want.to_vec()),
                "{format:?}"
            );
        }
    }

    #[test]
    fn padding_between_rows_is_skipped() {
        let padded = [1, 2, 3, 99, 99, 4, 5, 6, 99, 99, 7, 8, 9];
        let image = Image::from_pixels(&desc(1, 3, 5, PixelFormat::Rgb8), &padded).unwrap();
        assert_eq!(bytes_of(&image), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
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
    fn hashes_tell_content_and_size_apart() {
        let of = |w, h, bytes: &[u8]| Image::from_pixels(&desc(w, h, 0, PixelFormat::Gray8), bytes).unwrap();
        let image = of(2, 3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(image.hash(), of(2, 3, &[1, 2, 3, 4, 5, 6]).hash());
        assert_ne!(image.hash(), of(3, 2, &[1, 2, 3, 4, 5, 6]).hash());
        assert_ne!(image.hash(), of(2, 3, &[1, 2, 3, 4, 5, 7]).hash());
        let media = Media::Image(image.clone());
        assert_eq!((media.kind(), media.hash()), (MediaKind::Image, image.hash()));
    }

    #[test]
    fn every_wish_is_part_of_the_hash() {
        let plain = gray(2, 3);
        let budget = |n| plain.clone().with_soft_token_budget(Some(n)).unwrap();
        let pan = |on| plain.clone().with_pan_and_scan(Some(on));
        let range = |least, most| plain.clone().with_pixel_range(Some((least, most))).unwrap();
        let all = [plain.clone(), budget(70), budget(71), pan(false), pan(true), range(0, 9), range(9, 9)];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.hash() != one.hash()), "{i}");
        }
        assert_eq!(all[1].wishes().soft_token_budget, Some(70));
        let both = budget(70).with_pan_and_scan(Some(true));
        assert_eq!(both.wishes().soft_token_budget, Some(70));
        assert!(both.hash() != all[1].hash() && both.hash() != all[4].hash());
        let back = range(0, 9).with_pixel_range(None).unwrap().with_pan_and_scan(None);
        assert_eq!(back.with_soft_token_budget(None).unwrap().hash(), plain.hash());
    }

    /// A host may keep caches under these names: what is hashed does not change lightly.
    #[test]
    fn hashes_without_wishes_stay_as_they_are() {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rmlx image rgb8");
        hasher.update(&1u32.to_le_bytes());
        hasher.update(&1u32.to_le_bytes());
        hasher.update(&[0, 0, 0]);
        let pixels = hasher.finalize();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rmlx image");
        hasher.update(pixels.as_bytes());
        hasher.update(&0u32.to_le_bytes());
        assert_eq!(gray(1, 1).hash(), hasher.finalize().as_bytes());
    }

    #[test]
    fn impossible_wishes_are_errors() {
        let error = gray(1, 1).with_soft_token_budget(Some(0)).unwrap_err();
        assert!(error.message().contains("budget is 0: it must be at least 1"), "{error}");
        for range in [(0, 0), (5, 4)] {
            let error = gray(1, 1).with_pixel_range(Some(range)).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(error.message().contains(&format!("range is {} to {}", range.0, range.1)), "{error}");
        }
        assert!(gray(1, 1).with_soft_token_budget(Some(71)).is_ok());
    }

    #[test]
    fn what_is_left_of_a_picture_is_found_by_its_content_and_size() {
        let (whole, wished) = (gray(4, 3), gray(4, 3).with_soft_token_budget(Some(70)).unwrap());
        let crop = whole.crop(1, 1, 2, 2).unwrap();
        let own = Arc::new(whole.reduced_to(2, 1, Filter::Bicubic, vec![1; 6]));
        let of_crop = Arc::new(crop.reduced_to(1, 1, Filter::Bicubic, vec![2; 3]));
        let small = wished.with_sizes(&[Arc::clone(&own), of_crop]);
        assert_eq!((small.hash(), small.width(), small.height()), (wished.hash(), 4, 3));
        assert_eq!((small.wishes(), small.bytes(), wished.bytes()), (wished.wishes(), 9, 36));
        assert!(small.pixels().is_none() && whole.reduced(2, 1, Filter::Bicubic).is_none());
        assert_eq!(small.reduced(2, 1, Filter::Bicubic).unwrap().rgb, [1; 6]);
        assert!(
            small.reduced(2, 1, Filter::Bilinear).is_none() && small.reduced(1, 1, Filter::Bicubic).is_none()
        );
        assert_eq!(small.crop(1, 1, 2, 2).unwrap().reduced(1, 1, Filter::Bicubic).unwrap().rgb, [2; 3]);
        assert!(small.crop(0, 1, 2, 2).unwrap().reduced(1, 1, Filter::Bicubic).is_none());
        // What would take more than the picture itself is not kept.
        let large = Arc::new(whole.reduced_to(4, 3, Filter::Bicubic, vec![3; 36]));
        assert!(whole.with_sizes(&[large]).pixels().is_some());
        assert!(crop.with_own_sizes(&[own]).pixels().is_some());
    }

    #[test]
    fn a_crop_is_a_picture_without_a_copy() {
        let whole = gray(4, 3); // levels 0 to 11
        let levels = |image: &Image| bytes_of(image).into_iter().step_by(3).collect::<Vec<u8>>();
        let crop = whole.clone().with_pan_and_scan(Some(true)).crop(1, 1, 2, 2).unwrap();
        assert_eq!((crop.width(), crop.height(), levels(&crop)), (2, 2, vec![5, 6, 9, 10]));
        assert_eq!(*crop.wishes(), ImageWishes::default());
        assert_eq!(levels(&crop.crop(1, 0, 1, 2).unwrap()), [6, 10]);
        let rest = whole.crop(3, 2, 9, 9).unwrap();
        assert_eq!((rest.width(), rest.height(), levels(&rest)), (1, 1, vec![11]));
        assert!(whole.crop(4, 0, 1, 1).is_err() && whole.crop(0, 0, 0, 1).is_err());
        assert_eq!(crop.hash(), whole.crop(1, 1, 2, 2).unwrap().hash());
        assert_ne!(crop.hash(), whole.crop(1, 1, 2, 1).unwrap().hash());
        assert_ne!(whole.crop(0, 0, 4, 3).unwrap().hash(), whole.hash());
    }

    /// Levels count up from 0.
    fn gray(width: u32, height: u32) -> Image {
        let levels: Vec<u8> = (0..(width * height) as u8).collect();
        Image::from_pixels(&desc(width, height, 0, PixelFormat::Gray8), &levels).unwrap()
    }
}
