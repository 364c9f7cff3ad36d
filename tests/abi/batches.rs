//! Sessions that are answered at the same time, their tokens in one pass: each gets what it gets alone.

use std::sync::{Barrier, OnceLock};
use std::thread;

use rmlx::ffi::event::*;
use rmlx::ffi::generation_options::*;
use rmlx::ffi::memory::rmlx_memory_trim;

use crate::answers::{Options, Session};
use crate::around::beside;
use crate::fixtures::{self, Case, distance, sigma};
use crate::harness::{Model, Prompt, check};

/// How far from its row alone a session's row may be, in standard deviations.
const CLOSE: f32 = 1e-4;

/// Conversations of each kind: text and media mixed, short and long.
const GEMMA3: [&str; 8] = [
    "text",
    "two_images",
    "image_left_behind",
    "system",
    "interleaved",
    "long_text",
    "image_last",
    "multi_turn",
];
const QWEN3_VL: [&str; 8] = [
    "text",
    "video",
    "image_left_behind",
    "two_images",
    "interleaved",
    "long_text",
    "system",
    "image_and_video",
];
const UNIFIED: [&str; 8] =
    ["text", "two_images", "image_and_audio", "long_text", "image_last_turn", "text", "interleaved", "audio"];
const E2B: [&str; 8] =
    ["text", "video", "image_and_audio", "long_text", "image_last_turn", "audio", "interleaved", "system"];

/// A conversation and how it is answered.
struct Ask {
    case: Case,
    tokens: usize,
    /// Sampled with it, every other with penalties for what was said; the likeliest token otherwise.
    seed: Option<u64>,
    /// Cancelled by its host after so many tokens.
    cancel_after: Option<usize>,
}

/// All that a host sees of an answer.
#[derive(Default)]
struct Seen {
    tokens: Vec<u32>,
    rows: Vec<Vec<f32>>,
    finish: rmlx_finish_reason,
}

impl Ask {
    /// The conversations `names` of a kind, with answers of different lengths: the second ends first.
    fn of(folder: &str, names: &[&str]) -> Vec<Ask> {
        let kind = folder.split("-").next().expect("a kind");
        let case = |name: &&str| match kind {
            "unified" => Case::load(name),
            _ => Case::load(&format!("{kind}/{name}")),
        };
        let ask = |(i, name)| Ask {
            case: case(name),
            tokens: if i == 1 { 3 } else { 14 + i },
            seed: None,
            cancel_after: None,
        };
        names.iter().enumerate().map(ask).collect()
    }

    fn submit(&self, session: &Session) {
        let options = match self.seed {
            None => Options::endless(self.tokens),
            Some(seed) => Options::endless(self.tokens)
                .set(|o, e| rmlx_generation_options_set_temperature(o, 1.0, e))
                .set(|o, e| rmlx_generation_options_set_seed(o, seed, e))
                .set(|o, e| rmlx_generation_options_set_frequency_penalty(o, (seed % 2) as f32, e)),
        };
        session.submit(&self.prompt(), &options).expect("an accepted prompt");
    }

    fn prompt(&self) -> Prompt {
        self.case.prompt()
    }

    /// Takes the next event; whether it was the last.
    fn step(&self, session: &Session, seen: &mut Seen) -> bool {
        let event = session.step().expect("an event");
        if let Some(token) = event.token {
            seen.tokens.push(token);
            seen.rows.push(session.logits().expect("the token's row"));
            if self.cancel_after == Some(seen.tokens.len()) {
                session.cancel();
            }
        }
        seen.finish = event.finish;
        event.is_finish()
    }

    fn answer(&self, model: &Model) -> Seen {
        let (session, mut seen) = (Session::new(model), Seen::default());
        self.submit(&session);
        while !self.step(&session, &mut seen) {}
        seen
    }

    /// What was seen must be what is seen `alone`, up to a cancel.
    #[track_caller]
    fn is_answered_as_alone(&self, seen: &Seen, alone: &Seen) {
        let name = &self.case.name;
        match self.cancel_after {
            None => {
                assert_eq!(seen.tokens, alone.tokens, "{name}");
                assert_eq!(seen.finish, RMLX_FINISH_MAX_TOKENS, "{name}");
            }
            Some(count) => {
                assert!(seen.tokens.len() >= count && seen.tokens.len() <= count + 1, "{name}");
                assert!(alone.tokens.starts_with(&seen.tokens), "{name}: {:?}", seen.tokens);
                assert_eq!(seen.finish, RMLX_FINISH_CANCELLED, "{name}");
            }
        }
        for (i, (row, wanted)) in seen.rows.iter().zip(&alone.rows).enumerate() {
            let off = distance(row, wanted, sigma(wanted));
            assert!(off <= CLOSE, "{name}: row {i} is off by {off}");
        }
    }
}

