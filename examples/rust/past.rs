//! Sessions that went on, were forked, cut back, or saved and loaded, beside a fresh one: how far apart the logits of the same
//! conversation are, as one line of JSON. `chunked` is a fresh one whose prompt was evaluated in smaller pieces: what
//! rounding alone does on the device.
//!
//! `past SNAPSHOT PICTURE cpu|gpu`

use std::error::Error;

use rmlx::{
    DeviceChoice, EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, Prompt,
    Session, SessionOptions,
};
use serde_json::json;

const QUESTION: &str = "What is in the picture? Say it in one word, and then tell me how you know.";
const ANSWER: &str = "A square. Its four sides have one length.";
const NEXT: &str = "And which colour is it?";
const SMALL: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [snapshot, picture, device] = arguments.as_slice() else {
        return Err("usage: past SNAPSHOT PICTURE cpu|gpu".into());
    };
    let device = if device == "gpu" { DeviceChoice::Gpu } else { DeviceChoice::Cpu };
    let model = Model::load(snapshot.as_ref(), LoadOptions { device, ..LoadOptions::default() })?;
    let sees = model.info()["modalities"].as_array().is_some_and(|kinds| kinds.contains(&json!("image")));
    let (first, second) = turns(picture, sees)?;

    let logits = |way: &str, session: &Session, prompt: &Prompt| {
        logits(session, prompt).map_err(|error| format!("{way}: {error}"))
    };
    let fresh = logits("fresh", &new(&model, None)?, &second)?;
    let chunked = logits("chunked", &new(&model, Some(SMALL))?, &second)?;
    let session = new(&model, None)?;
    logits("first turn", &session, &first)?;
    let held = session.prompt_tokens()?.len();
    let fork = session.fork()?;
    let folder = std::env::temp_dir().join(format!("rmlx-past-{}", std::process::id()));
    session.save(&folder)?;
    let loaded = Session::load(&model, &SessionOptions::default(), &folder);
    std::fs::remove_file(&folder)?;
    let loaded = logits("loaded", &loaded?, &second)?;
    let continued = logits("continued", &session, &second)?;
    let forked = logits("forked", &fork, &second)?;
    session.truncate(held / 2)?;
    let truncated = logits("truncated", &session, &second)?;
    let distance = |row: &[f32]| distance(&fresh, row);
    println!(
        "{}",
        json!({
            "chunked": distance(&chunked), "continued": distance(&continued), "forked": distance(&forked),
            "loaded": distance(&loaded), "truncated": distance(&truncated),
        })
    );
    Ok(())
}

fn new(model: &Model, prefill_chunk: Option<usize>) -> rmlx::Result<Session> {
    Session::new(model, &SessionOptions { prefill_chunk, ..SessionOptions::default() })
}

/// A conversation of one turn, and of two.
fn turns(picture: &str, sees: bool) -> Result<(Prompt, Prompt), Box<dyn Error>> {
    let mut parts = vec![Part::Text(QUESTION.into())];
    if sees {
        let image = Media::Image(Image::decode(&std::fs::read(picture)?)?);
        parts.insert(0, Part::Media(image.into()));
    }
    let mut messages = vec![Message::new("user", parts)];
    let first = Prompt { messages: messages.clone(), ..Prompt::default() };
    messages.push(Message::new("assistant", vec![Part::Text(ANSWER.into())]));
    messages.push(Message::new("user", vec![Part::Text(NEXT.into())]));
    Ok((first, Prompt { messages, ..Prompt::default() }))
}

/// The logits of the prompt's last position.
fn logits(session: &Session, prompt: &Prompt) -> Result<Vec<f32>, Box<dyn Error>> {
    let options =
        GenerationOptions { max_tokens: Some(1), temperature: Some(0.0), ..GenerationOptions::default() };
    session.submit(prompt, &options)?;
    let mut row = Vec::new();
    loop {
        let event = session.step()?;
        if event.kind == EventKind::Finish {
            event.error.map_or(Ok(()), Err)?;
            return Ok(row);
        }
        row = session.logits()?;
    }
}

/// The root of the mean squared difference, in standard deviations of `a`.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len() as f64;
    let mean = a.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = a.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    let square = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / count;
    (square / variance).sqrt()
}
