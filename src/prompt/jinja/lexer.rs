//! From a template's text to tokens, with `trim_blocks` and `lstrip_blocks` as transformers sets them.

use super::error::{Error, Result};
use super::is_space;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Data(Box<str>),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(Box<str>),
    Int(i128),
    Float(f64),
    Str(Box<str>),
    Op(&'static str),
}

/// Longer ones first.
const OPERATORS: [&str; 25] = [
    "==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",",
];

/// The tokens and the line of each.
pub(super) fn tokenize(source: &str) -> Result<Vec<(Token, usize)>> {
    let mut lexer = Lexer { source, at: 0, line: 1, tokens: Vec::new(), line_starting: true };
    while lexer.at < source.len() {
        lexer.data()?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<(Token, usize)>,
    /// Whether the last tag ended with a newline, so that the next text begins a line.
    line_starting: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    /// Goes on, counting lines.
    fn advance(&mut self, bytes: usize) {
        let passed = &self.rest()[..bytes];
        self.line += passed.matches('\n').count();
        self.line_starting = passed.ends_with('\n');
        self.at += bytes;
    }

    /// Text up to the next tag, and that tag.
    fn data(&mut self) -> Result<()> {
        let rest = self.rest();
        let Some(open) = find_tag(rest) else {
            self.push(Token::Data(rest.into()));
            self.advance(rest.len());
            return Ok(());
        };
        let kind = rest.as_bytes()[open + 1];
        let sign = rest[open + 2..].chars().next().filter(|c| matches!(c, '-' | '+'));
        let text = stripped(&rest[..open], sign, kind != b'{', self.line_starting);
        if !text.is_empty() {
            self.push(Token::Data(text.into()));
        }
        self.advance(open);
        if let Some(begin) = raw_begin(self.rest()) {
            self.advance(begin);
            return self.raw();
        }
        self.advance(2 + usize::from(sign.is_some()));
        match kind {
            b'#' => self.comment(),
            b'{' => {
                self.push(Token::VariableBegin);
                self.tag("}}", Token::VariableEnd)
            }
            _ => {
                self.push(Token::BlockBegin);
                self.tag("%}", Token::BlockEnd)
            }
        }
    }

    /// Text between `{% raw %}` and `{% endraw %}`.
    fn raw(&mut self) -> Result<()> {
        let rest = self.rest();
        let found = rest.match_indices("{%").find_map(|(open, _)| Some((open, raw_end(&rest[open..])?)));
        let Some((open, len)) = found else {
            return Err(Error::syntax("Missing end of raw directive", self.line));
        };
        let sign = rest[open + 2..].chars().next().filter(|c| matches!(c, '-' | '+'));
        let text = stripped(&rest[..open], sign, true, self.line_starting);
        if !text.is_empty() {
            self.push(Token::Data(text.into()));
        }
        self.advance(open + len);
        Ok(())
    }

    fn comment(&mut self) -> Result<()> {
        let rest = self.rest();
        let Some(end) = rest.find("#}") else {
            return Err(Error::syntax("Missing end of comment tag", self.line));
        };
        let start = end - usize::from(rest[..end].ends_with(['-', '+']));
        self.advance(start + end_len(&rest[start..], "#}"));
        Ok(())
    }

    /// The tokens of one tag up to its end, which only counts outside of brackets.
    fn tag(&mut self, close: &str, end: Token) -> Result<()> {
        let mut brackets: Vec<char> = Vec::new();
        loop {
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(Error::syntax("unexpected end of template", self.line));
            };
            let signed = rest.starts_with('-') || (rest.starts_with('+') && close == "%}");
            if brackets.is_empty() && rest[usize::from(signed)..].starts_with(close) {
                self.push(end);
                self.advance(end_len(rest, close));
                return Ok(());
            }
            if is_space(first) {
                self.advance(first.len_utf8());
            } else if let Some(len) = self.number(rest)? {
                self.advance(len);
            } else if is_word(first) {
                self.name(rest)?;
            } else if first == '"' || first == '\'' {
                self.string(rest, first)?;
            } else {
                self.operator(rest, &mut brackets)?;
            }
        }
    }

    fn name(&mut self, rest: &str) -> Result<()> {
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if rest.starts_with(|c: char| c != '_' && !c.is_alphabetic()) {
            return Err(Error::syntax("Invalid character in identifier", self.line));
        }
        self.push(Token::Name(rest[..len].into()));
        self.advance(len);
        Ok(())
    }

    fn operator(&mut self, rest: &str, brackets: &mut Vec<char>) -> Result<()> {
        let Some(op) = OPERATORS.into_iter().find(|op| rest.starts_with(op)) else {
            let c = rest.chars().next().unwrap_or(' ');
            return Err(Error::syntax(format!("unexpected char '{c}'"), self.line));
        };
        match op {
            "{" => brackets.push('}'),
            "(" => brackets.push(')'),
            "[" => brackets.push(']'),
            "}" | ")" | "]" if brackets.pop().is_none_or(|expected| !op.starts_with(expected)) => {
                return Err(Error::syntax(format!("unexpected '{op}'"), self.line));
            }
            _ => {}
        }
        self.push(Token::Op(op));
        self.advance(op.len());
        Ok(())
    }

    /// The length of the number that stands here, if one does.
    fn number(&mut self, rest: &str) -> Result<Option<usize>> {
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let after_dot = self.source[..self.at].ends_with('.');
        if let Some(len) = float_len(rest).filter(|_| !after_dot) {
            let value = rest[..len].replace('_', "").parse();
            self.push(Token::Float(value.map_err(|_| Error::syntax("not a number", self.line))?));
            return Ok(Some(len));
        }
        let (radix, prefix) = match rest.as_bytes().get(1).map(u8::to_ascii_lowercase) {
            Some(b'x') if rest.starts_with('0') => (16, 2),
            Some(b'o') if rest.starts_with('0') => (8, 2),
            Some(b'b') if rest.starts_with('0') => (2, 2),
            _ => (10, 0),
        };
        let mut len = digits_len(&rest[prefix..], radix, prefix > 0);
        let (radix, prefix) = if len == 0 { (10, 0) } else { (radix, prefix) };
        if len == 0 {
            len = digits_len(rest, 10, false);
        }
        // A zero is a number of its own before other digits.
        if radix == 10 && rest.starts_with('0') {
            len = rest[..len].find(|c| c != '0' && c != '_').unwrap_or(len);
            len = rest[..len].trim_end_matches('_').len();
        }
        let digits = rest[prefix..prefix + len].replace('_', "");
        let value = i128::from_str_radix(&digits, radix);
        self.push(Token::Int(value.map_err(|_| Error::syntax("the integer is too large", self.line))?));
        Ok(Some(prefix + len))
    }

    fn string(&mut self, rest: &str, quote: char) -> Result<()> {
        let mut escaped = false;
        let inner = &rest[1..];
        let end = inner.find(|c: char| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else {
            return Err(Error::syntax(format!("unexpected char {quote:?}"), self.line));
        };
        let text = unescape(&inner[..end]).map_err(|e| e.at(self.line))?;
        self.push(Token::Str(text.into()));
        self.advance(end + 2);
        Ok(())
    }
}

/// Where the next `{{`, `{%` or `{#` is.
fn find_tag(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(1))
        .find(|&i| bytes[i] == b'{' && matches!(bytes[i + 1], b'{' | b'%' | b'#'))
}

