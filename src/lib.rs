//! rmlx: multimodal language models on the device, over Apple MLX.
//!
//! The way of a request, one direction:
//!
//! ```text
//! ffi       the C ABI: checks arguments, catches panics, hands out objects
//!  └ engine     a Session turns a Prompt into Events; one thread owns all of MLX
//!     ├ prompt      renders the chat template, tokenizes, puts soft tokens in their places
//!     ├ vision      resizes pictures and cuts them into patches, as each family's processor does
//!     ├ audio       sound to frames
//!     │  └ media        decodes, bounds and names pictures and sounds
//!     ├ models      embeds, prefills, steps: one folder per architecture, over `nn`
//!     │  └ snapshot     config.json, safetensors shards, quantization
//!     └ sampling    logits to a token, and stop strings
//! ```
//!
//! In Rust:
//!
//! ```no_run
//! use rmlx::{EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, Prompt, Session};
//! # fn main() -> rmlx::Result<()> {
//! let model = Model::load("models/demo/bf16".as_ref(), LoadOptions::default())?;
//! let session = Session::new(&model, &Default::default())?;
//! let image = Media::Image(Image::decode(include_bytes!("../models/demo/example.png"))?);
//! let parts = vec![Part::Media(image.into()), Part::Text("What is in the picture?".into())];
//! let prompt = Prompt { messages: vec![Message::new("user", parts)], ..Default::default() };
//! session.submit(&prompt, &GenerationOptions::default())?;
//! loop {
//!     let event = session.step()?;
//!     print!("{}", event.text);
//!     if event.kind == EventKind::Finish {
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod audio;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod ffi;
mod files;
mod json;
pub mod log;
pub mod media;
pub mod memory;
mod models;
mod nn;
mod panics;
pub mod probe;
pub mod prompt;
mod sampling;
mod snapshot;
mod system;
pub mod vision;

pub use engine::{
    CacheType, CancelToken, DeviceChoice, DryOptions, Event, EventKind, FinishReason, GenerationOptions,
    LoadOptions, LogitsProcessor, LoopDetection, Model, Session, SessionOptions, Speculate, Stats,
    TokenLogprob, WeightsChoice,
};
pub use error::{Code, Error, Result};
pub use media::{Audio, Image, ImageWishes, Media, MediaKind, PixelDesc, PixelFormat, Video, VideoFrame};
pub use prompt::{Message, Part, Prompt, ToolCall};
