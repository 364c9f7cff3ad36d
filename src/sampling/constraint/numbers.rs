//! Numbers of JSON that every reader can hold.
//!
//! The compiler's grammar of numbers lets digits and exponents go on without end, and `1e999` is no number for a reader
//! that holds them in doubles. So a text of JSON is followed here, byte by byte, and a token that would make a number
//! too long may not come next.

use std::sync::Arc;

use llguidance::toktrie::{SimpleVob, TokEnv, TokTrie, TokenId};

/// Digits before the point, behind it, and of the exponent.
const WHOLE: u8 = 31;
const FRACTION: u8 = 30;
const EXPONENT: u8 = 2;

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// Where a value, a name or a bracket may begin.
    Between,
    Text {
        escaped: bool,
    },
    /// In a word, whose digits are no number.
    Word,
    /// After so many digits of a part of a number.
    Whole(u8),
    Fraction(u8),
    Exponent(u8),
}

impl At {
    /// `None` where a number becomes too long.
    fn next(self, byte: u8, quotes_texts: bool) -> Option<Self> {
        let counted = |count: u8, most: u8| (count < most).then_some(count + 1);
        Some(match (self, byte) {
            (At::Text { escaped: true }, _) => At::Text { escaped: false },
            (At::Text { .. }, b'\\') if quotes_texts => At::Text { escaped: true },
            (At::Text { .. }, b'"') if quotes_texts => At::Between,
            (At::Text { .. }, _) => self,
            (_, b'"') if quotes_texts => At::Text { escaped: false },
            (At::Between, b'0'..=b'9') => At::Whole(1),
            (At::Whole(count), b'0'..=b'9') => At::Whole(counted(count, WHOLE)?),
            (At::Fraction(count), b'0'..=b'9') => At::Fraction(counted(count, FRACTION)?),
            (At::Exponent(count), b'0'..=b'9') => At::Exponent(counted(count, EXPONENT)?),
            (At::Whole(_), b'.') => At::Fraction(0),
            (At::Whole(_) | At::Fraction(_), b'e' | b'E') => At::Exponent(0),
            (At::Exponent(0), b'+' | b'-') => self,
            (_, b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..) => At::Word,
            (At::Word, b'0'..=b'9') => At::Word,
            _ => At::Between,
        })
    }
}

/// The tokens that could make a number too long, of one vocabulary.
#[derive(Clone)]
pub(super) struct Digits {
    tokens: TokEnv,
    with_digits: Arc<[TokenId]>,
}

impl Digits {
    pub fn of(tokens: &TokEnv) -> Self {
        let trie = tokens.tok_trie();
        let has_digits = |id: &TokenId| trie.token(*id).iter().any(u8::is_ascii_digit);
        let with_digits = (0..trie.vocab_size() as TokenId).filter(has_digits).collect();
        Self { tokens: tokens.clone(), with_digits }
    }
}

/// A text of JSON, as far as it has come.
#[derive(Clone)]
pub(super) struct Numbers {
    digits: Digits,
    /// The token that stands around texts, where they have no quotes.
    quote: Option<u32>,
    /// At the beginning and after each token.
    path: Vec<At>,
}

impl Numbers {
    pub fn new(digits: &Digits, quote: Option<u32>) -> Self {
        Self { digits: digits.clone(), quote, path: vec![At::Between] }
    }

    fn here(&self) -> At {
        self.path.last().copied().unwrap_or(At::Between)
    }

