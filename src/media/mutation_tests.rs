//! Damaged files of every format: whatever the bytes, decoding returns, and does not panic.

use super::testing::{noise, testdata, wav};
use super::{MediaOptions, audio_decode, image_decode};

const IMAGES: [&str; 20] = [
    "palette.png",
    "rgba.png",
    "one-bit.png",
    "palette.gif",
    "two-frames.gif",
    "lossy.webp",
    "lossy-alpha.webp",
    "lossless.webp",
    "palette.bmp",
    "one-bit.bmp",
    "lzw.tif",
    "deflate-alpha.tif",
    "fax.tif",
    "progressive.jpg",
    "cmyk.jpg",
    "jpeg/scans-420.jpg",
    "jpeg/whole-440-restart.jpg",
    "jpeg/progressive-restart.jpg",
    "jpeg/progressive-script.jpg",
    "jpeg/adobe2-ycck.jpg",
];
const SOUNDS: [&str; 13] = [
    "tone.flac",
    "tone.ogg",
    "tone.mp3",
    "tone-untagged.mp3",
    "tone.mka",
    "tone.webm",
    "tone.opus",
    "tone-aac.m4a",
    "short.m4a",
    "short.aiff",
    "short.caf",
    "short.au",
    "short.w64",
];

/// Damaged copies of each file. Half of them are hurt in the first 100 bytes, where the headers are.
const ROUNDS: u64 = 60;

/// `file` with one to four bytes changed, and every fourth time cut off too.
fn damaged(file: &[u8], round: u64) -> Vec<u8> {
    let dice = noise(16, 2 * round + 2);
    let reach = if round.is_multiple_of(2) { file.len().min(100) } else { file.len() };
    let mut copy = file.to_vec();
    for change in dice[..12].chunks(3).take(1 + usize::from(dice[12] % 4)) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % reach;
        copy[at] = match round % 3 {
            0 => change[2],
            1 => copy[at] ^ (1 << (change[2] % 8)),
            _ => [0, 0xff, 0x7f, 0x80][usize::from(change[2] % 4)],
        };
    }
    if round % 4 == 3 {
        let keep = usize::from(u16::from_le_bytes([dice[13], dice[14]])) % copy.len();
        copy.truncate(keep);
    }
    copy
}

#[test]
fn damaged_images_do_not_panic() {
    for name in IMAGES {
        let file = testdata(name);
        for round in 0..ROUNDS {
            if let Ok((width, height, rgb)) =
                image_decode::decode(&damaged(&file, round), &MediaOptions::default())
            {
                assert_eq!(rgb.len(), width as usize * height as usize * 3, "{name}, round {round}");
            }
        }
    }
}

#[test]
fn damaged_sounds_do_not_panic() {
    let mut files: Vec<(&str, Vec<u8>)> = SOUNDS.map(|name| (name, testdata(name))).into();
    files.push(("pcm.wav", wav(1, 2, 44_100, 16, &noise(4000, 2))));
    files.push(("float.wav", wav(3, 1, 16_000, 32, &noise(4000, 4))));
    for (name, file) in files {
        for round in 0..ROUNDS {
            if let Ok(decoded) = audio_decode::decode(&damaged(&file, round), &MediaOptions::default()) {
                let samples = decoded.samples;
                assert!(
                    !samples.is_empty() && samples.iter().all(|s| s.is_finite()),
                    "{name}, round {round}"
                );
            }
        }
    }
}
