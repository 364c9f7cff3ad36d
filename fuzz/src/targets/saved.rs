//! Saved sessions whose checksums are right and whose content is not.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use arbitrary::Unstructured;
use rmlx::ffi::model::rmlx_model;
use rmlx::ffi::session::rmlx_session;
use rmlx::ffi::session_saved::{rmlx_session_load_from_buffer, rmlx_session_save_to_buffer};
use rmlx::ffi::status::*;
use serde_json::Value;

use super::edits::file;
use super::handles;

/// Bytes before the header, and those of them that the checksum covers.
const PRELUDE: usize = 72;
const COVERED: usize = 40;

struct Ready {
    model: handles::Model,
    saved: Vec<u8>,
}

static READY: LazyLock<Ready> = LazyLock::new(|| {
    let model = handles::Model::load();
    let session = handles::Session::new(&model);
    session.answer(&[300, 301, 302], 2);
    Ready { saved: save(&session), model }
});

fn save(session: &handles::Session) -> Vec<u8> {
    let mut count = MaybeUninit::new(0);
    // SAFETY: no place for bytes is given, so none is written.
    unsafe { rmlx_session_save_to_buffer(session.pointer(), ptr::null_mut(), 0, Some(&mut count), None) };
    // SAFETY: it had a value before.
    let mut bytes = vec![0; unsafe { count.assume_init() }];
    // SAFETY: there is room for as many bytes as is said.
    let status = unsafe {
        rmlx_session_save_to_buffer(
            session.pointer(),
            bytes.as_mut_ptr(),
            bytes.len(),
            Some(&mut count),
            None,
        )
    };
    assert_eq!(status, RMLX_OK);
    bytes
}

pub fn saved(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(bytes) = damaged(&READY.saved, &mut input) else { return };
    let mut out = MaybeUninit::new(ptr::null_mut());
    // SAFETY: all of `bytes` may be read.
    let status = unsafe {
        let model: Option<&rmlx_model> = Some(READY.model.get());
        rmlx_session_load_from_buffer(model, None, bytes.as_ptr().cast(), bytes.len(), Some(&mut out), None)
    };
    // SAFETY: it was NULL before, and the call may only have put a session there.
    let session: Option<NonNull<rmlx_session>> = NonNull::new(unsafe { out.assume_init() });
    assert_eq!(status == RMLX_OK, session.is_some());
    let known = [RMLX_OK, RMLX_ERROR_INVALID_SAVE, RMLX_ERROR_CONTEXT_FULL, RMLX_ERROR_OUT_OF_MEMORY];
    assert!(known.contains(&status), "status {status}");
    if let Some(session) = session {
        // What is taken in can be used.
        let session = handles::Session::of(session);
        session.answer(&[300, 301, 302], 1);
    }
}

/// A header that says something else, bytes that are others, or both; and checksums that say nothing is wrong.
fn damaged(saved: &[u8], input: &mut Unstructured) -> arbitrary::Result<Vec<u8>> {
    let mut bytes = saved.to_vec();
    if input.ratio(3, 4)? {
        let old: Value = serde_json::from_slice(&saved[PRELUDE..PRELUDE + number(saved, 16)]).expect("JSON");
        let header = file(&old, input)?;
        let behind = &saved[PRELUDE + number(saved, 16)..];
        bytes.truncate(PRELUDE);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(behind);
        let total = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&(header.len() as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&total.to_le_bytes());
    } else {
        for _ in 0..input.int_in_range(1..=4)? {
            let at = match input.ratio(1, 2)? {
                true => input.int_in_range(0..=bytes.len().min(PRELUDE) - 1)?,
                false => input.int_in_range(0..=bytes.len() - 1)?,
            };
            bytes[at] = input.arbitrary()?;
        }
    }
    if input.ratio(1, 16)? {
        bytes.truncate(input.int_in_range(0..=bytes.len())?);
    }
    Ok(if input.ratio(15, 16)? { signed(bytes) } else { bytes })
}

fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
}

/// Puts a right checksum on the front, where there is one.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < PRELUDE {
        return bytes;
    }
    let blocks = 32_usize.saturating_mul(number(&bytes, 24));
    let front = PRELUDE.saturating_add(number(&bytes, 16)).saturating_add(blocks);
    if front <= bytes.len() {
        let mut hash = blake3::Hasher::new();
        hash.update(&bytes[..COVERED]).update(&bytes[PRELUDE..front]);
        bytes[COVERED..PRELUDE].copy_from_slice(hash.finalize().as_bytes());
    }
    bytes
}
