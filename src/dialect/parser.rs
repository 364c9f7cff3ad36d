//! Takes an answer apart: what is said, what is thought, which tools are called.

use super::{Bit, Call, Mark, Marks};

/// What a stretch of an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Thought,
    /// Of a call; with the whole of it where it ends.
    Call(Option<Call>),
}

/// What one token adds to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub kind: Kind,
    /// Of a whole call: as it was spelled.
    pub text: String,
}

/// The state of one answer.
///
/// Whether a call is one shows at its end, so until then it is held; what turns out to be none is text, spelled as it was.
pub struct Parser {
    marks: Marks,
    thinking: bool,
    /// Inside of the line that names a channel.
    naming: bool,
    /// What stands in a call that is not whole yet.
    call: Option<Vec<Bit>>,
    calls: usize,
    /// Distinguishes the calls of this answer from those of others.
    seed: u64,
}

impl Parser {
    /// For the answer to a prompt, by which the calls are told from those of other answers.
    pub fn new(marks: Marks, prompt: &[u32]) -> Parser {
        // FNV-1a: the same prompt gives the same ids.
        let seed = prompt.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, id| {
            (hash ^ u64::from(*id)).wrapping_mul(0x100_0000_01B3)
        });
        let thinking = marks.thinking_after(prompt);
        Parser { marks, thinking, naming: false, call: None, calls: 0, seed }
    }

    pub fn mark_of(&self, id: u32) -> Option<Mark> {
        self.marks.of(id)
    }

    /// The token that ends the thought which is open, if nothing else is.
    pub fn thought_end(&self) -> Option<u32> {
        if self.is_thinking() { self.marks.id(Mark::ThoughtEnds) } else { None }
    }

    pub fn is_thinking(&self) -> bool {
        self.thinking && self.call.is_none()
    }

    /// Inside of what may be a call, every token counts as it is spelled.
    pub fn in_call(&self) -> bool {
        self.call.is_some()
    }

    /// Whether what comes next is said, as far as one can know.
    pub fn in_text(&self) -> bool {
        !self.thinking && self.call.is_none()
    }

    /// How many whole calls there were.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// What this state is.
    pub fn kind(&self) -> Kind {
        match (&self.call, self.thinking) {
            (Some(_), _) => Kind::Call(None),
            (None, true) => Kind::Thought,
            (None, false) => Kind::Text,
        }
    }

    pub fn text(&mut self, mut text: String) -> Segment {
        if let Some(call) = &mut self.call {
            call.extend(text.chars().map(Bit::Char));
            text.clear();
        } else if self.naming {
            match text.split_once('\n') {
                Some((_, rest)) => {
                    self.naming = false;
                    text = rest.to_owned();
                }
                None => text.clear(),
            }
        }
        Segment { kind: self.kind(), text }
    }

    pub fn mark(&mut self, mark: Mark) -> Segment {
        match mark {
            Mark::Quote => {
                if let Some(call) = &mut self.call {
                    call.push(Bit::Quote);
                    return Segment { kind: Kind::Call(None), text: String::new() };
                }
                self.text(self.marks.spelling(mark).to_owned())
            }
            Mark::CallEnds if self.call.is_some() => self.end_call(mark),
            Mark::CallEnds => self.text(self.marks.spelling(mark).to_owned()),
            Mark::CallBegins => {
                let before = self.given_up();
                self.naming = false;
                self.call = Some(Vec::new());
                before.unwrap_or(Segment { kind: self.kind(), text: String::new() })
            }
            Mark::ThoughtBegins | Mark::ThoughtEnds => {
                let before = self.given_up();
                let kind = self.kind();
                self.thinking = mark == Mark::ThoughtBegins;
                self.naming = self.thinking && self.marks.dialect.names_channels();
                before.unwrap_or(Segment { kind, text: String::new() })
            }
        }
    }

    /// What was held, once nothing more comes. A call that lacks nothing but its end is one.
    pub fn finish(&mut self) -> Option<Segment> {
        let body = self.call.as_deref()?;
        match self.marks.dialect.call(body) {
            Some(whole) => Some(self.whole(whole, "")),
            None => self.given_up(),
        }
    }

    /// A call that is none after all: its spelling.
    pub fn given_up(&mut self) -> Option<Segment> {
        let body = self.call.take()?;
        Some(Segment { kind: Kind::Text, text: self.spelled(&body) })
    }

    fn end_call(&mut self, mark: Mark) -> Segment {
        let spelling = self.marks.spelling(mark);
        match self.marks.dialect.call(self.call.as_deref().unwrap_or_default()) {
            Some(whole) => self.whole(whole, spelling),
            None => {
                let text = self.given_up().map_or_else(String::new, |segment| segment.text);
                Segment { kind: Kind::Text, text: text + spelling }
            }
        }
    }

    fn whole(&mut self, (name, arguments): (String, String), end: &str) -> Segment {
        let body = self.call.take().unwrap_or_default();
        let id = format!("{:07x}{:02}", self.seed & 0xFFF_FFFF, self.calls % 100);
        self.calls += 1;
        Segment { kind: Kind::Call(Some(Call { id, name, arguments })), text: self.spelled(&body) + end }
    }

    fn spelled(&self, body: &[Bit]) -> String {
        let mut text = self.marks.spelling(Mark::CallBegins).to_owned();
        for bit in body {
            match bit {
                Bit::Char(c) => text.push(*c),
                Bit::Quote => text.push_str(self.marks.spelling(Mark::Quote)),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;

    const SPELLINGS: [&str; 9] = [
        "<|channel>",
        "<channel|>",
        "<|tool_call>",
        "<tool_call|>",
        "<|\"|>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
    ];

    fn marks(dialect: Dialect) -> Marks {
        Marks::resolve(dialect, |spelling| SPELLINGS.iter().position(|s| *s == spelling).map(|id| id as u32))
    }

    /// The segments of tokens, each a mark's spelling or a text.
    fn parse(dialect: Dialect, tokens: &[&str]) -> Vec<Segment> {
        let mut parser = Parser::new(marks(dialect), &[]);
        let mut segments: Vec<Segment> = Vec::new();
        for token in tokens {
            let id = SPELLINGS.iter().position(|s| s == token);
            let mark = id.and_then(|id| parser.mark_of(id as u32));
            segments.push(match mark {
                Some(mark) => parser.mark(mark),
                None => parser.text((*token).to_owned()),
            });
        }
        segments.extend(parser.finish());
        segments
    }

    fn joined(segments: &[Segment], is: impl Fn(&Kind) -> bool) -> String {
        segments.iter().filter(|s| is(&s.kind)).map(|s| s.text.as_str()).collect()
    }

    fn calls(segments: &[Segment]) -> Vec<(&str, &str)> {
        segments
            .iter()
            .filter_map(|s| match &s.kind {
                Kind::Call(Some(call)) => Some((call.name.as_str(), call.arguments.as_str())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_call_is_handed_out_whole_where_it_ends() {
        let tokens =
            ["Well. ", "<|tool_call>", "call:", "f{a:", "<|\"|>", "x", "<|\"|>", "}", "<tool_call|>", "!"];
        let segments = parse(Dialect::Gemma4, &tokens);
        assert_eq!(calls(&segments), [("f", r#"{"a":"x"}"#)]);
        assert_eq!(joined(&segments, |k| *k == Kind::Text), "Well. !");
        assert_eq!(segments[8].text, "<|tool_call>call:f{a:<|\"|>x<|\"|>}<tool_call|>");
        let Kind::Call(Some(call)) = &segments[8].kind else { panic!("{segments:?}") };
        assert_eq!(call.id, "422232500");
        assert_eq!(
            parse(Dialect::Plain, &tokens).iter().filter(|s| s.kind == Kind::Text).count(),
            tokens.len()
        );
    }

    #[test]
    fn a_call_inside_a_thought_is_a_call() {
        let tokens =
            ["<think>", "Hm", "<tool_call>", "{\"name\": \"f\"}", "</tool_call>", "so", "</think>", "Yes"];
        let segments = parse(Dialect::Hermes, &tokens);
        assert_eq!(calls(&segments), [("f", "{}")]);
        assert_eq!(joined(&segments, |k| *k == Kind::Thought), "Hmso");
        assert_eq!(joined(&segments, |k| *k == Kind::Text), "Yes");
    }

    #[test]
    fn two_calls_have_two_ids_and_a_missing_end_is_no_harm() {
        let call = "{\"name\": \"f\"}";
        let segments =
            parse(Dialect::Hermes, &["<tool_call>", call, "</tool_call>", "\n", "<tool_call>", call]);
        let ids: Vec<_> = segments
            .iter()
            .filter_map(|s| if let Kind::Call(Some(c)) = &s.kind { Some(&c.id) } else { None })
            .collect();
        assert_eq!(ids, ["422232500", "422232501"]);
    }

    #[test]
    fn what_is_no_call_is_text_as_it_was_spelled() {
        for tokens in [
            &["<|tool_call>", "call:f{a:Rome}", "<tool_call|>"][..],
            &["<|tool_call>", "call:f{a:", "<|\"|>", "x"],
            &["<|tool_call>", "call:f", "<|tool_call>", "<tool_call|>"],
            &["a", "<tool_call|>", "<|\"|>", "b"],
        ] {
            let segments = parse(Dialect::Gemma4, tokens);
            assert_eq!(joined(&segments, |k| *k == Kind::Text), tokens.concat());
            assert_eq!(calls(&segments), []);
        }
    }

    #[test]
    fn the_line_that_names_a_channel_is_no_thought() {
        let segments = parse(Dialect::Gemma4, &["<|channel>", "thou", "ght\nHm", "<channel|>", "Yes"]);
        assert_eq!(joined(&segments, |k| *k == Kind::Thought), "Hm");
        assert_eq!(joined(&segments, |k| *k == Kind::Text), "Yes");
    }

    /// In every row of tokens, each text arrives once: said, thought, or in a call's spelling.
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice() {
        let mut seed = 1_u64;
        let mut random = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        let (mut whole, mut broken) = (0, 0);
        for dialect in [Dialect::Gemma4, Dialect::Hermes] {
            for _ in 0..20_000 {
                let mut tokens: Vec<String> = Vec::new();
                for number in 0..random(12) {
                    match random(8) {
                        0..4 => tokens.push(SPELLINGS[random(SPELLINGS.len())].to_owned()),
                        4 => tokens.push(format!("\n[{number}]")),
                        5 => tokens.push(format!("[{number}]")),
                        6 => tokens.push(format!("call:f{{a:{number}}}")),
                        _ => tokens.push(format!("{{\"name\": \"f\", \"arguments\": {{\"a\": {number}}}}}")),
                    }
                }
                let rows: Vec<&str> = tokens.iter().map(String::as_str).collect();
                let segments = parse(dialect, &rows);
                whole += calls(&segments).len();
                let all = joined(&segments, |_| true);
                broken += usize::from(joined(&segments, |k| *k == Kind::Text).contains("tool_call"));
                // Marks around thoughts are not spelled, and neither is what names a channel.
                let borders = ["<|channel>", "<channel|>", "<think>", "</think>"];
                let is_border = |token: &&str| {
                    borders.contains(token)
                        && SPELLINGS
                            .iter()
                            .position(|s| s == token)
                            .is_some_and(|id| marks(dialect).of(id as u32).is_some())
                };
                let mut expected = String::new();
                let (mut naming, mut calling) = (false, false);
                for token in &rows {
                    let mark =
                        SPELLINGS.iter().position(|s| s == token).and_then(|id| marks(dialect).of(id as u32));
                    calling = match mark {
                        Some(Mark::CallBegins) => true,
                        Some(Mark::Quote) | None => calling,
                        Some(_) => false,
                    };
                    if is_border(token) {
                        naming = mark == Some(Mark::ThoughtBegins) && dialect == Dialect::Gemma4;
                    } else if naming && !calling {
                        if let Some((_, rest)) = token.split_once('\n') {
                            naming = false;
                            expected.push_str(rest);
                        }
                    } else {
                        naming = false;
                        expected.push_str(token);
                    }
                }
                assert_eq!(all, expected, "{rows:?}");
            }
        }
        assert!(whole > 200 && broken > 500, "{whole} whole calls, {broken} broken ones");
    }
}
