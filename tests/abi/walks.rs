//! Sessions on long walks: submits, edits, cuts, forks, evaluations ahead, cancels and resets in any order, and each answer
//! as a fresh session gives it.

use rmlx::ffi::generation_options::rmlx_generation_options_set_progress_events;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::fresh::same_as_fresh;
use crate::harness::{Media, Model, Prompt};

/// The same numbers for a seed everywhere.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// A user's turn and what was answered to it.
#[derive(Clone)]
struct Turn {
    asked: String,
    medium: Option<(&'static str, usize)>,
    answered: String,
}

impl Turn {
    fn of(dice: &mut Dice, media: &[&'static str]) -> Turn {
        let words = ["window", "wall", "word", "strip", "colour", "why", "seven", "more", "light", "of"];
        let mut text = |most: usize| {
            let count = 1 + dice.roll(most);
            (0..count).map(|_| words[dice.roll(words.len())]).collect::<Vec<_>>().join(" ")
        };
        let (asked, answered) = (text(30), text(12));
        let medium =
            (!media.is_empty() && dice.roll(4) == 0).then(|| (media[dice.roll(media.len())], dice.roll(3)));
        Turn { asked, medium, answered }
    }
}

fn medium(kind: &str, number: usize) -> Media {
    match kind {
        "image" => {
            let pixels: Vec<u8> = (0..96 * 96).map(|i| (i * (10 + 7 * number) % 251) as u8).collect();
            Media::gray(96, 96, &pixels).expect("an image")
        }
        _ => {
            let samples: Vec<f32> =
                (0..3200 * (number + 1)).map(|i| (i as f32 * (0.1 + number as f32 * 0.05)).sin()).collect();
            Media::pcm(&samples, 16_000).expect("a sound")
        }
    }
}

fn prompt(turns: &[Turn]) -> Prompt {
    let mut prompt = Prompt::new();
    for (index, turn) in turns.iter().enumerate() {
        prompt = prompt.message("user").text(&turn.asked);
        if let Some((kind, number)) = turn.medium {
            prompt = prompt.media(&medium(kind, number));
        }
        if index + 1 < turns.len() {
            prompt = prompt.message("assistant").text(&turn.answered);
        }
    }
    prompt
}

/// Sessions with their conversations.
struct Walk<'a> {
    model: &'a Model,
    dice: Dice,
    media: Vec<&'static str>,
    all: Vec<(Session, Vec<Turn>)>,
    reused: usize,
}

impl Walk<'_> {
    fn step(&mut self) {
        let at = self.dice.roll(self.all.len());
        let more = Turn::of(&mut self.dice, &self.media);
        match self.dice.roll(12) {
            0..=2 => self.all[at].1.push(more),
            3..=4 => {
                let turns = &mut self.all[at].1;
                let edited = self.dice.roll(turns.len());
                turns[edited] = more;
            }
            5 => {
                let turns = &mut self.all[at].1;
                turns.truncate(1 + self.dice.roll(turns.len()));
            }
            6..=7 => {
                let held = self.all[at].0.stats().held_tokens as usize;
                let positions = self.dice.roll(held + 2);
                assert!(self.all[at].0.truncate(positions).expect("a length") <= positions);
            }
            8..=9 => {
                let fork = self.all[at].0.fork().expect("a fork");
                let turns = self.all[at].1.clone();
                match self.all.len() < 3 {
                    true => self.all.push((fork, turns)),
                    false => self.all[(at + 1) % 3] = (fork, turns),
                }
            }
            10 => {
                let (session, turns) = &self.all[at];
                let options = Options::endless(1 + self.dice.roll(90));
                let options = options.set(|o, e| rmlx_generation_options_set_progress_events(o, true, e));
                match self.dice.roll(2) {
                    0 => session.prefill(&prompt(turns), &options),
                    _ => session.submit(&prompt(turns), &options),
                }
                .expect("an accepted prompt");
                for _ in 0..self.dice.roll(6) {
                    if session.step().expect("an event").is_finish() {
                        return;
                    }
                }
                session.cancel();
                session.rest();
            }
            _ => {
                if self.dice.roll(3) == 0 {
                    self.all[at].0.reset().expect("a reset");
                }
            }
        }
        let (session, turns) = &mut self.all[at];
        turns.drain(..turns.len().saturating_sub(9));
        if self.dice.roll(3) > 0 {
            // Answers of different lengths, so that windows move on.
            session.answer(&prompt(turns), &Options::endless(1 + self.dice.roll(70)));
            self.reused += same_as_fresh(self.model, session, &prompt(turns));
        }
    }
}

fn walk(folder: &str, seed: u64) {
    let model = Model::load(fixtures::path(folder)).expect("the snapshot loads");
    let info = model.info();
    let takes = |kind: &&str| info["modalities"].as_array().expect("a list").iter().any(|m| m == kind);
    let media: Vec<&str> = ["image", "audio"].into_iter().filter(takes).collect();
    let mut dice = Dice(seed);
    let first = vec![Turn::of(&mut dice, &media)];
    let chunk = [512, 64, 7][dice.roll(3)];
    let mut walk =
        Walk { model: &model, dice, media, all: vec![(Session::of_chunk(&model, chunk), first)], reused: 0 };
    for step in 0..30 {
        // A failure says where it was.
        println!("{folder}, seed {seed}, step {step}");
        walk.step();
    }
    assert!(walk.reused > 0);
}

macro_rules! walks {
    ($($kind:ident: $folder:literal,)*) => {
        $(#[test]
        fn $kind() {
            walk($folder, 11);
        })*
    };
}

walks! {
    unified: "unified-bf16-mlx",
    unified_in_affine: "unified-affine4",
    per_layer_inputs: "e2b-bf16-hf",
    experts_in_mxfp4: "moe-mxfp4",
    dense: "dense31-bf16-hf",
    gemma3: "gemma3-bf16-hf",
    gemma3_in_mxfp8: "gemma3-mxfp8",
    qwen3_vl: "qwen3vl-bf16-hf",
    qwen3_vl_of_experts_in_nvfp4: "qwen3vlmoe-nvfp4",
}
