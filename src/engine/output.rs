//! From generated token ids to text events.

use std::collections::{BTreeMap, BTreeSet};

use super::event::EventKind;
use crate::dialect::{Kind, Mark, Marks, Parser, Segment, Told};
use crate::error::Result;
use crate::prompt::{Formatter, TextDecoder};
use crate::sampling::{LoopDetection, LoopDetector, StopMatcher};

/// What one token adds to the answer.
pub(crate) struct Piece {
    pub kind: EventKind,
    pub text: String,
    /// What is known of a call that the token belongs to.
    pub call: Told,
    /// Nothing may follow.
    pub stopped: Option<Stopped>,
    /// The token that has to come next, whatever the model would say.
    pub forced: Option<u32>,
}

/// What a token is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Text,
    Thought,
    Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    EndToken,
    /// An end token after at least one call.
    ToolCalls,
    StopToken,
    StopString,
    Loop,
}

/// What ends an answer.
#[derive(Default)]
pub(crate) struct Ends {
    pub tokens: BTreeSet<u32>,
    /// The host's own.
    pub stop_tokens: BTreeSet<u32>,
    pub stop: Vec<String>,
    /// Tokens of thinking after which the thought is ended.
    pub thinking_budget: Option<usize>,
    pub loops: Option<LoopDetection>,
}

/// The state of one answer's text.
pub(crate) struct Output {
    decoder: TextDecoder,
    /// For what stands in a call, where special tokens count as they are spelled.
    spelled: TextDecoder,
    parser: Parser,
    stops: StopMatcher,
    ends: Ends,
    /// Special tokens whose spelling is a stop string.
    spelled_stops: BTreeSet<u32>,
    /// Tokens that are not part of the text, and a part of some stop string as they are spelled.
    spellings: BTreeMap<u32, String>,
    loops: Option<LoopDetector>,
    thought: usize,
}

impl Output {
    pub fn new(formatter: &Formatter, marks: Marks, mut ends: Ends, prompt: &[u32]) -> Self {
        let spellings = spellings(formatter, &marks, &ends);
        let whole = spellings.iter().filter(|(_, spelling)| ends.stop.contains(spelling));
        Self {
            decoder: formatter.text_decoder(),
            spelled: formatter.text_decoder_with_special(),
            parser: Parser::new(marks, prompt),
            spelled_stops: whole.map(|(id, _)| *id).collect(),
            stops: StopMatcher::new(std::mem::take(&mut ends.stop)),
            loops: ends.loops.map(LoopDetector::new),
            spellings,
            ends,
            thought: 0,
        }
    }

    /// Where the next token stands, as far as one can know.
    pub fn place(&self) -> Place {
        match (self.parser.in_call(), self.parser.is_thinking()) {
            (true, _) => Place::Call,
            (false, true) => Place::Thought,
            (false, false) => Place::Text,
        }
    }

    /// Whether the answer ends with this token, wherever it comes.
    pub fn ends_with(&self, id: u32) -> bool {
        self.ends.tokens.contains(&id) || self.ends.stop_tokens.contains(&id)
    }

    /// How many whole calls there were.
    pub fn calls(&self) -> usize {
        self.parser.calls()
    }

    /// Takes the next token; `last` when no other follows, so that nothing is held back any longer.
    pub fn push(&mut self, id: u32, last: bool) -> Result<Piece> {
        let loops = self.loops.as_mut().is_some_and(|loops| loops.push(id));
        let mut piece = self.take(id, last || loops)?;
        if loops {
            piece.stopped = piece.stopped.or(Some(Stopped::Loop));
        }
        Ok(piece)
    }

    fn take(&mut self, id: u32, last: bool) -> Result<Piece> {
        let stopped = match id {
            _ if self.ends.stop_tokens.contains(&id) => Some(Stopped::StopToken),
            _ if self.spelled_stops.contains(&id) => Some(Stopped::StopString),
            _ if self.ends.tokens.contains(&id) => Some(Stopped::EndToken),
            _ => None,
        };
        if stopped.is_some() {
            return Ok(self.end(stopped, Some(id)));
        }
        let mut piece = match self.parser.mark_of(id) {
            Some(mark) => self.mark(mark, id),
            None => {
                let decoder = if self.parser.in_call() { &mut self.spelled } else { &mut self.decoder };
                let text = decoder.push(id)?;
                let segment = self.parser.text(text);
                let piece = self.said(segment);
                self.spelled_after(piece, Some(id))
            }
        };
        if last && piece.stopped.is_none() {
            let rest = self.end(None, None);
            piece = joined(piece, rest);
        } else if self.parser.is_thinking() {
            self.thought += 1;
            if self.ends.thinking_budget.is_some_and(|budget| self.thought >= budget) {
                piece.forced = self.parser.thought_end();
            }
        }
        Ok(piece)
    }

