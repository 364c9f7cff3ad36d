//! Sixteen threads that ask, cancel, fork, cut, save, suspend, load and unload for minutes, and what the process holds after
//! each part of it, when everything has been given back. `cargo xtask soak` judges it.
//!
//! `soak --model SNAPSHOT --seconds N [--parts N]`: prints a line of JSON for each part, the first of which warms up.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rmlx::engine::{resume, suspend};
use rmlx::{
    Code, EventKind, GenerationOptions, Image, LoadOptions, Media, Message, Model, Part, PixelDesc,
    PixelFormat, Prompt, Session, SessionOptions,
};
use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

const THREADS: usize = 16;
const MODELS: usize = 2;

struct Arguments {
    model: PathBuf,
    seconds: u64,
    parts: u64,
}

/// What was done.
#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    cancels: AtomicU64,
    forks: AtomicU64,
    saves: AtomicU64,
    loads: AtomicU64,
    suspensions: AtomicU64,
}

fn main() -> Result<(), Failure> {
    let arguments = parse()?;
    let file = std::env::temp_dir().join(format!("rmlx-soak-{}", std::process::id()));
    for part in 0..arguments.parts {
        let length = Duration::from_secs(arguments.seconds) / arguments.parts.try_into()?;
        let counts = Counts::default();
        run(&arguments.model, part, length, &counts, &file)?;
        rmlx::memory::trim()?;
        println!("{}", told(part, &counts)?);
    }
    fs::remove_file(&file)?;
    Ok(())
}

