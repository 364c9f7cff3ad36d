//! Which of a conversation's older turns are left out where it does not fit into the context. A turn is a message of the
//! user and all up to the next one: answers, calls, and their results.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::options::GenerationOptions;
use super::session::Session;
use crate::error::{Code, Error, Result};
use crate::prompt::{Placed, Prompt};

/// A conversation that fits, and what was done to it for that.
pub(super) struct Fitting<'a> {
    pub prompt: Cow<'a, Prompt>,
    pub placed: Placed,
    pub shortened: Option<Shortened>,
}

/// What was left out of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Shortened {
    /// Its messages from this one on stayed, and those of the system.
    begin: usize,
    /// How many did not.
    pub dropped: usize,
    /// Of the messages before `begin`.
    said: [u8; 32],
}

impl Session {
    /// The conversation, without its oldest turns where it does not fit and the host allows that; `CONTEXT_FULL` where it
    /// does not fit then.
    ///
    /// One that leaves less for the answer than `max_tokens`, or a quarter of the context, is too long; and half of the
    /// context is made free at once, or else the next submit would have to evaluate everything anew for the sake of a turn.
    pub(super) fn fit<'a>(&self, prompt: &'a Prompt, options: &GenerationOptions) -> Result<Fitting<'a>> {
        let context = self.settings().context_length;
        let room = options.max_tokens.unwrap_or(usize::MAX).min(context / 4).max(1);
        let whole = self.model().place(prompt, options)?;
        let borders = match self.settings().keep_turns {
            Some(keep) if whole.ids.len() + room > context && prompt.tokens.is_none() => {
                borders(prompt, keep)
            }
            _ => Vec::new(),
        };
        let Some(last) = borders.last() else {
            check_length(&whole, context)?;
            return Ok(Fitting { prompt: Cow::Borrowed(prompt), placed: whole, shortened: None });
        };
        let mut tried = Tried::new(|begin| self.model().place(&shortened(prompt, begin), options));
        let before = self.shortened().clone();
        let before = before.filter(|before| borders.contains(&before.begin));
        let before =
            before.filter(|before| before.said == prompt.said(before.begin)).map(|before| before.begin);
        let begin = match before {
            Some(begin) if tried.is_within(begin, context - room)? => begin,
            _ => match first(&borders, |begin| tried.is_within(begin, context / 2))? {
                Some(begin) => begin,
                None => first(&borders, |begin| tried.is_within(begin, context - room))?.unwrap_or(*last),
            },
        };
        let (shorter, placed) = (shortened(prompt, begin), tried.take(begin)?);
        check_length(&placed, context)?;
        let shortened = Shortened { begin, dropped: dropped(prompt, begin), said: prompt.said(begin) };
        Ok(Fitting { prompt: Cow::Owned(shorter), placed, shortened: Some(shortened) })
    }
}

/// Conversations from some borders on, each rendered once.
struct Tried<F> {
    place: F,
    placed: BTreeMap<usize, Placed>,
}

impl<F: FnMut(usize) -> Result<Placed>> Tried<F> {
    fn new(place: F) -> Self {
        Self { place, placed: BTreeMap::new() }
    }

    fn is_within(&mut self, begin: usize, most: usize) -> Result<bool> {
        let placed = self.take(begin)?;
        let fits = placed.ids.len() <= most;
        self.placed.insert(begin, placed);
        Ok(fits)
    }

    fn take(&mut self, begin: usize) -> Result<Placed> {
        self.placed.remove(&begin).map_or_else(|| (self.place)(begin), Ok)
    }
}

fn check_length(placed: &Placed, context: usize) -> Result<()> {
    let tokens = placed.ids.len();
    if tokens == 0 {
        return Err(Error::prompt("the prompt is empty: it renders to no token at all"));
    }
    if tokens >= context {
        let message = format!(
            "the prompt has {tokens} tokens, and the context of {context} must hold one more to answer"
        );
        let error = Error::new(Code::ContextFull, message);
        return Err(error.with("prompt_tokens", tokens).with("context_length", context));
    }
    Ok(())
}

