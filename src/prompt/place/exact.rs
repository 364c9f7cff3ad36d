//! Where a rendered text goes on after an answer that stays as it was generated.

use super::medium::MediaSet;
use super::spots::{Spot, Spots};
use super::tags::Tags;
use super::turns::TurnMarkers;
use crate::prompt::message::Message;
use crate::prompt::pycompat::is_space;
use crate::prompt::tokenizer::TextTokenizer;

/// What of a text follows an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Rest {
    /// Where it begins: at the token that the answer ended with, or right after the answer.
    pub from: usize,
    /// It begins with the answer's last token.
    pub overlaps: bool,
}

/// What the search looks at.
pub(super) struct Search<'a> {
    pub tokenizer: &'a TextTokenizer,
    pub markers: &'a TurnMarkers,
    pub tags: &'a Tags,
    pub text: &'a str,
    /// The same with tags.
    pub tagged: &'a str,
}

impl Search<'_> {
    /// What follows message `index`, which is an answer whose last token is `last`; or why that cannot be told.
    pub fn rest(&self, index: usize, message: &Message, last: u32) -> Result<Rest, &'static str> {
        let (from, to) = self.between(index)?;
        let control = self.tokenizer.token_text(last).filter(|_| self.tokenizer.is_control(last));
        let after = &self.text[from..to];
        let blanks = after.len() - after.trim_start_matches(is_space).len();
        let told = !message.tool_calls.is_empty();
        if let Some(spelling) = control {
            let at = after.find(&spelling).filter(|at| told || *at <= blanks);
            let at = at.ok_or("the template does not write the token that it ended with")?;
            return Ok(Rest { from: from + at, overlaps: true });
        }
        let ends = self.markers.ends().any(|end| after[blanks..].starts_with(end));
        match ends && !told {
            true => Ok(Rest { from: from + blanks, overlaps: false }),
            false => Err("no end of its turn follows it"),
        }
    }

    /// From the last tag of a message to the first of those after it, as offsets in the text without tags.
    fn between(&self, index: usize) -> Result<(usize, usize), &'static str> {
        let hits = self.tags.find(self.tagged);
        let message = |number| self.tags.owner(number).message;
        let own = hits.iter().filter(|hit| message(hit.number) == index).map(|hit| hit.end).max();
        let own = own.ok_or("the template leaves no trace of it")?;
        let later = hits.iter().filter(|hit| message(hit.number) > index).map(|hit| hit.start).min();
        let later = later.unwrap_or(self.tagged.len());
        if later < own || hits.iter().any(|hit| message(hit.number) < index && hit.start > own) {
            return Err("the template changes the order of the messages");
        }
        let plain = |at: usize| {
            let tail = self.tags.strip(&self.tagged[at..]);
            self.text.ends_with(&tail).then(|| self.text.len() - tail.len())
        };
        plain(own).zip(plain(later)).ok_or("the template writes something else when it is looked for")
    }
}

/// The spots in the text from an offset on, if those are the ones of the messages after `index`.
pub(super) fn spots_from(
    from: usize,
    index: usize,
    spots: &Spots,
    media: &MediaSet,
) -> Result<Spots, &'static str> {
    let later = |spot: &Spot| media.media[spot.medium].message > index;
    if !spots.without_turns.is_empty() || spots.list.iter().any(|spot| later(spot) != (spot.at >= from)) {
        return Err("media of other messages stand behind it");
    }
    let list = spots.list.iter().filter(|spot| later(spot));
    let list = list.map(|spot| Spot { at: spot.at - from, ..spot.clone() }).collect();
    Ok(Spots { list, without_turns: Vec::new() })
}
