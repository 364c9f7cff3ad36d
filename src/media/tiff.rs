//! TIFFs that the decoder of all others does not read: palettes, YCbCr in any subsampling, gray with alpha, and JPEG in strips
//! and tiles, which is decoded as in a file of its own. As Pillow and libtiff give them (TIFF 6.0, sections 5, 21 and 22).

use std::borrow::Cow;
use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::MediaOptions;
use super::jpeg::{self, Rows};
use super::limits::{check_size, zeroed};
use super::tiff_directory::{Directory, rewritten};
use super::tiff_ycbcr::YCbCr;
use crate::error::{Error, Result};

pub(super) mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTES: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const COLOR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTES: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const JPEG_TABLES: u16 = 347;
    pub const LUMA: u16 = 529;
    pub const SUBSAMPLING: u16 = 530;
    pub const BLACK_WHITE: u16 = 532;
}

const GRAY: u64 = 1;
const RGB: u64 = 2;
const PALETTE: u64 = 3;
const YCBCR: u64 = 6;
const NOT_COMPRESSED: u64 = 1;
const OLD_JPEG: u64 = 6;
const JPEG: u64 = 7;

/// The compressions that samples are predicted for, LZW, Deflate and Zstandard: for others libtiff does not look at the tag.
const PREDICTED: [u64; 4] = [5, 8, 32_946, 50_000];

type Picture = (u32, u32, Vec<u8>);

/// What the directory says of the picture.
pub(super) struct Layout<'a> {
    pub directory: Directory<'a>,
    pub width: usize,
    pub height: usize,
    /// Of a strip or a tile.
    pub chunk_width: usize,
    pub chunk_height: usize,
    pub is_tiled: bool,
}

/// Width, height and RGB of the first picture, as it lies in the file; `None` where the other decoder reads it.
pub(super) fn decode(tiff: &[u8], options: &MediaOptions) -> Result<Option<Picture>> {
    let Some(directory) = Directory::first(tiff) else { return Ok(None) };
    let number = |tag: u16, default: u64| directory.numbers(tag).first().copied().unwrap_or(default);
    let (bits, samples) = (number(tag::BITS, 1), number(tag::SAMPLES, 1));
    let (photometric, compression) = (number(tag::PHOTOMETRIC, 0), number(tag::COMPRESSION, 1));
    let is_one_plane = number(tag::PLANAR, 1) == 1;
    let is_tiled = number(tag::TILE_WIDTH, 0) > 0;
    let is_tiled_planes = is_tiled && !is_one_plane && samples > 1;
    let is_jpeg = compression == JPEG && is_one_plane && bits == 8;
    let (width, height) = (number(tag::WIDTH, 0), number(tag::HEIGHT, 0));
    let size = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    let kind = match (photometric, samples) {
        (GRAY, 1) | (RGB | YCBCR, 3) if is_jpeg => Kind::Jpeg,
        (PALETTE, _) if matches!(bits, 1 | 2 | 4 | 8) && is_one_plane => Kind::Palette,
        (YCBCR, 3) if bits == 8 && is_one_plane && !matches!(compression, OLD_JPEG | JPEG) => Kind::YCbCr,
        (GRAY, 2)
            if bits == 8 && is_one_plane && compression != JPEG && number(tag::EXTRA_SAMPLES, 0) != 1 =>
        {
            Kind::GrayAlpha
        }
        (RGB, 3 | 4) if is_tiled_planes && bits == 8 && number(tag::EXTRA_SAMPLES, 0) != 1 => {
            Kind::TiledPlanes
        }
        // The other decoder gives wrong pixels at the picture's edges.
        (_, 5..) if is_tiled => {
            return Err(Error::unsupported(format!(
                "the TIFF image has tiles of {samples} samples a pixel: up to 4 are read; save it as JPEG or PNG, or hand over its \
                 pixels"
            )));
        }
        // It would fail within.
        _ if is_tiled_planes => {
            return Err(Error::unsupported(
                "the TIFF image has tiles of one channel each, which are read of RGB with 8 bits: save it as JPEG or PNG, or \
                 hand over its pixels",
            ));
        }
        _ => return Ok(None),
    };
    check_size(size(width), size(height), options.most_pixels())?;
    let what = format_args!("the TIFF image of {width} x {height} pixels");
    // The samples, what they become, and a copy of the file.
    options.check_bytes(width * height * 6 + tiff.len() as u64, tiff.len(), what)?;
    let layout = Layout::new(directory, width as usize, height as usize)?;
    let rgb = match kind {
        Kind::Jpeg => jpeg_pieces(tiff, &layout, photometric == YCBCR, options)?,
        Kind::Palette => palette(tiff, &layout, (bits as usize, samples as usize), options)?,
        // Pillow reads these by itself, and asks for no coefficients.
        Kind::YCbCr => YCbCr::new(&layout, compression == NOT_COMPRESSED)?.decode(tiff, &layout, options)?,
        Kind::TiledPlanes => tiled_planes(tiff, &layout, samples as u32, options)?,
        Kind::GrayAlpha => {
            let samples = read(tiff, &[], options)?;
            samples.as_chunks::<2>().0.iter().flat_map(|&[gray, _]| [gray; 3]).collect()
        }
    };
    (options.check)()?;
    match rgb.len() == layout.width * layout.height * 3 {
        true => Ok(Some((width as u32, height as u32, rgb))),
        false => Err(corrupt("it has fewer pixels than it says")),
    }
}

