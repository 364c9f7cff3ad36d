//! PNG, row by row.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, Decoder, DecodingError, Info, Limits, Reader, Transformations};

use super::MediaOptions;
use super::jpeg::Rows;
use super::limits::{check_size, zeroed};
use super::orientation::{Metadata, raw_profile};
use super::upright::Canvas;
use crate::error::{Error, Result};

/// Most bytes of a compressed text that are looked at for an orientation.
const MAX_TEXT: usize = 1 << 20;
/// Rows between two questions whether to go on.
const ROWS: usize = 64;
const RAW_PROFILE: &str = "Raw profile type exif";
const XMP: &str = "XML:com.adobe.xmp";

type Bytes<'a> = Cursor<&'a [u8]>;

/// Width, height and RGB rows of the picture, upright.
pub(super) fn decode(encoded: &[u8], options: &MediaOptions) -> Result<(u32, u32, Vec<u8>)> {
    let found = {
        let mut reader = open(encoded, options)?;
        let before = metadata(reader.info()).orientation();
        let canvas = draw(&mut reader, Canvas::new(before), encoded.len(), options)?;
        // Metadata may stand behind the pixels, which are all there even if the file ends with them.
        match reader.finish() {
            Err(DecodingError::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {}
            finished => finished.map_err(describe)?,
        }
        match metadata(reader.info()).orientation() {
            found if found == before => return canvas.finish(),
            found => found,
        }
    };
    // The first picture is gone before the second is made.
    draw(&mut open(encoded, options)?, Canvas::new(found), encoded.len(), options)?.finish()
}

fn open<'a>(encoded: &'a [u8], options: &MediaOptions) -> Result<Reader<Bytes<'a>>> {
    let limits = Limits { bytes: usize::try_from(options.most_bytes(encoded.len())).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(encoded), limits);
    decoder.set_transformations(Transformations::EXPAND);
    let head = decoder.read_header_info().map_err(describe)?;
    check_size(head.width, head.height, options.most_pixels())?;
    decoder.read_info().map_err(describe)
}

fn draw(
    reader: &mut Reader<Bytes>,
    mut canvas: Canvas,
    bytes: usize,
    options: &MediaOptions,
) -> Result<Canvas> {
    let (width, height, interlaced) = (reader.info().width, reader.info().height, reader.info().interlaced);
    let line = reader.output_line_size(width).ok_or_else(too_wide)?;
    // Two rows at once; of an interlaced picture, all of them.
    let raw = line as u64 * if interlaced { u64::from(height) } else { 2 };
    let needed = u64::from(width) * u64::from(height) * 3 + raw;
    options.check_bytes(needed, bytes, format_args!("the PNG image of {width} x {height} pixels"))?;
    canvas.begin(width, height)?;
    let mut rgb = zeroed::<u8>(width as usize * 3)?;
    let kind = reader.output_color_type();
    let whole = if interlaced {
        let mut whole = zeroed::<u8>(line * height as usize)?;
        reader.next_frame(&mut whole).map_err(describe)?;
        Some(whole)
    } else {
        None
    };
    for y in 0..height as usize {
        if y.is_multiple_of(ROWS) {
            (options.check)()?;
        }
        match &whole {
            Some(whole) => to_rgb(&whole[y * line..(y + 1) * line], kind, &mut rgb),
            None => {
                to_rgb(reader.next_row().map_err(describe)?.ok_or_else(truncated)?.data(), kind, &mut rgb)
            }
        }
        canvas.push(&rgb)?;
    }
    Ok(canvas)
}

/// What the texts and eXIf chunks that were read so far say.
fn metadata(info: &Info) -> Metadata {
    let latin = info.uncompressed_latin1_text.iter().map(|t| (t.keyword.as_str(), t.text.clone()));
    let packed =
        info.compressed_latin1_text.iter().filter(|t| [RAW_PROFILE, XMP].contains(&t.keyword.as_str()));
    let packed = packed.filter_map(|t| {
        let mut open = t.clone();
        open.decompress_text_with_limit(MAX_TEXT).ok()?;
        Some((t.keyword.as_str(), open.get_text().ok()?))
    });
    let international = info.utf8_text.iter().filter_map(|t| {
        let mut open = t.clone();
        open.decompress_text_with_limit(MAX_TEXT).ok()?;
        Some((t.keyword.as_str(), open.get_text().ok()?))
    });
    let mut found = Metadata { exif: info.exif_metadata.as_ref().map(|exif| exif.to_vec()), xmp: None };
    for (keyword, text) in latin.chain(packed).chain(international) {
        match keyword {
            // One that is no hexadecimal says as little as one that is no EXIF.
            RAW_PROFILE if found.exif.is_none() => found.exif = Some(raw_profile(&text).unwrap_or(vec![0])),
            XMP => found.xmp = Some(text.into_bytes()),
            _ => {}
        }
    }
    found
}

/// Drops alpha and the low bytes of samples of 16 bits.
fn to_rgb(row: &[u8], (color, depth): (ColorType, BitDepth), rgb: &mut [u8]) {
    let sample = if depth == BitDepth::Sixteen { 2 } else { 1 };
    let pixels = row.chunks_exact(color.samples() * sample);
    let out = rgb.as_chunks_mut::<3>().0.iter_mut();
    match (color, sample) {
        (ColorType::Grayscale | ColorType::GrayscaleAlpha, _) => {
            out.zip(pixels).for_each(|(out, pixel)| *out = [pixel[0]; 3]);
        }
        (_, 1) => out.zip(pixels).for_each(|(out, pixel)| out.copy_from_slice(&pixel[..3])),
        _ => out.zip(pixels).for_each(|(out, pixel)| *out = [pixel[0], pixel[2], pixel[4]]),
    }
}

fn too_wide() -> Error {
    Error::media("the PNG image is too wide")
}

fn truncated() -> Error {
    Error::media("the PNG image is truncated")
}

fn describe(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => truncated(),
        DecodingError::LimitsExceeded => Error::media("the PNG image is too large to decode"),
        other => Error::media(format!("the PNG image is corrupt: {other}")),
    }
}
