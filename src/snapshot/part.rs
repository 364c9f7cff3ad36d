//! A part of a tensor, read from its file without the rest: what one rank of a group holds of it.
#![allow(clippy::single_range_in_vec_init)] // ranges are meant, and not what is in them

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::header::TensorInfo;

/// Rows that lie together are read through a buffer of about so many bytes, and those parts of rows that are so long by
/// themselves.
const BUFFER: usize = 1 << 20;
const RUN: usize = 1 << 14;

/// Rows and columns of a tensor `[.., rows, columns]`, as bytes of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where the tensor begins in the file.
    offset: u64,
    /// Matrices that lie one behind the other, their rows, and the bytes of a row.
    matrices: usize,
    rows: usize,
    row: usize,
    /// Which rows of each matrix, and which bytes of each row.
    wanted: Vec<Range<usize>>,
    bytes: Vec<Range<usize>>,
    /// Of what is read.
    shape: Vec<usize>,
}

impl Part {
    /// Some `rows` of the last axis but one and some `columns` of the last, in this order; nothing stands for all. `None` where
    /// the tensor has not that many.
    pub fn of(
        info: &TensorInfo,
        rows: Option<&[Range<usize>]>,
        columns: Option<&[Range<usize>]>,
    ) -> Option<Part> {
        let [ref leading @ .., count, width] = info.shape[..] else { return None };
        let matrices = leading.iter().product::<usize>();
        let row = (info.bytes as usize).checked_div(matrices * count)?;
        let item = row.checked_div(width)?;
        let or_all =
            |ranges: Option<&[Range<usize>]>, most| ranges.map_or_else(|| vec![0..most], <[_]>::to_vec);
        let (wanted, columns) = (or_all(rows, count), or_all(columns, width));
        let fit =
            |ranges: &[Range<usize>], most: usize| ranges.iter().all(|r| r.start <= r.end && r.end <= most);
        if !fit(&wanted, count) || !fit(&columns, width) {
            return None;
        }
        let shape = [leading, &[total(&wanted), total(&columns)]].concat();
        let bytes = columns.iter().map(|range| range.start * item..range.end * item).collect();
        Some(Part { offset: info.offset, matrices, rows: count, row, wanted, bytes, shape })
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes of what is read.
    pub fn len(&self) -> usize {
        self.matrices * total(&self.wanted) * total(&self.bytes)
    }

    /// Fills `out`, which is [`len`](Self::len) bytes long.
    pub fn read(&self, file: &File, out: &mut [u8]) -> io::Result<()> {
        let mut rest = out;
        for matrix in 0..self.matrices {
            for range in &self.wanted {
                let len = range.len() * total(&self.bytes);
                let (here, behind) = rest.split_at_mut_checked(len).ok_or(io::ErrorKind::InvalidInput)?;
                let at = self.offset + ((matrix * self.rows + range.start) * self.row) as u64;
                self.read_rows(file, here, at)?;
                rest = behind;
            }
        }
        Ok(())
    }

    /// The wanted bytes of consecutive rows, the first of which begins `at`.
    fn read_rows(&self, file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
        let width = total(&self.bytes);
        let of_row = |index: usize, byte: usize| at + (index * self.row + byte) as u64;
        match self.bytes[..] {
            _ if width == 0 => Ok(()),
            [ref all] if all.len() == self.row => file.read_exact_at(out, at),
            [ref run] if width >= RUN => {
                let mut rows = out.chunks_exact_mut(width).enumerate();
                rows.try_for_each(|(index, out)| file.read_exact_at(out, of_row(index, run.start)))
            }
            _ => {
                let together = (BUFFER / self.row).max(1);
                let mut buffer = Vec::new();
                for (block, out) in out.chunks_mut(together * width).enumerate() {
                    buffer.resize(out.len() / width * self.row, 0);
                    file.read_exact_at(&mut buffer, of_row(block * together, 0))?;
                    for (row, out) in buffer.chunks_exact(self.row).zip(out.chunks_exact_mut(width)) {
                        self.pick(row, out);
                    }
                }
                Ok(())
            }
        }
    }

    /// The wanted bytes of a row.
    fn pick(&self, row: &[u8], out: &mut [u8]) {
        let mut done = 0;
        for range in &self.bytes {
            out[done..done + range.len()].copy_from_slice(&row[range.clone()]);
            done += range.len();
        }
    }
}

fn total(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use safetensors::tensor::Dtype;

    use super::*;

    /// A file with a tensor of bytes behind 5 others, and what is in it.
    fn tensor(shape: &[usize]) -> (File, TensorInfo, Vec<u8>) {
        let count: usize = shape.iter().product();
        let data: Vec<u8> = (0..count).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[9; 5]).unwrap();
        file.write_all(&data).unwrap();
        let info = TensorInfo {
            file_name: "t".into(),
            shard: 0,
            dtype: Dtype::U8,
            shape: shape.to_vec(),
            bytes: count as u64,
            offset: 5,
        };
        (file, info, data)
    }

    fn check(shape: [usize; 3], rows: &[Range<usize>], columns: &[Range<usize>]) {
        let (file, info, data) = tensor(&shape);
        let part = Part::of(&info, Some(rows), Some(columns)).unwrap();
        let mut expected = Vec::new();
        for matrix in 0..shape[0] {
            for row in rows.iter().cloned().flatten() {
                let start = (matrix * shape[1] + row) * shape[2];
                for range in columns {
                    expected.extend_from_slice(&data[start + range.start..start + range.end]);
                }
            }
        }
        let mut out = vec![0; part.len()];
        part.read(&file, &mut out).unwrap();
        assert!(out == expected, "{shape:?} {rows:?} {columns:?}");
        assert_eq!(part.shape(), [shape[0], total(rows), total(columns)]);
    }

    #[test]
    fn a_part_is_what_a_slice_of_the_whole_is() {
        check([2, 6, 8], &[1..3, 4..6, 1..2], &[2..7]);
        check([2, 6, 8], &[1..3], &[0..2, 5..8, 3..4]);
        check([1, 6, 8], &[0..6], &[0..8]);
        check([3, 5, 4], &[4..5], &[0..4]);
        // Rows through the buffer, over its end.
        check([1, 5000, 600], &[10..4990], &[100..500]);
        // Each by itself.
        check([2, 3, 3 * RUN], &[0..1, 2..3], &[RUN..2 * RUN + 5]);
        check([2, 3, 4], &[1..1], &[1..3]);
        check([2, 3, 4], &[0..3], &[2..2]);
    }

    #[test]
    fn there_is_no_part_of_what_is_not_there() {
        let (file, info, _) = tensor(&[2, 3, 4]);
        assert!(Part::of(&info, Some(&[2..4]), None).is_none());
        assert!(Part::of(&info, None, Some(&[0..5])).is_none());
        let vector = TensorInfo { shape: vec![24], ..info.clone() };
        assert!(Part::of(&vector, None, None).is_none());
        let longer = TensorInfo { shape: vec![2, 3, 5], bytes: 30, ..info };
        let part = Part::of(&longer, None, None).unwrap();
        assert!(part.read(&file, &mut [0; 30]).is_err());
    }
}
