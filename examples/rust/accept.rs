//! Asks a snapshot questions, greedily, and prints what it found: one JSON object a line, as soon as it is known, so that
//! what was found before a crash is not lost. `cargo xtask accept` judges it.
//!
//! `accept --model SNAPSHOT --questions FILE`: the file is a JSON array of `{"id", "messages", "max_tokens"}`; the content
//! of a message is an array of `{"text"}`, `{"image"}` and `{"audio"}`, the latter two with the path of a file.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rmlx::{
    Audio, Event, EventKind, FinishReason, GenerationOptions, Image, LoadOptions, Media, Message, Model,
    Part, Prompt, Session, SessionOptions,
};
use serde_json::{Map, Value, json};

type AnyResult<T> = Result<T, Box<dyn Error>>;

/// The members of `config.json` that name the ids of soft tokens, and the kind of medium that they stand for.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("image_token_id", "image"),
    ("image_token_index", "image"),
    ("audio_token_id", "audio"),
    ("audio_token_index", "audio"),
    ("video_token_id", "video"),
    ("video_token_index", "video"),
];

fn main() -> AnyResult<()> {
    let (folder, questions) = arguments()?;
    let questions: Vec<Value> = serde_json::from_str(&fs::read_to_string(questions)?)?;
    say("library", json!({ "version": env!("CARGO_PKG_VERSION") }));
    say("inspect", outcome(Model::inspect(&folder)));
    let loading = Instant::now();
    let model = match Model::load(&folder, LoadOptions::default()) {
        Ok(model) => model,
        Err(error) => {
            say("load", failure(&error));
            return Ok(());
        }
    };
    let load_ms = milliseconds(loading);
    say("load", json!({ "value": model.info(), "ms": load_ms }));
    let began = Instant::now();
    let mut probe = outcome(model.probe());
    probe["ms"] = json!(milliseconds(began));
    say("probe", probe);
    let placeholders = placeholders(&folder)?;
    for question in &questions {
        let mut answer = match ask(&model, &placeholders, question) {
            Ok(answer) => answer,
            Err(error) => match error.downcast_ref::<rmlx::Error>() {
                Some(error) => failure(error),
                None => json!({ "error": { "code": null, "message": error.to_string() } }),
            },
        };
        answer["id"] = question["id"].clone();
        say("answer", answer);
    }
    let memory = rmlx::memory::stats()?;
    say("memory", json!({ "active": memory.active, "cache": memory.cache, "peak": memory.peak }));
    Ok(())
}

fn arguments() -> AnyResult<(PathBuf, PathBuf)> {
    const USAGE: &str = "usage: accept --model SNAPSHOT --questions FILE";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--model", model, "--questions", questions] => Ok((model.into(), questions.into())),
        _ => Err(USAGE.into()),
    }
}

fn say(stage: &str, mut value: Value) {
    value["stage"] = json!(stage);
    println!("{value}");
}

fn outcome(result: rmlx::Result<Value>) -> Value {
    match result {
        Ok(value) => json!({ "value": value }),
        Err(error) => failure(&error),
    }
}

fn failure(error: &rmlx::Error) -> Value {
    json!({ "error": { "code": format!("{:?}", error.code()), "message": error.message() } })
}

