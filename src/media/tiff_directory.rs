//! The first directory of a TIFF file or an EXIF block, read as Pillow reads it (`ImageFileDirectory_v2.load`).

/// The entries of a directory that are sound.
pub(super) struct Directory<'a> {
    entries: Vec<Entry<'a>>,
    little_endian: bool,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    values: &'a [u8],
}

/// The first of a tag's values, as Pillow compares it with numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Whole(i64),
    /// A number that is not whole.
    Other,
    /// Bytes and texts are no numbers, whatever they hold.
    Bytes(&'a [u8]),
}

impl<'a> Directory<'a> {
    /// `None` where `tiff` has no TIFF header.
    pub fn first(tiff: &'a [u8]) -> Option<Self> {
        let (little_endian, wide) = match tiff.first_chunk::<4>()? {
            b"II*\0" | b"II\0*" => (true, false),
            b"MM\0*" | b"MM*\0" => (false, false),
            b"II+\0" => (true, true),
            b"MM\0+" => (false, true),
            _ => return None,
        };
        let file = File { bytes: tiff, little_endian };
        let start = if wide { file.number(8, 8) } else { file.number(4, 4) }?;
        let mut directory = Directory { entries: Vec::new(), little_endian };
        directory.read(&file, usize::try_from(start).ok()?, wide);
        Some(directory)
    }

    /// Reads entries until the file ends.
    fn read(&mut self, file: &File<'a>, start: usize, wide: bool) -> Option<()> {
        let (offset_bytes, count_bytes) = if wide { (8, 8) } else { (4, 2) };
        let count = file.number(start, count_bytes)?;
        let mut total = 0u64;
        for index in 0..count {
            let at = start
                .checked_add(count_bytes)?
                .checked_add(usize::try_from(index).ok()? * (4 + 2 * offset_bytes))?;
            let field = at + 4 + offset_bytes;
            file.bytes.get(at..field + offset_bytes)?;
            let (tag, kind) = (file.number(at, 2)? as u16, file.number(at + 2, 2)? as u16);
            let Some(unit) = unit_bytes(kind) else { continue };
            if self.entries.iter().any(|entry| entry.tag == tag) {
                continue;
            }
            let size = file.number(at + 4, offset_bytes)?.saturating_mul(unit);
            let values = if size <= offset_bytes as u64 {
                file.bytes.get(field..field + size as usize)?
            } else {
                total = total.saturating_add(size);
                if total > file.bytes.len() as u64 {
                    continue;
                }
                let offset = usize::try_from(file.number(field, offset_bytes)?).ok()?;
                file.bytes.get(offset..offset.checked_add(size as usize)?)?
            };
            if !values.is_empty() {
                self.entries.push(Entry { tag, kind, values });
            }
        }
        Some(())
    }

    /// All values of a tag that has whole numbers, and none of another.
    pub fn numbers(&self, tag: u16) -> Vec<u64> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag) else { return Vec::new() };
        let width = match entry.kind {
            1 => 1,
            3 => 2,
            4 => 4,
            16 => 8,
            _ => return Vec::new(),
        };
        let file = File { bytes: entry.values, little_endian: self.little_endian };
        (0..entry.values.len() / width).map_while(|index| file.number(index * width, width)).collect()
    }

    /// All values of a tag that has unsigned fractions, and none of another.
    pub fn fractions(&self, tag: u16) -> Vec<f32> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag && entry.kind == 5);
        let values = entry.map_or(&[][..], |entry| entry.values);
        let file = File { bytes: values, little_endian: self.little_endian };
        let number = |at: usize| file.number(at, 4).map(|number| number as f32);
        (0..values.len() / 8).map_while(|index| Some(number(index * 8)? / number(index * 8 + 4)?)).collect()
    }

    /// The bytes of a tag of any type.
    pub fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.values)
    }

    /// The first value of a tag.
    pub fn find(&self, tag: u16) -> Option<Value<'a>> {
        let Entry { kind, values, .. } = self.entries.iter().find(|entry| entry.tag == tag)?;
        let file = File { bytes: values, little_endian: self.little_endian };
        let unsigned = |bytes: usize| file.number(0, bytes).unwrap_or(0);
        let whole = |number: f64| match number.fract() == 0.0 && number.abs() < 1e9 {
            true => Value::Whole(number as i64),
            false => Value::Other,
        };
        Some(match kind {
            3 => Value::Whole(unsigned(2) as i64),
            4 | 13 => Value::Whole(unsigned(4) as i64),
            16 => i64::try_from(unsigned(8)).map_or(Value::Other, Value::Whole),
            6 => Value::Whole((unsigned(1) as i8).into()),
            8 => Value::Whole((unsigned(2) as i16).into()),
            9 => Value::Whole((unsigned(4) as i32).into()),
            5 | 10 => {
                let part = |at: usize| file.number(at, 4).unwrap_or(0) as u32;
                let part =
                    |at: usize| if *kind == 5 { f64::from(part(at)) } else { f64::from(part(at) as i32) };
                whole(part(0) / part(4))
            }
            11 => whole(f32::from_bits(unsigned(4) as u32).into()),
            12 => whole(f64::from_bits(unsigned(8))),
            _ => Value::Bytes(values),
        })
    }
}

/// A copy of a TIFF file in whose first directory some tags have another number, where they are there.
pub(super) fn rewritten(tiff: &[u8], changes: &[(u16, u32)]) -> Option<Vec<u8>> {
    let mut copy = tiff.to_vec();
    let little_endian = tiff.first() == Some(&b'I');
    let file = File { bytes: tiff, little_endian };
    let is_wide = file.number(2, 2)? == 43;
    let (width, count_bytes) = if is_wide { (8, 8) } else { (4, 2) };
    let start = usize::try_from(file.number(width, width)?).ok()?;
    let entry_bytes = 4 + 2 * width;
    let count = usize::try_from(file.number(start, count_bytes)?).ok()?;
    let entries = start.checked_add(count_bytes)?;
    let entries = copy.get_mut(entries..entries.checked_add(count.checked_mul(entry_bytes)?)?)?;
    for (at, entry) in entries.chunks_exact_mut(entry_bytes).enumerate() {
        let tag = file.number(start + count_bytes + at * entry_bytes, 2)?;
        let Some((_, value)) = changes.iter().find(|(changed, _)| u64::from(*changed) == tag) else {
            continue;
        };
        let mut put = |at: usize, width: usize, number: u64| {
            let bytes = number.to_le_bytes();
            let field = &mut entry[at..at + width];
            field.copy_from_slice(&bytes[..width]);
            if !little_endian {
                field.reverse();
            }
        };
        // One number of 32 bits.
        put(2, 2, 4);
        put(4, width, 1);
        put(4 + width, 4, (*value).into());
    }
    Some(copy)
}

/// Bytes of one value of a type that Pillow knows.
fn unit_bytes(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 => Some(8),
        _ => None,
    }
}

struct File<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl File<'_> {
    /// The unsigned number of `width` bytes at `at`.
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(width)?)?;
        let push = |n: u64, &b: &u8| n << 8 | u64::from(b);
        Some(if self.little_endian { bytes.iter().rev().fold(0, push) } else { bytes.iter().fold(0, push) })
    }
}
