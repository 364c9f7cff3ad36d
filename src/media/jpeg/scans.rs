//! Scans: whose coefficients they hold, by which tables, in which order.

use super::entropy::{self, Band, Bits, Code, Memory, ZIGZAG};
use super::frame::{Component, Frame};
use super::segments::Segments;
use super::{corrupt, standard, unsupported};
use crate::error::Result;
use crate::media::MediaOptions;
use crate::media::limits::reserve;

/// The coefficients of 8 x 8 samples, row by row.
pub type Block = [i16; 64];
/// What coefficients are multiples of, row by row.
pub type Quantization = [u16; 64];

/// Blocks of a picture's component that fit into one interleaved scan's unit.
const MOST_IN_UNIT: usize = 10;
/// The first coefficients behind the DC: libjpeg guesses at them where a progressive file has not all of their bits.
const GUESSED: std::ops::RangeInclusive<usize> = 1..=9;

/// What DQT, DHT and DRI said last.
#[derive(Default)]
pub struct Tables {
    pub quantization: [Option<Quantization>; 4],
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    restart_interval: usize,
}

impl Tables {
    pub fn read_quantization(&mut self, mut body: &[u8]) -> Result<()> {
        while let [head, rest @ ..] = body {
            let (wide, number) = (head >> 4 != 0, usize::from(head & 15));
            let length = if wide { 128 } else { 64 };
            let (Some(values), Some(table)) = (rest.get(..length), self.quantization.get_mut(number)) else {
                return Err(corrupt("a quantization table is cut off"));
            };
            let table = table.insert([0; 64]);
            for (k, &place) in ZIGZAG.iter().enumerate() {
                table[usize::from(place)] = match wide {
                    true => u16::from_be_bytes([values[2 * k], values[2 * k + 1]]),
                    false => u16::from(values[k]),
                };
            }
            body = &rest[length..];
        }
        Ok(())
    }

    pub fn read_codes(&mut self, mut body: &[u8]) -> Result<()> {
        while let [head, rest @ ..] = body {
            let codes = if head & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let (Some(counts), Some(code)) =
                (rest.first_chunk::<16>(), codes.get_mut(usize::from(head & 0xef)))
            else {
                return Err(corrupt("a Huffman table is cut off"));
            };
            let length = counts.iter().map(|&n| usize::from(n)).sum::<usize>();
            let values = rest.get(16..16 + length).filter(|values| values.len() <= 256);
            let values = values.ok_or_else(|| corrupt("a Huffman table is cut off"))?;
            *code = Some(Code::new(counts, values)?);
            body = &rest[16 + length..];
        }
        Ok(())
    }

    pub fn read_restart_interval(&mut self, body: &[u8]) -> Result<()> {
        let [high, low] = body else { return Err(corrupt("a restart interval is cut off")) };
        self.restart_interval = usize::from(u16::from_be_bytes([*high, *low]));
        Ok(())
    }

    /// The codes of frames of motion pictures, which leave them out, stand in for those that are not there.
    fn add_standard(&mut self) -> Result<()> {
        for (number, (dc, ac)) in standard::CODES.iter().enumerate() {
            for (codes, (counts, values)) in [(&mut self.dc, dc), (&mut self.ac, ac)] {
                if codes[number].is_none() {
                    codes[number] = Some(Code::new(counts, values)?);
                }
            }
        }
        Ok(())
    }
}

/// The header of a scan.
pub struct Scan {
    pub parts: Vec<Part>,
    first: usize,
    last: usize,
    /// Bits that earlier scans left, and that this one leaves.
    high: u32,
    low: u32,
}

/// A component in a scan, and the numbers of its codes.
pub struct Part {
    pub component: usize,
    dc: usize,
    ac: usize,
}

impl Scan {
    pub fn read(body: &[u8], frame: &Frame) -> Result<Scan> {
        let cut_off = || corrupt("the header of a scan is cut off");
        let (&count, rest) = body.split_first().ok_or_else(cut_off)?;
        let count = usize::from(count);
        if count == 0 || count > 4 || rest.len() < 2 * count + 3 {
            return Err(cut_off());
        }
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        for part in rest.chunks_exact(2).take(count) {
            let free = |i: usize| frame.components[i].id == part[0] && parts.iter().all(|p| p.component != i);
            let component = (0..frame.components.len()).find(|&i| free(i));
            let component = component.ok_or_else(|| corrupt("a scan is of a component that there is not"))?;
            parts.push(Part { component, dc: usize::from(part[1] >> 4), ac: usize::from(part[1] & 15) });
        }
        let [first, last, bits] = [0, 1, 2].map(|i| rest[2 * count + i]);
        let scan = Scan {
            parts,
            first: usize::from(first),
            last: usize::from(last),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
        };
        scan.check(frame)?;
        Ok(scan)
    }

