//! The C boundary: a thin skin over the safe API, one file per C concept, in the order of the header.
//!
//! The doc comments of these files are the text of `include/rmlx.h` and speak to a C programmer; `cbindgen.toml` has
//! the walkthrough that precedes them. What C promises (live handles, sizes that are true) is written there once, so
//! the functions carry no safety section of their own. `boundary` holds everything that all of them go through:
//! the panic boundary, the checks of pointers, text and sizes, and the writing of errors.
//!
//! How a type says who owns what:
//!
//! | in Rust                                   | in C                | meaning                                     |
//! |-------------------------------------------|---------------------|---------------------------------------------|
//! | `Option<&T>`                              | `const T *`         | lent for the call; NULL is checked          |
//! | `Option<&mut T>`                          | `T *`               | a builder, lent to one thread               |
//! | `Option<NonNull<T>>`                      | `T *`               | lent, and used from several threads         |
//! | `Option<Box<T>>`                          | `T *`               | given back: released here                   |
//! | `Option<&mut MaybeUninit<T>>`             | `T *`               | an output: written on success only          |
//! | `*const T` or `*mut T` and a length       | the same            | an array that `boundary` turns into a slice |
#![allow(non_camel_case_types)] // the names are C's
#![allow(clippy::missing_safety_doc)] // the header states what C must keep to, once for all

mod boundary;
mod sized;

// In the order of the header; the blank lines keep rustfmt from sorting them.

pub mod version;

pub mod status;

pub mod string;

pub mod callback;

pub mod log;

pub mod cancel;

pub mod load_options;

pub mod media_options;

pub mod media;

pub mod media_file;

pub mod prompt;

pub mod generation_options;

pub mod model;

pub mod group;

pub mod media_prepare;

pub mod session_options;

pub mod event;

pub mod session;
pub mod session_saved;

pub mod respond;
pub mod waker;

pub mod stats;

pub mod memory;

pub mod suspend;

pub mod probe;
