//! Takes an answer apart: what is said, what is thought, which tools are called.

use super::{Bit, Call, Draft, Mark, Marks, Reader};

/// What a stretch of an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is said.
    Text,
    /// What is thought.
    Thought,
    /// A tool call, as far as it is known.
    Call(Told),
}

/// What is known of a call by one of its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Once the tool's name is known. What all drafts of a call add is the arguments of the whole.
    pub draft: Option<Draft>,
    /// Where the call ends.
    pub whole: Option<Call>,
}

impl Told {
    /// This, and then `next` of the same call.
    pub fn and(mut self, next: Told) -> Told {
        let draft = match (self.draft.take(), next.draft) {
            (Some(before), Some(draft)) if before.id == draft.id => {
                Some(Draft { added: before.added + &draft.added, ..draft })
            }
            (before, draft) => draft.or(before),
        };
        Told { draft, whole: self.whole.or(next.whole) }
    }
}

/// What one token adds to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What the stretch is.
    pub kind: Kind,
    /// Of a whole call: as it was spelled.
    pub text: String,
}

/// The state of one answer.
///
/// Whether a call is one shows at its end, so until then there are drafts of it; what turns out to be none is text,
/// spelled as it was.
pub struct Parser {
    marks: Marks,
    thinking: bool,
    /// Inside of the line that names a channel.
    naming: bool,
    /// A call that is not whole yet.
    call: Option<Open>,
    calls: usize,
    /// How many calls had a name, whole or not.
    named: usize,
    /// Distinguishes the calls of this answer from those of others.
    seed: u64,
}

/// A call that has not ended.
struct Open {
    reader: Reader,
    /// What stands in it, as it is spelled.
    body: String,
    /// Once the name is known.
    id: Option<String>,
    /// How many bytes of the arguments the drafts have told.
    told: usize,
}

