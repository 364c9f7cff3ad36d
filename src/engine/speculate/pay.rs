//! Whether drafts pay, as measured on the run: how often they are right, and what a row of a pass costs.

use std::time::{Duration, Instant};

/// How often drafts are taken to be right before any was.
const HOPE: f64 = 0.7;
/// What the last draft weighs in that, at least: the first ones say more.
const WEIGHT_OF_DRAFT: f64 = 0.12;
/// Drafts of the first try.
const FIRST: usize = 2;
/// What a pass weighs in what passes cost, where it was slower, and where it was faster: that is nearer to the truth, as what
/// else is busy only holds passes up.
const WEIGHT_OF_SLOWER: f64 = 0.15;
const WEIGHT_OF_FASTER: f64 = 0.5;
/// Passes without drafts that are measured before there are any.
const PLAIN: usize = 3;
/// Passes with drafts after which one without is measured again.
const STALE: usize = 48;
/// Drafts have to be so much faster than none.
const WORTH: f64 = 1.05;
/// Passes without drafts before they are tried again: at first, and at most.
const PAUSE: usize = 32;
const LONGEST_PAUSE: usize = 1024;

/// The number of drafts that makes a run fastest.
pub(super) struct Pay {
    most: usize,
    /// The share of the drafts that are right, of those that come after right ones.
    right: f64,
    /// Drafts that it was learned from.
    learned: usize,
    /// Milliseconds of a pass without drafts.
    pass: Option<f64>,
    /// How many of those were measured, and passes with drafts since the last.
    plain: usize,
    since_plain: usize,
    /// Milliseconds that each draft adds.
    draft: Option<f64>,
    /// Passes until drafts are tried again.
    pause: usize,
    next_pause: usize,
}

impl Pay {
    pub fn new(most: usize) -> Pay {
        let (right, learned, pass, draft) = (HOPE, 0, None, None);
        Pay { most, right, learned, pass, plain: 0, since_plain: 0, draft, pause: 0, next_pause: PAUSE }
    }

    /// How many drafts the next pass is to have; asked once before each pass.
    pub fn count(&mut self) -> usize {
        // Nothing pays but compared with something.
        if self.plain < PLAIN || self.since_plain >= STALE {
            return 0;
        }
        if self.pause > 0 {
            self.pause -= 1;
            if self.pause == 0 {
                // As at first: what was measured may have been held up by something else.
                (self.right, self.learned, self.draft) = (HOPE, 0, None);
            }
            return 0;
        }
        match self.best() {
            0 => {
                self.pause = self.next_pause;
                self.next_pause = (2 * self.next_pause).min(LONGEST_PAUSE);
                0
            }
            count => count,
        }
    }

    fn best(&self) -> usize {
        let (Some(pass), Some(draft)) = (self.pass, self.draft) else { return self.most.min(FIRST) };
        let speed = |count: usize| {
            let tokens: f64 = (0..=count as i32).map(|i| self.right.powi(i)).sum();
            tokens / (pass + count as f64 * draft)
        };
        let fastest = (1..=self.most).max_by(|a, b| speed(*a).total_cmp(&speed(*b)));
        fastest.filter(|count| speed(*count) > WORTH * speed(0)).unwrap_or(0)
    }

    /// Of so many drafts so many were right.
    pub fn learn(&mut self, proposed: usize, taken: usize) {
        for index in 0..proposed.min(taken + 1) {
            let weight = WEIGHT_OF_DRAFT.max(1.0 / (self.learned as f64 + 2.0));
            self.right += weight * (f64::from(u8::from(index < taken)) - self.right);
            self.learned += 1;
        }
        if taken == self.most {
            self.next_pause = PAUSE;
        }
    }

