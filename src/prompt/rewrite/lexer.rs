//! The tokens of a template, as jinja2's lexer finds them under transformers' settings (`trim_blocks`, `lstrip_blocks`).

use super::Mistake;
use super::escapes::unescaped;
use crate::prompt::pycompat::is_space;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'s> {
    /// Text between tags, without what tags strip.
    Data(&'s str),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(&'s str),
    Text(String),
    Int(u128),
    Float(f64),
    Operator(&'static str),
    End,
}

/// A token and the line that it begins in.
pub(super) type Placed<'s> = (Token<'s>, u32);

/// What closes a tag, and what may stand before it.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Variable,
    Block,
}

/// Longer ones first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",", ";",
];

/// The tokens, of which the last is [`Token::End`]; line ends have to be newlines.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed<'_>>, Mistake> {
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut lexer = Lexer { source, at: 0, line: 1, line_starting: true, out: Vec::new() };
    while lexer.at < source.len() {
        lexer.root()?;
    }
    let line = lexer.line;
    lexer.out.push((Token::End, line));
    Ok(lexer.out)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    /// Whether what was read last ended in a newline.
    line_starting: bool,
    out: Vec<Placed<'s>>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn mistake<T>(&self, what: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake { line: self.line, what: what.into() })
    }

    /// Goes on by so many bytes.
    fn skip(&mut self, len: usize) -> &'s str {
        let text = &self.rest()[..len];
        self.line += text.matches('\n').count() as u32;
        self.at += len;
        text
    }

    fn push(&mut self, token: Token<'s>) {
        self.out.push((token, self.line));
    }

    /// Data up to the next tag or comment, and that.
    fn root(&mut self) -> Result<(), Mistake> {
        let rest = self.rest();
        let begins = |at: &usize| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#'));
        let Some(open) = rest.match_indices('{').map(|(at, _)| at).find(begins) else {
            self.push(Token::Data(rest));
            self.skip(rest.len());
            return Ok(());
        };
        let kind = rest.as_bytes()[open + 1];
        let sign = rest[open + 2..].chars().next().filter(|c| matches!(c, '-' | '+'));
        let data = self.stripped(&rest[..open], sign, kind == b'{');
        if !data.is_empty() {
            self.push(Token::Data(data));
        }
        self.skip(open);
        let begin = 2 + usize::from(sign.is_some());
        match kind {
            b'#' => self.comment(begin),
            b'{' => self.tag(begin, Tag::Variable),
            _ => match raw_begin(&self.rest()[begin..]) {
                Some(len) => self.raw(begin + len),
                None => self.tag(begin, Tag::Block),
            },
        }
    }

    /// Text before a tag, without what the tag's sign or `lstrip_blocks` takes away.
    fn stripped(&self, text: &'s str, sign: Option<char>, is_variable: bool) -> &'s str {
        match sign {
            Some('-') => return text.trim_end_matches(is_space),
            Some(_) => return text,
            None if is_variable => return text,
            None => {}
        }
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let begins_a_line = line > 0 || self.line_starting;
        if begins_a_line && text[line..].chars().all(is_space) { &text[..line] } else { text }
    }

    /// What ends a tag is read, with the blanks that it takes away.
    fn end(&mut self, len: usize, sign: Option<char>, trims: bool) {
        self.skip(len);
        let blanks = match sign {
            Some('-') => self.rest().len() - self.rest().trim_start_matches(is_space).len(),
            None if trims && self.rest().starts_with('\n') => 1,
            _ => 0,
        };
        self.line_starting = self.skip(blanks).ends_with('\n');
    }

    fn comment(&mut self, begin: usize) -> Result<(), Mistake> {
        let Some(len) = self.rest()[begin..].find("#}") else {
            return self.mistake("the comment is not closed: `#}` is missing");
        };
        let sign = self.rest()[begin..begin + len].chars().next_back().filter(|c| matches!(c, '-' | '+'));
        self.end(begin + len + 2, sign, true);
        Ok(())
    }

    /// Everything up to `{% endraw %}` as it stands.
    fn raw(&mut self, begin: usize) -> Result<(), Mistake> {
        let opened = self.skip(begin);
        self.line_starting = opened.ends_with('\n');
        let rest = self.rest();
        for (at, _) in rest.match_indices("{%") {
            let after = &rest[at + 2..];
            let sign = after.chars().next().filter(|c| matches!(c, '-' | '+'));
            let Some((len, closing)) = raw_end(&after[usize::from(sign.is_some())..]) else { continue };
            let data = self.stripped(&rest[..at], sign, false);
            if !data.is_empty() {
                self.push(Token::Data(data));
            }
            self.end(at + 2 + usize::from(sign.is_some()) + len, closing, true);
            return Ok(());
        }
        self.mistake("the raw block is not closed: `{% endraw %}` is missing")
    }

    fn tag(&mut self, begin: usize, tag: Tag) -> Result<(), Mistake> {
        self.push(if tag == Tag::Variable { Token::VariableBegin } else { Token::BlockBegin });
        self.skip(begin);
        let mut brackets: Vec<&str> = Vec::new();
        while !self.rest().is_empty() {
            if brackets.is_empty() && self.tag_end(tag) {
                return Ok(());
            }
            self.token(&mut brackets)?;
        }
        Ok(())
    }

    fn tag_end(&mut self, tag: Tag) -> bool {
        let rest = self.rest();
        let (close, token) = match tag {
            Tag::Variable => ("}}", Token::VariableEnd),
            Tag::Block => ("%}", Token::BlockEnd),
        };
        let sign = rest.chars().next().filter(|c| *c == '-' || *c == '+' && tag == Tag::Block);
        let begin = usize::from(sign.is_some());
        if !rest[begin..].starts_with(close) {
            return false;
        }
        self.push(token);
        self.end(begin + close.len(), sign, tag == Tag::Block);
        true
    }

    /// One token within a tag, or the blanks before one.
    fn token(&mut self, brackets: &mut Vec<&'static str>) -> Result<(), Mistake> {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches(is_space).len();
        if blanks > 0 {
            self.skip(blanks);
            return Ok(());
        }
        let word = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        let (token, len) = if rest.starts_with(|c: char| c.is_ascii_digit()) {
            self.number(word)?
        } else if word > 0 {
            if rest.starts_with(|c: char| c.is_numeric()) {
                return self.mistake("invalid character in identifier");
            }
            (Token::Name(&rest[..word]), word)
        } else if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let Some(len) = text_len(rest, quote) else {
                return self.mistake("the text is not closed: its quote is missing");
            };
            match unescaped(&rest[1..len - 1]) {
                Ok(text) => (Token::Text(text), len),
                Err(what) => return self.mistake(what),
            }
        } else {
            self.operator(brackets)?
        };
        self.push(token);
        self.skip(len);
        Ok(())
    }

    fn operator(&self, brackets: &mut Vec<&'static str>) -> Result<(Token<'s>, usize), Mistake> {
        let rest = self.rest();
        let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) else {
            let c = rest.chars().next().unwrap_or(' ');
            return self.mistake(format!("unexpected character {c:?}"));
        };
        match *operator {
            "(" => brackets.push(")"),
            "[" => brackets.push("]"),
            "{" => brackets.push("}"),
            close @ (")" | "]" | "}") => match brackets.pop() {
                Some(expected) if expected == close => {}
                Some(expected) => {
                    return self.mistake(format!("unexpected `{close}`, expected `{expected}`"));
                }
                None => return self.mistake(format!("unexpected `{close}`")),
            },
            _ => {}
        }
        Ok((Token::Operator(operator), operator.len()))
    }

    /// A number, whose word (up to a point or a sign) has so many bytes.
    fn number(&self, word: usize) -> Result<(Token<'s>, usize), Mistake> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let after_dot = self.source[..self.at].ends_with('.');
        let whole = digits(bytes, 0, |b| b.is_ascii_digit());
        if let Some(len) = float_len(bytes, whole).filter(|_| !after_dot) {
            let text = rest[..len].replace('_', "");
            return match text.parse() {
                Ok(x) => Ok((Token::Float(x), len)),
                Err(_) => self.mistake(format!("{text} is no number")),
            };
        }
        let radix = match bytes.get(1) {
            Some(b'x' | b'X') if bytes[0] == b'0' => 16,
            Some(b'o' | b'O') if bytes[0] == b'0' => 8,
            Some(b'b' | b'B') if bytes[0] == b'0' => 2,
            _ => 10,
        };
        let from = if bytes.get(2) == Some(&b'_') { 3 } else { 2 };
        let end = digits(&bytes[..word], from.min(word), |b| char::from(b).is_digit(radix));
        let (text, len) = match radix {
            10 if bytes[0] == b'0' => ("0", digits(bytes, 0, |b| b == b'0')),
            10 => (&rest[..whole], whole),
            _ if end == from.min(word) => ("0", 1),
            _ => (&rest[2..end], end),
        };
        match u128::from_str_radix(&text.replace('_', ""), radix) {
            Ok(n) => Ok((Token::Int(n), len)),
            Err(_) => self.mistake(format!("the integer is too large: {text}")),
        }
    }
}

