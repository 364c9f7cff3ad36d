//! The library as a C program sees it: everything here goes through the functions of the C ABI.

mod answers;
mod fixtures;
mod golden;
mod harness;
