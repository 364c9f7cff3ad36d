//! What decoding a picture takes at most, in processes of their own.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rmlx::ffi::status::RMLX_ERROR_INVALID_MEDIA;

use crate::around;
use crate::harness::Media;

const WIDTH: u32 = 4096;
const HEIGHT: u32 = 3000;
const DECODED: u64 = 3 * WIDTH as u64 * HEIGHT as u64;
/// For everything else that happens in the process.
const SLACK: u64 = 4 << 20;

/// Bytes of the process's most resident memory so far.
fn high_water() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the high-water mark");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// EXIF that turns a picture by a quarter.
fn turned() -> Vec<u8> {
    b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec()
}

fn pixels(channels: u32) -> Vec<u8> {
    (0..WIDTH * HEIGHT * channels).map(|i| (i / 97 * 31 % 251) as u8).collect()
}

fn jpeg(exif: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new(&mut file);
    if exif {
        encoder.set_exif_metadata(turned()).expect("room for EXIF");
    }
    encoder.write_image(&pixels(3), WIDTH, HEIGHT, ExtendedColorType::Rgb8).expect("a file");
    file
}

fn png(channels: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_exif_metadata(turned()).expect("room for EXIF");
    encoder.write_image(&pixels(channels), WIDTH, HEIGHT, color).expect("a file");
    file
}

/// In a process of its own, decodes what `make` gives.
#[track_caller]
fn takes_no_more_than_its_pixels(test: &str, make: fn() -> Vec<u8>) {
    around::alone(test, || {
        let file = make();
        // Forgets what making the file took.
        std::fs::write("/proc/self/clear_refs", "5").expect("a new high-water mark");
        let before = high_water();
        let image = Media::image(&file).expect("a picture");
        let taken = high_water() - before;
        assert_eq!(image.bytes(), DECODED);
        assert!(taken > DECODED * 9 / 10, "{taken} bytes for {DECODED}: that is not all that was taken");
        assert!(taken < DECODED + SLACK, "{taken} bytes for {DECODED}");
    });
}

#[test]
fn a_jpeg_takes_no_more_than_its_pixels() {
    takes_no_more_than_its_pixels("media_memory::a_jpeg_takes_no_more_than_its_pixels", || jpeg(false));
}

#[test]
fn a_jpeg_that_is_turned_takes_no_more_than_its_pixels() {
    takes_no_more_than_its_pixels(
        "media_memory::a_jpeg_that_is_turned_takes_no_more_than_its_pixels",
        || jpeg(true),
    );
}

#[test]
fn a_png_with_alpha_takes_no_more_than_its_pixels() {
    takes_no_more_than_its_pixels("media_memory::a_png_with_alpha_takes_no_more_than_its_pixels", || {
        png(4, ExtendedColorType::Rgba8)
    });
}

#[test]
fn a_gray_png_takes_no_more_than_its_pixels() {
    takes_no_more_than_its_pixels("media_memory::a_gray_png_takes_no_more_than_its_pixels", || {
        png(1, ExtendedColorType::L8)
    });
}

/// A lossless WebP of one colour, whose size is in its first bytes.
#[test]
fn a_small_file_takes_little_and_is_refused() {
    around::alone("media_memory::a_small_file_takes_little_and_is_refused", || {
        let size = (16_383 - 1) | (8_192 - 1) << 14;
        let head = [&[0x2f][..], &u32::to_le_bytes(size), &[0; 7]].concat();
        let chunk = [&b"VP8L"[..], &u32::to_le_bytes(head.len() as u32), &head].concat();
        let file = [&b"RIFF"[..], &u32::to_le_bytes(chunk.len() as u32 + 4), b"WEBP", &chunk].concat();
        let before = high_water();
        let failure = Media::image(&file).err().expect("refused");
        assert_eq!(failure.code, RMLX_ERROR_INVALID_MEDIA, "{failure:?}");
        assert!(failure.message.contains("16383 x 8192") && failure.message.contains("limit"), "{failure:?}");
        assert!(high_water() - before < SLACK);
    });
}
