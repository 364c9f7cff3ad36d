//! Positions of rows, in up to three dimensions.

use std::ops::Range;

/// The positions of consecutive rows of one session. Rotations read one or three numbers of each row (time, height
/// and width of a picture's part; text has three times the same).
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// `start`, `start + 1` and so on.
    Consecutive { start: i32, count: usize },
    /// One triple for each row.
    Each(Vec<[i32; 3]>),
}

impl Positions {
    /// `0..count`.
    pub fn counting(count: usize) -> Positions {
        Positions::Consecutive { start: 0, count }
    }

    pub fn count(&self) -> usize {
        match self {
            Positions::Consecutive { count, .. } => *count,
            Positions::Each(rows) => rows.len(),
        }
    }

    /// The triple of one row.
    pub fn row(&self, index: usize) -> [i32; 3] {
        match self {
            Positions::Consecutive { start, .. } => [start + index as i32; 3],
            Positions::Each(rows) => rows.get(index).copied().unwrap_or_default(),
        }
    }

    /// One number for each row, where the three are equal in all of them.
    pub fn scalars(&self) -> Option<Vec<i32>> {
        let rows = (0..self.count()).map(|index| self.row(index));
        rows.map(|[a, b, c]| (a == b && b == c).then_some(a)).collect()
    }

    /// The positions of some of the rows.
    pub fn slice(&self, range: Range<usize>) -> Positions {
        match self {
            Positions::Consecutive { start, .. } => {
                Positions::Consecutive { start: start + range.start as i32, count: range.len() }
            }
            Positions::Each(rows) => Positions::Each(rows[range].to_vec()),
        }
    }

    /// Where text goes on: after the largest of all numbers.
    pub fn next(&self) -> i32 {
        match self {
            Positions::Consecutive { start, count } => start + *count as i32,
            Positions::Each(rows) => rows.iter().flatten().max().map_or(0, |last| last + 1),
        }
    }

    /// Those of several sessions, one after the other.
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Positions>) -> Positions {
        let parts: Vec<&Positions> = parts.into_iter().collect();
        match parts[..] {
            [only] => only.clone(),
            _ => {
                let rows = parts.iter().flat_map(|part| (0..part.count()).map(|i| part.row(i)));
                Positions::Each(rows.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_on_after_the_largest_number() {
        assert_eq!(Positions::counting(4).next(), 4);
        assert_eq!(Positions::Consecutive { start: 7, count: 2 }.next(), 9);
        // A picture of 1 x 3 behind two words.
        let rows = vec![[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 2, 3], [2, 2, 4]];
        let positions = Positions::Each(rows);
        assert_eq!(positions.next(), 5);
        assert_eq!(positions.slice(0..3).next(), 3);
    }

    #[test]
    fn sessions_follow_each_other() {
        let (a, b) = (Positions::Consecutive { start: 5, count: 2 }, Positions::Each(vec![[1, 2, 3]]));
        assert_eq!(Positions::joined([&a]), a);
        let both = Positions::joined([&a, &b]);
        assert_eq!(both, Positions::Each(vec![[5; 3], [6; 3], [1, 2, 3]]));
        assert_eq!((both.scalars(), both.slice(0..2).scalars()), (None, Some(vec![5, 6])));
    }
}
