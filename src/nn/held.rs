//! What a model holds once it is loaded, and what loading it and running it take besides: counted while its layers are
//! built, so that a load in which nothing is read tells it beforehand.

use super::matrix::Block;
use crate::snapshot::Storages;
use crate::snapshot::quantization::Quantization;

/// The parts of a model that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Text,
    Vision,
    Audio,
}

/// Bytes, as arrays count them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// Of a number in activations.
    pub item: u64,
    /// Attention goes once over the keys: it keeps no scores, and of a mask two numbers for each row.
    pub streams: bool,
    text: PartHeld,
    vision: PartHeld,
    audio: PartHeld,
    /// The most that is held at a time while the weights are read: what is read as it is stored stays until what is made
    /// of it is there.
    pub load_peak: u64,
    /// Of all parts, what stays in the pages of the files: the system can drop them and read them again.
    pub mapped: u64,
    /// A table that unpacks weights, and is not counted with them.
    pub table: u64,
    /// The largest array, and the tensor or the module that it is made of.
    pub largest: Option<(String, u64)>,
    /// Of the packed matrices, as the files hold them.
    pub storages: Storages,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct PartHeld {
    bytes: u64,
    widths: Widths,
}

/// How much one row takes on its way through a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    /// Values that a row becomes in the widest layer: the outputs of all its matrices but experts'.
    pub layer: u64,
    /// Those that a row's experts make, most of any layer.
    pub experts: u64,
    /// Values of a row and of its queries, most of any layer.
    pub queries: u64,
    /// Values of a row that stay through all layers.
    pub kept: u64,
    /// Attention heads, most of any layer.
    pub heads: u64,
    /// Values that a block of a packed matrix becomes on the CPU, and those that it makes of a row before they are added
    /// up.
    pub block: u64,
    pub block_row: u64,
}

impl Held {
    /// Of all parts.
    pub fn bytes(&self) -> u64 {
        self.text.bytes + self.vision.bytes + self.audio.bytes
    }

    /// What takes memory that the system cannot have back.
    pub fn memory(&self) -> u64 {
        self.bytes() - self.mapped
    }

    /// Of one part.
    pub fn of(&self, part: Part) -> u64 {
        self.part(part).bytes
    }

    pub fn widths(&self, part: Part) -> Widths {
        self.part(part).widths
    }

    fn part(&self, part: Part) -> &PartHeld {
        match part {
            Part::Text => &self.text,
            Part::Vision => &self.vision,
            Part::Audio => &self.audio,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut PartHeld {
        match part {
            Part::Text => &mut self.text,
            Part::Vision => &mut self.vision,
            Part::Audio => &mut self.audio,
        }
    }
}

/// Counts what a loader hands out.
#[derive(Debug)]
pub struct Tally {
    held: Held,
    part: Part,
    /// Of what has not been read yet: what it will hold, what it is made of besides, and the widths of its matrices.
    pending: u64,
    sources: u64,
    width: u64,
}

impl Tally {
    /// For activations whose numbers have `item` bytes, and attention that `streams` over the keys or does not.
    pub fn new(item: usize, streams: bool) -> Tally {
        let held = Held { item: item as u64, streams, ..Held::default() };
        Tally { held, part: Part::Text, pending: 0, sources: 0, width: 0 }
    }

    /// What follows belongs to this part.
    pub fn enter(&mut self, part: Part) {
        self.read();
        self.part = part;
    }

    /// An array that stays.
    pub fn keep(&mut self, name: &str, bytes: u64) {
        self.held.part_mut(self.part).bytes += bytes;
        self.pending += bytes;
        if self.held.largest.as_ref().is_none_or(|(_, most)| bytes > *most) {
            self.held.largest = Some((name.to_owned(), bytes));
        }
    }

    /// So many bytes of what was kept last stay in the pages of a file.
    pub fn maps(&mut self, bytes: u64) {
        self.held.mapped += bytes;
        self.pending -= bytes;
    }

    /// A matrix is packed in the file.
    pub fn packed(&mut self, path: &str, storage: Quantization) {
        self.held.storages.insert(path.to_owned(), storage);
    }

    /// An array that something else is made of.
    pub fn source(&mut self, bytes: u64) {
        self.sources += bytes;
    }

    /// A matrix of the layer that is being built makes `width` values of a row.
    pub fn makes(&mut self, width: usize) {
        self.width += width as u64;
    }

    /// Experts of a layer make `width` values of a row.
    pub fn experts_make(&mut self, width: usize) {
        let widths = &mut self.held.part_mut(self.part).widths;
        widths.experts = widths.experts.max(width as u64);
    }

    /// Each row keeps `width` values until it has been through all layers.
    pub fn keeps(&mut self, width: usize) {
        self.held.part_mut(self.part).widths.kept += width as u64;
    }

    /// A layer has so many heads for rows of `width` values, which become `queries` values.
    pub fn attends(&mut self, heads: usize, width: usize, queries: usize) {
        let widths = &mut self.held.part_mut(self.part).widths;
        widths.heads = widths.heads.max(heads as u64);
        widths.queries = widths.queries.max((width + queries) as u64);
    }

    /// The width that has been counted of the layer that is being built.
    pub fn width(&self) -> u64 {
        self.width
    }

    pub fn set_width(&mut self, width: u64) {
        self.width = width;
    }

    /// Bytes that reading what was handed out since the last time takes.
    pub fn ahead(&self) -> u64 {
        self.pending + self.sources
    }

    /// A matrix of the part is unpacked for more than a few rows.
    pub fn unpacks(&mut self, block: Block) {
        let widths = &mut self.held.part_mut(self.part).widths;
        widths.block = widths.block.max(block.values as u64);
        widths.block_row = widths.block_row.max(block.of_row as u64);
        self.held.table = self.held.table.max(block.table as u64);
    }

    /// What was handed out since the last time is read: a layer, mostly.
    pub fn read(&mut self) {
        let peak = self.held.memory() + self.sources;
        self.held.load_peak = self.held.load_peak.max(peak);
        let widths = &mut self.held.part_mut(self.part).widths;
        widths.layer = widths.layer.max(self.width);
        (self.pending, self.sources, self.width) = (0, 0, 0);
    }

    pub fn finish(mut self) -> Held {
        self.read();
        self.held.load_peak += self.held.table;
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_count_until_what_is_made_of_them_is_read() {
        let mut tally = Tally::new(4, false);
        tally.enter(Part::Vision);
        tally.source(500);
        tally.keep("tower", 1000);
        tally.enter(Part::Text);
        tally.makes(30);
        tally.makes(12);
        tally.keep("layer", 100);
        tally.read();
        tally.makes(20);
        tally.keep("norm", 4);
        let held = tally.finish();
        assert_eq!((held.bytes(), held.of(Part::Vision), held.of(Part::Text)), (1104, 1000, 104));
        assert_eq!((held.load_peak, held.widths(Part::Text).layer), (1500, 42));
        assert_eq!(held.largest, Some(("tower".to_owned(), 1000)));
    }

    #[test]
    fn what_stays_in_the_files_is_held_and_takes_no_memory() {
        let mut tally = Tally::new(2, false);
        tally.keep("layer", 100);
        tally.maps(90);
        assert_eq!(tally.ahead(), 10);
        tally.source(5);
        let held = tally.finish();
        assert_eq!((held.bytes(), held.mapped, held.memory(), held.load_peak), (100, 90, 10, 15));
    }
}
