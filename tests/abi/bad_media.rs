//! Pictures and sounds that are none.

use rmlx::ffi::media::*;
use rmlx::ffi::status::*;

use crate::fixtures;
use crate::harness::{Media, Outcome, Prompt, check};
use crate::sound;
use crate::wishes::is_refused;

#[track_caller]
fn refused(made: Outcome<Media>, what: &[&str]) {
    let failure = made.err().expect("it is refused");
    assert_eq!(failure.code, RMLX_ERROR_INVALID_MEDIA, "{failure:?}");
    for what in what {
        assert!(failure.message.contains(what), "{what:?} is not in {:?}", failure.message);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

/// A gray PNG whose header claims a size, and whose pixels are a few compressed zeros.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    // A zlib stream of one stored block of one zero.
    let data = [0x78, 0x01, 0x01, 0x01, 0x00, 0xfe, 0xff, 0x00, 0x00, 0x01, 0x00, 0x01];
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    [signature, chunk(b"IHDR", &header), chunk(b"IDAT", &data), chunk(b"IEND", &[])].concat()
}

/// A WAV file of 16-bit samples whose header claims `claimed` bytes of them.
fn wav(claimed: u32, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let format = [&1u16.to_le_bytes()[..], &1u16.to_le_bytes(), &16_000u32.to_le_bytes()].concat();
    let format = [&format[..], &32_000u32.to_le_bytes(), &2u16.to_le_bytes(), &16u16.to_le_bytes()].concat();
    [
        &b"RIFF"[..],
        &claimed.saturating_add(36).to_le_bytes(),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        &format,
        b"data",
        &claimed.to_le_bytes(),
        &data,
    ]
    .concat()
}

#[test]
fn bytes_that_are_no_image_are_refused() {
    refused(Media::image(&[]), &[]);
    refused(Media::image(b"hello, I am a picture"), &[]);
    refused(Media::image(&wav(4, &[1, 2])), &[]);
    sound::host_is_sound();
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_refused() {
    let whole = fixtures::bytes("media/odd.png");
    assert!(Media::image(&whole).is_ok());
    for len in [1, 8, 20, 40, whole.len() / 2, whole.len() * 9 / 10] {
        refused(Media::image(&whole[..len]), &[]);
    }
    sound::host_is_sound();
}

#[test]
fn an_image_with_corrupt_pixels_is_refused() {
    let mut bytes = fixtures::bytes("media/odd.png");
    let data = bytes.windows(4).position(|four| four == b"IDAT").expect("pixels");
    for byte in &mut bytes[data + 8..data + 40] {
        *byte = !*byte;
    }
    refused(Media::image(&bytes), &[]);
    sound::host_is_sound();
}

#[test]
fn an_image_100000_pixels_wide_is_refused_by_its_size() {
    refused(Media::image(&png_that_claims(100_000, 1)), &["100000"]);
    refused(Media::image(&png_that_claims(1, 100_000)), &["100000"]);
    sound::host_is_sound();
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    refused(Media::image(&png_that_claims(60_000, 60_000)), &["60000"]);
    refused(Media::image(&png_that_claims(u32::MAX >> 1, u32::MAX >> 1)), &[]);
    sound::host_is_sound();
}

#[test]
fn raw_pixels_that_cannot_be_are_refused() {
    refused(Media::gray(0, 4, &[]), &[]);
    refused(Media::gray(4, 0, &[]), &[]);
    let short = Media::gray(4, 4, &[0; 15]).err().expect("15 bytes are no 16 pixels");
    assert_eq!(short.code, RMLX_ERROR_INVALID_ARGUMENT, "{short:?}");
    let pixels = [0u8; 16];
    let good = rmlx_pixels {
        struct_size: size_of::<rmlx_pixels>(),
        data: pixels.as_ptr().cast(),
        size: 16,
        row_stride: 0,
        width: 2,
        height: 2,
        format: RMLX_PIXELS_RGBA8,
        reserved: 0,
    };
    for wrong in [
        rmlx_pixels { format: 0, ..good },
        rmlx_pixels { format: 99, ..good },
        rmlx_pixels { struct_size: 0, ..good },
        rmlx_pixels { data: std::ptr::null(), ..good },
        rmlx_pixels { row_stride: 7, ..good },
        rmlx_pixels { row_stride: usize::MAX, ..good },
        rmlx_pixels { width: u32::MAX, height: u32::MAX, ..good },
    ] {
        let mut out = std::mem::MaybeUninit::new(std::ptr::null_mut());
        // SAFETY: the description says no more than `size` bytes, which there are.
        let failure = check(|error| unsafe { rmlx_image_from_pixels(&wrong, Some(&mut out), error) });
        let code = failure.expect_err("refused").code;
        assert!([RMLX_ERROR_INVALID_ARGUMENT, RMLX_ERROR_INVALID_MEDIA].contains(&code));
    }
    sound::host_is_sound();
}

#[test]
fn a_budget_of_soft_tokens_is_one_of_the_models() {
    let image = Media::image(&fixtures::bytes("media/exact.png")).expect("an image");
    assert_eq!(image.with_budget(0).err().expect("no budget").code, RMLX_ERROR_INVALID_ARGUMENT);
    let sound = Media::pcm(&[0.0; 640], 16_000).expect("a sound");
    assert_eq!(sound.with_budget(70).err().expect("no image").code, RMLX_ERROR_INVALID_ARGUMENT);
    let numbers = "[70, 140, 280, 560, 1120]";
    wish_is_refused(image.with_budget(71), &["budget of 71", numbers]);
}

#[test]
fn wishes_of_other_models_are_refused_where_the_image_is_placed() {
    let image = Media::image(&fixtures::bytes("media/exact.png")).expect("an image");
    wish_is_refused(image.with_pan_and_scan(true), &["pan and scan", "Gemma 4 shows it whole"]);
    wish_is_refused(
        image.with_pixel_range(1024, 4096),
        &["1024 to 4096 pixels", "[70, 140, 280, 560, 1120]"],
    );
    let (model, whole) = (fixtures::model(), image.with_pan_and_scan(false).expect("an image"));
    let count = |image: &Media| model.count(&Prompt::new().message("user").media(image)).expect("a count");
    assert_eq!(count(&whole), count(&image));
}

#[track_caller]
fn wish_is_refused(image: Outcome<Media>, says: &[&str]) {
    sound::is_usable(&is_refused(fixtures::model(), image, says));
}

#[test]
fn a_sound_of_no_samples_is_refused() {
    refused(Media::pcm(&[], 16_000), &["no samples"]);
    refused(Media::sound(&wav(0, &[])), &["no samples"]);
    refused(Media::sound(&[]), &[]);
    sound::host_is_sound();
}

#[test]
fn samples_that_are_no_numbers_are_told_with_their_place() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = vec![0.0; 1000];
        samples[321] = bad;
        refused(Media::pcm(&samples, 16_000), &["321"]);
        refused(Media::pcm(&samples, 44_100), &["321"]);
    }
    sound::host_is_sound();
}

