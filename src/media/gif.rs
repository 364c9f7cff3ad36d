//! The first picture of a GIF, as Pillow gives it: colours whatever their transparency, and where the picture is smaller than the
//! screen, the transparent colour or the first one around it; where it sticks out, the screen grows.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{DecodeOptions, DecodingError, MemoryLimit};

use super::MediaOptions;
use super::limits::{check_size, zeroed};
use crate::error::{Error, Result};

/// Width, height and RGB rows.
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let mut reading = DecodeOptions::new();
    let most = NonZeroU64::new(options.most_bytes(encoded.len())).unwrap_or(NonZeroU64::MIN);
    reading.set_memory_limit(MemoryLimit::Bytes(most));
    let mut decoder = reading.read_info(Cursor::new(encoded)).map_err(describe)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
    check_size(screen.0.max(1), screen.1.max(1), options.most_pixels())?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(describe)?;
    let frame = frame.ok_or_else(|| Error::media("the GIF image has no picture"))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let width = screen.0.max(u32::from(frame.left) + u32::from(frame.width));
    let height = screen.1.max(u32::from(frame.top) + u32::from(frame.height));
    check_size(width, height, options.most_pixels())?;
    let needed = u64::from(width) * u64::from(height) * 4;
    options.check_bytes(needed, encoded.len(), format_args!("the GIF image of {width} x {height} pixels"))?;
    let palette = frame.palette.as_deref().or(global.as_deref()).unwrap_or_default().as_chunks::<3>().0;
    let color = |index: u8| palette.get(usize::from(index)).copied().unwrap_or([index; 3]);
    let mut rgb = zeroed::<u8>(width as usize * height as usize * 3)?;
    rgb.as_chunks_mut::<3>().0.fill(color(frame.transparent.unwrap_or(0)));
    let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1));
    for (row, out) in rows.zip(rgb.chunks_exact_mut(width as usize * 3).skip(top)) {
        for (&index, pixel) in row.iter().zip(out.as_chunks_mut::<3>().0.iter_mut().skip(left)) {
            *pixel = color(index);
        }
    }
    (options.check)()?;
    Ok((width, height, rgb))
}

fn describe(error: DecodingError) -> Error {
    match error {
        DecodingError::UnexpectedEof => Error::media("the GIF image is truncated"),
        DecodingError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::media("the GIF image is truncated")
        }
        other => Error::media(format!("the GIF image is corrupt: {other}")),
    }
}
