//! Encoded image bytes to upright 8-bit RGB.

use std::io::{Cursor, ErrorKind};

use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::image_check::tiff_fits;
use super::jpeg::Rows;
use super::limits::{check_size, zeroed};
use super::orientation::{self, Metadata};
use super::tiff_directory::{Directory, Value};
use super::upright::{Canvas, Orientation};
use super::{MediaOptions, first_bytes, gif, jpeg, png, tiff};
use crate::error::{Error, Result};

const READABLE: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";
/// Tags of TIFF: bits of a sample, what the samples of a pixel are, how many there are, and what those beyond the colours are.
const TIFF_BITS: u16 = 258;
const TIFF_PHOTOMETRIC: u16 = 262;
const TIFF_SAMPLES: u16 = 277;
const TIFF_EXTRA_SAMPLES: u16 = 338;
/// Of an extra sample: alpha that the colours were multiplied with.
const ASSOCIATED_ALPHA: i64 = 1;
/// Rows between two questions whether to go on.
const ROWS: usize = 64;

/// Width, height and RGB rows of the first picture in `encoded`. See [`super::Image::decode`].
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let format = sniff(encoded)?;
    let decoded = match format {
        ImageFormat::Jpeg => decode_jpeg(encoded, options),
        ImageFormat::Png => png::decode(encoded, options),
        ImageFormat::Gif => gif::decode(encoded, options),
        _ => decode_whole(encoded, format, options),
    };
    decoded.map_err(|e| e.with("format", name(format)).with("bytes", encoded.len()))
}

fn decode_jpeg(encoded: &[u8], options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let mut canvas = Canvas::new(Metadata::of_jpeg(encoded).orientation());
    jpeg::decode(encoded, options, &mut canvas)?;
    canvas.finish()
}

/// Decodes a format whose decoder gives all pixels at once.
fn decode_whole(encoded: &[u8], format: ImageFormat, options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let fault = |e: ImageError| describe(e, format, encoded);
    if format == ImageFormat::Tiff && !tiff_fits(encoded) {
        // The decoder would print to the host's standard error.
        return Err(Error::media(
            "the TIFF image is corrupt or truncated: its directory points outside the file",
        ));
    }
    let rewritten = (format == ImageFormat::Tiff).then(|| tiff::plain(encoded));
    let encoded = rewritten.as_deref().unwrap_or(encoded);
    if format == ImageFormat::Tiff
        && let Some((width, height, rgb)) = tiff::decode(encoded, options)?
    {
        return upright((width, height, rgb), orientation::of_tiff(encoded), options);
    }
    let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(options.most_bytes(encoded.len()));
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, options.most_pixels())?;
    let orientation = match format {
        ImageFormat::WebP => Metadata::of_webp(encoded).orientation(),
        ImageFormat::Tiff => orientation::of_tiff(encoded),
        _ => Orientation::default(),
    };
    let color = decoder.color_type();
    let needed = held_bytes(format, (width, height), color, orientation);
    let what = format_args!("the {} image of {width} x {height} pixels", name(format));
    options.check_bytes(needed, encoded.len(), what)?;
    let mut raw = zeroed::<u8>(decoder.total_bytes() as usize)?;
    decoder.read_image(&mut raw).map_err(fault)?;
    (options.check)()?;
    let multiplied = format == ImageFormat::Tiff && color.has_alpha() && has_associated_alpha(encoded);
    let rgb = to_rgb(raw, color, multiplied, format)?;
    upright((width, height, rgb), orientation, options)
}

/// Turns a picture that lies in another way.
fn upright(
    (width, height, rgb): (u32, u32, Vec<u8>),
    orientation: Orientation,
    options: &MediaOptions,
) -> Result<(u32, u32, Vec<u8>)> {
    if orientation.is_upright() {
        return Ok((width, height, rgb));
    }
    let mut canvas = Canvas::new(orientation);
    canvas.begin(width, height)?;
    for (y, row) in rgb.chunks_exact(width as usize * 3).enumerate() {
        if y.is_multiple_of(ROWS) {
            (options.check)()?;
        }
        canvas.push(row)?;
    }
    canvas.finish()
}