#[test]
fn a_sound_that_is_garbage_or_cut_off_in_its_head_is_refused() {
    refused(Media::sound(b"RIFF this is no sound at all"), &[]);
    refused(Media::sound(&fixtures::bytes("media/odd.png")), &[]);
    let whole = fixtures::bytes("media/chirp.wav");
    for len in [1, 12, 30] {
        refused(Media::sound(&whole[..len]), &[]);
    }
    let cut_later = Media::sound(&wav(2000, &[1, 2, 3])).expect("three samples are there");
    assert_eq!(cut_later.lost_seconds(), 997.0 / 16_000.0);
    sound::host_is_sound();
}

#[test]
fn rates_and_channels_that_cannot_be_are_refused() {
    refused(Media::pcm(&[0.0; 100], 0), &["0 Hz"]);
    refused(Media::pcm(&[0.0; 100], u32::MAX), &["Hz"]);
    let mut out = std::mem::MaybeUninit::new(std::ptr::null_mut());
    // SAFETY: no channel means no sample.
    let failure = check(|error| unsafe {
        rmlx_audio_from_pcm_f32([0.0].as_ptr(), 1, 0, 16_000, Some(&mut out), error)
    });
    assert_eq!(failure.expect_err("no channel").code, RMLX_ERROR_INVALID_ARGUMENT);
}