/// One greedy answer: its text, its tokens, how much likelier each was than the next, and the prompt's ids.
fn ask(model: &Model, placeholders: &[(u32, &str)], question: &Value) -> AnyResult<Value> {
    let prompt = Prompt { messages: messages(&question["messages"])?, ..Prompt::default() };
    let options = GenerationOptions {
        max_tokens: question["max_tokens"].as_u64().map(usize::try_from).transpose()?,
        temperature: Some(0.0),
        top_logprobs: 2,
        ..GenerationOptions::default()
    };
    // Each question stands alone: a session that held the one before would evaluate less of this one.
    let session = Session::new(model, &SessionOptions::default())?;
    session.submit(&prompt, &options)?;
    let (mut text, mut reasoning, mut tokens, mut margins) =
        (String::new(), String::new(), Vec::new(), Vec::new());
    let finish = loop {
        let event = session.step()?;
        match event.kind {
            EventKind::Reasoning => reasoning += &event.text,
            _ => text += &event.text,
        }
        if let Some(token) = event.token {
            tokens.push(token);
            margins.push(margin(&event));
        }
        if event.kind == EventKind::Finish {
            event.error.map_or(Ok(()), Err)?;
            break event.finish;
        }
    };
    let ids = session.prompt_tokens()?;
    let stats = session.stats();
    Ok(json!({
        "text": text,
        "reasoning": reasoning,
        "tokens": tokens,
        "margins": margins,
        "finish": finish.map_or("", name),
        "outline": outline(model, placeholders, &ids)?,
        "prompt_ids": ids,
        "media_tokens": stats.media_tokens,
        "encode_ms": stats.encode_ms,
        "first_token_ms": stats.first_token_ms,
        "decode_ms": stats.decode_ms,
    }))
}

fn messages(value: &Value) -> AnyResult<Vec<Message>> {
    let mut messages = Vec::new();
    for message in value.as_array().ok_or("a question has no messages")? {
        let parts = message["content"].as_array().ok_or("a message has no content")?;
        let role = message["role"].as_str().ok_or("a message has no role")?;
        let parts = parts.iter().map(part).collect::<AnyResult<Vec<_>>>()?;
        messages.push(Message { role: role.into(), parts, ..Message::default() });
    }
    Ok(messages)
}

fn part(value: &Value) -> AnyResult<Part> {
    let read = |file: &str| fs::read(file).map_err(|error| format!("cannot read {file}: {error}"));
    let member = |name: &str| value[name].as_str();
    if let Some(text) = member("text") {
        Ok(Part::Text(text.into()))
    } else if let Some(file) = member("image") {
        Ok(Part::Media(Arc::new(Media::Image(Image::decode(&read(file)?)?))))
    } else if let Some(file) = member("audio") {
        Ok(Part::Media(Arc::new(Media::Audio(Audio::decode(&read(file)?)?))))
    } else {
        Err(format!("neither text nor image nor audio: {value}").into())
    }
}

/// How much likelier the token was than the next one, in nats.
fn margin(event: &Event) -> Option<f32> {
    match event.top_logprobs.as_slice() {
        [first, second, ..] => Some(first.logprob - second.logprob),
        _ => None,
    }
}

fn name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfTurn => "end_of_turn",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::StopString => "stop_string",
        FinishReason::StopToken => "stop_token",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Cancelled => "cancelled",
        FinishReason::ContextFull => "context_full",
        FinishReason::ConstraintCut => "constraint_cut",
        FinishReason::Loop => "loop",
        FinishReason::Prefilled => "prefilled",
        FinishReason::Error => "error",
    }
}

fn placeholders(folder: &Path) -> AnyResult<Vec<(u32, &'static str)>> {
    let config: Map<String, Value> = serde_json::from_str(&fs::read_to_string(folder.join("config.json"))?)?;
    let id = |name| config.get(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    Ok(PLACEHOLDERS.iter().filter_map(|(name, kind)| Some((id(*name)?, *kind))).collect())
}

/// The prompt as text with special tokens spelled out, and in place of each run of soft tokens its kind, its first
/// position and its length.
fn outline(model: &Model, placeholders: &[(u32, &str)], ids: &[u32]) -> AnyResult<Vec<Value>> {
    let kind = |id: u32| placeholders.iter().find(|(own, _)| *own == id).map(|(_, kind)| *kind);
    let mut pieces = Vec::new();
    let mut start = 0;
    for run in ids.chunk_by(|a, b| kind(*a) == kind(*b)) {
        pieces.push(match kind(run[0]) {
            Some(kind) => json!({ "medium": kind, "start": start, "count": run.len() }),
            None => json!(model.detokenize(run, false)?),
        });
        start += run.len();
    }
    Ok(pieces)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