/// Most bytes that are held at once while a picture is decoded: the decoder's own copy, what it gives, and the upright
/// picture where that is another one.
fn held_bytes(
    format: ImageFormat,
    (width, height): (u32, u32),
    color: ColorType,
    orientation: Orientation,
) -> u64 {
    let raw = u64::from(color.bytes_per_pixel());
    let own = match format {
        // A lossless picture, a frame of an animation, planes of a lossy one.
        ImageFormat::WebP => 4,
        ImageFormat::Tiff => raw.max(4),
        _ => 0,
    };
    let turned = if orientation.is_upright() && color.channel_count() >= 3 { 0 } else { 3 };
    u64::from(width) * u64::from(height) * (raw + own.max(turned))
}

fn has_associated_alpha(tiff: &[u8]) -> bool {
    let extra = Directory::first(tiff).and_then(|directory| directory.find(TIFF_EXTRA_SAMPLES));
    extra == Some(Value::Whole(ASSOCIATED_ALPHA))
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
        // BigTIFF.
        Err(_) if encoded.starts_with(b"II+\0") || encoded.starts_with(b"MM\0+") => Ok(Tiff),
        Err(_) => Err(match other_format(encoded) {
            Some(found) => unreadable(found, encoded),
            None => Error::media(format!(
                "the bytes are not an image in a known format (they begin {}): {READABLE}",
                first_bytes(encoded)
            )),
        }),
    }
}

/// The name of a format that is none of the decoders', by how its files begin.
fn other_format(encoded: &[u8]) -> Option<&'static str> {
    let brand = || encoded.get(8..12).filter(|_| encoded.get(4..8) == Some(b"ftyp"));
    match encoded {
        _ if brand().is_some_and(|brand| HEIC.contains(&brand)) => Some("HEIC"),
        _ if brand().is_some_and(|brand| brand == b"crx ") => Some("a raw photograph (CR3)"),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Some("JPEG 2000"),
        [b'8', b'B', b'P', b'S', ..] => Some("PSD"),
        [b'%', b'P', b'D', b'F', ..] => Some("PDF"),
        _ if encoded.trim_ascii_start().starts_with(b"<svg") => Some("SVG"),
        _ => None,
    }
}

/// Brands of the ISO media files that are HEIF, the format of a phone's camera.
const HEIC: [&[u8]; 8] = [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"];

fn unreadable(found: &str, encoded: &[u8]) -> Error {
    let instead = "save it as JPEG or PNG, or let the system decode it and hand over its pixels";
    Error::unsupported(format!("the image is {found}: {READABLE}; {instead}"))
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

fn describe(error: ImageError, format: ImageFormat, encoded: &[u8]) -> Error {
    let name = name(format);
    // Some decoders' messages end in a line break.
    let why = error.to_string();
    let why = why.trim();
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::media(format!("the {name} image is truncated"))
        }
        ImageError::Limits(_) => Error::media(format!("the {name} image is too large to decode: {why}")),
        ImageError::Unsupported(_) => {
            let instead = "save it as JPEG or PNG, or hand over its pixels";
            let kind = if format == ImageFormat::Tiff { tiff_pixels(encoded) } else { String::new() };
            Error::unsupported(format!(
                "the {name} image{kind} uses a feature that is not read: {why}; {instead}"
            ))
        }
        _ => Error::media(format!("the {name} image is corrupt: {why}")),
    }
}

/// Which pixels a TIFF has, for a message: its decoder does not say it in words.
fn tiff_pixels(tiff: &[u8]) -> String {
    let Some(directory) = Directory::first(tiff) else { return String::new() };
    let number = |tag: u16, default: i64| match directory.find(tag) {
        Some(Value::Whole(number)) => number,
        _ => default,
    };
    let colors = match number(TIFF_PHOTOMETRIC, -1) {
        0 | 1 => "gray",
        2 => "RGB",
        3 => "palette",
        5 => "CMYK",
        6 => "YCbCr",
        8 => "CIELab",
        _ => "other",
    };
    let (samples, bits) = (number(TIFF_SAMPLES, 1), number(TIFF_BITS, 1));
    format!(" of {colors} colours ({samples} samples of {bits} bits a pixel)")
}

