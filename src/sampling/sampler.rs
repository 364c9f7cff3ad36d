//! Logits processors and the sampler, as MLX operations: the chosen token stays on the device, so that the
//! next step can be issued before anybody reads it.
//!
//! Order, as in transformers: repetition penalty, presence and frequency penalties, DRY and repeated n-grams, bias and
//! suppression, temperature, top-k, top-p, min-p.
//!
//! Whether there was anything sound to choose from comes with the token, in the same small array, so that asking costs no
//! wait of its own.

use mlx_rs::Array;
use mlx_rs::ops::indexing::{TryIndexOp, argmax, take_along_axis};
use mlx_rs::ops::{arange, argpartition_axis, argsort_axis, concatenate, select, softmax_axis};
use mlx_rs::random;

use super::Settings;
use crate::error::{Code, Error, Result};

/// Below it a temperature leaves nothing but the likeliest token, and dividing by it what no number can hold.
const COLDEST: f32 = 1e-4;
/// Larger biases say no more, and together with a logit and a temperature they stay numbers.
const MOST_BIAS: f32 = 1e30;

/// A token on the device.
pub(crate) struct Drawn {
    /// `u32 []`
    token: Array,
    /// `u32 [2]`: the token, and the bits of its logit in the row that it was drawn from; plus infinity if any logit there
    /// is not a number or infinitely large.
    report: Array,
}

/// What a [`Drawn`] comes to, once it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Token(u32),
    /// Some logit was NaN or plus infinity.
    NotFinite,
    /// All logits were minus infinity.
    Nothing,
}

impl Drawn {
    /// A token that was drawn from `row`, `f32 [V]`.
    fn from_row(token: Array, row: &Array) -> Result<Self> {
        // Comparing tells NaN from numbers on every backend; what a maximum makes of it differs.
        let infinity = Array::from_f32(f32::INFINITY);
        let sound = row.lt(&infinity)?.all(false)?;
        Self::new(token.clone(), &select(sound, row.take(&token)?, &infinity)?)
    }

    fn new(token: Array, logit: &Array) -> Result<Self> {
        let report = concatenate(&[token.reshape(&[1])?, logit.view::<u32>()?.reshape(&[1])?], 0)?;
        Ok(Self { token, report })
    }

    /// A token that was not drawn from any logits.
    pub fn given(token: u32) -> Result<Self> {
        Self::new(Array::from_slice(&[token], &[]), &Array::from_f32(0.0))
    }

    /// `u32 []`
    pub fn token(&self) -> &Array {
        &self.token
    }

    /// `u32 [2]`: what [`Choice::of`] takes.
    pub fn report(&self) -> &Array {
        &self.report
    }

    #[cfg(test)]
    fn read(&self) -> Result<Choice> {
        Choice::of(self.report.try_as_slice::<u32>().unwrap())
    }
}

impl Choice {
    /// What a computed [`Drawn::report`] says.
    pub fn of(report: &[u32]) -> Result<Self> {
        let [token, logit] = *report else {
            return Err(Error::new(Code::Backend, "the sampled token is no token"));
        };
        Ok(match f32::from_bits(logit) {
            f32::NEG_INFINITY => Choice::Nothing,
            logit if logit.is_finite() => Choice::Token(token),
            _ => Choice::NotFinite,
        })
    }
}

/// Draws the tokens of one answer.
pub(crate) struct Sampler {
    settings: Settings,
    vocab: i32,
    step: u64,
    /// `f32 [V]`, added to every row: the caller's bias, and minus infinity for suppressed tokens.
    bias: Option<Array>,
    /// `f32 [V]`: 1 for tokens in prompt or answer.
    seen: Option<Array>,
    /// `f32 [V]`: occurrences in the answer.
    counts: Option<Array>,
    /// Both as they were before the last token that was drawn.
    before: [Option<Array>; 2],
}

/// Where a [`Sampler`] was in its answer. Arrays are never changed, so this copies nothing.
#[derive(Clone)]
pub(crate) struct Mark {
    step: u64,
    seen: Option<Array>,
    counts: Option<Array>,
    before: [Option<Array>; 2],
}

