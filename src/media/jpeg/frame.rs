//! What a file's frame says: size, components, and which colours they are.

use super::scans::{Quantization, Scan, Tables};
use super::segments::marker;
use super::{corrupt, unsupported};
use crate::error::Result;

/// Side of a block, in samples.
pub const SIDE: usize = 8;

pub struct Frame {
    pub progressive: bool,
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    /// The largest samplings of the components.
    pub most: Sampling,
}

/// Samples of a component in the square that a frame's samplings divide, to the right and downwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    pub across: usize,
    pub down: usize,
}

pub struct Component {
    pub id: u8,
    pub sampling: Sampling,
    /// Samples that count.
    pub width: usize,
    pub height: usize,
    /// Blocks that hold them: a scan of this component alone has so many.
    pub blocks_across: usize,
    pub blocks_down: usize,
    /// Blocks with those that fill up the last squares of interleaved scans.
    pub padded_across: usize,
    pub padded_down: usize,
    table: usize,
    /// What its table held when its first scan began.
    pub quantization: Option<Box<Quantization>>,
}

impl Frame {
    /// Reads the body of a frame's segment.
    pub fn read(body: &[u8], progressive: bool) -> Result<Frame> {
        let [bits, high, low, wide, narrow, count, parts @ ..] = body else {
            return Err(corrupt("its frame is cut off"));
        };
        let height = usize::from(u16::from_be_bytes([*high, *low]));
        let width = usize::from(u16::from_be_bytes([*wide, *narrow]));
        if *bits != 8 {
            return Err(unsupported(format_args!("has samples of {bits} bits")));
        }
        if height == 0 && width > 0 {
            return Err(unsupported("states its height behind its first scan only"));
        }
        let count = usize::from(*count);
        if parts.len() < count * 3 {
            return Err(corrupt("its frame is cut off"));
        }
        if ![1, 3, 4].contains(&count) {
            return Err(unsupported(format_args!("has {count} components")));
        }
        let sampling =
            |part: &[u8]| Sampling { across: usize::from(part[1] >> 4), down: usize::from(part[1] & 15) };
        let parts: Vec<&[u8]> = parts.chunks_exact(3).take(count).collect();
        if parts
            .iter()
            .any(|p| !(1..=4).contains(&sampling(p).across) || !(1..=4).contains(&sampling(p).down))
        {
            return Err(corrupt("a component's sampling is not from 1 to 4"));
        }
        let most = parts.iter().map(|p| sampling(p)).fold(Sampling { across: 1, down: 1 }, |a, b| Sampling {
            across: a.across.max(b.across),
            down: a.down.max(b.down),
        });
        let component =
            |part: &&[u8]| Component::new(part[0], sampling(part), part[2], (width, height), most);
        let components: Vec<Component> = parts.iter().map(component).collect();
        let divides = |c: &Component| {
            most.across.is_multiple_of(c.sampling.across) && most.down.is_multiple_of(c.sampling.down)
        };
        if !components.iter().all(divides) {
            return Err(unsupported("has components whose sizes are no whole multiples of each other"));
        }
        Ok(Frame { progressive, width, height, components, most })
    }

    /// What it is, for a message.
    pub fn name(&self) -> String {
        let progressive = if self.progressive { "progressive " } else { "" };
        format!("the {progressive}JPEG image of {} x {} pixels", self.width, self.height)
    }

    /// Rows of the squares that hold a block of every component, or as many as its sampling says.
    pub fn mcu_rows(&self) -> usize {
        self.height.div_ceil(SIDE * self.most.down)
    }

    pub fn mcus_across(&self) -> usize {
        self.width.div_ceil(SIDE * self.most.across)
    }

    pub fn rgb_bytes(&self) -> u64 {
        3 * self.width as u64 * self.height as u64
    }

    /// Of what is held of a picture that is decoded row by row.
    pub fn strip_bytes(&self) -> u64 {
        let rows = |c: &Component| c.padded_across * SIDE * (c.sampling.down * (3 * SIDE + 1) + 1);
        let lines = (self.components.len() + 3) * self.width;
        (self.components.iter().map(rows).sum::<usize>() + lines) as u64
    }

    /// Of the whole picture.
    pub fn coefficient_bytes(&self) -> u64 {
        let blocks = |c: &Component| c.padded_across as u64 * c.padded_down as u64;
        self.components.iter().map(blocks).sum::<u64>() * (2 * SIDE * SIDE) as u64
    }

    /// Keeps the tables of the components that a scan is the first of.
    pub fn take_tables(&mut self, scan: &Scan, tables: &Tables) -> Result<()> {
        for part in &scan.parts {
            let component = &mut self.components[part.component];
            if component.quantization.is_none() {
                let table = tables.quantization.get(component.table).and_then(Option::as_ref);
                let table = table.ok_or_else(|| corrupt("a quantization table is missing"))?;
                component.quantization = Some(Box::new(*table));
            }
        }
        Ok(())
    }
}

impl Component {
    fn new(id: u8, sampling: Sampling, table: u8, (width, height): (usize, usize), most: Sampling) -> Self {
        let (width_of_all, height_of_all) = (width * sampling.across, height * sampling.down);
        Component {
            id,
            sampling,
            width: width_of_all.div_ceil(most.across),
            height: height_of_all.div_ceil(most.down),
            blocks_across: width_of_all.div_ceil(most.across * SIDE),
            blocks_down: height_of_all.div_ceil(most.down * SIDE),
            padded_across: width.div_ceil(most.across * SIDE) * sampling.across,
            padded_down: height.div_ceil(most.down * SIDE) * sampling.down,
            table: usize::from(table),
            quantization: None,
        }
    }
}

/// What the components are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// The markers that tell which colours the components are.
#[derive(Default)]
pub struct Colors {
    jfif: bool,
    adobe_transform: Option<u8>,
}

impl Colors {
    pub fn read(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (marker::APP0, [b'J', b'F', b'I', b'F', 0, ..]) if body.len() >= 14 => self.jfif = true,
            (marker::APP14, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                self.adobe_transform = Some(*transform);
            }
            _ => {}
        }
    }

    /// libjpeg's rule (`default_decompress_parms`): JFIF counts more than Adobe's marker, and that more than ids.
    pub fn space(&self, frame: &Frame) -> Result<Space> {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        Ok(match (frame.components.len(), self.adobe_transform) {
            (1, _) => Space::Gray,
            (3, _) if self.jfif => Space::YCbCr,
            (3, Some(0)) => Space::Rgb,
            (3, Some(_)) => Space::YCbCr,
            (3, None) if ids == *b"RGB" => Space::Rgb,
            (3, None) => Space::YCbCr,
            (4, None | Some(0)) => Space::Cmyk,
            (4, Some(_)) => Space::Ycck,
            (count, _) => return Err(unsupported(format_args!("has {count} components"))),
        })
    }
}
