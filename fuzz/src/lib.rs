//! What the fuzzers run, one function for each target. `tests/fuzz.rs` of the library runs the same ones, a fixed number
//! of times.

pub mod targets;
