//! Soft tokens in the place of rows, and the rows that are wanted.

use std::ops::Range;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use crate::error::Result;
use crate::models::{Batch, SoftTokens};
use crate::nn::mlx;

/// The rows of `x` `[ΣT, ..]` that `wanted` wants, run after run; all of them where nobody says.
pub fn keep(x: &Array, wanted: Option<&Batch>) -> Result<Array> {
    wanted.map_or_else(|| Ok(x.clone()), |batch| batch.wanted(x))
}

/// `rows` `[T, ..]` with those under soft tokens replaced by what `part` makes of them.
pub fn insert(
    rows: &Array,
    soft: &[(Range<usize>, &SoftTokens)],
    part: impl Fn(&SoftTokens) -> Result<Array>,
) -> Result<Array> {
    if soft.is_empty() {
        return Ok(rows.clone());
    }
    let count = rows.dim(0) as usize;
    let between = |from: usize, to: usize| {
        let (mut start, mut stop) = (vec![0; rows.ndim()], rows.shape().to_vec());
        (start[0], stop[0]) = (from as i32, to as i32);
        mlx::slice(rows, &start, &stop)
    };
    let mut parts = Vec::new();
    let mut done = 0;
    for (range, tokens) in soft {
        if range.start > done {
            parts.push(between(done, range.start)?);
        }
        parts.push(part(tokens)?);
        done = range.end;
    }
    if done < count {
        parts.push(between(done, count)?);
    }
    Ok(concatenate(&parts, 0)?)
}