/// One part: models are loaded for it, and all that was made is gone when it ends.
fn run(folder: &Path, part: u64, length: Duration, counts: &Counts, file: &Path) -> Result<(), Failure> {
    let end = Instant::now() + length;
    let mut models = Vec::new();
    for _ in 0..MODELS {
        models.push(Mutex::new(load(folder, counts)?));
    }
    let shared = Shared { folder, models, file: Mutex::new(file), counts, end };
    thread::scope(|scope| {
        let work = |number: usize| {
            let (shared, seed) = (&shared, part * 1000 + number as u64);
            scope.spawn(move || shared.thread(number, Dice(seed)))
        };
        let threads: Vec<_> = (0..THREADS).map(work).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

fn load(folder: &Path, counts: &Counts) -> Result<Model, rmlx::Error> {
    counts.loads.fetch_add(1, Ordering::Relaxed);
    Model::load(folder, LoadOptions::default())
}

struct Shared<'a> {
    folder: &'a Path,
    models: Vec<Mutex<Model>>,
    /// One thread at a time writes it.
    file: Mutex<&'a Path>,
    counts: &'a Counts,
    end: Instant,
}

impl Shared<'_> {
    /// The first thread now and then puts another model in the place of one, the second one suspends all work.
    fn thread(&self, number: usize, mut dice: Dice) -> Result<(), Failure> {
        while Instant::now() < self.end {
            match number {
                0 if dice.roll(4) == 0 => {
                    let model = load(self.folder, self.counts)?;
                    *lock(&self.models[dice.roll(MODELS)]) = model;
                }
                1 if dice.roll(2) == 0 => {
                    count(&self.counts.suspensions);
                    allowed(suspend(Duration::from_millis(50)))?;
                    thread::sleep(Duration::from_millis(dice.roll(20) as u64));
                    resume();
                }
                // What it holds is given back all the same.
                _ => match self.life(&mut dice) {
                    Err(error) if is_suspended(&error) => {}
                    outcome => outcome?,
                },
            }
        }
        Ok(())
    }

    /// A session from its beginning to its end.
    fn life(&self, dice: &mut Dice) -> Result<(), Failure> {
        let model = lock(&self.models[dice.roll(MODELS)]).clone();
        let options =
            SessionOptions { prefill_chunk: Some([16, 64, 512][dice.roll(3)]), ..Default::default() };
        let mut session = Session::new(&model, &options)?;
        let mut turns = vec![turn(dice)];
        for _ in 0..1 + dice.roll(6) {
            self.answer(&session, &turns, dice)?;
            match dice.roll(7) {
                0 => {
                    count(&self.counts.forks);
                    session = session.fork()?;
                }
                1 => drop(session.truncate(dice.roll(200))?),
                2 => session.reset()?,
                3 => session = self.saved(&model, &session)?,
                4 => turns.clear(),
                _ => {}
            }
            turns.push(turn(dice));
        }
        Ok(())
    }

    /// Asks, and takes the answer to its end; or cancels, or leaves it.
    fn answer(&self, session: &Session, turns: &[Message], dice: &mut Dice) -> Result<(), Failure> {
        let options = GenerationOptions {
            max_tokens: Some(1 + dice.roll(24)),
            temperature: Some([0.0, 1.0][dice.roll(2)]),
            seed: Some(dice.0),
            top_logprobs: dice.roll(3),
            ignore_eos: true,
            ..Default::default()
        };
        session.submit(&Prompt { messages: turns.to_vec(), ..Default::default() }, &options)?;
        let cancelled = dice.roll(4) == 0;
        let steps = if cancelled { dice.roll(8) } else { usize::MAX };
        for step in 0.. {
            if step == steps {
                count(&self.counts.cancels);
                session.cancel();
            }
            let event = session.step()?;
            if event.kind == EventKind::Finish {
                if let Some(error) = event.error {
                    allowed(Err::<(), _>(error))?;
                }
                count(&self.counts.answers);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The session as it comes back from a file.
    fn saved(&self, model: &Model, session: &Session) -> Result<Session, Failure> {
        count(&self.counts.saves);
        let file = lock(&self.file);
        session.save(&file)?;
        Ok(Session::load(model, &SessionOptions::default(), &file)?)
    }
}

/// Most calls that need MLX say so while another thread has suspended it.
fn is_suspended(error: &Failure) -> bool {
    error.downcast_ref::<rmlx::Error>().is_some_and(|error| error.code() == Code::Suspended)
}

/// What cancels and suspensions bring about is no failure.
fn allowed<T>(outcome: rmlx::Result<T>) -> Result<(), Failure> {
    match outcome {
        Err(error) if !matches!(error.code(), Code::Cancelled | Code::Suspended | Code::Timeout) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

fn turn(dice: &mut Dice) -> Message {
    let words = ["window", "wall", "word", "strip", "colour", "why", "seven", "more", "light", "of"];
    let text: Vec<&str> = (0..1 + dice.roll(40)).map(|_| words[dice.roll(words.len())]).collect();
    let mut parts = vec![Part::Text(text.join(" "))];
    if dice.roll(8) == 0 {
        let rgb: Vec<u8> = (0..96 * 96).map(|i| (i * (1 + dice.roll(7)) % 251) as u8).collect();
        let desc = PixelDesc { width: 96, height: 96, row_stride: 96, format: PixelFormat::Gray8 };
        if let Ok(image) = Image::from_pixels(&desc, &rgb) {
            parts.insert(0, Part::Media(Media::Image(image).into()));
        }
    }
    Message::new("user", parts)
}

fn told(part: u64, counts: &Counts) -> Result<Value, Failure> {
    give_back_free_pages();
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Ok(json!({
        "part": part,
        "resident": status("VmRSS:")? * 1024,
        "threads": status("Threads:")?,
        "descriptors": fs::read_dir("/proc/self/fd")?.count(),
        "active": rmlx::memory::stats()?.active,
        "answers": of(&counts.answers),
        "cancels": of(&counts.cancels),
        "forks": of(&counts.forks),
        "saves": of(&counts.saves),
        "loads": of(&counts.loads),
        "suspensions": of(&counts.suspensions),
    }))
}

/// What the allocator keeps of freed memory depends on who was last, and is nobody's leak.
fn give_back_free_pages() {
    // SAFETY: it takes a number and may be called from any thread.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A number that the system says of this process.
fn status(name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The same numbers for a seed everywhere.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

fn parse() -> Result<Arguments, Failure> {
    let mut arguments = Arguments { model: PathBuf::new(), seconds: 60, parts: 5 };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{flag} has no value"))?;
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--seconds" => arguments.seconds = value.parse()?,
            "--parts" => arguments.parts = value.parse()?,
            _ => return Err(format!("unknown argument {flag}").into()),
        }
    }
    Ok(arguments)
}
