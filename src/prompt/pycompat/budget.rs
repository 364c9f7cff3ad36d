//! The bytes that one rendering may make.

use std::cell::Cell;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::objects::is_no_list;
use super::values::error;

/// What a rendering may make of a conversation of any size; templates make kilobytes.
const BYTES: usize = 256 << 20;
/// How often it may go over the conversation's own bytes besides.
const TIMES: usize = 16;
/// What an item of a list or a dict takes, with its share of what lists reserve.
const ITEM: usize = 64;

thread_local! {
    /// What is left to the rendering of this thread.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// While it lives, what templates make on this thread is counted.
pub(in crate::prompt) struct Budget {
    outer: usize,
}

impl Budget {
    /// For a conversation, tools and variables of so many bytes.
    pub fn of(given: usize) -> Self {
        let bytes = BYTES.saturating_add(given.saturating_mul(TIMES));
        Self { outer: LEFT.replace(bytes) }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        LEFT.set(self.outer);
    }
}

/// Takes so many bytes of what is left.
pub(super) fn take(bytes: usize) -> Result<(), Error> {
    match LEFT.get().checked_sub(bytes) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(error(format!("the template makes more than {} MiB of texts and lists", BYTES >> 20))),
    }
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
    Ok(value)
}

/// Refuses a list of so many items before it is made.
pub(super) fn check_items(count: usize) -> Result<(), Error> {
    if count.saturating_mul(ITEM) > LEFT.get().min(BYTES) { take(usize::MAX) } else { Ok(()) }
}
