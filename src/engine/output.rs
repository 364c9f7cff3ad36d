//! From generated token ids to text events.

use std::collections::BTreeSet;

use super::event::EventKind;
use crate::error::Result;
use crate::prompt::{Formatter, TextDecoder};
use crate::sampling::StopMatcher;

/// The token pairs between which a model reasons, as the known families spell them.
const REASONING: [(&str, &str); 2] = [("<|channel>", "<channel|>"), ("<think>", "</think>")];

/// The token pairs around a tool call; their spelling stays in the text, so that a host can parse the call.
const TOOL_CALL: [(&str, &str); 2] = [("<|tool_call>", "<tool_call|>"), ("<tool_call>", "</tool_call>")];

/// The channel tokens of one tokenizer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channels {
    reasoning: Option<(u32, u32)>,
    /// Gemma names a channel on its first line: `<|channel>thought\n`.
    named: bool,
    spelled: Vec<(u32, String)>,
}

impl Channels {
    pub fn of(formatter: &Formatter) -> Self {
        let pair =
            |(open, close): (&str, &str)| Some((formatter.token_id(open)?, formatter.token_id(close)?));
        let found = REASONING.iter().find_map(|&p| pair(p).map(|ids| (ids, p.0 == "<|channel>")));
        let spelled = TOOL_CALL
            .iter()
            .flat_map(|&(open, close)| [open, close])
            .chain(["<|\"|>"])
            .filter_map(|spelling| Some((formatter.token_id(spelling)?, spelling.to_owned())))
            .collect();
        Self { reasoning: found.map(|f| f.0), named: found.is_some_and(|f| f.1), spelled }
    }

    fn spelling(&self, id: u32) -> Option<&str> {
        self.spelled.iter().find(|s| s.0 == id).map(|s| s.1.as_str())
    }

    /// Whether a prompt leaves a reasoning channel open for the model to go on in.
    fn open_after(&self, prompt: &[u32]) -> bool {
        let Some((open, close)) = self.reasoning else { return false };
        prompt.iter().rev().find(|&&id| id == open || id == close).is_some_and(|&id| id == open)
    }
}

/// The text of one token.
pub(crate) struct Piece {
    pub kind: EventKind,
    pub text: String,
    /// Nothing may follow.
    pub stopped: Option<Stopped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    EndToken,
    StopString,
}

/// The state of one answer's text.
pub(crate) struct Output {
    decoder: TextDecoder,
    stops: StopMatcher,
    channels: Channels,
    end_tokens: BTreeSet<u32>,
    reasoning: bool,
    /// Inside the line that names a channel.
    naming: bool,
}

impl Output {
    pub fn new(
        formatter: &Formatter,
        channels: Channels,
        end_tokens: BTreeSet<u32>,
        stop: Vec<String>,
        prompt: &[u32],
    ) -> Self {
        let reasoning = channels.open_after(prompt);
        Self {
            decoder: formatter.text_decoder(),
            stops: StopMatcher::new(stop),
            channels,
            end_tokens,
            reasoning,
            naming: false,
        }
    }

    /// Takes the next token; `last` when no other follows, so that nothing is held back any longer.
    pub fn push(&mut self, id: u32, last: bool) -> Result<Piece> {
        if self.end_tokens.contains(&id) {
            return Ok(Piece { kind: self.kind(), text: self.finish(), stopped: Some(Stopped::EndToken) });
        }
        if let Some((open, close)) = self.channels.reasoning
            && (id == open || id == close)
        {
            // A half-finished character or stop string before a channel border will not be completed after it.
            let text = self.finish();
            let kind = self.kind();
            self.reasoning = id == open;
            self.naming = self.reasoning && self.channels.named;
            return Ok(Piece { kind, text, stopped: None });
        }
        let spelled = self.channels.spelling(id).map(str::to_owned);
        let text = match spelled {
            Some(spelling) => self.decoder.finish() + &spelling,
            None => self.decoder.push(id)?,
        };
        Ok(self.piece(text, last))
    }

    fn piece(&mut self, text: String, last: bool) -> Piece {
        let kind = self.kind();
        if self.reasoning {
            let mut text = text;
            if self.naming {
                match text.split_once('\n') {
                    Some((_, rest)) => {
                        self.naming = false;
                        text = rest.to_owned();
                    }
                    None => text.clear(),
                }
            }
            if last {
                text += &self.decoder.finish();
            }
            return Piece { kind, text, stopped: None };
        }
        let mut checked = self.stops.push(&text);
        if last && !checked.stopped {
            let rest = self.stops.push(&self.decoder.finish());
            checked.text += &rest.text;
            checked.stopped = rest.stopped;
            if !checked.stopped {
                checked.text += &self.stops.finish();
            }
        }
        Piece { kind, text: checked.text, stopped: checked.stopped.then_some(Stopped::StopString) }
    }

    fn kind(&self) -> EventKind {
        if self.reasoning { EventKind::Reasoning } else { EventKind::Text }
    }

    /// What was held back, once nothing more comes.
    pub fn finish(&mut self) -> String {
        let rest = self.decoder.finish();
        if self.reasoning {
            return if self.naming { String::new() } else { rest };
        }
        let checked = self.stops.push(&rest);
        if checked.stopped { checked.text } else { checked.text + &self.stops.finish() }
    }
}