    fn check(&self, frame: &Frame) -> Result<()> {
        let blocks = |part: &Part| {
            let sampling = frame.components[part.component].sampling;
            sampling.across * sampling.down
        };
        if self.parts.len() > 1 && self.parts.iter().map(blocks).sum::<usize>() > MOST_IN_UNIT {
            return Err(corrupt("a scan interleaves too many blocks"));
        }
        if !frame.progressive {
            return Ok(());
        }
        let band = match self.first {
            0 => self.last == 0,
            _ => self.first <= self.last && self.last < 64 && self.parts.len() == 1,
        };
        let bits = self.low <= 13 && (self.high == 0 || self.high == self.low + 1);
        if band && bits {
            Ok(())
        } else {
            Err(corrupt("a progressive scan is of no coefficients that can be"))
        }
    }
}

/// Decodes the scan of a file that has one only, and gives the blocks of each row of units to `take`: those of each
/// component, row by row.
pub fn sequential(
    frame: &Frame,
    scan: &Scan,
    tables: &mut Tables,
    segments: &Segments,
    options: &MediaOptions,
    mut take: impl FnMut(usize, &[&[Block]]) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader::new(frame, scan, tables, segments)?;
    let count = |c: &Component| c.padded_across * c.sampling.down;
    let mut planes: Vec<Vec<Block>> = frame.components.iter().map(|c| vec![[0; 64]; count(c)]).collect();
    for index in 0..frame.mcu_rows() {
        (options.check)()?;
        let mut row: Vec<&mut [Block]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
        row.iter_mut().for_each(|blocks| blocks.fill([0; 64]));
        reader.row(index, &mut row)?;
        let row: Vec<&[Block]> = planes.iter().map(Vec::as_slice).collect();
        take(index, &row)?;
    }
    Ok(())
}

/// Decodes one of several scans.
pub fn whole(
    frame: &Frame,
    scan: &Scan,
    tables: &mut Tables,
    segments: &mut Segments,
    options: &MediaOptions,
    kept: &mut Coefficients,
) -> Result<()> {
    let mut reader = Reader::new(frame, scan, tables, segments)?;
    for index in 0..frame.mcu_rows() {
        (options.check)()?;
        reader.row(index, &mut kept.mcu_row_mut(frame, index))?;
    }
    segments.at = reader.bits.at;
    kept.note(frame, scan);
    Ok(())
}

/// Of a whole picture.
pub struct Coefficients {
    /// Blocks of each component, row by row.
    planes: Vec<Vec<Block>>,
    /// Bits of each coefficient of each component that are still to come; `None` where no scan was of it.
    open: Vec<[Option<u32>; 64]>,
}

impl Coefficients {
    pub fn new(frame: &Frame) -> Result<Self> {
        let mut planes = Vec::new();
        for component in &frame.components {
            let count = component.padded_across * component.padded_down;
            let mut plane = Vec::new();
            reserve(&mut plane, count)?;
            plane.resize(count, [0; 64]);
            planes.push(plane);
        }
        Ok(Coefficients { planes, open: vec![[None; 64]; frame.components.len()] })
    }

    pub fn mcu_row(&self, frame: &Frame, index: usize) -> Vec<&[Block]> {
        let planes = self.planes.iter().zip(&frame.components);
        planes.map(|(plane, component)| &plane[row_range(plane, component, index)]).collect()
    }

    fn mcu_row_mut(&mut self, frame: &Frame, index: usize) -> Vec<&mut [Block]> {
        let planes = self.planes.iter_mut().zip(&frame.components);
        let rows = planes.map(|(plane, component)| {
            let range = row_range(plane, component, index);
            &mut plane[range]
        });
        rows.collect()
    }

    fn note(&mut self, frame: &Frame, scan: &Scan) {
        let (band, low) = if frame.progressive { (scan.first..=scan.last, scan.low) } else { (0..=63, 0) };
        for part in &scan.parts {
            self.open[part.component][band.clone()].fill(Some(low));
        }
    }

    /// Refuses a picture that libjpeg would have to guess at.
    pub fn check_complete(&self, frame: &Frame) -> Result<()> {
        let incomplete = |open: &[Option<u32>; 64]| {
            open[0].is_none() || frame.progressive && open[GUESSED].iter().any(|bits| *bits != Some(0))
        };
        match self.open.iter().any(incomplete) {
            true => Err(unsupported("lacks some of its scans")),
            false => Ok(()),
        }
    }
}