/// Each session has a thread of its own.
fn on_threads(asked: &[(&Model, Ask)]) -> Vec<Seen> {
    let start = Barrier::new(asked.len());
    let answered = |(model, ask): &(&Model, Ask)| {
        start.wait();
        ask.answer(model)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = asked.iter().map(|asked| scope.spawn(|| answered(asked))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    })
}

/// One thread takes an event of each session in turn.
fn in_turn(asked: &[(&Model, Ask)]) -> Vec<Seen> {
    let sessions: Vec<Session> = asked.iter().map(|(model, _)| Session::new(model)).collect();
    let mut seen: Vec<Seen> = asked.iter().map(|_| Seen::default()).collect();
    asked.iter().zip(&sessions).for_each(|((_, ask), session)| ask.submit(session));
    let mut running: Vec<usize> = (0..asked.len()).collect();
    while !running.is_empty() {
        running.retain(|&i| !asked[i].1.step(&sessions[i], &mut seen[i]));
    }
    seen
}

#[track_caller]
fn answered_as_alone(asked: &[(&Model, Ask)], alone: &[Seen]) {
    for together in [on_threads(asked), in_turn(asked)] {
        for ((seen, alone), (_, ask)) in together.iter().zip(alone).zip(asked) {
            ask.is_answered_as_alone(seen, alone);
        }
    }
}

/// What each conversation gets alone; a cancel is left out.
fn alone(asked: &[(&Model, Ask)]) -> Vec<Seen> {
    let alone = |(model, ask): &(&Model, Ask)| {
        let ask = Ask { case: Case::load(&ask.case.name), cancel_after: None, ..*ask };
        ask.answer(model)
    };
    asked.iter().map(alone).collect()
}

fn load(folder: &str) -> Model {
    Model::load(fixtures::path(folder)).expect("the snapshot loads")
}

fn with(model: &Model, asks: Vec<Ask>) -> Vec<(&Model, Ask)> {
    asks.into_iter().map(|ask| (model, ask)).collect()
}

fn sessions_together_answer_as_alone(model: &Model, folder: &str, names: &[&str; 8]) {
    let all = alone(&with(model, Ask::of(folder, names)));
    for count in [2, 4, 8] {
        let mut asks = Ask::of(folder, &names[..count]);
        if let Some(third) = asks.get_mut(2) {
            third.cancel_after = Some(5);
        }
        answered_as_alone(&with(model, asks), &all[..count]);
    }
}

fn sampled_sessions_draw_as_alone(model: &Model, folder: &str, names: &[&str; 8]) {
    let mut asks = Ask::of(folder, &names[..4]);
    asks.iter_mut().zip(7..).for_each(|(ask, seed)| ask.seed = Some(seed));
    let asked = with(model, asks);
    let alone = alone(&asked);
    answered_as_alone(&asked, &alone);
    // Two that differ in their seeds alone say something else.
    let mut same = Ask::of(folder, &[names[0], names[0]]);
    same.iter_mut().zip(7..).for_each(|(ask, seed)| (ask.seed, ask.tokens) = (Some(seed), 14));
    let both = on_threads(&with(model, same));
    assert_eq!(both[0].tokens, alone[0].tokens);
    assert_ne!(both[1].tokens, alone[0].tokens);
}

macro_rules! kinds {
    ($($kind:ident: $folder:literal, $names:expr;)*) => {
        $(mod $kind {
            use super::*;

            fn model() -> &'static Model {
                static MODEL: OnceLock<Model> = OnceLock::new();
                MODEL.get_or_init(|| load($folder))
            }

            #[test]
            fn sessions_together_answer_as_alone() {
                super::sessions_together_answer_as_alone(model(), $folder, &$names);
            }

            #[test]
            fn sampled_sessions_draw_as_alone() {
                super::sampled_sessions_draw_as_alone(model(), $folder, &$names);
            }
        })*
    };
}