enum Kind {
    Jpeg,
    Palette,
    YCbCr,
    GrayAlpha,
    TiledPlanes,
}

impl<'a> Layout<'a> {
    fn new(directory: Directory<'a>, width: usize, height: usize) -> Result<Self> {
        let number = |tag: u16| directory.numbers(tag).first().and_then(|&n| usize::try_from(n).ok());
        let is_tiled = number(tag::TILE_WIDTH).is_some();
        let (chunk_width, chunk_height) = match is_tiled {
            true => (number(tag::TILE_WIDTH), number(tag::TILE_HEIGHT)),
            false => (Some(width), Some(number(tag::ROWS_PER_STRIP).unwrap_or(height).min(height))),
        };
        match (chunk_width, chunk_height) {
            (Some(chunk_width @ 1..=0xffff_ffff), Some(chunk_height @ 1..=0xffff_ffff)) => {
                Ok(Layout { directory, width, height, chunk_width, chunk_height, is_tiled })
            }
            _ => Err(corrupt("its strips or tiles have no size")),
        }
    }
}

/// The file in the words of the other decoder, which takes a predictor for whatever compression, and knows but one order of
/// bits.
pub(super) fn plain(tiff: &[u8]) -> Cow<'_, [u8]> {
    let Some(directory) = Directory::first(tiff) else { return Cow::Borrowed(tiff) };
    let number = |tag: u16, default: u64| directory.numbers(tag).first().copied().unwrap_or(default);
    let compression = number(tag::COMPRESSION, NOT_COMPRESSED);
    let is_predicted = number(tag::PREDICTOR, 1) != 1 && !PREDICTED.contains(&compression);
    let is_reversed = number(tag::FILL_ORDER, 1) == 2 && compression != JPEG;
    if !is_predicted && !is_reversed {
        return Cow::Borrowed(tiff);
    }
    let predictor = if is_predicted { 1 } else { number(tag::PREDICTOR, 1) as u32 };
    let copy = rewritten(tiff, &[(tag::PREDICTOR, predictor), (tag::FILL_ORDER, 1)]);
    let Some(mut copy) = copy else { return Cow::Borrowed(tiff) };
    let pieces = [(tag::STRIP_OFFSETS, tag::STRIP_BYTES), (tag::TILE_OFFSETS, tag::TILE_BYTES)];
    for (offsets, sizes) in pieces.into_iter().filter(|_| is_reversed) {
        for (offset, size) in directory.numbers(offsets).into_iter().zip(directory.numbers(sizes)) {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
            // Out of the original: pieces may share their bytes.
            if let (Some(from), Some(to)) = (tiff.get(start..end), copy.get_mut(start..end)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.reverse_bits());
            }
        }
    }
    Cow::Owned(copy)
}