/// Channels and bytes per sample to 8-bit RGB, in place where the pixels do not grow. Samples of 16 bits are in
/// the machine's byte order. Where the colours were `multiplied` with alpha, they are divided by it.
fn to_rgb(mut raw: Vec<u8>, color: ColorType, multiplied: bool, format: ImageFormat) -> Result<Vec<u8>> {
    let channels = usize::from(color.channel_count());
    let width = match color {
        ColorType::Rgb8 => return Ok(raw),
        ColorType::L8 | ColorType::La8 | ColorType::Rgba8 => 1,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => 2,
        other => {
            let message =
                format!("the {} image has {other:?} pixels: 8 and 16 bits per sample are read", name(format));
            return Err(Error::unsupported(message));
        }
    };
    let high = if cfg!(target_endian = "little") { width - 1 } else { 0 };
    let pixel = channels * width;
    let count = raw.len() / pixel;
    if channels < 3 {
        let mut rgb = zeroed::<u8>(count * 3)?;
        for (out, source) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(raw.chunks_exact(pixel)) {
            let alpha = if multiplied { source[pixel - width + high] } else { u8::MAX };
            *out = [divided(source[high], alpha); 3];
        }
        return Ok(rgb);
    }
    for i in 0..count {
        let alpha = if multiplied { raw[(i + 1) * pixel - width + high] } else { u8::MAX };
        for c in 0..3 {
            raw[i * 3 + c] = divided(raw[i * pixel + c * width + high], alpha);
        }
    }
    raw.truncate(count * 3);
    Ok(raw)
}

