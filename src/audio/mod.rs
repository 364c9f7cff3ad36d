//! What feature extractors do on the host: 16 kHz samples to the frames that an encoder of sound takes.
//!
//! [`mel`] is the front end of speech encoders; [`gemma4`] says what that family takes of a sound, and how many soft
//! tokens it becomes.

pub mod gemma4;
pub mod mel;
