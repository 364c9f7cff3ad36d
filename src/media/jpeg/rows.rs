//! Blocks to rows of R, G, B: chroma brought to the size of luma, and colours converted.

use super::Rows;
use super::frame::{Component, Frame, SIDE, Space};
use super::idct::inverse;
use super::scans::Block;
use crate::error::{Error, Result};
use crate::media::limits::zeroed;

/// The rows of samples that the next rows of the picture are made of: those of a row of units, and the last ones of the
/// units above, because the rows at a border are interpolated from both sides of it.
pub struct Strips {
    planes: Vec<Plane>,
    space: Space,
    /// The next row of the picture.
    next: usize,
    /// A row of each component, as wide as the picture.
    lines: Vec<Vec<u8>>,
    rgb: Vec<u8>,
}

struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows of the units above.
    kept: usize,
    /// The component's row that `samples` begins with, and `kept` more.
    first: usize,
}

impl Strips {
    pub fn new(frame: &Frame, space: Space) -> Result<Self> {
        let mut planes = Vec::new();
        let mut lines = Vec::new();
        for component in &frame.components {
            let (stride, kept) = (component.blocks_across * SIDE, component.sampling.down + 1);
            let samples = zeroed(stride * (kept + component.sampling.down * SIDE))?;
            planes.push(Plane { samples, stride, kept, first: 0 });
            // Doubling may write one sample more than there are.
            lines.push(zeroed(frame.width + 1)?);
        }
        Ok(Strips { planes, space, next: 0, lines, rgb: zeroed(frame.width * 3)? })
    }

    /// Takes the blocks of the row of units with this number, and gives on the rows of the picture that are complete.
    pub fn take(
        &mut self,
        frame: &Frame,
        index: usize,
        blocks: &[&[Block]],
        rows: &mut dyn Rows,
    ) -> Result<()> {
        for ((plane, component), blocks) in self.planes.iter_mut().zip(&frame.components).zip(blocks) {
            plane.fill(component, index, blocks)?;
        }
        let end = (index + 1) * frame.most.down * SIDE;
        let end = if index + 1 == frame.mcu_rows() { frame.height } else { end - frame.most.down };
        for y in self.next..end {
            for ((plane, component), line) in self.planes.iter().zip(&frame.components).zip(&mut self.lines) {
                plane.line(frame, component, y, line);
            }
            let width = frame.width;
            let lines: Vec<&[u8]> = self.lines.iter().map(|line| &line[..width]).collect();
            to_rgb(self.space, &lines, &mut self.rgb);
            rows.push(&self.rgb)?;
        }
        self.next = end;
        Ok(())
    }
}

impl Plane {
    fn fill(&mut self, component: &Component, index: usize, blocks: &[Block]) -> Result<()> {
        let missing = || Error::media("the JPEG image is corrupt: a quantization table is missing");
        let quantization = component.quantization.as_deref().ok_or_else(missing)?;
        if index > 0 {
            let end = self.samples.len();
            self.samples.copy_within(end - self.kept * self.stride.., 0);
        }
        self.first = index * component.sampling.down * SIDE;
        let rows = self.samples[self.kept * self.stride..].chunks_exact_mut(self.stride * SIDE);
        for (row, blocks) in rows.zip(blocks.chunks_exact(component.padded_across)) {
            for (x, block) in blocks.iter().take(component.blocks_across).enumerate() {
                inverse(block, quantization, &mut row[x * SIDE..], self.stride);
            }
        }
        Ok(())
    }

    /// A row of the component; the first and the last stand for those beyond them.
    fn row(&self, component: &Component, y: isize) -> &[u8] {
        let y = y.clamp(0, component.height as isize - 1) as usize;
        let start = (y + self.kept - self.first) * self.stride;
        &self.samples[start..start + component.width]
    }

