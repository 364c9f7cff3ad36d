//! Holds an answer to its constraint, and its calls to the tools' schemas: which tokens may come next.

use std::collections::BTreeSet;

use serde_json::Value;

use super::model::Model;
use super::options::{GenerationOptions, ToolChoice};
use super::output::Place;
use crate::dialect::{Calls, Declared, Mark};
use crate::error::{Error, Result};
use crate::log;
use crate::prompt::Prompt;
use crate::sampling::{Constraint, Fault, Grammar, GrammarKind, Mask, prepared};

/// Forced tokens that are taken at once: as many as a host may have to step through after a cancel.
const MOST_FORCED: usize = 32;

/// What may come next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Anything.
    Free,
    /// For each token what is added to its logit.
    Masked(Vec<f32>),
    /// These tokens, whatever the model says. They have been taken.
    Forced(Vec<u32>),
    /// Nothing: the answer is whole.
    Done,
}

/// Tokens that matter to a [`Guide`].
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    pub thought_begins: Option<u32>,
    pub call_begins: Option<u32>,
    pub ends: BTreeSet<u32>,
    pub vocab_size: usize,
}

/// The state of one answer.
pub(super) struct Guide {
    /// What all of the answer but its thoughts is held to.
    answer: Option<Constraint>,
    /// What a call is held to after its opening token, where the model is free to begin one.
    call: Option<Constraint>,
    /// The call that is open.
    open: Option<Constraint>,
    signs: Signs,
    /// Tokens that are never taken, even where no other may come.
    forbidden: BTreeSet<u32>,
    /// The model may think before its answer.
    may_think: bool,
    /// Past ends of turns, nothing ends but what is whole.
    ignore_ends: bool,
    /// Something was said.
    begun: bool,
    called: bool,
}

impl Guide {
    pub fn new(answer: Option<Constraint>, call: Option<Constraint>, signs: Signs) -> Self {
        let (open, may_think, ignore_ends, begun, called) = (None, false, false, false, false);
        let forbidden = BTreeSet::new();
        Self { answer, call, open, signs, forbidden, may_think, ignore_ends, begun, called }
    }

    pub fn forbid(self, forbidden: BTreeSet<u32>) -> Self {
        Self { forbidden, ..self }
    }

    pub fn may_think(self, may_think: bool) -> Self {
        Self { may_think, ..self }
    }

    pub fn ignore_ends(self, ignore_ends: bool) -> Self {
        Self { ignore_ends, ..self }
    }

    /// Takes a token that was drawn at `place`.
    pub fn take(&mut self, id: u32, place: Place) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.accept(&[id])?;
            if open.is_done() {
                self.open = None;
            }
            return Ok(());
        }
        if self.signs.ends.contains(&id) && !self.ignore_ends {
            return Ok(());
        }
        if let Some(call) = self.call.as_ref().filter(|_| self.signs.call_begins == Some(id) && !self.begun) {
            self.open = Some(call.fork());
            self.called = true;
            return Ok(());
        }
        if place == Place::Thought {
            return Ok(());
        }
        if self.may_think && !self.begun && self.signs.thought_begins == Some(id) {
            self.may_think = false;
            return Ok(());
        }
        if let Some(answer) = &mut self.answer {
            self.begun = true;
            answer.accept(&[id])?;
        }
        Ok(())
    }

    /// What may come at `place`; of forced tokens at most `room`.
    pub fn next(&mut self, place: Place, room: usize) -> Result<Next> {
        let most = room.min(MOST_FORCED);
        if let Some(open) = &mut self.open {
            let forced = forced(open, most, &self.forbidden)?;
            if open.is_done() {
                self.open = None;
            }
            return Ok(match forced.is_empty() {
                true => match &mut self.open {
                    Some(open) => Next::Masked(without(open.mask()?, &self.forbidden)?.row()),
                    None => Next::Free,
                },
                false => Next::Forced(forced),
            });
        }
        let Some(answer) = &mut self.answer else { return Ok(Next::Free) };
        if place == Place::Thought {
            return Ok(Next::Masked(self.signs.within_thought(self.call.is_none())));
        }
        if answer.is_done() {
            return Ok(Next::Done);
        }
        let mut others = Vec::new();
        if !self.begun {
            others.extend(self.signs.thought_begins.filter(|_| self.may_think));
            others.extend(self.signs.call_begins.filter(|_| self.call.is_some()));
            others.extend(self.signs.ends.iter().filter(|_| self.called && !self.ignore_ends));
        }
        if others.is_empty() {
            let forced = forced(answer, most, &self.forbidden)?;
            if !forced.is_empty() {
                self.begun = true;
                return Ok(Next::Forced(forced));
            }
        }
        let mut mask = answer.mask()?;
        if self.ignore_ends {
            self.signs.ends.iter().for_each(|id| mask.forbid(*id));
        }
        others.into_iter().for_each(|id| mask.allow(id));
        if mask.is_empty() {
            return Ok(Next::Done);
        }
        Ok(Next::Masked(without(mask, &self.forbidden)?.row()))
    }

    /// Whether all of the answer has been said, so that no token can follow.
    pub fn is_done(&self) -> bool {
        self.open.is_none() && self.answer.as_ref().is_some_and(Constraint::is_done)
    }

    /// Whether an answer that ends here is cut.
    pub fn is_cut(&mut self) -> bool {
        let called = self.called && !self.begun && self.open.is_none();
        !called && self.answer.as_mut().is_some_and(|answer| !answer.may_end())
    }
}