    /// A half-finished character before a mark will not be completed after it, and neither will a stop string where
    /// what follows is no text.
    fn mark(&mut self, mark: Mark, id: u32) -> Piece {
        let rest = self.rest();
        let before = self.parser.text(rest);
        let segment = self.parser.mark(mark);
        let segment = match (before.kind, segment.kind) {
            (Kind::Call(told), Kind::Call(next)) => Segment { kind: Kind::Call(told.and(next)), ..segment },
            (_, kind) if before.text.is_empty() => Segment { kind, ..segment },
            (kind, _) => Segment { text: before.text + &segment.text, kind },
        };
        let was_text = segment.kind == Kind::Text;
        let mut piece = self.said(segment);
        if was_text && piece.stopped.is_none() && !self.parser.in_text() {
            piece = self.spelled_after(piece, Some(id));
            piece.text += &self.stops.finish();
        }
        piece
    }

    /// A token that is not part of the text may end a stop string as it is spelled, or be a part of one.
    fn spelled_after(&mut self, mut piece: Piece, id: Option<u32>) -> Piece {
        let spelling = id.and_then(|id| self.spellings.get(&id));
        if let Some(spelling) = spelling.filter(|_| piece.kind == EventKind::Text && piece.stopped.is_none())
        {
            let checked = self.stops.push_hidden(spelling);
            piece.text += &checked.text;
            piece.stopped = checked.stopped.then_some(Stopped::StopString);
        }
        piece
    }

    fn said(&mut self, segment: Segment) -> Piece {
        let (mut text, mut stopped) = (segment.text, None);
        let (kind, call) = match segment.kind {
            Kind::Thought => (EventKind::Reasoning, Told::default()),
            Kind::Call(call) => (EventKind::ToolCall, call),
            Kind::Text => {
                let checked = self.stops.push(&text);
                text = checked.text;
                stopped = checked.stopped.then_some(Stopped::StopString);
                (EventKind::Text, Told::default())
            }
        };
        Piece { kind, text, call, stopped, forced: None }
    }

    /// What is held back, once nothing more comes after the token `id`.
    fn end(&mut self, stopped: Option<Stopped>, id: Option<u32>) -> Piece {
        let rest = self.rest();
        let segment = self.parser.text(rest);
        let segment = match (segment.kind, self.parser.finish()) {
            (Kind::Call(told), Some(Segment { kind: Kind::Call(next), text })) => {
                Segment { kind: Kind::Call(told.and(next)), text }
            }
            (kind, rest) => rest.unwrap_or(Segment { kind, text: segment.text }),
        };
        let piece = self.said(segment);
        let mut piece = self.spelled_after(piece, id);
        if piece.kind == EventKind::Text && piece.stopped.is_none() {
            piece.text += &self.stops.finish();
        }
        let stopped = match stopped {
            Some(Stopped::EndToken) if self.parser.calls() > 0 => Some(Stopped::ToolCalls),
            stopped => stopped,
        };
        piece.stopped = piece.stopped.or(stopped);
        piece
    }

    /// What was held back, where the answer is broken off.
    pub fn finish(&mut self) -> String {
        let rest = self.rest();
        let segment = self.parser.text(rest);
        let segment = self.parser.given_up().unwrap_or(segment);
        let held = if self.parser.in_text() { self.stops.finish() } else { String::new() };
        held + &segment.text
    }

    /// Bytes of a character that nothing completes any more.
    fn rest(&mut self) -> String {
        if self.parser.in_call() { self.spelled.finish() } else { self.decoder.finish() }
    }
}

/// Tokens that are not part of an answer's text, and are spelled as a part of a stop string.
fn spellings(formatter: &Formatter, marks: &Marks, ends: &Ends) -> BTreeMap<u32, String> {
    let stops = &ends.stop;
    if stops.is_empty() {
        return BTreeMap::new();
    }
    let silent = formatter.special_ids().chain(marks.ids()).chain(ends.tokens.iter().copied());
    silent
        .filter_map(|id| Some((id, formatter.token_text(id)?)))
        .filter(|(_, spelling)| !spelling.is_empty() && stops.iter().any(|stop| stop.contains(spelling)))
        .collect()
}

/// The piece of a token and what was held back after it.
fn joined(piece: Piece, rest: Piece) -> Piece {
    // What ends here is told by the rest, unless it brings nothing.
    let kind = if rest.text.is_empty() { piece.kind } else { rest.kind };
    let call = if kind == EventKind::ToolCall { piece.call.and(rest.call) } else { Told::default() };
    Piece { kind, text: piece.text + &rest.text, call, stopped: rest.stopped, forced: None }
}
