//! How the sizes of a model are divided among the ranks of a group.
//!
//! Each rank has a consecutive part of the attention heads, of the feed-forward networks' inner values and of the vocabulary.
//! Parts differ by at most one unit, so that any number of ranks will do.
#![allow(clippy::single_range_in_vec_init)] // ranges are meant, and not what is in them

use std::ops::Range;

use crate::error::{Error, Result};

/// One rank of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    rank: usize,
    size: usize,
}

/// The attention heads of one rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadShare {
    pub queries: Range<usize>,
    /// Which head of keys and values each of the rank's is; its queries use them in turn, as many the one as the other.
    /// One may be there several times.
    pub keys: Vec<usize>,
}

/// Rows and columns of a matrix `[.., out, in]` that are taken. Nothing stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// In this order.
    pub rows: Option<Vec<Range<usize>>>,
    /// Of a packed matrix whole groups are taken: those that have any of these.
    pub columns: Option<Range<usize>>,
}

impl Shard {
    /// A model that is not divided.
    pub const WHOLE: Shard = Shard { rank: 0, size: 1 };

    /// Errors: `InvalidArgument` for a rank that is not below `size`.
    pub fn new(rank: usize, size: usize) -> Result<Shard> {
        match rank < size {
            true => Ok(Shard { rank, size }),
            false => {
                let message = format!("rank {rank} is not one of the {size} ranks 0 to {}", size.max(1) - 1);
                Err(Error::invalid_argument(message).with("rank", rank).with("size", size))
            }
        }
    }

    pub fn rank(self) -> usize {
        self.rank
    }

    pub fn size(self) -> usize {
        self.size
    }

    pub fn is_whole(self) -> bool {
        self.size == 1
    }

    /// The rank's part of `count` things that are best cut at multiples of `unit`, which is not held to where a rank would get
    /// nothing. `what` they are is said where there are fewer than ranks.
    pub fn part(self, what: &str, count: usize, unit: usize) -> Result<Range<usize>> {
        if count < self.size {
            let message = format!("{count} {what} cannot be divided among {} ranks", self.size);
            return Err(Error::unsupported(message).with(what, count).with("ranks", self.size));
        }
        let unit = if count.div_ceil(unit.max(1)) >= self.size { unit.max(1) } else { 1 };
        let units = count.div_ceil(unit);
        let border = |rank: usize| (units * rank / self.size * unit).min(count);
        Ok(border(self.rank)..border(self.rank + 1))
    }

    /// The rank's part of `heads` heads of queries, which use `kv_heads` heads of keys and values, and the latter.
    pub fn heads(self, heads: usize, kv_heads: usize) -> Result<HeadShare> {
        let each = (heads / kv_heads.max(1)).max(1);
        let queries = self.part("attention heads", heads, if kv_heads >= self.size { each } else { 1 })?;
        let used: Vec<usize> = queries.clone().map(|query| query / each).collect();
        let mut keys = used.clone();
        keys.dedup();
        let in_turn = used.len().checked_div(keys.len()).unwrap_or(0);
        let even = used.len() == in_turn * keys.len()
            && used.iter().enumerate().all(|(i, key)| keys[i / in_turn.max(1)] == *key);
        Ok(HeadShare { queries, keys: if even { keys } else { used } })
    }

    /// The rank's rows of a table of `count`. All ranks have as many, but for the last ones, whose may end earlier.
    pub fn rows(self, count: usize) -> Range<usize> {
        let each = self.rows_each(count);
        (self.rank * each).min(count)..((self.rank + 1) * each).min(count)
    }

    /// How many rows of a table of `count` a rank has that has its full part.
    pub fn rows_each(self, count: usize) -> usize {
        count.div_ceil(self.size)
    }
}

impl HeadShare {
    /// Rows of the projection of queries, whose heads have `dim` rows.
    pub fn query_rows(&self, dim: usize) -> Range<usize> {
        self.queries.start * dim..self.queries.end * dim
    }

    /// What is taken of the projections of queries, and of those of keys and values.
    pub fn cuts(&self, dim: usize, shard: Shard) -> [Cut; 2] {
        if shard.is_whole() {
            return Default::default();
        }
        let keys = self.keys.iter().map(|head| head * dim..(head + 1) * dim).collect();
        [Cut::rows(vec![self.query_rows(dim)]), Cut::rows(keys)]
    }
}

impl Cut {
    pub fn rows(rows: Vec<Range<usize>>) -> Cut {
        Cut { rows: Some(rows), columns: None }
    }

    pub fn columns(columns: Range<usize>) -> Cut {
        Cut { rows: None, columns: Some(columns) }
    }

