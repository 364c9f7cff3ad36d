//! Answers held to a grammar: which tokens may come next, and which must.
//!
//! Grammars are compiled for one vocabulary by `llguidance`. All of this is work of the CPU, so it can go on while the
//! model computes.

mod disjoint;
mod grammar;
mod nesting;
mod numbers;
mod place;
mod schema;
mod vocabulary;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{InferenceCapabilities, SimpleVob};
use llguidance::{Matcher, ParserFactory, TokenParser};

use crate::error::{Error, Result};
pub use grammar::{Grammar, GrammarKind};
use numbers::{Digits, Numbers};
pub(crate) use schema::{Fault, prepared};
pub(crate) use vocabulary::{TokenForm, Vocabulary};

/// Compiled grammars that a model keeps.
const KEPT: usize = 16;

/// Compiles grammars for one vocabulary.
pub(crate) struct Compiler {
    factory: ParserFactory,
    digits: Digits,
    vocab_size: usize,
    /// The last used one at the back.
    kept: Mutex<VecDeque<(Grammar, Matcher)>>,
}

impl Compiler {
    pub fn new(vocabulary: Vocabulary) -> Result<Self> {
        let vocab_size = vocabulary.forms.len();
        let tokens = vocabulary.environment();
        // Tokens are only forced where the tokenizer itself would write them so.
        let caps = InferenceCapabilities { ff_tokens: tokens.tokenize_is_canonical(), ..Default::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let factory = ParserFactory::new(&tokens, caps, &slices);
        let mut factory =
            factory.map_err(|e| Error::unsupported(format!("constraints with this tokenizer: {e}")))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory, digits: Digits::of(&tokens), vocab_size, kept: Mutex::default() })
    }

    /// `INVALID_ARGUMENT` that says what is wrong with the grammar, and where.
    pub fn compile(&self, grammar: &Grammar) -> Result<Constraint> {
        match grammar.kind {
            GrammarKind::JsonSchema => self.compile_json(grammar, None),
            _ => self.compiled(grammar),
        }
    }

    /// The same of a grammar of JSON, or of what is like it but for a token that stands around texts: its numbers are
    /// those that a double holds.
    pub fn compile_json(&self, grammar: &Grammar, quote: Option<u32>) -> Result<Constraint> {
        let constraint = self.compiled(grammar)?;
        Ok(Constraint { numbers: Some(Numbers::new(&self.digits, quote)), ..constraint })
    }

    fn compiled(&self, grammar: &Grammar) -> Result<Constraint> {
        let known = self.known(grammar);
        let matcher = match known {
            Some(matcher) => matcher,
            None => {
                let parser = self.parser(grammar.top_level()?);
                let refused = |why: String| grammar.refused(&why, |other| self.parser(other).map(|_| ()));
                let matcher = Matcher::new(Ok(parser.map_err(refused)?));
                let mut text = self.constraint(&matcher);
                if !text.may_end() && text.mask().map_or(true, |mask| mask.is_empty()) {
                    return Err(grammar.unsatisfiable());
                }
                matcher
            }
        };
        let constraint = self.constraint(&matcher);
        let mut kept = self.kept();
        // Another thread may have compiled it, too.
        kept.retain(|(known, _)| known != grammar);
        kept.push_back((grammar.clone(), matcher));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(constraint)
    }

    fn constraint(&self, matcher: &Matcher) -> Constraint {
        Constraint { matcher: matcher.deep_clone(), vocab_size: self.vocab_size, numbers: None }
    }

    fn parser(&self, grammar: TopLevelGrammar) -> std::result::Result<TokenParser, String> {
        self.factory.create_parser(grammar).map_err(|e| e.to_string())
    }

    /// Taken out, to be put back as the last used one.
    fn known(&self, grammar: &Grammar) -> Option<Matcher> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(known, _)| known == grammar)?;
        kept.remove(at).map(|(_, matcher)| matcher)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Grammar, Matcher)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One text on its way through a grammar.
pub(crate) struct Constraint {
    matcher: Matcher,
    vocab_size: usize,
    /// Where numbers are held to those of JSON.
    numbers: Option<Numbers>,
}

impl Constraint {
    /// The tokens that may come next; the model's end tokens exactly where the text may end.
    pub fn mask(&mut self) -> Result<Mask> {
        let mut allowed = self.matcher.compute_mask_or_eos().map_err(stuck)?;
        if let Some(numbers) = &self.numbers {
            numbers.restrict(&mut allowed);
        }
        Ok(Mask { allowed, vocab_size: self.vocab_size })
    }

    /// Takes the next tokens of the text.
    pub fn accept(&mut self, ids: &[u32]) -> Result<()> {
        self.matcher.consume_tokens(ids).map_err(stuck)?;
        self.numbers.iter_mut().for_each(|numbers| numbers.accept(ids));
        Ok(())
    }

    /// Takes back the last tokens.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tokens that are guessed ahead"))]
    pub fn rollback(&mut self, count: usize) -> Result<()> {
        self.matcher.rollback(count).map_err(stuck)?;
        self.numbers.iter_mut().for_each(|numbers| numbers.rollback(count));
        Ok(())
    }

    /// The tokens that have to come next whatever the model says, as the tokenizer writes them.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.is_done() { Vec::new() } else { self.matcher.compute_ff_tokens() }
    }

    /// Whether the text may end here.
    pub fn may_end(&mut self) -> bool {
        self.is_done() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// The text is whole, and nothing may follow.
    pub fn is_done(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }

    /// Another text that begins as this one.
    pub fn fork(&self) -> Constraint {
        Constraint {
            matcher: self.matcher.deep_clone(),
            vocab_size: self.vocab_size,
            numbers: self.numbers.clone(),
        }
    }
}

fn stuck(error: impl std::fmt::Display) -> Error {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    Error::invalid_argument(format!(
        "the answer cannot go on by its constraint: {text} (does a logit bias forbid every token that may come next?)"
    ))
}

/// A set of tokens.
pub(crate) struct Mask {
    allowed: SimpleVob,
    vocab_size: usize,
}

impl Mask {
    pub fn allow(&mut self, id: u32) {
        if (id as usize) < self.vocab_size {
            self.allowed.allow_token(id);
        }
    }

    pub fn forbid(&mut self, id: u32) {
        if (id as usize) < self.vocab_size {
            self.allowed.disallow_token(id);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.allowed.is_zero()
    }

    /// For each token what is added to its logit: nothing, or minus infinity.
    pub fn row(&self) -> Vec<f32> {
        let mut row = vec![f32::NEG_INFINITY; self.vocab_size];
        self.allowed.iter_set_entries(|id| {
            if let Some(slot) = row.get_mut(id) {
                *slot = 0.0;
            }
        });
        row
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_tests;