impl Parser {
    /// For the answer to a prompt, by which the calls are told from those of other answers.
    pub fn new(marks: Marks, prompt: &[u32]) -> Parser {
        // FNV-1a: the same prompt gives the same ids.
        let seed = prompt.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, id| {
            (hash ^ u64::from(*id)).wrapping_mul(0x100_0000_01B3)
        });
        let thinking = marks.thinking_after(prompt);
        Parser { marks, thinking, naming: false, call: None, calls: 0, named: 0, seed }
    }

    /// What the token carries; `None` for one that is text.
    pub fn mark_of(&self, id: u32) -> Option<Mark> {
        self.marks.of(id)
    }

    /// The token that ends the thought which is open, if nothing else is.
    pub fn thought_end(&self) -> Option<u32> {
        if self.is_thinking() { self.marks.id(Mark::ThoughtEnds) } else { None }
    }

    /// Whether a thought is open, and no call in it.
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
            (Some(_), _) => Kind::Call(Told::default()),
            (None, true) => Kind::Thought,
            (None, false) => Kind::Text,
        }
    }

    /// Takes the text of a token that carries no mark.
    pub fn text(&mut self, mut text: String) -> Segment {
        if let Some(call) = &mut self.call {
            text.chars().for_each(|c| call.reader.push(Bit::Char(c)));
            call.body.push_str(&text);
            return self.draft();
        }
        if self.naming {
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

    /// Takes a token that carries a mark.
    pub fn mark(&mut self, mark: Mark) -> Segment {
        match mark {
            Mark::Quote => {
                let spelling = self.marks.spelling(mark);
                let Some(call) = &mut self.call else { return self.text(spelling.to_owned()) };
                call.reader.push(Bit::Quote);
                call.body.push_str(spelling);
                self.draft()
            }
            Mark::CallEnds if self.call.is_some() => self.end_call(mark),
            Mark::CallEnds => self.text(self.marks.spelling(mark).to_owned()),
            Mark::CallBegins => {
                let before = self.given_up();
                self.naming = false;
                let reader = self.marks.dialect.reader();
                self.call = Some(Open { reader, body: String::new(), id: None, told: 0 });
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
        self.call.as_ref()?;
        self.whole("").or_else(|| self.given_up())
    }

    /// A call that is none after all: its spelling.
    pub fn given_up(&mut self) -> Option<Segment> {
        let Open { body, .. } = self.call.take()?;
        Some(Segment { kind: Kind::Text, text: self.marks.spelling(Mark::CallBegins).to_owned() + &body })
    }

    fn end_call(&mut self, mark: Mark) -> Segment {
        let spelling = self.marks.spelling(mark);
        self.whole(spelling).unwrap_or_else(|| {
            let text = self.given_up().map_or_else(String::new, |segment| segment.text);
            Segment { kind: Kind::Text, text: text + spelling }
        })
    }

    /// What the open call has come to since the last draft.
    fn draft(&mut self) -> Segment {
        let mut told = Told::default();
        if let Some(call) = &mut self.call
            && let Some((name, arguments)) = call.reader.draft()
        {
            let id = call.id.get_or_insert_with(|| call_id(self.seed, &mut self.named));
            let added = arguments.get(call.told..).unwrap_or_default().to_owned();
            call.told = arguments.len();
            told.draft = Some(Draft { id: id.clone(), name: name.to_owned(), added });
        }
        Segment { kind: Kind::Call(told), text: String::new() }
    }

    /// The open call, if it lacks nothing but this end.
    fn whole(&mut self, end: &str) -> Option<Segment> {
        let (name, arguments) = self.call.as_ref()?.reader.whole()?;
        let Open { body, id, told, .. } = self.call.take()?;
        let id = id.unwrap_or_else(|| call_id(self.seed, &mut self.named));
        self.calls += 1;
        let added = arguments.get(told..).unwrap_or_default().to_owned();
        let draft = Some(Draft { id: id.clone(), name: name.clone(), added });
        let kind = Kind::Call(Told { draft, whole: Some(Call { id, name, arguments }) });
        Some(Segment { kind, text: self.marks.spelling(Mark::CallBegins).to_owned() + &body + end })
    }
}

fn call_id(seed: u64, named: &mut usize) -> String {
    *named += 1;
    format!("{:07x}{:02}", seed & 0xFFF_FFFF, (*named - 1) % 100)
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
                Kind::Call(Told { whole: Some(call), .. }) => {
                    Some((call.name.as_str(), call.arguments.as_str()))
                }
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
        let Kind::Call(Told { whole: Some(call), .. }) = &segments[8].kind else { panic!("{segments:?}") };
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
            .filter_map(|s| {
                if let Kind::Call(Told { whole: Some(c), .. }) = &s.kind { Some(&c.id) } else { None }
            })
            .collect();
        assert_eq!(ids, ["422232500", "422232501"]);
    }

    /// The drafts by id: the name, and what they add together.
    fn drafts(segments: &[Segment]) -> Vec<(String, String, String)> {
        let mut all: Vec<(String, String, String)> = Vec::new();
        for segment in segments {
            let Kind::Call(Told { draft: Some(draft), .. }) = &segment.kind else { continue };
            match all.last_mut().filter(|(id, ..)| *id == draft.id) {
                Some((_, name, added)) => {
                    assert_eq!(*name, draft.name);
                    added.push_str(&draft.added);
                }
                None => all.push((draft.id.clone(), draft.name.clone(), draft.added.clone())),
            }
        }
        all
    }

    #[test]
    fn a_call_shows_as_it_comes_and_one_that_breaks_is_taken_back() {
        let tokens = ["<|tool_call>", "call:", "f{a:", "<|\"|>", "x", "<|\"|>", "}", "<tool_call|>"];
        let segments = parse(Dialect::Gemma4, &tokens);
        let added: Vec<_> = segments
            .iter()
            .map(|s| match &s.kind {
                Kind::Call(Told { draft, .. }) => draft.as_ref().map(|d| d.added.as_str()),
                _ => None,
            })
            .collect();
        let expected = [None, None, Some("{\"a\":"), Some("\""), Some("x"), Some("\""), Some("}"), Some("")];
        assert_eq!(added, expected);
        let broken = ["<|tool_call>", "call:f{a:1,", "b}", "<tool_call|>"];
        let segments = parse(Dialect::Gemma4, &[&broken[..], &tokens].concat());
        let ids: Vec<_> = drafts(&segments).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(ids, ["422232500", "422232501"]);
        assert_eq!(joined(&segments, |k| *k == Kind::Text), broken.concat());
        assert_eq!(calls(&segments), [("f", r#"{"a":"x"}"#)]);
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
}