    /// Nothing is cut where `own` is all of the `count` rows.
    pub fn rows_among(own: &Range<usize>, count: usize) -> Cut {
        if *own == (0..count) { Cut::default() } else { Cut::rows(vec![own.clone()]) }
    }

    /// The same of columns.
    pub fn columns_among(own: &Range<usize>, count: usize) -> Cut {
        if *own == (0..count) { Cut::default() } else { Cut::columns(own.clone()) }
    }

    pub fn is_whole(&self) -> bool {
        self.rows.is_none() && self.columns.is_none()
    }

    /// The same of each of `count` matrices of `each` rows that lie one behind the other.
    pub fn repeated(&self, count: usize, each: usize) -> Cut {
        let shifted = |rows: &Vec<Range<usize>>| {
            let of = |at: usize| rows.iter().map(move |row| at * each + row.start..at * each + row.end);
            (0..count).flat_map(of).collect()
        };
        Cut { rows: self.rows.as_ref().map(shifted), columns: self.columns.clone() }
    }

    /// How many rows of `out` are taken.
    pub fn count(&self, out: usize) -> usize {
        self.rows.as_ref().map_or(out, |rows| rows.iter().map(ExactSizeIterator::len).sum())
    }

    /// The columns that are read of a matrix of `input` columns in groups of `group`.
    pub fn groups(&self, input: usize, group: usize) -> Option<Range<usize>> {
        let out = |columns: &Range<usize>| {
            columns.start / group * group..columns.end.next_multiple_of(group).min(input)
        };
        self.columns.as_ref().map(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(size: usize) -> impl Iterator<Item = Shard> {
        (0..size).map(move |rank| Shard::new(rank, size).unwrap())
    }

    #[test]
    fn parts_are_everything_once_and_end_at_units_where_those_are_enough() {
        for (count, unit) in [(64, 16), (3, 1), (96, 32), (100, 32), (64, 64), (7, 2)] {
            for size in 1..=3 {
                let mut next = 0;
                for shard in all(size) {
                    let part = shard.part("things", count, unit).unwrap();
                    assert_eq!(part.start, next);
                    assert!(!part.is_empty());
                    let enough = count.div_ceil(unit) >= size;
                    assert!(!enough || part.end % unit == 0 || part.end == count, "{part:?}");
                    next = part.end;
                }
                assert_eq!(next, count);
            }
        }
        let refused = Shard::new(0, 3).unwrap().part("attention heads", 2, 1).unwrap_err();
        assert_eq!(refused.message(), "2 attention heads cannot be divided among 3 ranks");
    }

    #[test]
    fn each_query_finds_the_keys_that_it_had() {
        for (heads, kv_heads) in [(8, 8), (8, 4), (8, 2), (8, 1), (6, 3), (4, 2), (16, 8), (12, 4), (9, 3)] {
            for size in 1..=4 {
                for shard in all(size) {
                    let share = shard.heads(heads, kv_heads).unwrap();
                    let in_turn = share.queries.len() / share.keys.len();
                    assert_eq!(share.queries.len(), in_turn * share.keys.len());
                    for (i, query) in share.queries.clone().enumerate() {
                        assert_eq!(share.keys[i / in_turn], query / (heads / kv_heads));
                    }
                    // Kept once where the ranks divide them.
                    if kv_heads % size == 0 {
                        assert_eq!(share.keys.len(), kv_heads / size);
                    }
                }
            }
        }
    }

    #[test]
    fn tables_are_divided_into_equal_parts_but_for_the_end() {
        let parts: Vec<_> = all(3).map(|shard| shard.rows(10)).collect();
        assert_eq!(parts, [0..4, 4..8, 8..10]);
        let parts: Vec<_> = all(3).map(|shard| shard.rows(4)).collect();
        assert_eq!(parts, [0..2, 2..4, 4..4]);
    }

    #[test]
    fn whole_groups_are_read() {
        let cut = Cut::columns(20..70);
        assert_eq!((cut.groups(96, 32), cut.groups(96, 1)), (Some(0..96), Some(20..70)));
        assert_eq!(Cut::rows(vec![1..3, 7..8]).groups(96, 32), None);
        assert_eq!((Cut::rows(vec![1..3, 7..8]).count(9), cut.count(9)), (3, 9));
    }

    #[test]
    fn a_cut_of_one_matrix_is_that_of_several() {
        let cut = Cut::rows(vec![1..2, 3..4]);
        assert_eq!(cut.repeated(2, 4), Cut::rows(vec![1..2, 3..4, 5..6, 7..8]));
        assert_eq!(Cut::columns(0..8).repeated(2, 4), Cut::columns(0..8));
    }

    #[test]
    fn a_rank_is_one_of_the_group() {
        assert!(Shard::new(2, 2).is_err());
        assert!(Shard::new(0, 0).is_err());
    }
}
