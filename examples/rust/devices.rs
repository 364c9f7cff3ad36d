//! Asks the same of one snapshot on the CPU and on the GPU, and prints how far apart the logits are, as one line of JSON.
//!
//! On the CPU activations are `f32`, on the GPU they have the snapshot's type, so a distance of some hundredths is
//! rounding; unrelated logits are 1.4 apart.
//!
//! As one of several processes that `mlx.launch` started, or that have its environment, it is the GPU's part that they do together.

use std::error::Error;
use std::path::Path;

use rmlx::engine::{GroupOptions, serve};
use rmlx::{
    DeviceChoice, EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, Prompt,
    Session, SessionOptions,
};
use serde_json::json;

const TEXT: &str = "What is the capital of France? Say it in one word, and then tell me how you know.";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [snapshot, picture] = arguments.as_slice() else {
        return Err("usage: devices SNAPSHOT PICTURE".into());
    };
    let group = std::env::var_os("MLX_RANK").map(|_| GroupOptions::default());
    let gpu = LoadOptions { device: DeviceChoice::Gpu, group, ..LoadOptions::default() };
    if std::env::var("MLX_RANK").is_ok_and(|rank| rank != "0") {
        return Ok(serve(snapshot.as_ref(), &gpu)?);
    }
    let cpu = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let image = Media::Image(Image::decode(&std::fs::read(picture)?)?);
    let text = prompt(vec![Part::Text(TEXT.into())]);
    let image = prompt(vec![Part::Media(image.into()), Part::Text("What is in the picture?".into())]);
    let prompts = [text, image];
    let [cpu, gpu] = [cpu, gpu].map(|options| logits(snapshot.as_ref(), options, &prompts));
    let (cpu, gpu) = (cpu?, gpu?);
    println!("{}", json!({ "text": distance(&cpu[0], &gpu[0]), "image": distance(&cpu[1], &gpu[1]) }));
    Ok(())
}

fn prompt(parts: Vec<Part>) -> Prompt {
    Prompt { messages: vec![Message::new("user", parts)], ..Prompt::default() }
}

/// The logits of each prompt's last position.
fn logits(
    snapshot: &Path,
    options: LoadOptions,
    prompts: &[Prompt],
) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let model = Model::load(snapshot, options)?;
    let session = Session::new(&model, &SessionOptions::default())?;
    let options =
        GenerationOptions { max_tokens: Some(1), temperature: Some(0.0), ..GenerationOptions::default() };
    let mut rows = Vec::new();
    for prompt in prompts {
        session.submit(prompt, &options)?;
        loop {
            let event = session.step()?;
            if event.kind == EventKind::Finish {
                event.error.map_or(Ok(()), Err)?;
                break;
            }
            rows.push(session.logits()?);
        }
    }
    Ok(rows)
}

/// The root of the mean squared difference, in standard deviations of `a`.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len() as f64;
    let mean = a.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = a.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    let square = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / count;
    (square / variance).sqrt()
}
