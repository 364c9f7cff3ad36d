//! Finds answers that go round in a circle.

use std::collections::VecDeque;

/// What counts as a loop: the answer's last tokens are one run of at most `longest` tokens, `repeats` times in a row, and
/// are at least `least` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopDetection {
    /// At least 2.
    pub repeats: usize,
    /// Tokens of the longest run that is looked for, [`LoopDetection::LONGEST`] at most.
    pub longest: usize,
    /// Tokens that all of the runs together have at least.
    pub least: usize,
}

impl LoopDetection {
    /// Each token is compared with as many before it as the longest run has.
    pub const LONGEST: usize = 4096;
}

/// Watches the tokens of one answer.
pub(crate) struct LoopDetector {
    detection: LoopDetection,
    /// The last tokens, the latest first.
    last: VecDeque<u32>,
    /// For each distance from 1 on: how many of the latest tokens in a row equal the one so far before them.
    equal: Vec<usize>,
}

impl LoopDetector {
    pub fn new(detection: LoopDetection) -> Self {
        Self { detection, last: VecDeque::new(), equal: vec![0; detection.longest] }
    }

    /// Takes the next token; whether the answer loops with it.
    pub fn push(&mut self, token: u32) -> bool {
        let LoopDetection { repeats, longest, least } = self.detection;
        for (equal, before) in self.equal.iter_mut().zip(&self.last) {
            *equal = if *before == token { *equal + 1 } else { 0 };
        }
        self.last.truncate(longest.saturating_sub(1));
        self.last.push_front(token);
        // The first of the runs has nothing before it that it would equal.
        (1..)
            .zip(&self.equal)
            .any(|(period, equal)| equal + period >= repeats.saturating_mul(period).max(least) && *equal > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends_at(repeats: usize, longest: usize, least: usize, tokens: &[u32]) -> Option<usize> {
        let mut detector = LoopDetector::new(LoopDetection { repeats, longest, least });
        tokens.iter().position(|token| detector.push(*token))
    }

    /// What the definition says, looked for from scratch.
    fn by_definition(repeats: usize, longest: usize, least: usize, tokens: &[u32]) -> Option<usize> {
        (0..tokens.len()).find(|&last| {
            let so_far = &tokens[..=last];
            (1..=longest).any(|period| {
                let long = (repeats * period).max(least).max(period + 1);
                let tail = so_far.len().checked_sub(long).map(|from| &so_far[from..]);
                tail.is_some_and(|tail| (period..tail.len()).all(|i| tail[i] == tail[i - period]))
            })
        })
    }

    #[test]
    fn a_run_counts_once_it_has_come_so_often() {
        assert_eq!(ends_at(3, 8, 0, &[9, 1, 2, 1, 2, 1, 2, 1]), Some(6));
        assert_eq!(ends_at(4, 8, 0, &[7, 7, 7, 7, 7]), Some(3));
        assert_eq!(ends_at(3, 8, 0, &[1, 2, 1, 2, 3, 1, 2, 1, 2]), None);
        assert_eq!(ends_at(usize::MAX, 8, 0, &[7; 40]), None);
    }

    #[test]
    fn longer_runs_than_asked_for_and_shorter_loops_are_none() {
        assert_eq!(ends_at(2, 2, 0, &[1, 2, 3, 1, 2, 3, 1, 2, 3]), None);
        assert_eq!(ends_at(2, 3, 0, &[1, 2, 3, 1, 2, 3, 1, 2, 3]), Some(5));
        assert_eq!(ends_at(2, 3, 6, &[5; 10]), Some(5));
    }

    #[test]
    fn what_is_found_is_what_the_definition_says() {
        let mut state = 1u32;
        for round in 0..400 {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as usize
            };
            let kinds = 1 + next() % 3;
            let tokens: Vec<u32> = (0..60).map(|_| (next() % kinds) as u32).collect();
            let (repeats, longest, least) = (2 + next() % 4, 1 + next() % 7, next() % 20);
            let expected = by_definition(repeats, longest, least, &tokens);
            assert_eq!(ends_at(repeats, longest, least, &tokens), expected, "round {round}: {tokens:?}");
        }
    }
}
