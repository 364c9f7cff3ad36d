//! What keeps an answer from repeating runs of tokens: DRY and the ban of repeated n-grams. Both look at ids, on the host.

use std::collections::{BTreeMap, BTreeSet};

/// Penalties for tokens that would go on with a run which stands before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Repeats {
    pub dry: Option<Dry>,
    /// No run of so many tokens comes twice; 0 is off.
    pub ngram: usize,
}

/// DRY, as in text-generation-webui: a token that would lengthen a repeated run of `allowed_length` or more tokens loses
/// `multiplier * base ^ (length - allowed_length)`. Runs do not reach over breakers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dry {
    pub multiplier: f32,
    pub base: f32,
    pub allowed_length: usize,
    /// How many of the last tokens count; 0 for all.
    pub last_n: usize,
    pub breakers: BTreeSet<u32>,
}

/// Longer runs weigh no more: by then the penalty forbids the token, and the search stays short.
const LONGEST: usize = 50;
/// So that no sum with a logit, and no division by a temperature, becomes infinite.
const MOST: f64 = 1e30;

impl Repeats {
    pub fn is_off(&self) -> bool {
        self.dry.is_none() && self.ngram == 0
    }

    /// What is to be subtracted from which logits after `ids`, prompt and answer: each token once, infinity forbids it.
    pub fn edits(&self, ids: &[u32]) -> Vec<(u32, f32)> {
        let mut edits = self.dry.as_ref().map(|dry| dry.penalties(ids)).unwrap_or_default();
        edits.extend(repeating(ids, self.ngram).into_iter().map(|token| (token, f32::INFINITY)));
        edits.into_iter().collect()
    }
}

impl Dry {
    fn penalties(&self, ids: &[u32]) -> BTreeMap<u32, f32> {
        let from = if self.last_n == 0 { 0 } else { ids.len().saturating_sub(self.last_n) };
        let ids = &ids[from..];
        let mut longest: BTreeMap<u32, usize> = BTreeMap::new();
        for next in 1..ids.len() {
            let length = self.shared_end(&ids[..next], ids);
            if length >= self.allowed_length.max(1) && !self.breakers.contains(&ids[next]) {
                let most = longest.entry(ids[next]).or_default();
                *most = length.max(*most);
            }
        }
        longest.into_iter().map(|(token, length)| (token, self.penalty(length))).collect()
    }

    /// How many last tokens of both are the same, up to a breaker.
    fn shared_end(&self, earlier: &[u32], all: &[u32]) -> usize {
        let pairs = earlier.iter().rev().zip(all.iter().rev()).take(LONGEST);
        pairs.take_while(|(a, b)| a == b && !self.breakers.contains(a)).count()
    }

    fn penalty(&self, length: usize) -> f32 {
        let over = (length - self.allowed_length) as f64;
        (f64::from(self.multiplier) * f64::from(self.base).powf(over)).min(MOST) as f32
    }
}

/// The tokens that would repeat a run of `n`, as transformers' `NoRepeatNGramLogitsProcessor` finds them.
fn repeating(ids: &[u32], n: usize) -> BTreeSet<u32> {
    if n == 0 || ids.len() + 1 < n {
        return BTreeSet::new();
    }
    let begun = &ids[ids.len() + 1 - n..];
    ids.windows(n).filter(|run| run.starts_with(begun)).filter_map(|run| run.last().copied()).collect()
}