/// A level that was multiplied with alpha, as Pillow divides it again.
fn divided(level: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        u8::MAX => level,
        _ => (u32::from(level) * 255 / u32::from(alpha)).min(255) as u8,
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::super::Image;
    use super::super::testing::{fnv, noise, png_header, testdata};
    use super::*;
    use crate::error::Code;

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
        for (list, folder) in [("images.txt", ""), ("tiff.txt", "tiff/")] {
            for line in String::from_utf8(testdata(list)).unwrap().lines() {
                let [name, width, height, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                let (w, h, rgb) = rgb_of(&testdata(&format!("{folder}{name}")));
                assert_eq!((w.to_string().as_str(), h.to_string().as_str()), (width, height), "{name}");
                assert_eq!(fnv(&rgb), hash, "{name}");
                count += 1;
            }
        }
        assert!(count >= 32);
    }

    #[test]
    fn tiffs_that_are_damaged_are_refused() {
        let spoilt = |name: &str, from: &[u8], to: &[u8]| {
            let mut file = testdata(name);
            let at = file.windows(from.len()).position(|window| window == from).unwrap();
            file[at..at + to.len()].copy_from_slice(to);
            decode(&file).unwrap_err()
        };
        // Tags of a directory: their number, type and count.
        for (name, from, to, says) in [
            ("tiff/palette-1.tif", b"\x40\x01\x03\0\x06\0\0\0", b"\x40\x01\x03\0\x05\0\0\0", "palette"),
            (
                "tiff/ycbcr-22.tif",
                b"\x12\x02\x03\0\x02\0\0\0",
                b"\x12\x02\x03\0\x02\0\0\0\x03",
                "subsampling",
            ),
            (
                "tiff/ycbcr-22.tif",
                b"\x16\x01\x03\0\x01\0\0\0",
                b"\x16\x01\x03\0\x01\0\0\0\x03",
                "within a pair",
            ),
            (
                "tiff/jpeg-ycbcr-strips.tif",
                b"\x16\x01\x03\0\x01\0\0\0",
                b"\x16\x01\x03\0\x01\0\0\0\x06",
                "another size",
            ),
            ("tiff/palette-8.tif", b"\x42\x01\x03\0\x01\0\0\0", b"\x42\x01\x03\0\x01\0\0\0\0", "no size"),
        ] as [(&str, &[u8; 8], &[u8], &str); 5]
        {
            let error = spoilt(name, from, to);
            assert_eq!(error.code(), Code::InvalidMedia, "{name}");
            assert!(error.message().contains(says), "{name}: {error}");
        }
        // Levels of black and white, and coefficients, that are none.
        let file = testdata("tiff/ycbcr-41-video.tif");
        for (from, to) in [(16u32, u32::MAX), (128, u32::MAX), (7_152, 0)] {
            let at = file.windows(4).position(|window| window == from.to_be_bytes()).unwrap();
            let mut spoilt = file.clone();
            spoilt[at..at + 4].copy_from_slice(&to.to_be_bytes());
            assert_eq!(decode(&spoilt).unwrap().0, 21);
        }
        for name in ["tiff/palette-8.tif", "tiff/ycbcr-41-video.tif", "tiff/jpeg-rgb.tif"] {
            let file = testdata(name);
            (0..file.len()).step_by(3).for_each(|at| drop(decode(&file[..at])));
        }
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

    /// A TIFF of one row of pixels of 8 bits.
    fn tiff(photometric: u16, samples: u16, extra: u16, pixels: &[u8]) -> Vec<u8> {
        let (start, length) = (134, pixels.len() as u32);
        // The bits of each sample: two of them fit into the field, others stand behind the pixels.
        let bits = if samples > 2 { start + length } else { 0x0008_0008 };
        let fields: [(u16, u16, u16, u32); 10] = [
            (256, 4, 1, length / u32::from(samples)),
            (257, 4, 1, 1),
            (TIFF_BITS, 3, samples, bits),
            (259, 3, 1, 1),
            (TIFF_PHOTOMETRIC, 3, 1, photometric.into()),
            (273, 4, 1, start),
            (TIFF_SAMPLES, 3, 1, samples.into()),
            (278, 4, 1, 1),
            (279, 4, 1, length),
            (TIFF_EXTRA_SAMPLES, 3, 1, extra.into()),
        ];
        let mut file = b"II*\0\x08\0\0\0\x0a\0".to_vec();
        for (tag, kind, count, value) in fields {
            file.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
            file.extend(u32::from(count).to_le_bytes().into_iter().chain(value.to_le_bytes()));
        }
        file.resize(start as usize, 0);
        file.extend(pixels);
        (0..samples).for_each(|_| file.extend([8, 0]));
        file
    }

    #[test]
    fn colours_that_were_multiplied_with_alpha_are_divided_as_pillow_does_it() {
        let pixels = [10, 20, 30, 255, 10, 20, 30, 100, 10, 20, 30, 15, 10, 20, 30, 0];
        let divided = [10, 20, 30, 25, 51, 76, 170, 255, 255, 0, 0, 0];
        let dropped = [10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30];
        assert_eq!(rgb_of(&tiff(2, 4, 1, &pixels)), (4, 1, divided.to_vec()));
        for extra in [0, 2] {
            assert_eq!(rgb_of(&tiff(2, 4, extra, &pixels)), (4, 1, dropped.to_vec()));
        }
    }

    #[test]
    fn a_tiff_that_is_not_read_says_what_its_pixels_are() {
        for (photometric, samples, says) in
            [(8, 3, "CIELab colours (3 samples"), (6, 4, "YCbCr"), (1, 3, "gray")]
        {
            let error = decode(&tiff(photometric, samples, 0, &[7; 12])).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported, "{error}");
            assert!(error.message().contains(says), "{error}");
        }
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
            (b"%PDF-1.7", "is PDF"),
            (b"\xff\x0a\0\0", "is JPEG XL"),
            (b"BC\0\0", "begin 42 43"),
        ] {
            let error = decode(bytes).unwrap_err();
            let known = says.starts_with("is ");
            assert_eq!(error.code(), if known { Code::Unsupported } else { Code::InvalidMedia }, "{error}");
            assert!(error.message().contains(says), "{error}");
            assert!(!known || error.message().contains("save it as JPEG or PNG"), "{error}");
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
            // Behind a PNG's pixels are two sums and its end marker.
            let near = if name == "rgba.png" { 60 } else { 9 };
            for cut in [whole.len() / 2, whole.len() - near] {
                let error = decode(&whole[..cut]).expect_err(name);
                assert_eq!(error.code(), Code::InvalidMedia, "{name}");
                assert!(error.details().contains_key("format") && !error.message().contains('\n'), "{error}");
            }
        }
        // Without the end marker alone, all of the pixels are there.
        for (name, marker) in [("progressive.jpg", 2), ("rgba.png", 12), ("rgba.png", 9)] {
            let whole = testdata(name);
            assert_eq!(rgb_of(&whole[..whole.len() - marker]), rgb_of(&whole), "{name}");
        }
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
