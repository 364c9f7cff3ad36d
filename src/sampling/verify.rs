//! Tokens drawn ahead of what they follow: each row that a draft led to has its own draw, with the settings and the
//! random numbers that it would have without drafts. What is drawn after a draft counts only where that is the token that
//! was drawn before it, so the answer is the same as without drafts, whatever the drafts are.

use mlx_rs::Array;

use super::{Drawn, Mark, Sampler};
use crate::error::Result;

/// A token that was drawn as if the draft before it had come.
pub(crate) struct DrawnAhead {
    drawn: Drawn,
    /// The sampler as it was before.
    before: Mark,
}

impl Sampler {
    /// Draws from the rows, `f32 [V]`, that follow drafts one after the other; nothing is evaluated.
    pub fn draw_ahead<'a>(&mut self, rows: impl IntoIterator<Item = &'a Array>) -> Result<Vec<DrawnAhead>> {
        let draw = |row: &Array| {
            let before = self.mark();
            Ok(DrawnAhead { drawn: self.sample(row, &[])?, before })
        };
        rows.into_iter().map(draw).collect()
    }
}

impl DrawnAhead {
    /// What was drawn, where the draft before it has come.
    pub fn confirmed(self) -> Drawn {
        self.drawn
    }

    /// The draft has not come: this draw and those after it have never been.
    pub fn refuted(self, sampler: &mut Sampler) {
        sampler.return_to(self.before);
    }

    /// What MLX has to compute for it.
    pub fn arrays(&self) -> [&Array; 2] {
        [self.drawn.token(), self.drawn.report()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::mlx::eval;
    use crate::sampling::{Choice, Settings};

    const VOCAB: usize = 5;
    /// Of the first token, and of one after each token.
    const FIRST: [f32; VOCAB] = [0.3, 1.2, -0.5, 0.9, 0.0];
    const AFTER: [[f32; VOCAB]; VOCAB] = [
        [0.0, 0.5, 1.0, -1.0, 0.2],
        [1.5, 0.1, 0.4, 0.9, -0.3],
        [-0.2, 0.0, 0.8, 0.3, 1.1],
        [0.6, 0.6, -0.9, 0.0, 0.7],
        [0.1, 1.3, 0.2, -0.4, 0.5],
    ];

    fn settings(temperature: f32, seed: u64) -> Settings {
        Settings { temperature, ..Settings::neutral(seed) }
    }

    fn row(values: &[f32; VOCAB]) -> Array {
        Array::from_slice(values, &[VOCAB as i32])
    }

    fn read(drawn: &Drawn) -> usize {
        match Choice::of(drawn.report().try_as_slice::<u32>().unwrap()).unwrap() {
            Choice::Token(token) => token as usize,
            choice => panic!("{choice:?}"),
        }
    }

    /// Two tokens of each of many answers, as drafts give them that say `drafts[i % drafts.len()]` of answer `i`'s first
    /// token. How many answers took their draft comes with them.
    fn speculated(settings: &[Settings], drafts: &[usize]) -> (Vec<[usize; 2]>, usize) {
        let (first, after) = (row(&FIRST), AFTER.each_ref().map(row));
        let begin = |(i, settings): (usize, &Settings)| {
            let draft = drafts[i % drafts.len()];
            let mut sampler = Sampler::new(settings.clone(), VOCAB, &[2]);
            let drawn = sampler.sample(&first, &[]).unwrap();
            let ahead = sampler.draw_ahead([&after[draft]]).unwrap().remove(0);
            (sampler, draft, drawn, ahead)
        };
        let begun: Vec<_> = settings.iter().enumerate().map(begin).collect();
        eval(begun.iter().flat_map(|(_, _, drawn, ahead)| [drawn.report(), ahead.arrays()[1]])).unwrap();
        let mut taken = 0;
        let go_on = |(mut sampler, draft, drawn, ahead): (Sampler, usize, Drawn, DrawnAhead)| {
            let token = read(&drawn);
            taken += usize::from(token == draft);
            let next = match token == draft {
                true => ahead.confirmed(),
                false => {
                    ahead.refuted(&mut sampler);
                    sampler.sample(&after[token], &[]).unwrap()
                }
            };
            (token, next)
        };
        let done: Vec<_> = begun.into_iter().map(go_on).collect();
        eval(done.iter().map(|(_, next)| next.report())).unwrap();
        (done.iter().map(|(token, next)| [*token, read(next)]).collect(), taken)
    }

    fn plain(settings: &Settings) -> [usize; 2] {
        let mut sampler = Sampler::new(settings.clone(), VOCAB, &[2]);
        let first = read(&sampler.sample(&row(&FIRST), &[]).unwrap());
        [first, read(&sampler.sample(&row(&AFTER[first]), &[]).unwrap())]
    }

    #[test]
    fn the_tokens_of_a_seed_are_those_without_drafts() {
        let variants: [fn(u64) -> Settings; 6] = [
            |seed| settings(1.0, seed),
            |seed| settings(0.0, seed),
            |seed| Settings { top_p: 0.8, top_k: 4, ..settings(1.5, seed) },
            |seed| Settings { min_p: 0.2, ..settings(0.6, seed) },
            |seed| Settings { repetition_penalty: 1.8, ..settings(0.9, seed) },
            |seed| Settings { presence_penalty: 0.9, frequency_penalty: 0.5, ..settings(1.1, seed) },
        ];
        for variant in variants {
            let all: Vec<Settings> = (0..60).map(variant).collect();
            let (found, taken) = speculated(&all, &[1, 3, 0]);
            assert!(taken > 0 && taken < found.len(), "{taken} of {}", found.len());
            assert_eq!(found, all.iter().map(plain).collect::<Vec<_>>());
        }
    }

    #[test]
    fn drafts_do_not_change_the_distribution() {
        follows_the_distribution(5);
    }

    #[test]
    #[ignore = "takes a minute"]
    fn drafts_do_not_change_the_distribution_of_a_hundred_thousand_answers() {
        follows_the_distribution(100);
    }

    /// Pearson's statistic of so many thousand answers of two tokens is below what chance exceeds once in a million.
    fn follows_the_distribution(thousands: u64) {
        let temperature = 0.8;
        let mut counts = [[0usize; VOCAB]; VOCAB];
        for batch in 0..thousands {
            let all: Vec<Settings> = (0..1000).map(|i| settings(temperature, batch * 1000 + i)).collect();
            for [first, second] in speculated(&all, &[1, 1, 3, 2]).0 {
                counts[first][second] += 1;
            }
        }
        let softmax = |row: &[f32; VOCAB]| {
            let weights = row.map(|logit| f64::from(logit / temperature).exp());
            weights.map(|weight| weight / weights.iter().sum::<f64>())
        };
        let mut statistic = 0.0;
        for (first, p) in softmax(&FIRST).into_iter().enumerate() {
            for (second, q) in softmax(&AFTER[first]).into_iter().enumerate() {
                let expected = 1000.0 * thousands as f64 * p * q;
                statistic += (counts[first][second] as f64 - expected).powi(2) / expected;
            }
        }
        // 24 degrees of freedom.
        assert!(statistic < 73.0, "{statistic}");
    }
}