impl Sampler {
    /// `prompt` counts for the repetition penalty only.
    pub fn new(settings: Settings, vocab_size: usize, prompt: &[u32]) -> Self {
        let vocab = vocab_size as i32;
        let row = |values: Vec<f32>| Array::from_slice(&values, &[vocab]);
        let bias = (!settings.logit_bias.is_empty() || !settings.suppressed.is_empty())
            .then(|| row(bias_row(&settings, vocab_size)));
        let seen = (settings.repetition_penalty != 1.0).then(|| {
            let mut seen = vec![0.0; vocab_size];
            for &id in prompt {
                if let Some(slot) = seen.get_mut(id as usize) {
                    *slot = 1.0;
                }
            }
            row(seen)
        });
        let counts = (settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0)
            .then(|| row(vec![0.0; vocab_size]));
        Self { settings, vocab, step: 0, bias, seen, counts, before: [None, None] }
    }

    /// The next token, drawn from `logits`, `f32 [V]`, less what `edits` says of single tokens. Nothing is evaluated.
    pub fn sample(&mut self, logits: &Array, edits: &[(u32, f32)]) -> Result<Drawn> {
        let row = self.process(logits, edits)?;
        let token = match self.settings.temperature {
            t if t < COLDEST => argmax(&row, false)?,
            t => self.draw(&row.subtract(row.max(false)?)?.multiply(Array::from_f32(1.0 / t))?)?,
        };
        self.step += 1;
        self.before = [self.seen.clone(), self.counts.clone()];
        self.remember(&token)?;
        Drawn::from_row(token, &row)
    }

    /// Counts a token of the answer that was not drawn.
    pub fn took(&mut self, id: u32) -> Result<()> {
        self.remember(&Array::from_slice(&[id], &[]))
    }

    /// Counts a token that comes in the place of the last one that was drawn.
    pub fn took_instead(&mut self, id: u32) -> Result<()> {
        [self.seen, self.counts] = std::mem::take(&mut self.before);
        self.took(id)
    }

    /// What it remembers of the tokens so far, to go back to.
    pub fn mark(&self) -> Mark {
        Mark {
            step: self.step,
            seen: self.seen.clone(),
            counts: self.counts.clone(),
            before: self.before.clone(),
        }
    }

    /// Forgets the draws since `mark`: the next one is what it would have been then.
    pub fn return_to(&mut self, mark: Mark) {
        Mark { step: self.step, seen: self.seen, counts: self.counts, before: self.before } = mark;
    }

    fn process(&self, logits: &Array, edits: &[(u32, f32)]) -> Result<Array> {
        let s = &self.settings;
        let mut row = logits.clone();
        if let Some(seen) = &self.seen {
            let penalty = Array::from_f32(s.repetition_penalty);
            let zero = Array::from_f32(0.0);
            let penalized = select(row.gt(&zero)?, row.divide(&penalty)?, row.multiply(&penalty)?)?;
            row = select(seen.gt(&zero)?, penalized, &row)?;
        }
        if let Some(counts) = &self.counts {
            let present = counts.gt(Array::from_f32(0.0))?.as_type::<f32>()?;
            row = row
                .subtract(counts.multiply(Array::from_f32(s.frequency_penalty))?)?
                .subtract(present.multiply(Array::from_f32(s.presence_penalty))?)?;
        }
        if !edits.is_empty() {
            row = row.subtract(self.edits_row(edits))?;
        }
        if let Some(bias) = &self.bias {
            row = row.add(bias)?;
        }
        Ok(row)
    }

    fn edits_row(&self, edits: &[(u32, f32)]) -> Array {
        let mut row = vec![0.0; self.vocab as usize];
        for &(id, less) in edits {
            if let Some(slot) = row.get_mut(id as usize) {
                *slot += less;
            }
        }
        Array::from_slice(&row, &[self.vocab])
    }

    /// `row` has 0 as its largest logit, and the temperature in it.
    fn draw(&self, row: &Array) -> Result<Array> {
        let s = &self.settings;
        let key = random::key(mix(s.seed, self.step))?;
        let k = s.top_k as i32;
        let some = k > 0 && k < self.vocab;
        if !some && s.top_p >= 1.0 {
            return Ok(random::categorical(keep_min_p(row, s.min_p)?, None, None, &key)?);
        }
        let descending = row.negative()?;
        let tokens = if some {
            argpartition_axis(&descending, k - 1, 0)?.try_index(..k)?
        } else {
            argsort_axis(&descending, 0)?
        };
        let mut kept = take_along_axis(row, &tokens, 0)?;
        let mut tokens = tokens;
        if s.top_p < 1.0 {
            if some {
                let order = argsort_axis(kept.negative()?, 0)?;
                kept = take_along_axis(&kept, &order, 0)?;
                tokens = take_along_axis(&tokens, &order, 0)?;
            }
            kept = keep_top_p(&kept, s.top_p)?;
        }
        let choice = random::categorical(keep_min_p(&kept, s.min_p)?, None, None, &key)?;
        Ok(tokens.take(&choice)?)
    }