#[cfg(test)]
impl Dry {
    /// As the testdata has it; null is none.
    pub fn from_json(case: &serde_json::Value) -> Option<Dry> {
        Some(Dry {
            multiplier: case["multiplier"].as_f64()? as f32,
            base: case["base"].as_f64()? as f32,
            allowed_length: case["allowed_length"].as_u64()? as usize,
            last_n: case["last_n"].as_u64()? as usize,
            breakers: serde_json::from_value(case["breakers"].clone()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dry() -> Dry {
        Dry { multiplier: 0.8, base: 1.75, allowed_length: 2, last_n: 0, breakers: BTreeSet::new() }
    }

    fn penalties(dry: Dry, ids: &[u32]) -> Vec<(u32, f32)> {
        Repeats { dry: Some(dry), ngram: 0 }.edits(ids)
    }

    #[test]
    fn a_run_is_penalized_from_the_allowed_length_on() {
        assert_eq!(penalties(dry(), &[1, 2, 3, 9, 2]), []);
        assert_eq!(penalties(dry(), &[1, 2, 3, 9, 1, 2]), [(3, 0.8)]);
        assert_eq!(penalties(dry(), &[0, 1, 2, 3, 9, 0, 1, 2]), [(3, 0.8 * 1.75)]);
        let impatient = Dry { allowed_length: 1, ..dry() };
        assert_eq!(penalties(impatient, &[2, 3, 9, 2]), [(3, 0.8)]);
    }

    #[test]
    fn runs_end_at_breakers_and_where_the_last_tokens_begin() {
        let broken = |id| Dry { breakers: BTreeSet::from([id]), ..dry() };
        assert_eq!(penalties(broken(1), &[0, 1, 2, 3, 9, 0, 1, 2]), []);
        assert_eq!(penalties(broken(3), &[1, 2, 3, 9, 1, 2]), [], "a breaker itself is never penalized");
        assert_eq!(penalties(broken(2), &[1, 2, 3, 9, 1, 2]), [], "nothing goes on with a breaker");
        assert_eq!(penalties(Dry { last_n: 4, ..dry() }, &[1, 2, 3, 9, 1, 2]), []);
    }

    #[test]
    fn a_long_run_costs_no_more_than_a_number_can_hold() {
        let ids: Vec<u32> = (0..200).chain(0..100).collect();
        let steep = Dry { base: 100.0, ..dry() };
        assert_eq!(penalties(steep, &ids), [(100, 1e30)]);
    }

    #[test]
    fn no_run_of_n_tokens_comes_twice() {
        let bans = |n: usize, ids: &[u32]| Repeats { dry: None, ngram: n }.edits(ids);
        let banned = f32::INFINITY;
        assert_eq!(bans(2, &[1, 2, 1, 3, 1]), [(2, banned), (3, banned)]);
        assert_eq!(bans(3, &[1, 2, 5, 1, 2]), [(5, banned)]);
        assert_eq!(bans(1, &[1, 2]), [(1, banned), (2, banned)]);
        assert_eq!(bans(4, &[1, 1]), []);
        assert_eq!(bans(0, &[1, 1]), []);
    }

    /// The vectors come from transformers and from a plain numpy reading of the definition (`tools/sampling_vectors.py`).
    #[test]
    fn penalties_are_those_of_the_references() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("testdata/repeats.json")).unwrap();
        let numbers = |v: &serde_json::Value| -> Vec<u32> { serde_json::from_value(v.clone()).unwrap() };
        for case in vectors["dry"].as_array().unwrap() {
            let dry = Dry::from_json(case).unwrap();
            let expected: Vec<(u32, f32)> = serde_json::from_value(case["penalties"].clone()).unwrap();
            let found = penalties(dry, &numbers(&case["ids"]));
            let close = |a: &(u32, f32), b: &(u32, f32)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-5 * b.1.abs();
            assert!(
                found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| close(a, b)),
                "{found:?} instead of {expected:?}"
            );
        }
        for case in vectors["no_repeat_ngram"].as_array().unwrap() {
            let n = case["n"].as_u64().unwrap() as usize;
            let found: Vec<u32> = repeating(&numbers(&case["ids"]), n).into_iter().collect();
            assert_eq!(found, numbers(&case["banned"]), "n = {n}");
        }
        assert!(vectors["dry"].as_array().unwrap().len() >= 40);
        assert!(vectors["no_repeat_ngram"].as_array().unwrap().len() >= 40);
    }
}
