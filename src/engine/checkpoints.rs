//! Places in a conversation that a session can come back to after its windows have moved on: few, and the further back
//! the fewer, so that what an edit evaluates again is some small part of what lies behind it. Knows nothing of MLX.

/// Kept at once where the host does not say: places up to 2⁷ windows back.
pub(super) const DEFAULT_MOST: usize = 8;

/// Where a prompt of `len` tokens is cut for checkpoints: a window before its end, two windows, four, and so on. The
/// beginning of a turn is taken where there is one that far back, since that is where edits begin.
pub(super) fn places(len: usize, window: usize, turns: &[usize]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut back = window.max(1);
    while back < len {
        let (from, to) = (len.saturating_sub(back.saturating_mul(2)), len - back);
        let turn = turns.iter().copied().rfind(|turn| (from + 1..=to).contains(turn));
        places.push(turn.unwrap_or(to));
        back = back.saturating_mul(2);
    }
    places.reverse();
    places
}

/// What is kept of some place.
pub(super) trait Kept {
    /// Tokens before it.
    fn place(&self) -> usize;
}

/// What a session keeps, in the order of the places.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints<T> {
    most: usize,
    /// Places nearer to each other than this are as good as one, unless a turn begins there.
    window: usize,
    all: Vec<T>,
    /// Where the last turn begins: the next prompt is sure to share everything before it.
    turn: Option<usize>,
}

impl<T: Kept> Checkpoints<T> {
    pub fn new(most: usize, window: usize) -> Self {
        Self { most, window: window.max(1), all: Vec::new(), turn: None }
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether there is none behind the last one that is worth its memory when `len` tokens are held.
    pub fn is_due(&self, len: usize) -> bool {
        self.most > 1 && len > self.all.last().map_or(0, Kept::place) + self.window
    }

    /// Whether one that is taken at `place` would be kept.
    pub fn takes(&self, place: usize) -> bool {
        self.most > 0 && self.all.last().is_none_or(|last| last.place() < place)
    }

    /// Takes one behind all others; `is_turn` where a turn begins there.
    pub fn add(&mut self, checkpoint: T, is_turn: bool) {
        let place = checkpoint.place();
        if !self.takes(place) {
            return;
        }
        if is_turn {
            self.turn = Some(place);
        }
        self.all.push(checkpoint);
        self.thin(place);
    }

    /// Takes over what was kept before, in the order of the places; of too many the last ones. The last turn is taken to
    /// begin at the last of them.
    pub fn take_over(&mut self, mut all: Vec<T>) {
        all.drain(..all.len().saturating_sub(self.most));
        self.turn = all.last().map(Kept::place);
        self.all = all;
    }

    /// The last one with at most `len` tokens before it.
    pub fn before(&self, len: usize) -> Option<&T> {
        self.all.iter().rfind(|kept| kept.place() <= len)
    }

    /// Gives up those with more than `len` tokens before them.
    pub fn truncate(&mut self, len: usize) {
        self.all.retain(|kept| kept.place() <= len);
        self.turn = self.turn.filter(|turn| *turn <= len);
    }

    /// Gives up all but the one where the last turn begins.
    pub fn give_up_older(&mut self) {
        let turn = self.turn;
        self.all.retain(|kept| Some(kept.place()) == turn);
    }

    pub fn clear(&mut self) {
        self.all.clear();
        self.turn = None;
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter()
    }

    /// Gives up those without which little more would be evaluated again, and those that are too many, when `len` tokens
    /// are held.
    fn thin(&mut self, len: usize) {
        let cheapest = |own: &Self, count: usize| {
            let costs = (0..count).filter_map(|i| Some((i, own.cost(i, len)?)));
            costs.min_by(|(_, a), (_, b)| a.total_cmp(b))
        };
        while let Some((index, _)) = cheapest(self, self.all.len()).filter(|(_, cost)| *cost <= 1.0) {
            self.all.remove(index);
        }
        while self.all.len() > self.most {
            // Not the one that has just come: it would be due again with the next token.
            let older = cheapest(self, self.all.len() - 1);
            self.all.remove(older.map_or(0, |(index, _)| index));
        }
    }

    /// What would be evaluated again at most for lack of a checkpoint, in shares of what lies behind it anyway. None for
    /// the one that stays.
    fn cost(&self, index: usize, len: usize) -> Option<f64> {
        let place = |index: usize| self.all.get(index).map(Kept::place);
        if place(index) == self.turn {
            return None;
        }
        let before = index.checked_sub(1).and_then(place).unwrap_or(0);
        let after = place(index + 1).unwrap_or(len);
        Some((after - before) as f64 / len.saturating_sub(after).max(self.window) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Kept for usize {
        fn place(&self) -> usize {
            *self
        }
    }

    fn kept(checkpoints: &Checkpoints<usize>) -> Vec<usize> {
        checkpoints.iter().copied().collect()
    }

    #[test]
    fn places_grow_apart_towards_the_beginning_and_are_turns_where_there_are_some() {
        assert_eq!(places(1700, 100, &[]), [100, 900, 1300, 1500, 1600]);
        assert_eq!(places(1700, 100, &[0, 350, 1000, 1250, 1590, 1690]), [100, 350, 1250, 1500, 1590]);
        assert_eq!(places(100, 100, &[0, 50]), Vec::<usize>::new());
        assert_eq!(places(0, 0, &[]), Vec::<usize>::new());
        assert_eq!(places(usize::MAX, usize::MAX / 2, &[]).len(), 2);
    }

    #[test]
    fn of_many_turns_few_are_kept_and_an_edit_of_any_costs_little_more_than_what_is_behind_it() {
        for turn in [7, 40, 150, 800] {
            let mut checkpoints = Checkpoints::new(12, 100);
            for end in (turn..20_000).step_by(turn) {
                checkpoints.add(end, true);
                assert!(checkpoints.iter().count() <= 12);
                for edit in (0..end).step_by(turn) {
                    let again = end - checkpoints.before(edit).copied().unwrap_or(0);
                    let (behind, least) = (end - edit, 2 * turn.max(100));
                    assert!(again <= 4 * behind + least, "{again} for {behind} with turns of {turn}");
                }
            }
        }
    }

    #[test]
    fn where_the_last_turn_begins_stays_through_a_long_answer_and_any_bound() {
        for most in 1..4 {
            let mut checkpoints = Checkpoints::new(most, 100);
            checkpoints.add(30, true);
            checkpoints.add(250, true);
            for len in 251..3000 {
                if checkpoints.is_due(len) {
                    checkpoints.add(len, false);
                }
                assert_eq!(checkpoints.before(250), Some(&250));
                assert!(checkpoints.iter().count() <= most);
            }
            checkpoints.give_up_older();
            assert_eq!(kept(&checkpoints), [250]);
            checkpoints.truncate(249);
            assert!(checkpoints.before(usize::MAX).is_none());
        }
        let mut none = Checkpoints::new(0, 100);
        none.add(30, true);
        assert!(none.before(100).is_none() && !none.is_due(1000));
    }

    #[test]
    fn what_is_too_near_or_no_further_is_not_kept() {
        let mut checkpoints = Checkpoints::new(8, 100);
        checkpoints.add(500, true);
        checkpoints.add(560, false);
        checkpoints.add(400, true);
        assert_eq!(kept(&checkpoints), [500]);
        checkpoints.add(700, false);
        assert_eq!(kept(&checkpoints), [500, 700]);
    }
}
