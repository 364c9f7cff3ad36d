//! What a session takes to hold its positions.

use rmlx::ffi::memory::{rmlx_memory_stats, rmlx_memory_trim, rmlx_memory_usage};

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::harness::{Prompt, check};

/// Bytes of a position in the layers of each kind: keys and values of fp32.
const SLIDING: u64 = 4 * (2 * 2 * 32 * 4);
const FULL: u64 = 2 * (2 * 64 * 4);
const WINDOW: u64 = 48;

fn text(len: usize) -> Prompt {
    let ids: Vec<u32> = (0..len as u32).map(|i| 300 + i % 250).collect();
    Prompt::new().tokens(&ids)
}

/// Room for `positions`: those of the window on sliding layers, all of them on full layers, and some to spare,
/// which is less than the sliding layers would take for the same positions.
#[track_caller]
fn is_bounded_by_the_window(session: &Session) {
    let stats = session.stats();
    let spare = 512;
    let most = FULL * (stats.held_tokens + spare) + SLIDING * (2 * WINDOW + spare);
    assert!(stats.cache_bytes > 0);
    assert!(stats.cache_bytes <= most, "{} bytes for {} positions", stats.cache_bytes, stats.held_tokens);
}

#[test]
fn sliding_layers_hold_no_more_than_their_window_of_a_long_prompt() {
    let session = Session::of_chunk(fixtures::model(), 128);
    session.answer(&text(3000), &Options::endless(4));
    assert!(session.stats().held_tokens >= 3000);
    is_bounded_by_the_window(&session);
}

#[test]
fn sliding_layers_do_not_grow_while_an_answer_does() {
    let session = Session::new(fixtures::model());
    session.submit(&text(60), &Options::endless(700)).expect("an accepted prompt");
    let mut at = vec![];
    loop {
        let event = session.step().expect("an event");
        let stats = session.stats();
        if [100, 600].contains(&stats.generated_tokens) {
            at.push(stats);
        }
        if event.is_finish() {
            break;
        }
    }
    let (early, late) = (at.first().expect("early"), at.last().expect("late"));
    let positions = late.held_tokens - early.held_tokens;
    assert!(positions >= 490, "{positions}");
    let grown = late.cache_bytes.saturating_sub(early.cache_bytes);
    assert!(grown < FULL * positions + SLIDING * positions / 2, "{grown} bytes for {positions} positions");
    is_bounded_by_the_window(&session);
}

#[test]
fn a_reset_gives_back_what_a_session_held() {
    let session = Session::new(fixtures::model());
    session.answer(&text(500), &Options::endless(4));
    let held = session.stats().cache_bytes;
    session.reset().expect("a reset");
    assert!(session.stats().cache_bytes < held);
}

#[test]
fn the_memory_of_the_process_is_told_and_trimmed() {
    let usage = || {
        let mut usage = rmlx_memory_usage {
            struct_size: size_of::<rmlx_memory_usage>(),
            active: 0,
            cache: 0,
            peak: 0,
            limit: 0,
        };
        // SAFETY: the structure is as large as it says.
        check(|error| unsafe { rmlx_memory_stats(&mut usage, error) }).expect("memory");
        usage
    };
    Session::new(fixtures::model()).answer(&text(10), &Options::greedy(1));
    let before = usage();
    assert!(before.active > 0 && before.peak >= before.active);
    check(|error| rmlx_memory_trim(error)).expect("a trim");
    assert!(usage().peak >= before.peak);
}
