//! A small complete host in Rust: asks a snapshot about pictures and sounds, and streams the answer.
//!
//!     cargo run --release --example describe -- SNAPSHOT [-i IMAGE]… [-a AUDIO]… QUESTION

use std::io::Write;
use std::sync::Arc;

use rmlx::{
    Audio, EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, Prompt, Session,
};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let (snapshot, parts) = arguments()?;
    let model = Model::load(snapshot.as_ref(), LoadOptions::default())?;
    let session = Session::new(&model, &Default::default())?;
    let prompt = Prompt { messages: vec![Message::new("user", parts)], ..Default::default() };
    session.submit(&prompt, &GenerationOptions { max_tokens: Some(256), ..Default::default() })?;
    loop {
        let event = session.step()?;
        // The last event may bring what was held back.
        if matches!(event.kind, EventKind::Text | EventKind::Finish) {
            print!("{}", event.text);
            std::io::stdout().flush()?;
        }
        if event.kind == EventKind::Finish {
            println!();
            break event.error.map_or(Ok(()), |error| Err(error.into()));
        }
    }
}

/// The snapshot folder and the parts of the question, media first, in the order given.
fn arguments() -> AnyResult<(String, Vec<Part>)> {
    const USAGE: &str = "usage: describe SNAPSHOT [-i IMAGE]... [-a AUDIO]... QUESTION";
    let mut arguments = std::env::args().skip(1);
    let snapshot = arguments.next().ok_or(USAGE)?;
    let mut parts = Vec::new();
    while let Some(argument) = arguments.next() {
        let media = match argument.as_str() {
            "-i" => Media::Image(Image::decode(&std::fs::read(arguments.next().ok_or(USAGE)?)?)?),
            "-a" => Media::Audio(Audio::decode(&std::fs::read(arguments.next().ok_or(USAGE)?)?)?),
            question => {
                parts.push(Part::Text(question.to_owned()));
                return Ok((snapshot, parts));
            }
        };
        parts.push(Part::Media(Arc::new(media)));
    }
    Err(USAGE.into())
}
