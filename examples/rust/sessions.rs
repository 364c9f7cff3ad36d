//! Lets several sessions of one model answer at the same time, and prints how many tokens a second they get together, as
//! one line of JSON; and how far the logits of one of them are then from those that it gets alone, in standard deviations
//! (root of the mean square). On a CPU that is rounding of `f32`; on a GPU products of other sizes round otherwise.
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

/// Rows that are compared.
const ROWS: usize = 8;

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
    let alone = together(&model, &arguments, 1, ROWS)?.rows;
    let most = arguments.counts.iter().copied().max().unwrap_or(1);
    let distance = distance(&alone, &together(&model, &arguments, most, ROWS)?.rows);
    let mut measured: Vec<Vec<f64>> = arguments.counts.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (rates, &count) in measured.iter_mut().zip(&arguments.counts) {
            rates.push(together(&model, &arguments, count, 0)?.rate);
        }
    }
    let mut rates = Map::new();
    for (count, mut values) in arguments.counts.iter().zip(measured) {
        values.sort_by(f64::total_cmp);
        rates.insert(count.to_string(), json!(values[values.len() / 2]));
    }
    println!(
        "{}",
        json!({
            "tokens_per_second": Value::Object(rates),
            "distance_from_alone": distance,
            "device": model.info()["device"],
        })
    );
    Ok(())
}

/// What several sessions did.
struct Outcome {
    /// Tokens a second of all together, from when all have their first token until all have their last.
    rate: f64,
    /// The first session's tokens and the logits that they were drawn from.
    rows: Vec<(u32, Vec<f32>)>,
}

/// Lets `count` sessions answer, and keeps `rows` of the first one's rows.
fn together(model: &Model, arguments: &Arguments, count: usize, rows: usize) -> Result<Outcome, Failure> {
    let barrier = Barrier::new(count + 1);
    thread::scope(|scope| {
        let answer = |index: usize| {
            let barrier = &barrier;
            let rows = if index == 0 { rows } else { 0 };
            scope.spawn(move || answer(model, arguments, index, rows, barrier))
        };
        let threads: Vec<_> = (0..count).map(answer).collect();
        barrier.wait();
        let began = Instant::now();
        let mut all = Vec::new();
        for thread in threads {
            all.push(thread.join().map_err(|_| "a session's thread panicked")??);
        }
        let rate = (count * (arguments.tokens - 1)) as f64 / began.elapsed().as_secs_f64();
        Ok(Outcome { rate, rows: all.swap_remove(0) })
    })
}

/// The largest distance of two rows, as long as the tokens before them are the same.
fn distance(a: &[(u32, Vec<f32>)], b: &[(u32, Vec<f32>)]) -> f64 {
    let mut largest = 0f64;
    for ((token, a), (other, b)) in a.iter().zip(b) {
        let count = a.len() as f64;
        let mean = a.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance: f64 = a.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
        let square: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        largest = largest.max((square / variance).sqrt());
        if token != other {
            break;
        }
    }
    largest
}

/// One greedy answer of exactly so many tokens, to a question that differs from session to session; `kept` of its
/// tokens and their logits.
fn answer(
    model: &Model,
    arguments: &Arguments,
    index: usize,
    kept: usize,
    barrier: &Barrier,
) -> Result<Vec<(u32, Vec<f32>)>, Failure> {
    let session = Session::new(model, &SessionOptions::default())?;
    let parts = vec![Part::Text(format!("{index}. {}", arguments.prompt))];
    let prompt = Prompt { messages: vec![Message::new("user", parts)], ..Prompt::default() };
    let options = GenerationOptions {
        max_tokens: Some(arguments.tokens),
        temperature: Some(0.0),
        ignore_eos: true,
        ..GenerationOptions::default()
    };
    let begun = session.submit(&prompt, &options).and_then(|()| session.step());
    barrier.wait();
    begun?;
    let mut rows = Vec::new();
    loop {
        let event = session.step()?;
        if event.kind == EventKind::Finish {
            return event.error.map_or(Ok(rows), |error| Err(error.into()));
        }
        if let Some(token) = event.token.filter(|_| rows.len() < kept) {
            rows.push((token, session.logits()?));
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
