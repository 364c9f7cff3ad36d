//! From a conversation to token ids and from token ids to text.
//!
//! A [`Prompt`] goes through the snapshot's own chat template (`template`, `jinja`, `rewrite`, `pycompat`), with everything that a
//! user could have typed kept apart from the template's markup (`escape`), through the tokenizer (`tokenizer`),
//! and every medium to its place (`place`). The way back is `decoder`. [`Formatter`] is all
//! of it for one snapshot. Nothing here knows MLX.

mod content;
mod decoder;
mod escape;
mod exact;
mod formatter;
mod from_json;
mod jinja;
mod json_dumps;
mod message;
mod place;
mod pycompat;
mod rendering;
mod rewrite;
mod spellings;
mod strftime;
mod template;
mod template_source;
mod token_config;
mod tokenizer;

#[cfg(test)]
mod answers_tests;
#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod conversations_tests;
#[cfg(test)]
mod escaping_tests;
#[cfg(test)]
mod testing;

pub use decoder::TextDecoder;
pub use exact::{Asked, Generated, Setting};
pub use formatter::Formatter;
pub use message::{Message, Part, Prompt, ToolCall};
pub use place::{Grid, Lost, LostKind, MediaLayout, Placed, PlacedMedia, SoftBlock};
