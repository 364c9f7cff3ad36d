//! How a family of models spells its thoughts and its tool calls, and what a stream of tokens says by that.
//!
//! A [`Dialect`] is a few spellings that are one token each, and a grammar for what stands between those of a call.
//! [`Marks`] are its tokens in one tokenizer; a [`Parser`] takes an answer apart. Nothing here knows a tokenizer's
//! inside, a template or MLX.

mod format;
mod gemma4;
mod gemma4_grammar;
mod grammar;
mod hermes;
mod merge;
mod parser;
mod pattern;

pub use grammar::{Calls, Declared};
pub use parser::{Kind, Parser, Segment, Told};

/// The way in which a family's models write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `<|channel>thought\n…<channel|>` and `<|tool_call>call:name{key:<|"|>text<|"|>}<tool_call|>`.
    Gemma4,
    /// `<think>…</think>` and `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as Hermes and Qwen.
    Hermes,
    /// Text alone.
    Plain,
}

/// A token that carries structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A thought begins.
    ThoughtBegins,
    /// The thought is over.
    ThoughtEnds,
    /// A tool call begins.
    CallBegins,
    /// The call is whole.
    CallEnds,
    /// Around a text in a call.
    Quote,
}

/// What a token adds to a call that is not whole yet, and may never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// As of the [`Call`].
    pub id: String,
    /// The tool's.
    pub name: String,
    /// To the JSON of the arguments.
    pub added: String,
}

/// A tool that the model calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Made by rmlx, for the result to name; nine letters and digits, since some templates demand that.
    pub id: String,
    /// The tool's.
    pub name: String,
    /// A JSON object.
    pub arguments: String,
}

/// A piece of what stands between the marks of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bit {
    Char(char),
    Quote,
}

impl Dialect {
    /// The spellings that belong together: a tokenizer has all of a group, or the dialect does without.
    fn groups(self) -> &'static [&'static [(Mark, &'static str)]] {
        use Mark::*;
        match self {
            Dialect::Gemma4 => &[
                &[(ThoughtBegins, "<|channel>"), (ThoughtEnds, "<channel|>")],
                &[(CallBegins, "<|tool_call>"), (CallEnds, "<tool_call|>"), (Quote, "<|\"|>")],
            ],
            Dialect::Hermes => &[
                &[(ThoughtBegins, "<think>"), (ThoughtEnds, "</think>")],
                &[(CallBegins, "<tool_call>"), (CallEnds, "</tool_call>")],
            ],
            Dialect::Plain => &[],
        }
    }

    /// Spellings of tokens that end the model's turn besides the template's ends of turns: where a tool's result belongs.
    pub fn ends(self) -> &'static [&'static str] {
        match self {
            Dialect::Gemma4 => &["<|tool_response>"],
            Dialect::Hermes | Dialect::Plain => &[],
        }
    }

    /// Whether a thought begins with a line that names its channel.
    fn names_channels(self) -> bool {
        self == Dialect::Gemma4
    }

    fn reader(self) -> Reader {
        match self {
            Dialect::Gemma4 => Reader::Gemma4(Default::default()),
            Dialect::Hermes | Dialect::Plain => Reader::Hermes(Default::default()),
        }
    }
}

/// What stands in a call, read as it comes.
#[derive(Debug)]
enum Reader {
    Gemma4(gemma4::Reader),
    Hermes(hermes::Reader),
}

impl Reader {
    fn push(&mut self, bit: Bit) {
        match self {
            Reader::Gemma4(reader) => reader.push(bit),
            Reader::Hermes(reader) => reader.push(bit),
        }
    }

    /// The tool's name and what has come of the arguments, once the name is known.
    fn draft(&self) -> Option<(&str, &str)> {
        match self {
            Reader::Gemma4(reader) => Some((reader.name()?, reader.arguments())),
            Reader::Hermes(reader) => Some((reader.name()?, reader.arguments())),
        }
    }

    /// The name and the arguments, as JSON, of a call that lacks nothing. The arguments begin with those of the draft.
    fn whole(&self) -> Option<(String, String)> {
        match self {
            Reader::Gemma4(reader) => reader.whole(),
            Reader::Hermes(reader) => reader.whole(),
        }
    }
}

/// A character inside of a text in JSON.
fn escape(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push(c),
    }
}

/// The tokens of a dialect in one tokenizer.
#[derive(Clone, Debug)]
pub struct Marks {
    dialect: Dialect,
    marks: Vec<(u32, Mark, &'static str)>,
}

impl Marks {
    /// `id_of` tells the id of a spelling that is one token.
    pub fn resolve(dialect: Dialect, id_of: impl Fn(&str) -> Option<u32>) -> Marks {
        let mut marks = Vec::new();
        for group in dialect.groups() {
            let ids = group.iter().map(|(mark, spelling)| Some((id_of(spelling)?, *mark, *spelling)));
            marks.extend(ids.collect::<Option<Vec<_>>>().unwrap_or_default());
        }
        Marks { dialect, marks }
    }

    /// What the token carries; `None` for one that is text.
    pub fn of(&self, id: u32) -> Option<Mark> {
        self.marks.iter().find(|(known, _, _)| *known == id).map(|(_, mark, _)| *mark)
    }

    /// The tokens of all marks.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|(id, _, _)| *id)
    }

    /// The token of a mark.
    pub fn id(&self, mark: Mark) -> Option<u32> {
        self.marks.iter().find(|(_, known, _)| *known == mark).map(|(id, _, _)| *id)
    }

    fn spelling(&self, mark: Mark) -> &'static str {
        self.marks.iter().find(|(_, known, _)| *known == mark).map_or("", |(_, _, spelling)| spelling)
    }

    /// Whether a prompt leaves a thought open for the model to go on in.
    fn thinking_after(&self, prompt: &[u32]) -> bool {
        let border = |id: &u32| self.of(*id).filter(|m| matches!(m, Mark::ThoughtBegins | Mark::ThoughtEnds));
        prompt.iter().rev().find_map(border) == Some(Mark::ThoughtBegins)
    }
}
