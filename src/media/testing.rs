//! Inputs and measures that the tests of this folder, of `vision` and of `audio` share.

use std::path::Path;

/// Bytes of a linear congruential generator; odd seeds give only 0 and 255. tools/vectors.py has the same.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let byte = (state >> 56) as u8;
        if seed.is_multiple_of(2) { byte } else { 255 * (byte >> 7) }
    };
    (0..len).map(next).collect()
}

/// FNV-1a, 64 bits, in hexadecimal.
pub(crate) fn fnv(data: &[u8]) -> String {
    let hash =
        data.iter().fold(0xcbf29ce484222325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100000001b3));
    format!("{hash:016x}")
}

/// A file of this folder's testdata.
pub(super) fn testdata(name: &str) -> Vec<u8> {
    file_beside(file!(), name)
}

/// A text of the testdata beside a source file (`file!()`).
pub(crate) fn text_beside(source: &str, name: &str) -> String {
    String::from_utf8(file_beside(source, name)).unwrap()
}

fn file_beside(source: &str, name: &str) -> Vec<u8> {
    let file = Path::new(source).with_file_name("testdata").join(name);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// A WAV file with one format chunk of 16 bytes and one data chunk.
pub(super) fn wav(tag: u16, channels: u16, rate: u32, bits: u16, body: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + body.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(frame)).to_le_bytes());
    out.extend(frame.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

/// A PNG that claims a size and has next to no pixels.
pub(super) fn png_header(width: u32, height: u32, depth: u8, color: u8) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], body: &[u8]| {
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(kind);
        out.extend(body);
        out.extend(crc32(&[kind, body].concat()).to_be_bytes());
    };
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    chunk(b"IHDR", &[&w[..], &h, &[depth, color, 0, 0, 0]].concat());
    chunk(b"IDAT", b"\x78\x9c\x63\0\0\0\x01\0\x01");
    chunk(b"IEND", b"");
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb88320 } else { c >> 1 })
    })
}

/// A sine of `hertz` at `rate`, amplitude 0.5, `frames` long.
pub(crate) fn tone(hertz: f64, rate: u32, frames: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    (0..frames).map(|i| (0.5 * (step * i as f64).sin()) as f32).collect()
}

/// The amplitude of the part of a 16 kHz sound at `hertz`.
pub(super) fn level(samples: &[f32], hertz: f64) -> f64 {
    let step = std::f64::consts::TAU * hertz / 16_000.0;
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        sine += f64::from(sample) * (step * i as f64).sin();
        cosine += f64::from(sample) * (step * i as f64).cos();
    }
    2.0 * sine.hypot(cosine) / samples.len() as f64
}
