//! Sessions that decode together: the keys and values of each layer lie side by side in one buffer, so that a step writes
//! all new rows with one operation and attends with one. On a GPU small operations cost their launches.
//!
//! A buffer is made when the sessions first meet, and again when one joins, leaves, or has filled its part. A session
//! that goes on alone takes its rows out.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::attention::Mask;
use super::mlx;
use super::norm::cast;
use super::runs::KeyValues;
use super::state::{LayerState, Place, Rows, visible};
use crate::error::Result;

/// Sessions with more rows stay in buffers of their own: here each gets as many as the longest, and is read so far.
const LONGEST: usize = 2048;

/// Where the next rows go and what their queries see; the same in all layers of a kind.
#[derive(Clone, Debug)]
pub struct Spots {
    /// Of each session: the row that is written, and the rows that its query sees.
    sessions: Vec<(usize, Range<usize>)>,
    /// The same rows for [`mlx::put_rows`].
    at: [Array; 2],
    /// Rows that any query sees.
    rows: Range<usize>,
    /// `[sessions, 1, 1, rows]`, unless all see the same.
    mask: Option<Array>,
}

/// Appends one row, `k` and `v` `[1, kv_heads, sessions, D]`, to each of several sessions' layers; what their
/// queries see. `None`, and nothing is appended, where the sessions are better off apart. `spots` keeps what the other
/// layers of the pass use again.
pub fn append(
    layers: &mut [&mut LayerState],
    k: &Array,
    v: &Array,
    spots: &OnceCell<Spots>,
) -> Result<Option<KeyValues>> {
    if !lie_together(layers) && !bring_together(layers)? {
        return Ok(None);
    }
    let Some(rows) = layers.first().and_then(|layer| layer.rows()) else { return Ok(None) };
    let sessions: Vec<_> = layers.iter().map(|layer| spot(layer)).collect();
    let others;
    let spots = match spots.get() {
        None => spots.get_or_init(|| Spots::new(sessions)),
        Some(known) if known.sessions == sessions => known,
        Some(_) => {
            others = Spots::new(sessions);
            &others
        }
    };
    let put = |buffer: &Array, new: &Array| {
        mlx::put_rows(buffer, &cast(new, buffer.dtype())?.swap_axes(0, 2)?, &spots.at)
    };
    let (keys, values, version) = (put(&rows.keys, k)?, put(&rows.values, v)?, Rc::new(()));
    for (index, layer) in layers.iter_mut().enumerate() {
        let place = Place { index, version: version.clone() };
        layer.appended(Rows { keys: keys.clone(), values: values.clone(), place });
    }
    let seen = |buffer: &Array| {
        let stop = [buffer.dim(0), buffer.dim(1), spots.rows.end as i32, buffer.dim(3)];
        mlx::slice(buffer, &[0, 0, spots.rows.start as i32, 0], &stop)
    };
    let mask = spots.mask.clone().map_or(Mask::All, Mask::Array);
    Ok(Some(KeyValues::side_by_side(seen(&keys)?, seen(&values)?, mask)))
}

impl Spots {
    fn new(sessions: Vec<(usize, Range<usize>)>) -> Spots {
        let first = sessions.iter().map(|(_, seen)| seen.start).min().unwrap_or(0);
        let end = sessions.iter().map(|(_, seen)| seen.end).max().unwrap_or(0);
        let count = sessions.len() as i32;
        let index = |rows: Vec<i32>| Array::from_slice(&rows, &[count]);
        let at = [(0..count).collect(), sessions.iter().map(|(at, _)| *at as i32).collect()].map(index);
        let alike = sessions.iter().all(|(_, seen)| *seen == (first..end));
        let mask = (!alike).then(|| {
            let seen = sessions.iter().flat_map(|(_, seen)| (first..end).map(|row| seen.contains(&row)));
            Array::from_slice(&seen.collect::<Vec<bool>>(), &[count, 1, 1, (end - first) as i32])
        });
        Spots { sessions, at, rows: first..end, mask }
    }
}

/// The row that comes next, and those that its query sees.
fn spot(layer: &LayerState) -> (usize, Range<usize>) {
    let at = layer.used();
    let seen = visible(layer.window(), layer.end(), 1);
    (at, at + 1 - seen..at + 1)
}

/// Whether the layers have one buffer in this order, and each has room in it.
fn lie_together(layers: &[&mut LayerState]) -> bool {
    let Some(first) = layers.first().and_then(|layer| layer.rows()) else { return false };
    let fits = |(index, layer): (usize, &&mut LayerState)| {
        layer.rows().is_some_and(|rows| {
            let same = Rc::ptr_eq(&rows.place.version, &first.place.version);
            same && rows.place.index == index && layer.used() < rows.capacity()
        })
    };
    first.sessions() == layers.len() && layers.iter().enumerate().all(fits)
}

/// Copies the rows that are still needed into one buffer. False where that would be too large, or a layer is empty.
fn bring_together(layers: &mut [&mut LayerState]) -> Result<bool> {
    let needed = layers.iter().map(|layer| layer.kept() + 1).max().unwrap_or(0);
    let capacity = layers.iter().map(|layer| layer.roomy(needed)).max().unwrap_or(0);
    if needed > LONGEST {
        return Ok(false);
    }
    let mut parts = Vec::new();
    for layer in layers.iter() {
        let Some(rows) = layer.rows() else { return Ok(false) };
        let (k, v) = rows.view(layer.used() - layer.kept(), layer.used())?;
        parts.push(Rows::joined(None, &k, &v, capacity - layer.kept())?);
    }
    let join = |part: fn(&Rows) -> &Array| concatenate(&parts.iter().map(part).collect::<Vec<_>>(), 0);
    let (keys, values, version) = (join(|rows| &rows.keys)?, join(|rows| &rows.values)?, Rc::new(()));
    for (index, layer) in layers.iter_mut().enumerate() {
        let place = Place { index, version: version.clone() };
        let kept = layer.kept();
        layer.move_to(Rows { keys: keys.clone(), values: values.clone(), place }, kept);
    }
    Ok(true)
}