/// The messages that a shortened conversation may begin with after those of the system, so that `keep` turns stay, or the
/// last one.
pub(super) fn borders(prompt: &Prompt, keep: usize) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut before = None;
    for (index, message) in prompt.messages.iter().enumerate().filter(|(_, m)| !is_system(&m.role)) {
        // Messages of the user that follow each other are one turn.
        if message.role == "user" && before != Some("user") {
            begins.push(index);
        }
        before = Some(message.role.as_str());
    }
    begins.truncate((begins.len() + 1).saturating_sub(keep.max(1)));
    // Where it begins with a turn, that border would leave nothing out.
    begins.retain(|begin| dropped(prompt, *begin) > 0);
    begins
}

/// The conversation without the messages before `begin` that are not the system's.
pub(super) fn shortened(prompt: &Prompt, begin: usize) -> Prompt {
    let mut prompt = prompt.clone();
    let mut index = 0;
    prompt.messages.retain(|message| {
        index += 1;
        index > begin || is_system(&message.role)
    });
    prompt
}

/// How many messages that leaves out.
pub(super) fn dropped(prompt: &Prompt, begin: usize) -> usize {
    prompt.messages.iter().take(begin).filter(|message| !is_system(&message.role)).count()
}

fn is_system(role: &str) -> bool {
    matches!(role, "system" | "developer")
}

/// The first of some, in ascending order of what they leave out, that is `enough`.
pub(super) fn first(
    borders: &[usize],
    mut enough: impl FnMut(usize) -> Result<bool>,
) -> Result<Option<usize>> {
    let (mut low, mut high) = (0, borders.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match enough(borders[middle])? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(borders.get(low).copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Message;

    fn of(roles: &[&str]) -> Prompt {
        let message = |(index, role): (usize, &&str)| Message::text(*role, index.to_string());
        Prompt { messages: roles.iter().enumerate().map(message).collect(), ..Prompt::default() }
    }

    #[test]
    fn a_conversation_is_cut_before_turns_of_the_user_only() {
        let prompt =
            of(&["system", "user", "assistant", "tool", "assistant", "user", "user", "assistant", "user"]);
        assert_eq!(borders(&prompt, 1), [5, 8]);
        assert_eq!(borders(&prompt, 0), [5, 8]);
        assert_eq!(borders(&prompt, 2), [5]);
        assert_eq!(borders(&prompt, 3), [0; 0]);
        assert_eq!(borders(&prompt, usize::MAX), [0; 0]);
        // An answer without a question comes before the first turn.
        assert_eq!(borders(&of(&["assistant", "user", "assistant"]), 1), [1]);
        assert_eq!(borders(&of(&["user", "assistant", "tool"]), 1), [0; 0]);
        assert_eq!(borders(&of(&["system"]), 1), [0; 0]);
    }

    #[test]
    fn the_systems_messages_stay_wherever_they_are() {
        let prompt = of(&["system", "user", "assistant", "developer", "user"]);
        let roles = |prompt: &Prompt| prompt.messages.iter().map(|m| m.role.clone()).collect::<Vec<_>>();
        assert_eq!(borders(&prompt, 1), [4]);
        assert_eq!(roles(&shortened(&prompt, 4)), ["system", "developer", "user"]);
        assert_eq!(dropped(&prompt, 4), 2);
    }

    #[test]
    fn each_border_is_rendered_once() {
        let mut rendered = Vec::new();
        let mut tried = Tried::new(|begin| {
            rendered.push(begin);
            Ok(Placed { ids: vec![0; 100 - begin], ..Placed::default() })
        });
        for most in [20, 50, 60] {
            assert_eq!(tried.is_within(50, most), Ok(most >= 50));
            assert_eq!(tried.is_within(10, most), Ok(false));
        }
        let mut rows = |begin| tried.take(begin).unwrap().ids.len();
        assert_eq!((rows(10), rows(30)), (90, 70));
        assert_eq!(rendered, [50, 10, 30]);
    }

    #[test]
    fn the_least_that_is_enough_is_left_out() {
        for enough in [0, 1, 4, 7, 9, 10] {
            let found = first(&[1, 4, 9], |border| Ok(border >= enough)).unwrap();
            assert_eq!(found, [1, 4, 9].into_iter().find(|border| *border >= enough));
        }
    }
}