/// Where the blocks of a row of units are in a component's plane.
fn row_range(plane: &[Block], component: &Component, index: usize) -> std::ops::Range<usize> {
    let row = component.padded_across * component.sampling.down;
    index * row..((index + 1) * row).min(plane.len())
}

/// What becomes of a block in a scan.
#[derive(Clone, Copy)]
enum Step {
    Sequential,
    DcFirst,
    DcAgain,
    AcFirst,
    AcAgain,
}

struct Reader<'a> {
    frame: &'a Frame,
    scan: &'a Scan,
    step: Step,
    /// The codes for DC and AC of each part of the scan.
    codes: Vec<(Option<&'a Code>, Option<&'a Code>)>,
    bits: Bits<'a>,
    memory: Memory,
    restart_interval: usize,
    /// Units until the next restart marker, and its number.
    until_restart: usize,
    restart: u8,
}

impl<'a> Reader<'a> {
    fn new(
        frame: &'a Frame,
        scan: &'a Scan,
        tables: &'a mut Tables,
        segments: &Segments<'a>,
    ) -> Result<Self> {
        let step = match (frame.progressive, scan.first, scan.high) {
            (false, ..) => Step::Sequential,
            (true, 0, 0) => Step::DcFirst,
            (true, 0, _) => Step::DcAgain,
            (true, _, 0) => Step::AcFirst,
            (true, ..) => Step::AcAgain,
        };
        if !frame.progressive {
            tables.add_standard()?;
        }
        let tables = &*tables;
        let code = |codes: &'a [Option<Code>; 4], number: usize| codes.get(number).and_then(Option::as_ref);
        let codes = scan.parts.iter().map(|p| (code(&tables.dc, p.dc), code(&tables.ac, p.ac))).collect();
        Ok(Reader {
            frame,
            scan,
            step,
            codes,
            bits: Bits::new(segments.bytes(), segments.at),
            memory: Memory::default(),
            restart_interval: tables.restart_interval,
            until_restart: tables.restart_interval,
            restart: 0,
        })
    }

    /// Reads a row of units into the blocks of each component.
    fn row(&mut self, index: usize, blocks: &mut [&mut [Block]]) -> Result<()> {
        let frame = self.frame;
        if let [part] = self.scan.parts.as_slice() {
            let component = &frame.components[part.component];
            let first = index * component.sampling.down;
            let rows = component.sampling.down.min(component.blocks_down.saturating_sub(first));
            for row in 0..rows {
                for column in 0..component.blocks_across {
                    self.begin_unit()?;
                    self.block(0, &mut blocks[part.component][row * component.padded_across + column])?;
                }
            }
            return Ok(());
        }
        for unit in 0..frame.mcus_across() {
            self.begin_unit()?;
            for (number, part) in self.scan.parts.iter().enumerate() {
                let component = &frame.components[part.component];
                for row in 0..component.sampling.down {
                    let start = row * component.padded_across + unit * component.sampling.across;
                    let across = start..start + component.sampling.across;
                    for block in &mut blocks[part.component][across] {
                        self.block(number, block)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn begin_unit(&mut self) -> Result<()> {
        if self.restart_interval == 0 {
            return Ok(());
        }
        if self.until_restart == 0 {
            self.bits.restart(self.restart)?;
            self.restart = (self.restart + 1) % 8;
            self.until_restart = self.restart_interval;
            self.memory = Memory::default();
        }
        self.until_restart -= 1;
        Ok(())
    }

    fn block(&mut self, part: usize, block: &mut Block) -> Result<()> {
        let missing = || corrupt("a Huffman table is missing");
        let dc = || self.codes[part].0.ok_or_else(missing);
        let ac = || self.codes[part].1.ok_or_else(missing);
        let band = Band { first: self.scan.first, last: self.scan.last, shift: self.scan.low };
        let (bits, last, empty) = (&mut self.bits, &mut self.memory.dc[part], &mut self.memory.empty);
        match self.step {
            Step::Sequential => entropy::sequential(bits, dc()?, ac()?, last, block),
            Step::DcFirst => entropy::dc_first(bits, dc()?, last, band.shift, block),
            Step::DcAgain => entropy::dc_again(bits, band.shift, block),
            Step::AcFirst => entropy::ac_first(bits, ac()?, empty, band, block),
            Step::AcAgain => entropy::ac_again(bits, ac()?, empty, band, block),
        }
    }
}
