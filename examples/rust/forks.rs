//! Forks a session that holds a long prompt, again and again, and prints what that takes: memory and time of the forks
//! themselves, and of those that then go on, alone and all at once. One line of JSON.
//!
//! `forks --model SNAPSHOT [--prefix TOKENS] [--forks N] [--tokens N]`

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use rmlx::{EventKind, GenerationOptions, LoadOptions, Model, Prompt, Session, SessionOptions, memory};
use serde_json::json;

struct Arguments {
    model: PathBuf,
    prefix: usize,
    forks: usize,
    tokens: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = parse()?;
    let model = Model::load(&arguments.model, LoadOptions::default())?;
    let words = model.tokenize("The window of this model is short. ", false)?;
    let prefix: Vec<u32> = words.iter().copied().cycle().take(arguments.prefix).collect();
    let ask = |question: usize| -> Result<Prompt, Box<dyn Error>> {
        let question = model.tokenize(&format!("Question {question}?"), false)?;
        Ok(Prompt { tokens: Some([&prefix[..], &question[..]].concat()), ..Prompt::default() })
    };
    let options = GenerationOptions {
        max_tokens: Some(arguments.tokens),
        temperature: Some(0.0),
        ignore_eos: true,
        ..GenerationOptions::default()
    };
    // The first run pays for kernels and buffers.
    answer(&Session::new(&model, &SessionOptions::default())?, &ask(0)?, &options)?;
    let root = Session::new(&model, &SessionOptions::default())?;
    let began = Instant::now();
    root.prefill(&ask(0)?, &options)?;
    root.step()?;
    let prefill_ms = millis(began);
    let (cache, checkpoints, before) = (root.stats().cache_bytes, root.stats().checkpoint_bytes, active()?);
    let began = Instant::now();
    let forks = (0..arguments.forks).map(|_| root.fork()).collect::<Result<Vec<_>, _>>()?;
    let fork_ms = millis(began) / arguments.forks as f64;
    let forked = active()?;
    // An answer of one token: what a fork needs to go its own way.
    let first = GenerationOptions { max_tokens: Some(1), ..options.clone() };
    let began = Instant::now();
    for (index, fork) in forks.iter().enumerate() {
        answer(fork, &ask(index)?, &first)?;
    }
    let part_ms = millis(began) / arguments.forks as f64;
    let parted = active()?;
    let began = Instant::now();
    for (index, fork) in forks.iter().enumerate() {
        fork.submit(&ask(index)?, &options)?;
    }
    let mut running: Vec<&Session> = forks.iter().collect();
    while !running.is_empty() {
        let mut going = Vec::with_capacity(running.len());
        for session in running {
            if session.step()?.kind != EventKind::Finish {
                going.push(session);
            }
        }
        running = going;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "device": model.info()["device"],
            "prefix_tokens": arguments.prefix,
            "forks": arguments.forks,
            "prefill_ms": prefill_ms,
            "cache_bytes": cache,
            "checkpoint_bytes": checkpoints,
            "fork_ms": fork_ms,
            "bytes_of_each_fork": (forked.saturating_sub(before)) / arguments.forks as u64,
            "first_token_of_each_ms": part_ms,
            "bytes_of_each_that_went_on": (parted.saturating_sub(before)) / arguments.forks as u64,
            "tokens_per_second_together": (arguments.forks * arguments.tokens) as f64 / seconds,
        })
    );
    Ok(())
}

fn answer(session: &Session, prompt: &Prompt, options: &GenerationOptions) -> Result<(), rmlx::Error> {
    session.submit(prompt, options)?;
    loop {
        let event = session.step()?;
        if event.kind == EventKind::Finish {
            return event.error.map_or(Ok(()), Err);
        }
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Bytes in use, without those that MLX keeps to be used again.
fn active() -> Result<u64, rmlx::Error> {
    Ok(memory::stats()?.active)
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments { model: PathBuf::new(), prefix: 2000, forks: 100, tokens: 8 };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{flag} has no value"))?;
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--prefix" => arguments.prefix = value.parse::<usize>()?.max(1),
            "--forks" => arguments.forks = value.parse::<usize>()?.max(1),
            "--tokens" => arguments.tokens = value.parse::<usize>()?.max(1),
            _ => return Err(format!("unknown option {flag}").into()),
        }
    }
    Ok(arguments)
}
