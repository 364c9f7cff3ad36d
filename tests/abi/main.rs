//! The library as a C program sees it: everything here goes through the functions of the C ABI.

mod answers;
mod bad_media;
mod bad_prompts;
mod bad_snapshots;
mod defects;
mod fixtures;
mod golden;
mod harness;
mod scratch;
mod sound;