/// All samples of the picture, through the other decoder, for which some tags are given other values.
pub(super) fn read(tiff: &[u8], changes: &[(u16, u32)], options: &MediaOptions) -> Result<Vec<u8>> {
    let file = rewritten(tiff, changes).ok_or_else(|| corrupt("its directory is cut off"))?;
    let fault = |e: tiff::TiffError| match e {
        tiff::TiffError::UnsupportedError(what) => Error::unsupported(format!(
            "the TIFF image uses a feature that is not read: {what}; save it as JPEG or PNG, or hand over its pixels"
        )),
        e => corrupt(&e.to_string()),
    };
    let mut limits = Limits::default();
    // A strip or tile may be larger than the picture.
    let most = usize::try_from(options.most_bytes(tiff.len())).unwrap_or(usize::MAX);
    (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (most, most);
    let mut decoder = Decoder::new(Cursor::new(file)).map_err(fault)?.with_limits(limits);
    match decoder.read_image().map_err(fault)? {
        DecodingResult::U8(samples) => Ok(samples),
        _ => Err(corrupt("its samples have no 8 bits")),
    }
}

fn palette(
    tiff: &[u8],
    layout: &Layout,
    (bits, samples): (usize, usize),
    options: &MediaOptions,
) -> Result<Vec<u8>> {
    let map = layout.directory.numbers(tag::COLOR_MAP);
    let colors = 1 << bits;
    if map.len() < 3 * colors {
        return Err(corrupt("its palette is missing or cut off"));
    }
    // Of 16 bits, all reds first.
    let color = |index: usize| [0, 1, 2].map(|channel| (map[channel * colors + index] >> 8) as u8);
    let colors: Vec<[u8; 3]> = (0..colors).map(color).collect();
    let packed = read(tiff, &[(tag::PHOTOMETRIC, GRAY as u32)], options)?;
    let row_bytes = (layout.width * samples * bits).div_ceil(8);
    let mut rgb = zeroed::<u8>(layout.width * layout.height * 3)?;
    for (row, out) in packed.chunks_exact(row_bytes).zip(rgb.chunks_exact_mut(layout.width * 3)) {
        for (x, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let at = x * samples * bits;
            let index = usize::from(row[at / 8]) >> (8 - bits - at % 8) & ((1 << bits) - 1);
            *pixel = colors[index];
        }
    }
    Ok(rgb)
}

/// Of a gray picture that is as high as the planes are together, with what their last tiles are filled up with.
fn tiled_planes(tiff: &[u8], layout: &Layout, samples: u32, options: &MediaOptions) -> Result<Vec<u8>> {
    let high = layout.height.div_ceil(layout.chunk_height) * layout.chunk_height;
    let height = u32::try_from(high).ok().and_then(|high| high.checked_mul(samples));
    let height = height.ok_or_else(|| corrupt("it is higher than a TIFF can say"))?;
    let changes = [
        (tag::HEIGHT, height),
        (tag::BITS, 8),
        (tag::SAMPLES, 1),
        (tag::PHOTOMETRIC, GRAY as u32),
        (tag::PLANAR, 1),
    ];
    let planes = read(tiff, &changes, options)?;
    let plane = |channel: usize| planes.chunks_exact(high * layout.width).nth(channel).unwrap_or_default();
    let mut rgb = zeroed::<u8>(layout.width * layout.height * 3)?;
    for channel in 0..3 {
        for (pixel, level) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(plane(channel)) {
            pixel[channel] = *level;
        }
    }
    Ok(rgb)
}

fn jpeg_pieces(tiff: &[u8], layout: &Layout, is_ycbcr: bool, options: &MediaOptions) -> Result<Vec<u8>> {
    let (offsets, sizes) = match layout.is_tiled {
        true => (tag::TILE_OFFSETS, tag::TILE_BYTES),
        false => (tag::STRIP_OFFSETS, tag::STRIP_BYTES),
    };
    let (offsets, sizes) = (layout.directory.numbers(offsets), layout.directory.numbers(sizes));
    let tables = layout.directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
    let mut rgb = zeroed::<u8>(layout.width * layout.height * 3)?;
    let across = layout.width.div_ceil(layout.chunk_width);
    let count = across * layout.height.div_ceil(layout.chunk_height);
    for index in 0..count {
        let bytes = offsets.get(index).zip(sizes.get(index)).and_then(|(&offset, &size)| {
            let start = usize::try_from(offset).ok()?;
            tiff.get(start..start.checked_add(usize::try_from(size).ok()?)?)
        });
        let bytes = bytes.ok_or_else(|| corrupt("a strip or tile lies outside the file"))?;
        let (left, top) = (index % across * layout.chunk_width, index / across * layout.chunk_height);
        let mut piece = Piece { rgb: &mut rgb, layout, left, top, rows: 0 };
        jpeg::decode(&whole_jpeg(tables, bytes, is_ycbcr), options, &mut piece)?;
    }
    Ok(rgb)
}

/// A strip or tile as a file of its own: with the tables that all share, and with what its colours are, which the directory says
/// and Adobe's segment tells.
fn whole_jpeg(tables: &[u8], piece: &[u8], is_ycbcr: bool) -> Vec<u8> {
    let inner = |jpeg: &'_ [u8]| jpeg.strip_prefix(b"\xff\xd8").unwrap_or(jpeg).to_vec();
    let tables = inner(tables.strip_suffix(b"\xff\xd9").unwrap_or(tables));
    let adobe = [&b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"[..], &[u8::from(is_ycbcr)]].concat();
    [b"\xff\xd8", &adobe[..], &tables, &inner(piece)].concat()
}

/// Takes the rows of a strip or tile, as far as they lie in the picture.
struct Piece<'a> {
    rgb: &'a mut [u8],
    layout: &'a Layout<'a>,
    left: usize,
    top: usize,
    rows: usize,
}

impl Rows for Piece<'_> {
    fn begin(&mut self, width: u32, height: u32) -> Result<()> {
        let Layout { chunk_width, chunk_height, .. } = *self.layout;
        let needed = chunk_height.min(self.layout.height - self.top);
        // libtiff's last strip may have as many rows as the others.
        match width as usize == chunk_width && (needed..=chunk_height).contains(&(height as usize)) {
            true => Ok(()),
            false => Err(corrupt("a strip or tile has another size than the directory says")),
        }
    }

    fn push(&mut self, row: &[u8]) -> Result<()> {
        let y = self.top + self.rows;
        self.rows += 1;
        if y < self.layout.height {
            let bytes = row.len().min((self.layout.width - self.left) * 3);
            let start = (y * self.layout.width + self.left) * 3;
            self.rgb[start..start + bytes].copy_from_slice(&row[..bytes]);
        }
        Ok(())
    }
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::media(format!("the TIFF image is corrupt: {what}"))
}
