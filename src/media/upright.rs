//! Rows of a file to an upright picture: turned and mirrored while they come, so that the picture exists once.

use super::jpeg::Rows;
use super::limits::{reserve, zeroed};
use crate::error::{Error, Result};

/// How a file's rows lie, as EXIF numbers it from 1 (upright) to 8: first swap rows and columns, then mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    swapped: bool,
    /// Left and right, of what is swapped already.
    mirrored: bool,
    /// Top and bottom, likewise.
    flipped: bool,
}

impl Orientation {
    /// Other numbers are none of EXIF's, and mean upright.
    pub fn from_exif(number: i64) -> Self {
        let (swapped, mirrored, flipped) = match number {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Orientation { swapped, mirrored, flipped }
    }

    pub fn is_upright(self) -> bool {
        self == Orientation::default()
    }
}

/// Rows that are written to their columns at a time: they fill lines of the cache.
const BAND: usize = 32;

/// A picture that becomes upright row by row.
#[derive(Default)]
pub(super) struct Canvas {
    orientation: Orientation,
    /// Of the file, in pixels.
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    /// Rows of the file that have come, those in `band` among them.
    taken: usize,
    /// Rows that are still to be written to columns.
    band: Vec<u8>,
}

impl Canvas {
    pub fn new(orientation: Orientation) -> Self {
        Canvas { orientation, ..Canvas::default() }
    }

    /// Width, height and rows of the upright picture.
    ///
    /// Errors: `InvalidMedia` where rows are missing.
    pub fn finish(self) -> Result<(u32, u32, Vec<u8>)> {
        if self.taken < self.height || self.rgb.is_empty() {
            return Err(Error::media("the image is truncated: rows are missing"));
        }
        let (width, height) = match self.orientation.swapped {
            true => (self.height, self.width),
            false => (self.width, self.height),
        };
        Ok((width as u32, height as u32, self.rgb))
    }

    fn push_straight(&mut self, rgb: &[u8]) {
        let Orientation { mirrored, flipped, .. } = self.orientation;
        if !mirrored && !flipped {
            self.rgb.extend_from_slice(rgb);
            return;
        }
        let y = if flipped { self.height - 1 - self.taken } else { self.taken };
        let row = &mut self.rgb[y * rgb.len()..][..rgb.len()];
        if !mirrored {
            row.copy_from_slice(rgb);
            return;
        }
        for (out, pixel) in row.as_chunks_mut::<3>().0.iter_mut().zip(rgb.as_chunks::<3>().0.iter().rev()) {
            *out = *pixel;
        }
    }

    /// Writes the rows of the band, of which the first is the file's row `first`, to columns of the picture.
    fn write_band(&mut self, first: usize) {
        let Orientation { mirrored, flipped, .. } = self.orientation;
        let rows = self.band.len() / (3 * self.width);
        let left = if mirrored { self.height - first - rows } else { first };
        let pixels = self.band.as_chunks::<3>().0;
        for x in 0..self.width {
            let y = if flipped { self.width - 1 - x } else { x };
            let out = &mut self.rgb[(y * self.height + left) * 3..][..rows * 3];
            let (out, column) =
                (out.as_chunks_mut::<3>().0.iter_mut(), pixels[x..].iter().step_by(self.width));
            match mirrored {
                true => out.rev().zip(column).for_each(|(out, pixel)| *out = *pixel),
                false => out.zip(column).for_each(|(out, pixel)| *out = *pixel),
            }
        }
        self.band.clear();
    }
}

impl Rows for Canvas {
    fn begin(&mut self, width: u32, height: u32) -> Result<()> {
        (self.width, self.height) = (width as usize, height as usize);
        let bytes = self.width * self.height * 3;
        match self.orientation.is_upright() {
            true => reserve(&mut self.rgb, bytes)?,
            false => self.rgb = zeroed(bytes)?,
        }
        Ok(())
    }

    fn push(&mut self, rgb: &[u8]) -> Result<()> {
        if rgb.len() != self.width * 3 || self.taken == self.height {
            return Err(Error::media("the image has other rows than it announces"));
        }
        if self.orientation.swapped {
            self.band.extend_from_slice(rgb);
        } else {
            self.push_straight(rgb);
        }
        self.taken += 1;
        let waiting = self.band.len() / (3 * self.width);
        if waiting == BAND || waiting > 0 && self.taken == self.height {
            self.write_band(self.taken - waiting);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture by the definition of the numbers: where its first row and its first column are.
    fn by_definition(number: i64, width: usize, height: usize) -> Vec<u8> {
        let (w, h) = if (5..=8).contains(&number) { (height, width) } else { (width, height) };
        let pixel = |x: usize, y: usize| {
            let (column, row) = match number {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                8 => (width - 1 - y, x),
                _ => (x, y),
            };
            [column as u8, row as u8, (column * 7 + row) as u8]
        };
        (0..h).flat_map(|y| (0..w).flat_map(move |x| pixel(x, y))).collect()
    }

    #[test]
    fn every_orientation_turns_every_size() {
        for (width, height) in [(1, 1), (3, 2), (2, 3), (5, BAND), (BAND + 1, 2 * BAND + 3), (1, 70), (70, 1)]
        {
            for number in 0..10 {
                let mut canvas = Canvas::new(Orientation::from_exif(number));
                canvas.begin(width as u32, height as u32).unwrap();
                by_definition(1, width, height).chunks(width * 3).for_each(|row| canvas.push(row).unwrap());
                let (_, _, rgb) = canvas.finish().unwrap();
                assert_eq!(rgb, by_definition(number, width, height), "{number}: {width} x {height}");
            }
        }
    }

    #[test]
    fn rows_that_are_missing_or_too_many_are_errors() {
        let mut canvas = Canvas::new(Orientation::from_exif(6));
        canvas.begin(1, 2).unwrap();
        canvas.push(&[1, 2, 3]).unwrap();
        assert!(canvas.push(&[1, 2]).is_err());
        canvas.push(&[1, 2, 3]).unwrap();
        assert!(canvas.push(&[1, 2, 3]).is_err());
        let mut canvas = Canvas::new(Orientation::default());
        canvas.begin(1, 2).unwrap();
        assert!(canvas.finish().is_err());
    }
}