    fn remember(&mut self, token: &Array) -> Result<()> {
        if self.seen.is_none() && self.counts.is_none() {
            return Ok(());
        }
        let one_hot = arange::<_, u32>(None, self.vocab, None)?.eq(token)?.as_type::<f32>()?;
        if let Some(seen) = &mut self.seen {
            *seen = mlx_rs::ops::maximum(&*seen, &one_hot)?;
        }
        if let Some(counts) = &mut self.counts {
            *counts = counts.add(&one_hot)?;
        }
        Ok(())
    }
}

fn bias_row(settings: &Settings, vocab_size: usize) -> Vec<f32> {
    let mut row = vec![0.0; vocab_size];
    for &(id, bias) in &settings.logit_bias {
        if let Some(slot) = row.get_mut(id as usize) {
            let forbidden = bias == f32::NEG_INFINITY || *slot == f32::NEG_INFINITY;
            *slot = if forbidden { f32::NEG_INFINITY } else { (*slot + bias).clamp(-MOST_BIAS, MOST_BIAS) };
        }
    }
    for &id in &settings.suppressed {
        if let Some(slot) = row.get_mut(id as usize) {
            *slot = f32::NEG_INFINITY;
        }
    }
    row
}

/// `sorted` is descending; keeps the smallest beginning whose probabilities reach `p`, one token at least.
fn keep_top_p(sorted: &Array, p: f32) -> Result<Array> {
    let before = softmax_axis(sorted, -1, true)?.cumsum(0, false, false)?;
    let keep = before.lt(Array::from_f32(p.max(f32::MIN_POSITIVE)))?;
    Ok(select(keep, sorted, Array::from_f32(f32::NEG_INFINITY))?)
}

/// `row` has 0 as its largest logit.
fn keep_min_p(row: &Array, p: f32) -> Result<Array> {
    if p <= 0.0 {
        return Ok(row.clone());
    }
    Ok(select(row.ge(Array::from_f32(p.ln()))?, row, Array::from_f32(f32::NEG_INFINITY))?)
}

