//! Logits processors and the sampler, as MLX operations: the chosen token stays on the device, so that the
//! next step can be issued before anybody reads it.
//!
//! Order, as in transformers: repetition penalty, presence and frequency penalties, bias and suppression,
//! temperature, top-k, top-p, min-p.

use mlx_rs::Array;
use mlx_rs::ops::indexing::{TryIndexOp, argmax, take_along_axis};
use mlx_rs::ops::{arange, argpartition_axis, argsort_axis, select, softmax_axis};
use mlx_rs::random;

use super::Settings;
use crate::error::Result;

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
        Self { settings, vocab, step: 0, bias, seen, counts }
    }

    /// The next token, `u32 []`, drawn from `logits`, `f32 [V]`. Nothing is evaluated.
    pub fn sample(&mut self, logits: &Array) -> Result<Array> {
        let processed = self.process(logits)?;
        let token = if self.settings.temperature == 0.0 {
            argmax(&processed, false)?
        } else {
            self.draw(&processed)?
        };
        self.step += 1;
        self.remember(&token)?;
        Ok(token)
    }

    /// Counts a token of the answer that was not drawn.
    pub fn took(&mut self, id: u32) -> Result<()> {
        self.remember(&Array::from_slice(&[id], &[]))
    }

    fn process(&self, logits: &Array) -> Result<Array> {
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
        if let Some(bias) = &self.bias {
            row = row.add(bias)?;
        }
        Ok(row)
    }

    fn draw(&self, row: &Array) -> Result<Array> {
        let s = &self.settings;
        let row = row.multiply(Array::from_f32(1.0 / s.temperature))?;
        let key = random::key(mix(s.seed, self.step))?;
        let k = s.top_k as i32;
        let some = k > 0 && k < self.vocab;
        if !some && s.top_p >= 1.0 {
            return Ok(random::categorical(keep_min_p(&row, s.min_p)?, None, None, &key)?);
        }
        let descending = row.negative()?;
        let tokens = if some {
            argpartition_axis(&descending, k - 1, 0)?.try_index(..k)?
        } else {
            argsort_axis(&descending, 0)?
        };
        let mut kept = take_along_axis(&row, &tokens, 0)?;
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
            *slot += bias;
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

fn keep_min_p(row: &Array, p: f32) -> Result<Array> {
    if p <= 0.0 {
        return Ok(row.clone());
    }
    let least = row.max(false)?.add(Array::from_f32(p.ln()))?;
    Ok(select(row.ge(&least)?, row, Array::from_f32(f32::NEG_INFINITY))?)
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
    use std::collections::BTreeSet;

    const ROW: [f32; 6] = [1.0, 4.0, 3.0, -2.0, 3.5, 0.0];

    fn neutral() -> Settings {
        Settings {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: 7,
            logit_bias: vec![],
            suppressed: vec![],
        }
    }

    fn draws(settings: Settings, prompt: &[u32], n: usize) -> Vec<u32> {
        let row = Array::from_slice(&ROW, &[6]);
        let mut sampler = Sampler::new(settings, 6, prompt);
        (0..n).map(|_| sampler.sample(&row).unwrap().try_item_cast::<u32>().unwrap()).collect()
    }

    fn drawn(settings: Settings) -> BTreeSet<u32> {
        draws(settings, &[], 400).into_iter().collect()
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