/// Where the digits from a place on end, between which single underlines may stand.
fn digits(bytes: &[u8], from: usize, is_digit: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b), _) if is_digit(*b) => at += 1,
            (Some(b'_'), Some(b)) if at > from && is_digit(*b) => at += 1,
            _ => return at,
        }
    }
}

/// The bytes of a number with a point or an exponent; `None` for an integer of so many digits.
fn float_len(bytes: &[u8], whole: usize) -> Option<usize> {
    let is_digit = |b: u8| b.is_ascii_digit();
    let mut end = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(bytes, whole + 1, is_digit);
        end = if fraction > whole + 1 { fraction } else { end };
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(bytes, end + 1 + sign, is_digit);
        end = if exponent > end + 1 + sign { exponent } else { end };
    }
    (end > whole).then_some(end)
}

/// The bytes of a text in quotes.
fn text_len(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    let end = rest[1..].find(|c: char| {
        let ends = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    Some(end? + 2)
}

/// The rest of `{% raw %}` behind the opening sign, with the blanks that a minus takes away.
fn raw_begin(text: &str) -> Option<usize> {
    let rest = text.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    let rest = match rest.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => rest.strip_prefix("%}")?,
    };
    Some(text.len() - rest.len())
}

/// The same of `{% endraw %}` without what comes behind it, and the closing sign.
fn raw_end(text: &str) -> Option<(usize, Option<char>)> {
    let rest = text.trim_start_matches(is_space).strip_prefix("endraw")?.trim_start_matches(is_space);
    let sign = rest.chars().next().filter(|c| matches!(c, '-' | '+'));
    let rest = rest[usize::from(sign.is_some())..].strip_prefix("%}")?;
    Some((text.len() - rest.len(), sign))
}
