//! Encoded image bytes to upright 8-bit RGB.

use std::io::{Cursor, ErrorKind};

use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
    metadata::Orientation,
};

use super::image_check::{jpeg_has_end, tiff_fits};
use super::limits::{check_size, zeroed};
use super::{MediaOptions, first_bytes};
use crate::error::{Code, Error, Result};

const READABLE: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";

/// Width, height and RGB rows of the first picture in `encoded`. See [`super::Image::decode`].
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let format = sniff(encoded)?;
    decode_as(encoded, format, options)
        .map_err(|e| e.with("format", name(format)).with("bytes", encoded.len()))
}

fn decode_as(encoded: &[u8], format: ImageFormat, options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let fault = |e: ImageError| describe(e, format);
    if format == ImageFormat::Jpeg && !jpeg_has_end(encoded) {
        // The decoder would fill the missing part with gray.
        return Err(Error::media("the JPEG image is truncated: its end marker is missing"));
    }
    if format == ImageFormat::Tiff && !tiff_fits(encoded) {
        // The decoder would print to the host's standard error.
        return Err(Error::media(
            "the TIFF image is corrupt or truncated: its directory points outside the file",
        ));
    }
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(options.most_bytes(encoded.len()));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, options.most_pixels())?;
    let what = format_args!("the {} image of {width} x {height} pixels", name(format));
    options.check_bytes(decoder.total_bytes(), encoded.len(), what)?;
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
    // Some decoders' messages end in a line break.
    let why = error.to_string();
    let why = why.trim();
    Error::media(match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            format!("the {name} image is truncated")
        }
        ImageError::Limits(_) => format!("the {name} image is too large to decode: {why}"),
        ImageError::Unsupported(_) => format!("the {name} image uses a feature that is not read: {why}"),
        _ => format!("the {name} image is corrupt: {why}"),
    })
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

#[cfg(test)]
mod tests {
    use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::super::Image;
    use super::super::testing::{fnv, noise, png_header, testdata};
    use super::*;

    fn decode(encoded: &[u8]) -> Result<(u32, u32, Vec<u8>)> {
        super::decode(encoded, &MediaOptions::default())
    }

    fn rgb_of(encoded: &[u8]) -> (u32, u32, Vec<u8>) {
        decode(encoded).unwrap_or_else(|e| panic!("{e}"))
    }

    fn png(width: u32, height: u32, samples: &[u8], color: ExtendedColorType) -> Vec<u8> {
        let mut out = Vec::new();
        PngEncoder::new(&mut out).write_image(samples, width, height, color).unwrap();
        out
    }