/// Text before a tag: without its blanks where the tag's sign says so, or its line holds nothing else.
fn stripped(text: &str, sign: Option<char>, lstrip: bool, line_starting: bool) -> &str {
    if sign == Some('-') {
        return text.trim_end_matches(is_space);
    }
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    let strips =
        lstrip && sign.is_none() && (line > 0 || line_starting) && text[line..].chars().all(is_space);
    if strips { &text[..line] } else { text }
}

/// The length of a tag's end with its sign and what it swallows.
fn end_len(text: &str, close: &str) -> usize {
    let sign = text.chars().next().filter(|c| matches!(c, '-' | '+'));
    let len = usize::from(sign.is_some()) + close.len();
    let after = &text[len..];
    match sign {
        Some('-') => len + after.len() - after.trim_start_matches(is_space).len(),
        None if close != "}}" && after.starts_with('\n') => len + 1,
        _ => len,
    }
}

/// The length of `{% raw %}`, if it stands here.
fn raw_begin(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("{%")?.trim_start_matches(['-', '+']);
    if text.len() - inner.len() > 3 {
        return None;
    }
    let after = inner.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    let rest = match after.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => after.strip_prefix("%}")?,
    };
    Some(text.len() - rest.len())
}

/// The length of `{% endraw %}`, if it stands here.
fn raw_end(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let after = inner.trim_start_matches(is_space).strip_prefix("endraw")?.trim_start_matches(is_space);
    let signless = after.strip_prefix(['-', '+']).unwrap_or(after);
    signless.strip_prefix("%}")?;
    Some(text.len() - after.len() + end_len(after, "%}"))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The bytes of digits with single underscores between them.
fn digits_len(text: &str, radix: u32, leading_underscore: bool) -> usize {
    let mut len = 0;
    let mut may_break = leading_underscore;
    for (at, c) in text.char_indices() {
        if c.is_ascii() && c.is_digit(radix) {
            len = at + 1;
            may_break = true;
        } else if c == '_' && may_break {
            may_break = false;
        } else {
            break;
        }
    }
    len
}

/// The bytes of a number with a fraction or an exponent.
fn float_len(text: &str) -> Option<usize> {
    let whole = digits_len(text, 10, false);
    let mut len = whole;
    if let Some(fraction) = text[len..].strip_prefix('.') {
        let digits = digits_len(fraction, 10, false);
        if digits > 0 {
            len += 1 + digits;
        }
    }
    if let Some(exponent) = text[len..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = digits_len(&exponent[sign..], 10, false);
        if digits > 0 {
            len += 1 + sign + digits;
        }
    }
    (len > whole).then_some(len)
}

/// Python's escapes in a string.
fn unescape(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some((_, escape)) = chars.next() else { break };
        let mut code = |len: usize, radix: u32, from: usize| {
            let digits: String = text[from..].chars().take(len).take_while(|c| c.is_digit(radix)).collect();
            for _ in 0..digits.len() - usize::from(radix == 8) {
                chars.next();
            }
            digits
        };
        let (digits, radix, least) = match escape {
            'n' => ("a".to_owned(), 16, 0),
            'x' => (code(2, 16, at + 2), 16, 2),
            'u' => (code(4, 16, at + 2), 16, 4),
            'U' => (code(8, 16, at + 2), 16, 8),
            '0'..='7' => (code(3, 8, at + 1), 8, 1),
            'a' => ("7".to_owned(), 16, 0),
            'b' => ("8".to_owned(), 16, 0),
            't' => ("9".to_owned(), 16, 0),
            'v' => ("b".to_owned(), 16, 0),
            'f' => ("c".to_owned(), 16, 0),
            'r' => ("d".to_owned(), 16, 0),
            '\\' | '\'' | '"' => {
                out.push(escape);
                continue;
            }
            '\n' => continue,
            'N' => return Err(Error::new("named characters are not supported")),
            _ => {
                out.extend(['\\', escape]);
                continue;
            }
        };
        let code = u32::from_str_radix(&digits, radix).ok().filter(|_| digits.len() >= least);
        match code.and_then(char::from_u32) {
            Some(c) => out.push(c),
            None => return Err(Error::new("invalid escape in a string")),
        }
    }
    Ok(out)
}
