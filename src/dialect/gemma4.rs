//! `call:name{key:value,…}`: bare keys, texts between quote tokens, numbers, true, false, null, lists and objects.
//!
//! Read a piece at a time, so that a host can see the arguments as they come. What is written of them is never taken
//! back: a bare word is written once it has ended, a text character by character.

use super::{Bit, escape};
use crate::json::MAX_DEPTH;
use crate::log;

const BEGIN: &str = "call:";

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// The rest of [`BEGIN`], or blanks before it.
    Begin,
    Name,
    /// A key; or the end, right after the brace.
    Key {
        or_end: bool,
    },
    BareKey,
    QuotedKey,
    Colon,
    /// A value; or the end, right after the bracket.
    Value {
        or_end: bool,
    },
    Text,
    Bare,
    /// A comma or the end, after a value.
    Next,
    /// Blanks behind the call.
    End,
}

/// A call as far as it has come.
#[derive(Debug)]
pub(super) struct Reader {
    at: At,
    name: String,
    /// A key or a bare word that has not ended.
    word: String,
    /// What closes the containers that are open, the innermost last.
    open: Vec<char>,
    /// The arguments as JSON.
    out: String,
    broken: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            at: At::Begin,
            name: String::new(),
            word: String::new(),
            open: Vec::new(),
            out: String::new(),
            broken: false,
        }
    }
}

impl Reader {
    pub fn push(&mut self, bit: Bit) {
        if !self.broken {
            self.broken = self.step(bit).is_none();
        }
    }

    /// Once it is known.
    pub fn name(&self) -> Option<&str> {
        (!self.out.is_empty()).then_some(self.name.as_str())
    }

    pub fn arguments(&self) -> &str {
        &self.out
    }

    /// The name and the arguments, if nothing lacks.
    pub fn whole(&self) -> Option<(String, String)> {
        (!self.broken && self.at == At::End).then(|| (self.name.clone(), self.out.clone()))
    }

    /// `None` where this is no call any more.
    fn step(&mut self, bit: Bit) -> Option<()> {
        match (self.at, bit) {
            (At::Text, Bit::Quote) => {
                self.out.push('"');
                self.at = At::Next;
            }
            (At::Text, Bit::Char(c)) => escape(c, &mut self.out),
            (At::QuotedKey, Bit::Quote) => {
                self.key()?;
                self.at = At::Colon;
            }
            (At::QuotedKey, Bit::Char(c)) => self.word.push(c),
            (At::Key { .. }, Bit::Quote) => self.at = At::QuotedKey,
            (At::Value { .. }, Bit::Quote) => {
                self.out.push('"');
                self.at = At::Text;
            }
            (_, Bit::Quote) => return None,
            (At::Name, Bit::Char('{')) => {
                self.name = self.name.trim().to_owned();
                (!self.name.is_empty()).then_some(())?;
                self.begin('{', '}')?;
            }
            (At::Name, Bit::Char(c)) => self.name.push(c),
            (At::BareKey, Bit::Char(':')) => {
                self.word = self.word.trim().to_owned();
                self.key()?;
                self.colon();
            }
            (At::BareKey, Bit::Char(',' | '{' | '}' | '[' | ']')) => return None,
            (At::BareKey, Bit::Char(c)) => self.word.push(c),
            (At::Bare, Bit::Char(c @ (',' | '}' | ']'))) => {
                self.bare()?;
                self.next(c)?;
            }
            (At::Bare, Bit::Char(c)) => self.word.push(c),
            (At::Begin, Bit::Char(c)) => self.begun(c)?,
            (_, Bit::Char(c)) if c.is_whitespace() => {}
            (At::Key { or_end: true }, Bit::Char('}')) => self.next('}')?,
            // A key that is empty.
            (At::Key { .. }, Bit::Char(':' | ',' | '{' | '}' | '[' | ']')) => return None,
            (At::Key { .. }, Bit::Char(c)) => {
                self.word.push(c);
                self.at = At::BareKey;
            }
            (At::Colon, Bit::Char(':')) => self.colon(),
            (At::Value { or_end: true }, Bit::Char(']')) => self.next(']')?,
            (At::Value { .. }, Bit::Char(c)) => match c {
                '{' => self.begin('{', '}')?,
                '[' => self.begin('[', ']')?,
                ',' | '}' | ']' => return None,
                _ => {
                    self.word.push(c);
                    self.at = At::Bare;
                }
            },
            (At::Next, Bit::Char(c)) => self.next(c)?,
            (At::Colon | At::End, Bit::Char(_)) => return None,
        }
        Some(())
    }