/// A well-mixed key per step (splitmix64), so that a step's draw depends on nothing but seed and step.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::repeats::{Dry, Repeats};
    use std::collections::BTreeSet;

    const ROW: [f32; 6] = [1.0, 4.0, 3.0, -2.0, 3.5, 0.0];

    fn neutral() -> Settings {
        Settings::neutral(7)
    }

    fn draws(settings: Settings, prompt: &[u32], n: usize) -> Vec<u32> {
        let row = Array::from_slice(&ROW, &[6]);
        let mut sampler = Sampler::new(settings, 6, prompt);
        let mut draw = || match sampler.sample(&row, &[]).unwrap().read().unwrap() {
            Choice::Token(token) => token,
            choice => panic!("{choice:?}"),
        };
        (0..n).map(|_| draw()).collect()
    }

    fn choice(settings: Settings, row: &[f32], edits: &[(u32, f32)]) -> Choice {
        let mut sampler = Sampler::new(settings, row.len(), &[1, 2]);
        let row = Array::from_slice(row, &[row.len() as i32]);
        sampler.sample(&row, edits).unwrap().read().unwrap()
    }

    /// Every way to a token.
    fn samplers() -> Vec<(&'static str, Settings)> {
        let greedy = Settings { temperature: 0.0, ..neutral() };
        vec![
            ("greedy", greedy.clone()),
            ("plain", neutral()),
            ("top-k", Settings { top_k: 3, ..neutral() }),
            ("top-p", Settings { top_p: 0.9, ..neutral() }),
            ("top-k and top-p", Settings { top_k: 3, top_p: 0.9, ..neutral() }),
            ("min-p", Settings { min_p: 0.1, ..neutral() }),
            ("cold", Settings { temperature: 2e-4, ..neutral() }),
            ("bias", Settings { logit_bias: vec![(0, 5.0), (3, f32::NEG_INFINITY)], ..greedy.clone() }),
            ("repetition", Settings { repetition_penalty: 1.5, ..greedy.clone() }),
            ("presence", Settings { presence_penalty: 0.5, ..greedy.clone() }),
            ("frequency", Settings { frequency_penalty: 0.5, ..greedy }),
        ]
    }

    fn drawn(settings: Settings) -> BTreeSet<u32> {
        draws(settings, &[], 400).into_iter().collect()
    }

    #[test]
    fn a_row_with_one_logit_that_is_no_number_gives_no_token_whatever_the_sampler() {
        for (name, settings) in samplers() {
            for (at, broken) in (0..6).flat_map(|at| [(at, f32::NAN), (at, f32::INFINITY)]) {
                let mut row = ROW;
                row[at] = broken;
                assert_eq!(
                    choice(settings.clone(), &row, &[]),
                    Choice::NotFinite,
                    "{name}: {broken} at {at}"
                );
                assert_eq!(choice(settings.clone(), &row, &[(at as u32, f32::INFINITY)]), Choice::NotFinite);
            }
            assert_eq!(choice(settings.clone(), &[f32::NAN; 6], &[]), Choice::NotFinite, "{name}");
        }
    }

    #[test]
    fn minus_infinity_is_a_logit_unless_there_is_no_other() {
        let out = f32::NEG_INFINITY;
        for (name, settings) in samplers() {
            for left in [0, 2, 5] {
                let mut row = [out; 6];
                row[left] = 1.0;
                assert_eq!(choice(settings.clone(), &row, &[]), Choice::Token(left as u32), "{name}");
                assert_eq!(
                    choice(settings.clone(), &row, &[(left as u32, f32::INFINITY)]),
                    Choice::Nothing,
                    "{name}"
                );
            }
            assert_eq!(choice(settings.clone(), &[out; 6], &[]), Choice::Nothing, "{name}");
            let all = Settings { suppressed: (0..6).collect(), ..settings };
            assert_eq!(choice(all, &ROW, &[]), Choice::Nothing, "{name}");
        }
    }

    #[test]
    fn the_lowest_temperatures_are_greedy_and_large_logits_stay_numbers() {
        for temperature in [f32::MIN_POSITIVE, 1e-20, 9.9e-5, 1e-4] {
            let cold = Settings { temperature, top_p: 0.9, ..neutral() };
            assert_eq!(choice(cold.clone(), &ROW, &[]), Choice::Token(1), "{temperature}");
            let large = Settings { logit_bias: vec![(3, f32::MAX), (3, f32::MAX)], ..cold };
            assert_eq!(choice(large, &ROW, &[]), Choice::Token(3), "{temperature}");
        }
        let vast = [1e37, 3e38, -3e38, 0.0, -1e38, 1.0];
        for (name, settings) in samplers() {
            assert_eq!(choice(settings, &vast, &[]), Choice::Token(1), "{name}");
        }
    }

    #[test]
    fn edits_are_subtracted_where_they_say() {
        let greedy = Settings { temperature: 0.0, ..neutral() };
        assert_eq!(choice(greedy.clone(), &ROW, &[(1, 0.4)]), Choice::Token(1));
        assert_eq!(choice(greedy.clone(), &ROW, &[(1, 0.6)]), Choice::Token(4));
        assert_eq!(choice(greedy, &ROW, &[(1, f32::INFINITY), (4, 1.0), (900, 1.0)]), Choice::Token(2));
    }

    /// The vectors come from transformers' processors and a plain numpy reading of DRY (`tools/sampling_vectors.py`).
    #[test]
    fn processed_rows_are_those_of_the_references() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("testdata/rows.json")).unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let ids = |key: &str| -> Vec<u32> { serde_json::from_value(case[key].clone()).unwrap() };
            let number = |key: &str| case[key].as_f64().unwrap() as f32;
            let logits: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
            let repeats = Repeats {
                dry: Dry::from_json(&case["dry"]),
                ngram: case["no_repeat_ngram"].as_u64().unwrap() as usize,
            };
            let settings = Settings {
                repetition_penalty: number("repetition_penalty"),
                presence_penalty: number("presence_penalty"),
                frequency_penalty: number("frequency_penalty"),
                logit_bias: serde_json::from_value(case["logit_bias"].clone()).unwrap(),
                repeats: repeats.clone(),
                ..neutral()
            };
            let mut sampler = Sampler::new(settings, logits.len(), &ids("prompt"));
            for token in ids("answer") {
                sampler.remember(&Array::from_slice(&[token], &[])).unwrap();
            }
            let edits = repeats.edits(&[ids("prompt"), ids("answer")].concat());
            let row = Array::from_slice(&logits, &[logits.len() as i32]);
            let found = sampler.process(&row, &edits).unwrap().to_vec_cast::<f32>().unwrap();
            let expected: Vec<Option<f32>> = serde_json::from_value(case["processed"].clone()).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                let expected = expected.unwrap_or(f32::NEG_INFINITY);
                assert!(
                    *found == expected || (found - expected).abs() < 1e-4,
                    "{found}, not {expected}: {case}"
                );
            }
        }
    }

    #[test]
    fn a_given_token_is_read_as_it_was_given() {
        assert_eq!(Drawn::given(7).unwrap().read().unwrap(), Choice::Token(7));
    }

    #[test]
    fn zero_temperature_takes_the_likeliest_token_that_is_not_suppressed() {
        assert_eq!(draws(Settings { temperature: 0.0, ..neutral() }, &[], 2), [1, 1]);
        assert_eq!(draws(Settings { temperature: 0.0, suppressed: vec![1], ..neutral() }, &[], 1), [4]);
        let bias = vec![(3, 100.0)];
        assert_eq!(draws(Settings { temperature: 0.0, logit_bias: bias, ..neutral() }, &[], 1), [3]);
    }

    #[test]
    fn top_k_top_p_and_min_p_keep_exactly_the_sets_they_name() {
        assert_eq!(drawn(Settings { top_k: 2, temperature: 5.0, ..neutral() }), BTreeSet::from([1, 4]));
        // Probabilities: 1 → 0.47, 4 → 0.29, 2 → 0.17, then 0.02 and less.
        assert_eq!(drawn(Settings { top_p: 0.5, ..neutral() }), BTreeSet::from([1, 4]));
        assert_eq!(drawn(Settings { top_p: 0.0, ..neutral() }), BTreeSet::from([1]));
        assert_eq!(drawn(Settings { min_p: 0.3, ..neutral() }), BTreeSet::from([1, 2, 4]));
        assert_eq!(drawn(Settings { top_k: 3, top_p: 0.6, ..neutral() }), BTreeSet::from([1, 4]));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let n = 4000;
        let ones = draws(neutral(), &[], n).iter().filter(|&&t| t == 1).count() as f32 / n as f32;
        let expected = ROW[1].exp() / ROW.iter().map(|l| l.exp()).sum::<f32>();
        assert!((ones - expected).abs() < 0.03, "{ones} instead of {expected}");
    }

    #[test]
    fn a_seed_fixes_the_draws_and_another_changes_them() {
        assert_eq!(draws(neutral(), &[], 40), draws(neutral(), &[], 40));
        assert_ne!(draws(neutral(), &[], 40), draws(Settings { seed: 8, ..neutral() }, &[], 40));
    }

    #[test]
    fn a_token_in_the_place_of_the_drawn_one_is_counted_and_the_drawn_one_is_not() {
        for settings in [
            Settings { temperature: 0.0, repetition_penalty: 2.0, ..neutral() },
            Settings { temperature: 0.0, presence_penalty: 1.2, ..neutral() },
            Settings { temperature: 0.0, frequency_penalty: 1.2, ..neutral() },
        ] {
            let row = Array::from_slice(&ROW, &[6]);
            let mut sampler = Sampler::new(settings, 6, &[]);
            let next = |sampler: &mut Sampler| sampler.sample(&row, &[]).unwrap().read().unwrap();
            assert_eq!(next(&mut sampler), Choice::Token(1));
            sampler.took_instead(4).unwrap();
            assert_eq!(next(&mut sampler), Choice::Token(1), "it was never said");
            assert_eq!(next(&mut sampler), Choice::Token(2), "1 and 4 were");
        }
    }

    #[test]
    fn penalties_count_the_tokens_they_are_meant_for() {
        let greedy = Settings { temperature: 0.0, ..neutral() };
        // 4.0 / 2 falls below 3.5; the prompt counts, and so does the answer.
        let repetition = Settings { repetition_penalty: 2.0, ..greedy.clone() };
        assert_eq!(draws(repetition.clone(), &[1], 1), [4]);
        assert_eq!(draws(repetition, &[], 3), [1, 4, 2]);
        let presence = Settings { presence_penalty: 0.6, ..greedy.clone() };
        assert_eq!(draws(presence.clone(), &[1], 3), [1, 4, 1]);
        let frequency = Settings { frequency_penalty: 0.4, ..greedy };
        assert_eq!(draws(frequency, &[], 4), [1, 1, 4, 1]);
    }
}
