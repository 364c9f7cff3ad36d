//! The library as a C program sees it: everything here goes through the functions of the C ABI.

mod answers;
mod around;
mod bad_calls;
mod bad_media;
mod bad_prompts;
mod bad_snapshots;
mod batches;
mod cache_types;
mod cancelling;
mod compared;
mod constraint_options;
mod constraints;
mod conversations;
// The tests of the models read more of it.
#[allow(dead_code)]
#[path = "../support/golden.rs"]
mod cases;
mod defects;
mod demo_model;
mod estimate;
mod exact_history;
mod family_defects;
mod family_reuse;
mod fixtures;
mod folder;
mod folders;
mod fresh;
mod golden;
mod harness;
mod judge;
mod keep_turns;
mod kinds;
mod large_pictures;
mod lifetimes;
#[cfg(target_os = "linux")]
mod limits;
mod loading;
mod lost_messages;
#[cfg(target_os = "linux")]
mod media_memory;
mod memory;
mod mistakes;
mod past;
mod prefixes;
mod prepared_media;
mod processors;
mod sampling;
mod saving;
mod saving_damage;
mod saving_files;
mod schemas;
mod scratch;
mod sound;
mod speculation;
mod stopping;
mod threads;
mod tool_choices;
mod videos;
mod walks;
mod wishes;