    /// `None` where a number becomes too long.
    fn after(&self, id: u32) -> Option<At> {
        let here = self.here();
        if self.quote == Some(id) {
            return Some(if matches!(here, At::Text { .. }) {
                At::Between
            } else {
                At::Text { escaped: false }
            });
        }
        let bytes = self.digits.tokens.tok_trie().token(id);
        if bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) {
            return Some(At::Between);
        }
        bytes.iter().try_fold(here, |at, byte| at.next(*byte, self.quote.is_none()))
    }

    pub fn accept(&mut self, ids: &[u32]) {
        for id in ids {
            let at = self.after(*id).unwrap_or(At::Between);
            self.path.push(at);
        }
    }

    pub fn rollback(&mut self, count: usize) {
        self.path.truncate(self.path.len().saturating_sub(count).max(1));
    }

    /// Takes away what would make a number too long, unless the grammar wants just that.
    pub fn restrict(&self, allowed: &mut SimpleVob) {
        if matches!(self.here(), At::Text { .. }) && self.quote.is_some() {
            return;
        }
        let too_long = |id: &&u32| allowed.is_allowed(**id) && self.after(**id).is_none();
        let forbidden: Vec<u32> = self.digits.with_digits.iter().filter(too_long).copied().collect();
        forbidden.iter().for_each(|id| allowed.disallow_token(*id));
        if allowed.is_zero() {
            forbidden.iter().for_each(|id| allowed.allow_token(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::compiler;
    use super::super::{Constraint, Grammar, GrammarKind};

    /// Writes bytes of a text as long as they are allowed; what is left of it.
    fn rest<'t>(constraint: &mut Constraint, text: &'t str) -> &'t str {
        for (at, byte) in text.bytes().enumerate() {
            if constraint.mask().unwrap().row()[usize::from(byte)] != 0.0 {
                return &text[at..];
            }
            constraint.accept(&[byte.into()]).unwrap();
        }
        ""
    }

    fn schema(text: &str) -> Constraint {
        compiler().compile(&Grammar { kind: GrammarKind::JsonSchema, text: text.into() }).unwrap()
    }

    #[test]
    fn numbers_that_follow_a_schema_are_finite() {
        let numbers =
            [r#"{"type": "number"}"#, r#"{"type": ["number", "null"]}"#, "true", r#"{"minimum": 0}"#];
        let many = "9".repeat(400);
        for kind in numbers {
            let mut c = schema(kind);
            assert_eq!(rest(&mut c, &many).len(), 400 - 31, "{kind}");
            assert!(c.may_end(), "{kind}");
            for text in ["-1.5e99", "1e-99", "12E+30", "0.000001"] {
                let mut c = schema(kind);
                if !kind.contains("minimum") {
                    assert_eq!(rest(&mut c, text), "", "{kind}");
                    assert!(text.parse::<f64>().unwrap().is_finite() && c.may_end());
                }
            }
        }
        assert_eq!(rest(&mut schema(numbers[0]), "1e999"), "9");
        assert_eq!(rest(&mut schema(numbers[0]), "48E26228201407581"), "228201407581");
        assert_eq!(rest(&mut schema(r#"{"type": "integer"}"#), &many).len(), 400 - 31);
    }

    #[test]
    fn digits_in_texts_and_what_a_schema_demands_are_as_they_were() {
        let text = format!("\"{}e999 \\\"{}\"", "1".repeat(50), "2".repeat(50));
        assert_eq!(rest(&mut schema(r#"{"type": "string"}"#), &text), "");
        let long = format!("{{\"const\": {}}}", "1".repeat(25));
        assert!(rest(&mut schema(&long), "1").is_empty());
        let mut c = schema(
            r#"{"type": "object", "properties": {"a1": {"type": "number"}, "b": {"type": "number"}}, "required": ["a1", "b"], "additionalProperties": false}"#,
        );
        assert_eq!(rest(&mut c, "{\"a1\": 1e12, \"b\": 1e123}"), "3}");
    }

    #[test]
    fn calls_are_held_to_finite_numbers_with_the_quotes_of_their_family() {
        let compiler = compiler();
        let lark = |text: &str| Grammar { kind: GrammarKind::Lark, text: text.into() };
        let mut c = compiler.compile_json(&lark("start: \"{x:\" /[0-9e]+/ \"}\""), Some(257)).unwrap();
        assert_eq!(rest(&mut c, "{x:1e999}"), "9}");
        let mut c = compiler.compile_json(&lark("start: <[257]> /(?s:.)+/ <[257]>"), Some(257)).unwrap();
        c.accept(&[257]).unwrap();
        assert_eq!(rest(&mut c, "1e999"), "");
        let mut free = compiler.compile(&lark("start: /[0-9e]+/")).unwrap();
        assert_eq!(rest(&mut free, "1e999"), "", "a host's own grammar");
    }

    #[test]
    fn tokens_that_are_taken_back_count_no_more() {
        let mut c = schema(r#"{"type": "number"}"#);
        assert_eq!(rest(&mut c, "1e99"), "");
        c.rollback(2).unwrap();
        assert_eq!(rest(&mut c, "12"), "");
        assert_eq!(rest(&mut c.fork(), "3"), "3");
    }
}
