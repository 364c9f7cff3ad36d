//! The bytes that one rendering may make.

use std::cell::Cell;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::nesting;
use super::objects::is_no_list;
use super::values::error;

/// What a rendering may make of a conversation of any size; templates make kilobytes.
const BYTES: usize = 256 << 20;
/// How often it may go over the conversation's own bytes besides.
const TIMES: usize = 16;
/// What an item of a list or a dict takes, with its share of what lists reserve.
const ITEM: usize = 64;

thread_local! {
    /// What the rendering of this thread may make, and what is left of it.
    static LIMIT: Cell<(usize, usize)> = const { Cell::new((usize::MAX, usize::MAX)) };
}

/// While it lives, what templates make on this thread is counted.
pub(in crate::prompt) struct Budget {
    outer: (usize, usize),
}

impl Budget {
    /// For a conversation, tools and variables of so many bytes.
    pub fn of(given: usize) -> Self {
        nesting::reset();
        let bytes = BYTES.saturating_add(given.saturating_mul(TIMES));
        Self { outer: LIMIT.replace((bytes, bytes)) }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        LIMIT.set(self.outer);
    }
}

/// How many bytes are left.
pub(super) fn left() -> usize {
    LIMIT.get().1
}

/// Refuses a text of so many bytes before it is made.
pub(in crate::prompt) fn check(bytes: usize) -> Result<(), Error> {
    if bytes <= left() { Ok(()) } else { Err(exceeded()) }
}

/// Refuses a value of so many values in all, which another may hold many times over.
pub(super) fn fits_whole(values: usize) -> Result<(), Error> {
    if values.saturating_mul(ITEM) <= LIMIT.get().0 { Ok(()) } else { Err(exceeded()) }
}

fn exceeded() -> Error {
    let whole = LIMIT.get().0 >> 20;
    let times = format!("{} MiB and {TIMES} times what it is given", BYTES >> 20);
    error(format!("the template makes more than {whole} MiB of texts and lists; its limit is {times}"))
}

/// The same of a list.
pub(super) fn check_items(count: usize) -> Result<(), Error> {
    check(count.saturating_mul(ITEM))
}

/// Takes so many bytes of what is left.
pub(in crate::prompt) fn take(bytes: usize) -> Result<(), Error> {
    check(bytes)?;
    let (whole, left) = LIMIT.get();
    LIMIT.set((whole, left - bytes));
    Ok(())
}

/// Takes what a new text, list or dict has, without what its items have.
pub(super) fn made(value: Value) -> Result<Value, Error> {
    take(match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len),
        // A range has no items yet.
        ValueKind::Seq | ValueKind::Map if !is_no_list(&value) => {
            value.len().unwrap_or(0).saturating_mul(ITEM)
        }
        _ => 0,
    })?;
    nesting::bounded(value)
}