kinds! {
    gemma3: "gemma3-bf16-mlx", GEMMA3;
    qwen3_vl: "qwen3vl-bf16-mlx", QWEN3_VL;
    qwen3_vl_of_experts: "qwen3vlmoe-bf16-mlx", QWEN3_VL;
    unified_in_mxfp4: "unified-mxfp4", UNIFIED;
    per_layer_inputs: "e2b-bf16-hf", E2B;
}

#[test]
fn sessions_of_two_models_answer_as_alone() {
    let (gemma, qwen) = (load("gemma3-bf16-mlx"), load("qwen3vl-bf16-mlx"));
    let mut asked = Vec::new();
    let (of_gemma, of_qwen) = (Ask::of("gemma3", &GEMMA3[..4]), Ask::of("qwen3vl", &QWEN3_VL[..4]));
    for (one, other) in of_gemma.into_iter().zip(of_qwen) {
        asked.push((&gemma, one));
        asked.push((&qwen, other));
    }
    let alone = alone(&asked);
    asked[4].1.cancel_after = Some(5);
    answered_as_alone(&asked, &alone);
}

#[test]
fn an_end_of_turn_ends_its_own_answer_only() {
    let model = load("gemma3-bf16-mlx");
    // The likeliest tokens of the first hold an end of turn; the second goes on past its own.
    let (ends, goes_on) = (Case::load("gemma3/multi_turn"), Case::load("gemma3/odd_image"));
    let end = ends.bf16().first_end.expect("an end");
    let (first, second) = (Session::new(&model), Session::new(&model));
    first.submit(&ends.prompt(), &Options::greedy(20)).expect("an accepted prompt");
    second.submit(&goes_on.prompt(), &Options::endless(20)).expect("an accepted prompt");
    let other = thread::scope(|scope| {
        let other = scope.spawn(|| second.rest());
        let answer = first.rest();
        assert_eq!(answer.tokens(), ends.bf16().greedy_ids[..=end]);
        assert_eq!(answer.finish(), RMLX_FINISH_END_OF_TURN);
        other.join().expect("an answer")
    });
    let alone = Session::new(&model).answer(&goes_on.prompt(), &Options::endless(20));
    assert_eq!(other.tokens(), alone.tokens());
}

#[test]
fn a_session_that_is_reset_or_released_in_the_middle_leaves_the_others_alone() {
    let model = load("qwen3vl-bf16-mlx");
    let asks = || with(&model, Ask::of("qwen3vl", &QWEN3_VL));
    let (asked, alone) = (asks(), alone(&asks()));
    let mut sessions: Vec<Option<Session>> = asked.iter().map(|_| Some(Session::new(&model))).collect();
    let mut seen: Vec<Seen> = asked.iter().map(|_| Seen::default()).collect();
    asked
        .iter()
        .zip(&sessions)
        .for_each(|((_, ask), session)| ask.submit(session.as_ref().expect("a session")));
    let mut running: Vec<usize> = (0..asked.len()).collect();
    for round in 0.. {
        match round {
            3 => drop(sessions[0].take()),
            5 => sessions[4].as_ref().expect("a session").reset().expect("a reset"),
            6 => drop(sessions[6].take()),
            _ => {}
        }
        running.retain(|i| !(round >= 3 && *i == 0 || round >= 5 && *i == 4 || round >= 6 && *i == 6));
        let step =
            |i: &usize, seen: &mut Seen| asked[*i].1.step(sessions[*i].as_ref().expect("a session"), seen);
        running.retain(|i| !step(i, &mut seen[*i]));
        if running.is_empty() {
            break;
        }
    }
    for i in [1, 2, 3, 5, 7] {
        asked[i].1.is_answered_as_alone(&seen[i], &alone[i]);
    }
    let reset = sessions[4].as_ref().expect("a session");
    assert_eq!(reset.answer(&asked[4].1.prompt(), &Options::endless(18)).tokens(), alone[4].tokens);
}

#[test]
fn encodings_that_are_given_up_at_any_moment_are_made_again() {
    let model = load("gemma3-bf16-mlx");
    let names = ["two_images", "interleaved", "two_images", "interleaved"];
    let (asked, alone) =
        (with(&model, Ask::of("gemma3", &names)), alone(&with(&model, Ask::of("gemma3", &names))));
    let trim = || check(|error| rmlx_memory_trim(error)).expect("a trim");
    beside(trim, || (0..3).for_each(|_| answered_as_alone(&asked, &alone)));
}
