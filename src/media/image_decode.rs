//! Encoded image bytes to upright 8-bit RGB.

use std::io::Cursor;

use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
    metadata::Orientation,
};

use super::first_bytes;
use super::limits::{MAX_DECODED_BYTES, check_dimensions, zeroed};
use crate::error::{Code, Error, Result};

const READABLE: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";

/// Width, height and RGB rows of the first picture in `encoded`. See [`super::Image::decode`].
pub(super) fn decode(encoded: &[u8]) -> Result<(u32, u32, Vec<u8>)> {
    let format = sniff(encoded)?;
    decode_as(encoded, format).map_err(|e| e.with("format", name(format)).with("bytes", encoded.len()))
}

fn decode_as(encoded: &[u8], format: ImageFormat) -> Result<(u32, u32, Vec<u8>)> {
    let fault = |e: ImageError| describe(e, format);
    if format == ImageFormat::Jpeg && !jpeg_has_end(encoded) {
        // The decoder would fill the missing part with gray.
        return Err(Error::media("the JPEG image is truncated: its end marker is missing"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    check_dimensions(width, height)?;
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        let bytes = decoder.total_bytes();
        return Err(Error::media(format!(
            "the {} image is {width} x {height} pixels and takes {bytes} bytes decoded: the limit is {MAX_DECODED_BYTES}",
            name(format)
        )));
    }
    // Broken EXIF does not make a picture unusable: it is shown as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let mut raw = zeroed::<u8>(decoder.total_bytes() as usize)?;
    decoder.read_image(&mut raw).map_err(fault)?;
    upright(width, height, to_rgb(raw, color, format)?, orientation)
}

/// The format that the first bytes announce, if it is one that is read.
fn sniff(encoded: &[u8]) -> Result<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if encoded.is_empty() {
        return Err(Error::media("the image has no bytes"));
    }
    match image::guess_format(encoded) {
        Ok(format @ (Png | Jpeg | WebP | Gif | Bmp | Tiff)) => Ok(format),
        Ok(ImageFormat::Avif) => Err(unreadable("AVIF", encoded)),
        Ok(other) => Err(unreadable(name(other), encoded)),
        Err(_) if is_heic(encoded) => Err(unreadable("HEIC", encoded)),
        Err(_) => Err(Error::media(format!(
            "the bytes are not an image in a known format (they begin {}): {READABLE}",
            first_bytes(encoded)
        ))),
    }
}

/// Whether an ISO media file announces HEIF content, the format of a phone's camera.
fn is_heic(encoded: &[u8]) -> bool {
    encoded.get(4..8) == Some(b"ftyp")
        && matches!(
            encoded.get(8..12),
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1")
        )
}

fn unreadable(found: &str, encoded: &[u8]) -> Error {
    Error::media(format!("the image is {found}: {READABLE}; hand over the pixels of other formats"))
        .with("format", found)
        .with("bytes", encoded.len())
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        other => other.extensions_str().first().copied().unwrap_or("of an unknown format"),
    }
}

fn describe(error: ImageError, format: ImageFormat) -> Error {
    let name = name(format);
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::media(format!("the {name} image is truncated"))
        }
        ImageError::Limits(e) => Error::media(format!("the {name} image is too large to decode: {e}")),
        ImageError::Unsupported(e) => {
            Error::media(format!("the {name} image uses a feature that is not read: {e}"))
        }
        ImageError::Decoding(e) => Error::media(format!("the {name} image is corrupt: {e}")),
        e => Error::media(format!("the {name} image cannot be decoded: {e}")),
    }
}

/// Whether a JPEG's end marker (FF D9) follows its first scan header. Segments before it are skipped by their
/// lengths, because an EXIF thumbnail has an end marker of its own; in the scan, FF is followed by 00 or a marker.
fn jpeg_has_end(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[marker, kind]) = jpeg.get(at..at + 2).and_then(|b| b.first_chunk()) {
        if marker != 0xff {
            return true; // Not where a segment begins: for the decoder to judge.
        }
        match kind {
            0xff => at += 1,               // fill byte
            0x01 | 0xd0..=0xd8 => at += 2, // markers without a segment
            0xd9 | 0xda => return jpeg[at..].windows(2).any(|w| w == [0xff, 0xd9]),
            _ => match jpeg.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => return false,
            },
        }
    }
    false
}

/// Channels and bytes per sample to 8-bit RGB, in place where the pixels do not grow. Samples of 16 bits are in
/// the machine's byte order.
fn to_rgb(mut raw: Vec<u8>, color: ColorType, format: ImageFormat) -> Result<Vec<u8>> {
    let channels = usize::from(color.channel_count());
    let width = match color {
        ColorType::Rgb8 => return Ok(raw),
        ColorType::L8 | ColorType::La8 | ColorType::Rgba8 => 1,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => 2,
        other => {
            let message =
                format!("the {} image has {other:?} pixels: 8 and 16 bits per sample are read", name(format));
            return Err(Error::media(message));
        }
    };
    let high = if cfg!(target_endian = "little") { width - 1 } else { 0 };
    let pixel = channels * width;
    let count = raw.len() / pixel;
    if channels < 3 {
        let mut rgb = zeroed::<u8>(count * 3)?;
        for (out, source) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(raw.chunks_exact(pixel)) {
            *out = [source[high]; 3];
        }
        return Ok(rgb);
    }
    for i in 0..count {
        for c in 0..3 {
            raw[i * 3 + c] = raw[i * pixel + c * width + high];
        }
    }
    raw.truncate(count * 3);
    Ok(raw)
}

/// Applies the orientation that the file states.
fn upright(width: u32, height: u32, rgb: Vec<u8>, orientation: Orientation) -> Result<(u32, u32, Vec<u8>)> {
    if orientation == Orientation::NoTransforms {
        return Ok((width, height, rgb));
    }
    let image = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| Error::new(Code::Panic, "the decoder returned fewer pixels than it announced"))?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    Ok((image.width(), image.height(), image.into_bytes()))
}
