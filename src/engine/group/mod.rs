//! A model that several processes run together, one of them (rank 0) with sessions and everything, the others following it.
//!
//! [`setup`] says who belongs to the group, [`form`] brings them together, [`agree`] compares what they have. Rank 0's model is
//! a [`leader`]: it tells the others of each pass before it does its own part, and a [`follower`] does the same.

pub(super) mod agree;
pub(super) mod follower;
pub(super) mod form;
pub(super) mod leader;
mod message;
mod serve;
pub(super) mod setup;

pub use serve::serve;
pub use setup::{GroupBackend, GroupOptions};
