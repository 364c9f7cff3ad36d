//! Runs one prompt and prints what it took, as one line of JSON.
//!
//! The same arguments and the same fields as `benches/mlx_vlm_driver.py`, so that `cargo xtask bench` can put them side
//! by side.
//!
//! As one of several processes that `mlx.launch` started, or that have its environment, it does a part of the model. The ranks
//! after the first one print the memory that they took.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rmlx::engine::{GroupOptions, serve};
use rmlx::{
    CacheType, EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, Prompt,
    Session, SessionOptions,
};
use serde_json::json;

#[derive(Default)]
struct Arguments {
    model: PathBuf,
    prompt: String,
    image: Option<PathBuf>,
    tokens: usize,
    repeats: usize,
    cache_type: CacheType,
}

/// What one generation took.
struct Run {
    /// The time of day at which the first token came.
    first_token: Duration,
    ttft_ms: f64,
    decode_tps: f64,
    /// Processor time of all threads, up to the first token.
    prefill_cpu_ms: f64,
    /// The same for each later token.
    decode_cpu_ms: f64,
    tokens: Vec<u32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = parse()?;
    let started: f64 = std::env::var("RMLX_BENCH_STARTED")?.parse()?;

    let group = std::env::var_os("MLX_RANK").map(|_| GroupOptions::default());
    let options = LoadOptions { group, cache_type: arguments.cache_type, ..LoadOptions::default() };
    if std::env::var("MLX_RANK").is_ok_and(|rank| rank != "0") {
        serve(&arguments.model, &options)?;
        println!("{}", json!({ "peak_mlx_bytes": rmlx::memory::stats()?.peak }));
        return Ok(());
    }
    let loading = Instant::now();
    let model = Model::load(&arguments.model, options)?;
    let load_ms = milliseconds(loading.elapsed());
    let session = Session::new(&model, &SessionOptions::default())?;

    let cold = run(&session, &arguments)?;
    let prompt_ids = session.prompt_tokens()?;
    let mut later = Vec::new();
    for _ in 0..arguments.repeats {
        session.reset()?;
        later.push(run(&session, &arguments)?);
    }
    let measured = if later.is_empty() { std::slice::from_ref(&cold) } else { &later };
    let ttft_ms = median(measured.iter().map(|run| run.ttft_ms).collect());
    let stats = session.stats();
    let report = json!({
        "prepare_ms": stats.prepare_ms,
        "prefill_ms": stats.prefill_ms,
        "first_token_ms": 1e3 * (cold.first_token.as_secs_f64() - started),
        "load_ms": load_ms,
        "first_ttft_ms": cold.ttft_ms,
        "ttft_ms": ttft_ms,
        "prefill_tps": prompt_ids.len() as f64 / ttft_ms * 1e3,
        "decode_tps": median(measured.iter().map(|run| run.decode_tps).collect()),
        "prefill_cpu_ms": median(measured.iter().map(|run| run.prefill_cpu_ms).collect()),
        "decode_cpu_ms": median(measured.iter().map(|run| run.decode_cpu_ms).collect()),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_mlx_bytes": rmlx::memory::stats()?.peak,
        "device": model.info()["device"],
        "finite_logits": session.logits()?.iter().all(|logit| logit.is_finite()),
        "prompt_tokens": prompt_ids.len(),
        "prompt_ids": prompt_ids,
        "tokens": cold.tokens,
    });
    println!("{report}");
    Ok(())
}

/// One greedy generation of exactly so many tokens, from the picture's file to the last token.
fn run(session: &Session, arguments: &Arguments) -> Result<Run, Box<dyn Error>> {
    let (begin, begin_cpu) = (Instant::now(), processor_ms());
    let mut parts = vec![Part::Text(arguments.prompt.clone())];
    if let Some(file) = &arguments.image {
        parts.insert(0, Part::Media(Media::Image(Image::decode(&std::fs::read(file)?)?).into()));
    }
    let prompt = Prompt { messages: vec![Message::new("user", parts)], ..Prompt::default() };
    let options = GenerationOptions {
        max_tokens: Some(arguments.tokens),
        temperature: Some(0.0),
        ignore_eos: true,
        ..GenerationOptions::default()
    };
    session.submit(&prompt, &options)?;

    let mut tokens = Vec::new();
    let mut first = None;
    let mut last = begin;
    loop {
        let event = session.step()?;
        if event.kind == EventKind::Finish {
            if let Some(error) = event.error {
                return Err(error.into());
            }
            break;
        }
        let Some(token) = event.token else { continue };
        last = Instant::now();
        first.get_or_insert((last, SystemTime::now(), processor_ms()));
        tokens.push(token);
    }
    let (first, time_of_day, first_cpu) = first.ok_or("no token was generated")?;
    Ok(Run {
        first_token: time_of_day.duration_since(UNIX_EPOCH)?,
        ttft_ms: milliseconds(first - begin),
        decode_tps: (tokens.len() - 1) as f64 / (last - first).as_secs_f64(),
        prefill_cpu_ms: first_cpu - begin_cpu,
        decode_cpu_ms: (processor_ms() - first_cpu) / (tokens.len() - 1) as f64,
        tokens,
    })
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments { repeats: 2, ..Arguments::default() };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{flag} has no value"))?;
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--prompt" => arguments.prompt = value,
            "--image" => arguments.image = Some(value.into()),
            "--tokens" => arguments.tokens = value.parse()?,
            "--cache" => {
                arguments.cache_type = match value.as_str() {
                    "f32" => CacheType::F32,
                    "f16" => CacheType::F16,
                    "bf16" => CacheType::Bf16,
                    _ => return Err(format!("no cache type {value}").into()),
                }
            }
            "--repeats" => arguments.repeats = value.parse()?,
            _ => return Err(format!("unknown option {flag}").into()),
        }
    }
    Ok(arguments)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn usage() -> libc::rusage {
    // SAFETY: an all-zero rusage is a valid value, and the call only writes to it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    }
}

/// Of all threads of this process.
fn processor_ms() -> f64 {
    let usage = usage();
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 * 1e-3;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

fn peak_rss_bytes() -> u64 {
    let usage = usage();
    // Linux counts in kilobytes, Darwin in bytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).unwrap_or_default() * unit
}
