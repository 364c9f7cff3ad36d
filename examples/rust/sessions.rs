//! Lets several sessions of one model answer at the same time, and prints how many tokens a second they get together, as
//! one line of JSON.
//!
//! `sessions --model SNAPSHOT --prompt TEXT --tokens N --sessions 1,2,4,8 [--rounds N]`: the numbers of sessions are
//! measured in turn, round after round, so that whatever else the machine does meets all of them.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use rmlx::{
    EventKind, GenerationOptions, LoadOptions, Message, Model, Part, Prompt, Session, SessionOptions,
};
use serde_json::{Map, Value, json};

type Failure = Box<dyn Error + Send + Sync>;

struct Arguments {
    model: PathBuf,
    prompt: String,
    tokens: usize,
    counts: Vec<usize>,
    rounds: usize,
}

fn main() -> Result<(), Failure> {
    let arguments = parse()?;
    let model = Model::load(&arguments.model, LoadOptions::default())?;
    // The first run pays for kernels and buffers.
    together(&model, &arguments, 1)?;
    let mut measured: Vec<Vec<f64>> = arguments.counts.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (rates, &count) in measured.iter_mut().zip(&arguments.counts) {
            rates.push(together(&model, &arguments, count)?);
        }
    }
    let mut rates = Map::new();
    for (count, mut values) in arguments.counts.iter().zip(measured) {
        values.sort_by(f64::total_cmp);
        rates.insert(count.to_string(), json!(values[values.len() / 2]));
    }
    println!("{}", json!({ "tokens_per_second": Value::Object(rates), "device": model.info()["device"] }));
    Ok(())
}

/// Tokens a second of `count` sessions, from when all have their first token until all have their last.
fn together(model: &Model, arguments: &Arguments, count: usize) -> Result<f64, Failure> {
    let barrier = Barrier::new(count + 1);
    thread::scope(|scope| {
        let answer = |index: usize| {
            let barrier = &barrier;
            scope.spawn(move || answer(model, arguments, index, barrier))
        };
        let threads: Vec<_> = (0..count).map(answer).collect();
        barrier.wait();
        let began = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| "a session's thread panicked")??;
        }
        Ok((count * (arguments.tokens - 1)) as f64 / began.elapsed().as_secs_f64())
    })
}

/// One greedy answer of exactly so many tokens, to a question that differs from session to session.
fn answer(model: &Model, arguments: &Arguments, index: usize, barrier: &Barrier) -> Result<(), Failure> {
    let session = Session::new(model, &SessionOptions::default())?;
    let parts = vec![Part::Text(format!("{index}. {}", arguments.prompt))];
    let prompt = Prompt { messages: vec![Message { role: "user".into(), parts }], ..Prompt::default() };
    let options = GenerationOptions {
        max_tokens: Some(arguments.tokens),
        temperature: Some(0.0),
        ignore_eos: true,
        ..GenerationOptions::default()
    };
    let begun = session.submit(&prompt, &options).and_then(|()| session.step());
    barrier.wait();
    begun?;
    loop {
        let event = session.step()?;
        if event.kind == EventKind::Finish {
            return event.error.map_or(Ok(()), |error| Err(error.into()));
        }
    }
}

fn parse() -> Result<Arguments, Failure> {
    let mut arguments = Arguments {
        model: PathBuf::new(),
        prompt: "Count the stars.".into(),
        tokens: 32,
        counts: vec![1, 2, 4, 8],
        rounds: 3,
    };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{flag} has no value"))?;
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--prompt" => arguments.prompt = value,
            "--tokens" => arguments.tokens = value.parse::<usize>()?.max(2),
            "--sessions" => {
                arguments.counts = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--rounds" => arguments.rounds = value.parse::<usize>()?.max(1),
            _ => return Err(format!("unknown option {flag}").into()),
        }
    }
    Ok(arguments)
}