    /// A pass with so many drafts took so long.
    pub fn measured(&mut self, drafts: usize, time: Duration) {
        let time = time.as_secs_f64() * 1e3;
        let (value, new) = match (drafts, self.pass) {
            (0, _) => {
                (self.plain, self.since_plain) = (self.plain + 1, 0);
                (&mut self.pass, time)
            }
            (_, Some(pass)) => {
                self.since_plain += 1;
                (&mut self.draft, ((time - pass) / drafts as f64).max(0.0))
            }
            (_, None) => return,
        };
        *value = Some(value.map_or(new, |old| {
            // One that was held up by something else says little.
            let new = if old > 0.0 { new.min(4.0 * old) } else { new };
            old + if new < old { WEIGHT_OF_FASTER } else { WEIGHT_OF_SLOWER } * (new - old)
        }));
    }
}

/// The time that the MLX thread spends on a run, its host's apart.
#[derive(Default)]
pub(super) struct Clock {
    spent: Duration,
    since: Option<Instant>,
}

impl Clock {
    pub fn start(&mut self) {
        self.since = Some(Instant::now());
    }

    pub fn stop(&mut self) {
        self.spent += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// The time since the last lap; it runs on.
    pub fn lap(&mut self) -> Duration {
        self.stop();
        self.start();
        std::mem::take(&mut self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs where pass and draft cost so much, and drafts are right so often; the drafts of each pass.
    fn counts(pass: f64, draft: f64, right: f64, passes: usize) -> Vec<usize> {
        let mut pay = Pay::new(8);
        let (mut chance, mut state) = (0.0, 1u32);
        let mut counts = Vec::new();
        for _ in 0..passes {
            let count = pay.count();
            counts.push(count);
            let mut taken = 0;
            while taken < count {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                chance = f64::from(state >> 8) / f64::from(1 << 24);
                if chance >= right {
                    break;
                }
                taken += 1;
            }
            if count > 0 {
                pay.learn(count, taken);
            }
            pay.measured(count, Duration::from_secs_f64((pass + draft * count as f64) / 1e3));
        }
        assert!(chance <= 1.0);
        counts
    }

    fn mean(counts: &[usize]) -> f64 {
        counts.iter().sum::<usize>() as f64 / counts.len() as f64
    }

    #[test]
    fn cheap_rows_and_right_drafts_are_used_to_the_full() {
        let counts = counts(10.0, 0.3, 0.98, 200);
        assert_eq!(counts[..PLAIN], [0; PLAIN], "there is nothing to compare with");
        assert!(mean(&counts[100..]) > 7.5, "{counts:?}");
    }

    #[test]
    fn drafts_that_are_never_right_are_given_up_but_for_a_rare_try() {
        let counts = counts(10.0, 0.5, 0.0, 3000);
        assert!(mean(&counts) < 0.03, "{}", mean(&counts));
        assert!(counts[1500..].iter().any(|count| *count > 0), "never tried again");
    }

    #[test]
    fn rows_that_cost_as_much_as_passes_are_not_bought() {
        let counts = counts(10.0, 10.0, 0.95, 3000);
        assert!(mean(&counts) < 0.02, "{}", mean(&counts));
    }

    #[test]
    fn dear_rows_are_few() {
        let counts = counts(10.0, 3.0, 0.7, 400);
        let used: Vec<usize> = counts[100..].iter().copied().filter(|count| *count > 0).collect();
        assert!((1.0..4.5).contains(&mean(&used)), "{used:?}");
    }

    #[test]
    fn what_held_one_pass_up_does_not_end_drafts_for_good() {
        let mut pay = Pay::new(8);
        for _ in 0..4 {
            pay.measured(0, Duration::from_millis(10));
        }
        pay.measured(8, Duration::from_secs(3));
        let mut later = Vec::new();
        for _ in 0..300 {
            let count = pay.count();
            if count > 0 {
                pay.learn(count, count);
            }
            pay.measured(count, Duration::from_millis(10 + count as u64));
            later.push(count);
        }
        assert!(mean(&later[200..]) > 7.0, "{later:?}");
    }
}