    /// An EXIF block with nothing but an orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
        tiff
    }

    #[test]
    fn pixels_are_what_pillow_gives() {
        let mut count = 0;
        for line in String::from_utf8(testdata("images.txt")).unwrap().lines() {
            let [name, width, height, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let (w, h, rgb) = rgb_of(&testdata(name));
            assert_eq!((w.to_string().as_str(), h.to_string().as_str()), (width, height), "{name}");
            assert_eq!(fnv(&rgb), hash, "{name}");
            count += 1;
        }
        assert!(count >= 18);
    }

    #[test]
    fn lossy_jpegs_look_like_their_originals() {
        for name in ["progressive.jpg", "cmyk.jpg"] {
            let (w, h, rgb) = rgb_of(&testdata(name));
            assert_eq!((w, h), (24, 17));
            let worst = rgb.as_chunks::<3>().0.iter().enumerate().map(|(i, pixel)| {
                let (x, y) = (i % 24, i / 24);
                let want = [x * 255 / 24, y * 255 / 17, (x + y) * 255 / 41];
                (0..3).map(|c| want[c].abs_diff(usize::from(pixel[c]))).max().unwrap()
            });
            assert!(worst.max().unwrap() < 24, "{name}");
        }
    }

    #[test]
    fn every_orientation_is_applied() {
        // Two rows of three pixels, named a to f by their red.
        let pixels: Vec<u8> = b"abcdef".iter().flat_map(|&v| [v, 0, 255]).collect();
        let expected: [(u32, &[u8]); 8] = [
            (3, b"abcdef"),
            (3, b"cbafed"),
            (3, b"fedcba"),
            (3, b"defabc"),
            (2, b"adbecf"),
            (2, b"daebfc"),
            (2, b"fcebda"),
            (2, b"cfbead"),
        ];
        for (orientation, (want_width, want)) in (1..).zip(expected) {
            let mut file = Vec::new();
            let mut encoder = PngEncoder::new(&mut file);
            encoder.set_exif_metadata(exif(orientation)).unwrap();
            encoder.write_image(&pixels, 3, 2, ExtendedColorType::Rgb8).unwrap();
            let (width, height, rgb) = rgb_of(&file);
            assert_eq!((width, height), (want_width, 6 / want_width), "orientation {orientation}");
            let reds: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|p| p[0]).collect();
            assert_eq!(reds, want, "orientation {orientation}");
        }
    }

    #[test]
    fn a_jpeg_turns_and_broken_exif_does_not_matter() {
        let pixels = noise(40 * 24 * 3, 2);
        for (block, size) in [(exif(6), (24, 40)), (exif(77), (40, 24)), (b"MM garbage".to_vec(), (40, 24))] {
            let mut file = Vec::new();
            let mut encoder = JpegEncoder::new(&mut file);
            encoder.set_exif_metadata(block).unwrap();
            encoder.write_image(&pixels, 40, 24, ExtendedColorType::Rgb8).unwrap();
            let (width, height, _) = rgb_of(&file);
            assert_eq!((width, height), size);
        }
    }

    #[test]
    fn sixteen_bit_samples_keep_their_high_byte_and_alpha_is_dropped() {
        let words: Vec<u8> = [0x0000u16, 0x00ff, 0x0180, 0x80ff, 0xfeff, 0xffff]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        let high = [0u8, 0, 1, 0x80, 0xfe, 0xff];
        let gray: Vec<u8> = high.iter().flat_map(|&v| [v; 3]).collect();
        assert_eq!(rgb_of(&png(6, 1, &words, ExtendedColorType::L16)).2, gray);
        assert_eq!(rgb_of(&png(2, 1, &words, ExtendedColorType::Rgb16)).2, high);
        assert_eq!(
            rgb_of(&png(3, 1, &words, ExtendedColorType::La16)).2,
            [0, 0, 0, 1, 1, 1, 0xfe, 0xfe, 0xfe]
        );
        assert_eq!(rgb_of(&png(1, 1, &words[..8], ExtendedColorType::Rgba16)).2, [0, 0, 1]);
        assert_eq!(
            rgb_of(&png(1, 2, &[1, 2, 3, 0, 4, 5, 6, 9], ExtendedColorType::Rgba8)).2,
            [1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn what_is_not_a_readable_image_is_named() {
        for (bytes, says) in [
            (&b""[..], "no bytes"),
            (b"hello world", "begin 68 65 6c 6c 6f 20 77 6f …"),
            (b"x", "begin 78)"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0", "is AVIF"),
            (b"\0\0\x01\0\x01\0", "is ico"),
            (b"%PDF-1.7", "begin 25 50"),
        ] {
            let error = decode(bytes).unwrap_err();
            assert_eq!(error.code(), Code::InvalidMedia);
            assert!(error.message().contains(says), "{error}");
        }
        assert!(
            decode(b"plain").unwrap_err().message().contains("PNG, JPEG, WebP, GIF, BMP and TIFF are read")
        );
    }

    #[test]
    fn half_a_file_is_an_error() {
        for name in [
            "rgba.png",
            "palette.gif",
            "lossy.webp",
            "lossless.webp",
            "palette.bmp",
            "lzw.tif",
            "progressive.jpg",
            "cmyk.jpg",
        ] {
            let whole = testdata(name);
            for cut in [whole.len() / 2, whole.len() - 9] {
                let error = decode(&whole[..cut]).expect_err(name);
                assert_eq!(error.code(), Code::InvalidMedia, "{name}");
                assert!(error.details().contains_key("format") && !error.message().contains('\n'), "{error}");
            }
        }
        // Without the end marker alone, the pixels may still all be there, but nothing tells.
        let jpeg = testdata("progressive.jpg");
        assert!(decode(&jpeg[..jpeg.len() - 2]).unwrap_err().message().contains("end marker"));
    }

    #[test]
    fn bombs_are_refused_by_their_headers() {
        for (width, height, says) in [
            (100_000, 100, "no side may be longer"),
            (1, 4_000_000_000, "no side may be longer"),
            (60_000, 60_000, "at most 134217728 pixels"),
        ] {
            let error = Image::decode(&png_header(width, height, 8, 2)).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
        // Within the pixel limit, but 8 bytes each.
        let error = Image::decode(&png_header(16_000, 8_000, 16, 6)).unwrap_err();
        assert!(error.message().contains("limit") || error.message().contains("too large"), "{error}");
    }
}