impl Signs {
    /// No turn ends in a thought, since the answer is still to come; and no call begins there that nothing holds.
    fn within_thought(&self, without_calls: bool) -> Vec<f32> {
        let mut row = vec![0.0; self.vocab_size];
        let forbidden = self.ends.iter().chain(self.call_begins.iter().filter(|_| without_calls));
        for id in forbidden {
            if let Some(slot) = row.get_mut(*id as usize) {
                *slot = f32::NEG_INFINITY;
            }
        }
        row
    }
}

/// The mask less tokens that are never taken: one of the others has to be left.
fn without(mut mask: Mask, forbidden: &BTreeSet<u32>) -> Result<Mask> {
    forbidden.iter().for_each(|id| mask.forbid(*id));
    if mask.is_empty() {
        let text =
            "a logit bias, or what the snapshot suppresses, forbids every token that the constraint allows";
        return Err(Error::invalid_argument(text).with("option", "logit_bias"));
    }
    Ok(mask)
}

/// The tokens that have to come, `most` of them at most and none that is forbidden. They are taken.
fn forced(constraint: &mut Constraint, most: usize, forbidden: &BTreeSet<u32>) -> Result<Vec<u32>> {
    let mut forced = constraint.forced();
    let allowed = forced.iter().position(|id| forbidden.contains(id)).unwrap_or(forced.len());
    forced.truncate(most.min(allowed));
    constraint.accept(&forced)?;
    Ok(forced)
}

impl Model {
    /// What an answer is held to; `None` where the model is free.
    pub(super) fn guide(&self, prompt: &Prompt, options: &GenerationOptions) -> Result<Option<Guide>> {
        let tools = prompt.tools.as_ref().map(Declared::all).unwrap_or_default();
        let (answer, call) = match &options.tool_choice {
            ToolChoice::Required => (Some(self.required_calls(&tools, Calls::OneOrMore)?), None),
            ToolChoice::Named(name) => {
                let tools: Vec<Declared> = tools.into_iter().filter(|tool| tool.name == *name).collect();
                (Some(self.required_calls(&tools, Calls::One)?), None)
            }
            choice => {
                let answer = options.constraint.as_ref().map(|grammar| self.compiler()?.compile(grammar));
                let free = *choice == ToolChoice::None || tools.is_empty();
                (answer.transpose()?, if free { None } else { self.possible_call(&tools) })
            }
        };
        if answer.is_none() && call.is_none() {
            return Ok(None);
        }
        let marks = self.marks();
        let signs = Signs {
            thought_begins: marks.id(Mark::ThoughtBegins),
            call_begins: marks.id(Mark::CallBegins),
            ends: self.end_tokens().clone(),
            vocab_size: self.vocab_size(),
        };
        let asked = prompt.template_vars.get("enable_thinking").and_then(Value::as_bool);
        let may_think = options.thinking.or(asked).unwrap_or(false);
        let biased =
            options.logit_bias.iter().filter(|(_, bias)| *bias == f32::NEG_INFINITY).map(|(id, _)| *id);
        let forbidden = biased.chain(self.defaults().suppressed.iter().copied()).collect();
        let guide = Guide::new(answer, call, signs).forbid(forbidden);
        Ok(Some(guide.may_think(may_think).ignore_ends(options.ignore_eos)))
    }

    /// `INVALID_ARGUMENT` without tools, `UNSUPPORTED` where the family marks no calls or a schema cannot be followed.
    fn required_calls(&self, tools: &[Declared], calls: Calls) -> Result<Constraint> {
        if tools.is_empty() {
            let text = "a call is required, and the prompt declares no such tool";
            return Err(Error::invalid_argument(text).with("option", "tool_choice"));
        }
        let text = self.call_grammar(tools, calls)?.ok_or_else(|| {
            Error::unsupported("a call is required, and models of this family mark no calls")
                .with("option", "tool_choice")
        })?;
        let compiled = self.compile_calls(text);
        compiled.map_err(|e| {
            Error::unsupported(format!("the tools' schemas cannot be followed: {}", e.message()))
        })
    }

    /// `None` where the family marks no calls, `UNSUPPORTED` where a schema cannot be followed.
    fn call_grammar(&self, tools: &[Declared], calls: Calls) -> Result<Option<String>> {
        let exact = |tool: &Declared| {
            let refused = |Fault { pointer, why }: Fault| {
                let name = &tool.name;
                Error::unsupported(format!(
                    "the tool {name} cannot be called by its schema: at {pointer}: {why}"
                ))
                .with("tool", name.as_str())
            };
            let parameters = prepared(&tool.parameters).map_err(refused)?;
            Ok(Declared { parameters, ..tool.clone() })
        };
        let tools = tools.iter().map(exact).collect::<Result<Vec<_>>>()?;
        self.marks().call_grammar(&tools, calls)
    }

    fn compile_calls(&self, text: String) -> Result<Constraint> {
        let grammar = Grammar { kind: GrammarKind::Lark, text };
        self.compiler()?.compile_json(&grammar, self.marks().id(Mark::Quote))
    }

    /// What a call is held to that the model begins by itself, as far as its schema can be followed.
    fn possible_call(&self, tools: &[Declared]) -> Option<Constraint> {
        let compiled = self.call_grammar(tools, Calls::Opened).and_then(|grammar| {
            let Some(text) = grammar else { return Ok(None) };
            self.compile_calls(text).map(Some)
        });
        compiled.unwrap_or_else(|error| {
            log::warning(&format!("calls of tools are not held to their schemas: {}", error.message()));
            None
        })
    }
}
