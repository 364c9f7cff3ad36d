//! TIFFs of YCbCr that are not JPEG, in any subsampling, with libtiff's colours (`tif_color.c`): chroma is repeated.

use super::MediaOptions;
use super::limits::zeroed;
use super::tiff::{Layout, corrupt, read, tag};
use crate::error::{Error, Result};

/// Bits behind the point of the factors.
const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

pub(super) struct YCbCr {
    /// Pixels of one pair of chroma samples: across and down.
    across: usize,
    down: usize,
    colors: Colors,
}

/// What each level adds to red, green and blue.
struct Colors {
    luma: Vec<i32>,
    red: Vec<i32>,
    blue: Vec<i32>,
    /// By Cr and by Cb, with the bits behind the point.
    green: [Vec<i32>; 2],
}

impl YCbCr {
    pub(super) fn new(layout: &Layout, is_plain: bool) -> Result<Self> {
        let (across, down) = match layout.directory.numbers(tag::SUBSAMPLING)[..] {
            [across, down, ..] => (across as usize, down as usize),
            _ => (2, 2),
        };
        let known = |factor: usize| matches!(factor, 1 | 2 | 4);
        if !known(across) || !known(down) {
            return Err(corrupt("its chroma has another subsampling than 1, 2 or 4"));
        }
        let is_broken = layout.chunk_height < layout.height && !layout.chunk_height.is_multiple_of(down);
        if is_broken || (layout.is_tiled && !layout.chunk_width.is_multiple_of(across)) {
            return Err(corrupt("its strips or tiles end within a pair of chroma samples"));
        }
        if (across, down) != (1, 1)
            && layout.directory.numbers(tag::PREDICTOR).first().is_some_and(|&p| p > 1)
        {
            return Err(Error::unsupported(
                "the TIFF image has subsampled YCbCr with a predictor, which is not read: save it as JPEG or PNG",
            ));
        }
        Ok(YCbCr { across, down, colors: Colors::new(layout, is_plain && (across, down) == (1, 1)) })
    }

    pub(super) fn decode(&self, tiff: &[u8], layout: &Layout, options: &MediaOptions) -> Result<Vec<u8>> {
        let (units, samples) = self.samples(tiff, layout, options)?;
        let (lumas, unit) = (self.across * self.down, self.across * self.down + 2);
        let mut rgb = zeroed::<u8>(layout.width * layout.height * 3)?;
        let rows = samples.chunks_exact(units * unit);
        for (rows_out, row) in rgb.chunks_mut(layout.width * 3 * self.down).zip(rows) {
            for (y, out) in rows_out.chunks_exact_mut(layout.width * 3).enumerate() {
                for (x, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let unit = &row[x / self.across * unit..][..unit];
                    let luma = unit[y * self.across + x % self.across];
                    *pixel = self.colors.rgb(luma, unit[lumas], unit[lumas + 1]);
                }
            }
        }
        Ok(rgb)
    }

    /// Units in a row, and the samples: as RGB where each pixel has its chroma, and otherwise as a gray picture whose pixels are
    /// the samples of units.
    fn samples(&self, tiff: &[u8], layout: &Layout, options: &MediaOptions) -> Result<(usize, Vec<u8>)> {
        if (self.across, self.down) == (1, 1) {
            return Ok((layout.width, read(tiff, &[(tag::PHOTOMETRIC, 2)], options)?));
        }
        let unit = self.across * self.down + 2;
        let chunk_units = layout.chunk_width.div_ceil(self.across);
        let units = layout.width.div_ceil(layout.chunk_width) * chunk_units;
        let number = |number: usize| {
            u32::try_from(number).map_err(|_| corrupt("its rows are longer than a TIFF can say"))
        };
        let (chunk_width, chunk_height) =
            (number(chunk_units * unit)?, number(layout.chunk_height.div_ceil(self.down))?);
        let changes = [
            (tag::WIDTH, number(units * unit)?),
            (tag::HEIGHT, number(layout.height.div_ceil(self.down))?),
            (tag::BITS, 8),
            (tag::SAMPLES, 1),
            (tag::PHOTOMETRIC, 1),
            (tag::ROWS_PER_STRIP, chunk_height),
            (tag::TILE_WIDTH, chunk_width),
            (tag::TILE_HEIGHT, chunk_height),
        ];
        Ok((units, read(tiff, &changes, options)?))
    }
}

impl Colors {
    /// Those of most files where the picture is `plain`.
    fn new(layout: &Layout, is_plain: bool) -> Self {
        let fractions = |tag: u16, default: &[f32]| {
            let found = layout.directory.fractions(tag);
            if is_plain || found.len() < default.len() { default.to_vec() } else { found }
        };
        let luma = fractions(tag::LUMA, &[0.299, 0.587, 0.114]);
        let range = fractions(tag::BLACK_WHITE, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let factor = |value: f32| (f64::from(value.clamp(0.0, 2.0)) * f64::from(1 << SHIFT) + 0.5) as i32;
        let (red, blue) = (2.0 - 2.0 * luma[0], 2.0 - 2.0 * luma[2]);
        let (red_of_green, blue_of_green) = (luma[0] * red / luma[1], luma[2] * blue / luma[1]);
        // A level, of which `black` is none and `white` is `most`.
        let level = |code: i32, black: f32, white: f32, most: f32| {
            let width = if white - black != 0.0 { white - black } else { 1.0 };
            (code.saturating_sub(black as i32) as f32 * most / width).clamp(-4096.0, 4096.0) as i32
        };
        let chroma = |channel: usize| {
            let (black, white) = (range[2 * channel] - 128.0, range[2 * channel + 1] - 128.0);
            (-128..128).map(move |code| level(code, black, white, 127.0))
        };
        let scaled =
            |channel, factor: i32, half: i32| chroma(channel).map(move |level| factor * level + half);
        Colors {
            luma: (0..256).map(|code| level(code, range[0], range[1], 255.0)).collect(),
            red: scaled(2, factor(red), HALF).map(|sum| sum >> SHIFT).collect(),
            blue: scaled(1, factor(blue), HALF).map(|sum| sum >> SHIFT).collect(),
            green: [
                scaled(2, -factor(red_of_green), 0).collect(),
                scaled(1, -factor(blue_of_green), HALF).collect(),
            ],
        }
    }

    fn rgb(&self, luma: u8, cb: u8, cr: u8) -> [u8; 3] {
        let (luma, cb, cr) = (self.luma[usize::from(luma)], usize::from(cb), usize::from(cr));
        let green = (self.green[0][cr] + self.green[1][cb]) >> SHIFT;
        [luma + self.red[cr], luma + green, luma + self.blue[cb]].map(|level| level.clamp(0, 255) as u8)
    }
}
