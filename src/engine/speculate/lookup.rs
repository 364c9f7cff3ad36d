//! Prompt lookup: what followed the last time that the last few tokens stood somewhere, in prompt or answer.

use super::Drafter;

/// Stands for a position that is no text.
const NO_TEXT: u32 = u32::MAX;
/// No position.
const NOWHERE: u32 = u32::MAX;
/// Earlier places that are looked at, the latest first.
const MOST_PLACES: usize = 64;
/// Equal tokens past which a place is as good as any.
const LONG_ENOUGH: usize = 32;
/// How many equal tokens it takes to propose anything: at first, and after many wrong proposals.
const SHORTEST: usize = 2;
const WARY: usize = 5;

/// Every pair of tokens by where it ends, in chains from each place to the one before it.
pub(super) struct PromptLookup {
    ids: Vec<u32>,
    /// For each hash of a pair the last place.
    last: Vec<u32>,
    /// For each place the one before it of the same hash.
    before: Vec<u32>,
    shortest: usize,
}

impl PromptLookup {
    /// Of nothing yet; for about so many tokens.
    pub fn new(tokens: usize) -> Self {
        let size = tokens.next_power_of_two().clamp(1 << 12, 1 << 18);
        Self { ids: Vec::new(), last: vec![NOWHERE; size], before: Vec::new(), shortest: SHORTEST }
    }

    /// Takes in positions whose ids say nothing of what stands there.
    pub fn skip(&mut self, count: usize) {
        (0..count).for_each(|_| self.push(NO_TEXT));
    }

    fn push(&mut self, id: u32) {
        let place = self.ids.len();
        let before = match self.ids.last() {
            Some(&previous) if previous != NO_TEXT && id != NO_TEXT => {
                let slot = self.slot(previous, id);
                std::mem::replace(&mut self.last[slot], u32::try_from(place).unwrap_or(NOWHERE))
            }
            _ => NOWHERE,
        };
        self.before.push(before);
        self.ids.push(id);
    }

    fn slot(&self, previous: u32, id: u32) -> usize {
        let pair = u64::from(previous) << 32 | u64::from(id);
        let mixed = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize & (self.last.len() - 1)
    }

    /// How many tokens up to `place` are those at the end.
    fn shared(&self, place: usize) -> usize {
        let pairs = self.ids[..=place].iter().rev().zip(self.ids.iter().rev()).take(LONG_ENOUGH);
        pairs.take_while(|(a, b)| a == b && **a != NO_TEXT).count()
    }

    /// The place that shares most with the end; of several the latest.
    fn best(&self) -> Option<usize> {
        let mut best = (self.shortest - 1, None);
        let mut place = *self.before.last()?;
        for _ in 0..MOST_PLACES {
            if place == NOWHERE || best.0 >= LONG_ENOUGH {
                break;
            }
            let shared = self.shared(place as usize);
            if shared > best.0 {
                best = (shared, Some(place as usize));
            }
            place = self.before[place as usize];
        }
        best.1
    }
}

impl Drafter for PromptLookup {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32]) {
        ids.iter().for_each(|id| self.push(*id));
    }

    fn propose(&self, most: usize) -> Vec<u32> {
        let mut drafts = Vec::new();
        let Some(place) = self.best() else { return drafts };
        for next in (place + 1..).take(most) {
            // Where it runs into the end, it goes on with itself: the text goes round.
            let id = self.ids.get(next).copied().unwrap_or_else(|| drafts[next - self.ids.len()]);
            if id == NO_TEXT {
                break;
            }
            drafts.push(id);
        }
        drafts
    }

    fn learn(&mut self, proposed: usize, taken: usize) {
        match taken {
            0 => self.shortest = (self.shortest + 1).min(WARY),
            _ if taken == proposed => self.shortest = (self.shortest - 1).max(SHORTEST),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [u32; 0] = [];

    fn of(ids: &[u32]) -> PromptLookup {
        let mut lookup = PromptLookup::new(ids.len());
        lookup.extend(ids);
        lookup
    }

    #[test]
    fn what_followed_the_longest_run_is_proposed_and_of_equals_the_latest() {
        assert_eq!(of(&[1, 2, 3, 4, 9, 2, 3, 5, 9, 1, 2, 3]).propose(2), [4, 9]);
        assert_eq!(of(&[2, 3, 4, 9, 2, 3, 5, 9, 7, 2, 3]).propose(3), [5, 9, 7]);
        assert_eq!(of(&[1, 2, 3, 4]).propose(8), NOTHING);
        assert_eq!(of(&[3, 4, 5, 3]).propose(8), NOTHING, "one token is not enough");
        assert_eq!(of(&[]).propose(8), NOTHING);
        assert_eq!(of(&[7]).propose(8), NOTHING);
    }

    #[test]
    fn a_text_that_goes_round_is_continued_past_its_end() {
        assert_eq!(of(&[5, 1, 2, 3, 1, 2, 3]).propose(8), [1, 2, 3, 1, 2, 3, 1, 2]);
        assert_eq!(of(&[4, 4, 4]).propose(3), [4, 4, 4]);
    }

    #[test]
    fn positions_of_media_are_neither_looked_up_nor_proposed() {
        let mut lookup = of(&[1, 2]);
        lookup.skip(3);
        lookup.extend(&[8, 9, 7, 1, 2]);
        assert_eq!(lookup.propose(4), NOTHING);
        let mut lookup = of(&[1, 2, 3]);
        lookup.skip(3);
        lookup.extend(&[1, 2]);
        assert_eq!(lookup.propose(4), [3]);
        let mut media = PromptLookup::new(9);
        media.skip(9);
        assert_eq!(media.propose(4), NOTHING);
    }

    #[test]
    fn wrong_proposals_make_it_ask_for_longer_runs() {
        let mut lookup = of(&[1, 2, 3, 9, 1, 2]);
        lookup.learn(4, 0);
        assert_eq!(lookup.propose(1), NOTHING);
        lookup.learn(4, 2);
        assert_eq!(lookup.propose(1), NOTHING);
        lookup.learn(4, 4);
        assert_eq!(lookup.propose(1), [3]);
    }

    /// By looking at every earlier place.
    fn by_definition(ids: &[u32], most: usize) -> Vec<u32> {
        let shared = |place: usize| {
            (0..LONG_ENOUGH.min(place + 1)).take_while(|i| ids[place - i] == ids[ids.len() - 1 - i]).count()
        };
        let earlier = 1..ids.len().saturating_sub(1).max(1);
        let best =
            earlier.filter(|place| shared(*place) >= SHORTEST).max_by_key(|place| (shared(*place), *place));
        let Some(place) = best.filter(|place| *place + 1 < ids.len()) else { return vec![] };
        let mut text = ids.to_vec();
        (0..most).for_each(|i| text.push(text[place + 1 + i]));
        text.split_off(ids.len())
    }

    #[test]
    fn what_is_found_is_what_a_search_of_everything_finds() {
        let mut state = 1u32;
        let mut proposals = 0;
        for _ in 0..300 {
            let mut next = |kinds: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) % kinds
            };
            let kinds = 3 + next(6);
            let ids: Vec<u32> = (0..60).map(|_| next(kinds)).collect();
            let found = of(&ids).propose(5);
            assert_eq!(found, by_definition(&ids, 5), "{ids:?}");
            proposals += usize::from(!found.is_empty());
        }
        assert!(proposals > 100, "{proposals}");
    }
}
