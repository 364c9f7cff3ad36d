//! Pictures and sounds: files of any bytes, and raw pixels of any description.

use std::mem::MaybeUninit;
use std::ptr;

use arbitrary::Unstructured;
use rmlx::ffi::media::{rmlx_image_from_pixels, rmlx_media_bytes, rmlx_media_release, rmlx_pixels};
use rmlx::ffi::status::{RMLX_ERROR_INVALID_ARGUMENT, RMLX_ERROR_INVALID_MEDIA, RMLX_OK};
use rmlx::media::MediaOptions;
use rmlx::{Audio, Image};

use super::sound;

/// Small, so that many are tried in a second.
const LIMITS: MediaOptions = MediaOptions {
    max_pixels: 1 << 18,
    max_bytes: Some(16 << 20),
    max_seconds: 20,
    check: &rmlx::media::go_on,
};

pub fn images(data: &[u8]) {
    let Some(image) = sound(Image::decode_with(data, &LIMITS)) else { return };
    let (width, height) = (image.width() as usize, image.height() as usize);
    assert!(width > 0 && height > 0 && width * height <= 1 << 18, "{width} by {height}");
    let pixels = image.pixels().expect("an image as it was decoded has its pixels");
    assert!(pixels.rows().count() == height && pixels.rows().all(|row| row.len() == 3 * width));
}

pub fn sounds(data: &[u8]) {
    let Some(audio) = sound(Audio::decode_with(data, &LIMITS)) else { return };
    let samples = audio.samples();
    assert!(!samples.is_empty() && samples.iter().all(|sample| sample.is_finite()));
    assert!(samples.len() <= 21 * 16_000, "{} samples", samples.len());
}

/// Descriptions of which `data` and `size` are true, and the rest is anything.
pub fn pixels(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(mut desc) = description(&mut input) else { return };
    let bytes = input.take_rest();
    desc.size = bytes.len().min(desc.size);
    desc.data =
        if desc.size == 0 && bytes.len().is_multiple_of(2) { ptr::null() } else { bytes.as_ptr().cast() };
    let mut out = MaybeUninit::new(ptr::null_mut());
    // SAFETY: `size` bytes may be read at `data`, and so may the whole structure, whatever its first field says.
    let status = unsafe { rmlx_image_from_pixels(&desc, Some(&mut out), None) };
    // SAFETY: it was NULL before, and the call may only have put an image there.
    let image = unsafe { out.assume_init() };
    assert_eq!(status == RMLX_OK, !image.is_null());
    let known = [RMLX_OK, RMLX_ERROR_INVALID_ARGUMENT, RMLX_ERROR_INVALID_MEDIA];
    assert!(known.contains(&status), "status {status}");
    // SAFETY: a reference of ours, or NULL.
    let held = rmlx_media_bytes(unsafe { image.as_ref() });
    assert!(image.is_null() || held >= 3 * u64::from(desc.width) * u64::from(desc.height));
    // SAFETY: as above, and given back once.
    unsafe { rmlx_media_release(ptr::NonNull::new(image)) };
}

fn description(input: &mut Unstructured) -> arbitrary::Result<rmlx_pixels> {
    let small = input.ratio(7, 8)?;
    let side = |input: &mut Unstructured| match small {
        true => input.int_in_range(0..=40_u32),
        false => input.arbitrary(),
    };
    let (width, height) = (side(input)?, side(input)?);
    let format = if input.ratio(9, 10)? { input.int_in_range(0..=5)? } else { input.arbitrary()? };
    let channels = [3, 3, 4, 4, 1][format.clamp(0, 4) as usize];
    let row_stride = match input.int_in_range(0..=3_u8)? {
        0 => 0,
        1 => width as usize * channels,
        2 => (width as usize * channels).wrapping_add(input.int_in_range(0..=9)?).wrapping_sub(2),
        _ => input.arbitrary()?,
    };
    let whole = size_of::<rmlx_pixels>();
    let struct_size = if input.ratio(15, 16)? { whole } else { input.int_in_range(0..=whole)? };
    let size = if input.ratio(1, 2)? { usize::MAX } else { input.int_in_range(0..=8192)? };
    let reserved = u32::from(input.ratio(1, 32)?);
    Ok(rmlx_pixels { struct_size, data: ptr::null(), size, row_stride, width, height, format, reserved })
}