    fn begun(&mut self, c: char) -> Option<()> {
        if self.word.is_empty() && c.is_whitespace() {
            return Some(());
        }
        self.word.push(c);
        BEGIN.starts_with(self.word.as_str()).then_some(())?;
        if self.word.len() == BEGIN.len() {
            self.word.clear();
            self.at = At::Name;
        }
        Some(())
    }

    /// What is nested too deeply is no call.
    fn begin(&mut self, open: char, close: char) -> Option<()> {
        (self.open.len() < MAX_DEPTH).then_some(())?;
        self.out.push(open);
        self.open.push(close);
        self.at = if close == '}' { At::Key { or_end: true } } else { At::Value { or_end: true } };
        Some(())
    }

    fn key(&mut self) -> Option<()> {
        (!self.word.is_empty()).then_some(())?;
        self.out.push('"');
        self.word.drain(..).for_each(|c| escape(c, &mut self.out));
        self.out.push('"');
        Some(())
    }

    fn colon(&mut self) {
        self.out.push(':');
        self.at = At::Value { or_end: false };
    }

    /// A bare word that has ended.
    fn bare(&mut self) -> Option<()> {
        let word = std::mem::take(&mut self.word);
        self.out.push_str(match word.trim() {
            // What the template's language makes of nothing.
            "None" => "null",
            bare @ ("true" | "false" | "null") => bare,
            number => match serde_json::from_str::<serde_json::Number>(number) {
                Ok(_) => number,
                Err(e) => {
                    log::warning(&format!(
                        "a tool call stays text in the answer, for {number} is no number: {e}"
                    ));
                    return None;
                }
            },
        });
        Some(())
    }

    /// A comma, or the end of the innermost container.
    fn next(&mut self, c: char) -> Option<()> {
        let close = *self.open.last()?;
        if c == ',' {
            self.at = if close == '}' { At::Key { or_end: false } } else { At::Value { or_end: false } };
        } else {
            (c == close).then_some(())?;
            self.open.pop();
            self.at = if self.open.is_empty() { At::End } else { At::Next };
        }
        self.out.push(c);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `'` stands for the quote token.
    fn read(text: &str) -> Option<(String, String)> {
        let mut reader = Reader::default();
        for c in text.chars() {
            let before = reader.arguments().to_owned();
            reader.push(if c == '\'' { Bit::Quote } else { Bit::Char(c) });
            assert!(reader.arguments().starts_with(&before), "{text}: what was written is taken back");
        }
        reader.whole()
    }

    #[test]
    fn arguments_become_json() {
        for (text, json) in [
            ("call:f{}", "{}"),
            ("call:f{city:'Rome'}", r#"{"city":"Rome"}"#),
            ("call:f{a:1,b:-2.5e3,c:true,d:null,e:None}", r#"{"a":1,"b":-2.5e3,"c":true,"d":null,"e":null}"#),
            ("call:f{a:{'k{':'v}'},l:[1,'x',[],{}]}", r#"{"a":{"k{":"v}"},"l":[1,"x",[],{}]}"#),
            (
                "call:f{a:'say \"no\"\n',n:123456789012345678901234567890}",
                r#"{"a":"say \"no\"\n","n":123456789012345678901234567890}"#,
            ),
            (" call:f { a : 1 , b : [ ] } ", r#"{"a":1,"b":[]}"#),
        ] {
            assert_eq!(read(text), Some(("f".into(), json.into())), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
        }
    }

    #[test]
    fn arguments_are_written_as_they_come() {
        let mut reader = Reader::default();
        let mut written = Vec::new();
        for c in "call:f{a:'x\ny',b:12}".chars() {
            reader.push(if c == '\'' { Bit::Quote } else { Bit::Char(c) });
            written.push((reader.name().is_some(), reader.arguments().len()));
        }
        assert_eq!(written[..6], [(false, 0); 6]);
        assert_eq!(written[6..], [1, 1, 5, 6, 7, 9, 10, 11, 12, 12, 16, 16, 16, 19].map(|len| (true, len)));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "call:",
            "call:{}",
            "call:f",
            "call:f{",
            "call:f{a}",
            "call:f{a:}",
            "call:f{a:Rome}",
            "call:f{a:'x}",
            "call:f{a:1,}",
            "call:f{:1}",
            "call:f{}x",
            "f{}",
            "call:f{a:01}",
            "call:f{a:1e999}",
            "call:f{a:[1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = format!("call:f{{a:{}{}}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(read(&deep), None);
    }
}
