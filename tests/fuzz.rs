//! What the fuzzers of `fuzz/` run, here on a fixed number of inputs: each file of a target's corpus, damaged copies of
//! them, and bytes at random. The numbers come from a seed, so every run tries the same.
//!
//! `RMLX_FUZZ_RUNS=N` tries N inputs for each target instead, and `RMLX_FUZZ_SEED=N` begins with another seed.

#[allow(dead_code)]
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use targets::{ALL, Target, root};

/// The same numbers for a seed everywhere.
struct Dice(u64);

impl Dice {
    /// Below `sides`; 0 where there is no side.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}

/// One to four changes, most of them near the beginning, where headers are.
fn damaged(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut copy = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(4) {
        let reach = if dice.roll(2) == 0 { copy.len().min(100) } else { copy.len() };
        let at = dice.roll(reach);
        let end = (at + 1 + dice.roll(16)).min(copy.len());
        match dice.roll(8) {
            0..=1 if at < copy.len() => copy[at] ^= 1 << dice.roll(8),
            2 if at < copy.len() => copy[at] = dice.roll(256) as u8,
            3 if at < copy.len() => copy[at] = [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
            4 => {
                let count = dice.roll(9);
                drop(copy.splice(at..at, dice.bytes(count)));
            }
            5 if at < end => drop(copy.drain(at..end)),
            6 if at < end => {
                let (taken, to) = (copy[at..end].to_vec(), dice.roll(copy.len()));
                drop(copy.splice(to..to, taken));
            }
            7 if dice.roll(3) == 0 => copy.truncate(dice.roll(copy.len())),
            _ => {}
        }
    }
    copy
}

/// Keeps an input that a target panics on.
struct Kept<'a>(&'a str, &'a [u8]);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", self.0));
            let kept = fs::write(&path, self.1);
            println!("{}: the input is in {} ({kept:?})", self.0, path.display());
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(name: &str, runs: usize) {
    let Target { run, seeds, .. } = ALL.iter().find(|target| target.name == name).expect("a target");
    let own = format!("fuzz/corpus/{name}");
    let folders = [own.as_str()].into_iter().chain(seeds.iter().copied());
    let seeds: Vec<Vec<u8>> = folders
        .flat_map(|folder| files(&root().join(folder)))
        .map(|file| fs::read(file).expect("a seed"))
        .collect();
    let mut dice = Dice(number("RMLX_FUZZ_SEED").unwrap_or(name.len()) as u64);
    let tried = |input: &[u8]| {
        let _kept = Kept(name, input);
        run(input);
    };
    seeds.iter().for_each(|seed| tried(seed));
    for round in 0..number("RMLX_FUZZ_RUNS").unwrap_or(runs) {
        // Bytes at random are structure to the targets that read their input piece by piece.
        match seeds.is_empty() || round % 8 == 0 {
            true => {
                let count = dice.roll(600);
                tried(&dice.bytes(count));
            }
            false => tried(&damaged(&seeds, &mut dice)),
        }
    }
}

macro_rules! targets {
    ($($name:ident: $runs:literal,)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $runs);
        })*

        #[test]
        fn every_target_is_run() {
            let here = [$(stringify!($name)),*];
            assert!(ALL.iter().all(|target| here.contains(&target.name)));
        }
    };
}

targets! {
    answers: 20_000,
    calls: 40,
    config: 500,
    constraints: 300,
    images: 3_000,
    pixels: 20_000,
    rendering: 500,
    saved: 1_000,
    sounds: 1_000,
    templates: 500,
    tokens: 2_000,
    weights: 300,
}
