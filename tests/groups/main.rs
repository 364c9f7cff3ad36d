//! Models that several processes run together, through the C ABI. Nothing else runs beside them: MLX's ring keeps processors busy
//! while it waits.
#![cfg(target_os = "linux")]
#![allow(dead_code)] // of what the tests of one process use

#[path = "../abi/answers.rs"]
mod answers;
#[path = "../support/golden.rs"]
mod cases;
#[path = "../abi/compared.rs"]
mod compared;
#[path = "../abi/fixtures.rs"]
mod fixtures;
#[path = "../abi/harness.rs"]
mod harness;
mod large;
mod ranks;
mod tasks;