    /// Row `y` of the picture, of this component.
    fn line(&self, frame: &Frame, component: &Component, y: usize, out: &mut [u8]) {
        let (across, down) =
            (frame.most.across / component.sampling.across, frame.most.down / component.sampling.down);
        let y = y as isize;
        // Of two rows that a sample lies between, the nearer one and the other.
        let other = if y % 2 == 0 { y / 2 - 1 } else { y / 2 + 1 };
        match (across, down) {
            (1, 1) => out[..component.width].copy_from_slice(self.row(component, y)),
            (2, 1) if component.width > 2 => doubled_across(self.row(component, y), out),
            (1, 2) => {
                let bias = if y % 2 == 0 { 1 } else { 2 };
                doubled_down(self.row(component, y / 2), self.row(component, other), bias, out);
            }
            (2, 2) if component.width > 2 => {
                doubled_both(self.row(component, y / 2), self.row(component, other), out);
            }
            _ => {
                let row = self.row(component, y / down as isize);
                let repeated = row.iter().flat_map(|&sample| std::iter::repeat_n(sample, across));
                out.iter_mut().zip(repeated).for_each(|(out, sample)| *out = sample);
            }
        }
    }
}

/// Each sample at a quarter of the way to each neighbour.
fn doubled_across(row: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    for (between, pair) in out[1..].chunks_exact_mut(2).zip(row.windows(2)) {
        let (left, right) = (u16::from(pair[0]), u16::from(pair[1]));
        between[0] = ((3 * left + right + 2) >> 2) as u8;
        between[1] = ((3 * right + left + 1) >> 2) as u8;
    }
    out[0] = row[0];
    if let Some(end) = out.get_mut(2 * last + 1) {
        *end = row[last];
    }
}

fn doubled_down(near: &[u8], far: &[u8], bias: u16, out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
    }
}

fn doubled_both(near: &[u8], far: &[u8], out: &mut [u8]) {
    let sum = |x: usize| 3 * u16::from(near[x]) + u16::from(far[x]);
    let last = near.len() - 1;
    let pairs = near.windows(2).zip(far.windows(2));
    for (out, (near, far)) in out[1..].chunks_exact_mut(2).zip(pairs) {
        let left = 3 * u16::from(near[0]) + u16::from(far[0]);
        let right = 3 * u16::from(near[1]) + u16::from(far[1]);
        out[0] = ((3 * left + right + 7) >> 4) as u8;
        out[1] = ((3 * right + left + 8) >> 4) as u8;
    }
    out[0] = ((4 * sum(0) + 8) >> 4) as u8;
    if let Some(end) = out.get_mut(2 * last + 1) {
        *end = ((4 * sum(last) + 7) >> 4) as u8;
    }
}

fn to_rgb(space: Space, lines: &[&[u8]], rgb: &mut [u8]) {
    let pixels = rgb.as_chunks_mut::<3>().0.iter_mut();
    match (space, lines) {
        (Space::YCbCr, [y, cb, cr]) => {
            for (((out, &y), &cb), &cr) in pixels.zip(*y).zip(*cb).zip(*cr) {
                *out = from_ycc(y, cb, cr);
            }
        }
        (Space::Rgb, [r, g, b]) => {
            for (((out, &r), &g), &b) in pixels.zip(*r).zip(*g).zip(*b) {
                *out = [r, g, b];
            }
        }
        (Space::Cmyk, [c, m, y, k]) => {
            for ((((out, &c), &m), &y), &k) in pixels.zip(*c).zip(*m).zip(*y).zip(*k) {
                *out = [c, m, y].map(|ink| inked(255 - ink, k));
            }
        }
        (Space::Ycck, [y, cb, cr, k]) => {
            for ((((out, &y), &cb), &cr), &k) in pixels.zip(*y).zip(*cb).zip(*cr).zip(*k) {
                // What a YCCK file calls R, G and B are the complements of its inks, and its inks are inverted.
                *out = from_ycc(y, cb, cr).map(|level| inked(level, k));
            }
        }
        (_, [gray, ..]) => pixels.zip(*gray).for_each(|(out, &level)| *out = [level; 3]),
        _ => {}
    }
}

/// `jdcolor.c`'s fixed point of 16 bits.
#[inline]
fn from_ycc(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let r = y + ((91_881 * cr + 32_768) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + 32_768) >> 16);
    let b = y + ((116_130 * cb + 32_768) >> 16);
    [r, g, b].map(|level| level.clamp(0, 255) as u8)
}

/// A level under so much black ink, of which 255 is none: Pillow's `cmyk2rgb`.
fn inked(ink: u8, black: u8) -> u8 {
    let product = u32::from(ink) * u32::from(black) + 128;
    black.saturating_sub((((product >> 8) + product) >> 8) as u8)
}
