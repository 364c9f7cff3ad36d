//! Python's `format(value, spec)`.

use super::digits::{fixed, general, grouped, integer, scientific};
use super::error::{Error, Result};
use super::printing::{float, str_of};
use super::value::Value;

/// Wider fields are refused.
const MOST_WIDTH: usize = 1 << 20;

#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

pub(super) fn format_value(value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return str_of(value);
    }
    let bad = || {
        let kind = value.type_name();
        Error::new(format!("unsupported format string passed to {kind}.__format__"))
    };
    match value {
        Value::Str(text) => text_in(&text.text, &parse(spec)?),
        Value::Float(x) => float_in(*x, &parse(spec)?),
        _ => integer_in(value.as_int().ok_or_else(bad)?, &parse(spec)?),
    }
}

fn parse(text: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut chars: Vec<char> = text.chars().collect();
    chars.reverse();
    let is_align = |c: &char| matches!(c, '<' | '>' | '=' | '^');
    if chars.len() >= 2 && is_align(&chars[chars.len() - 2]) {
        spec.fill = chars.pop();
        spec.align = chars.pop();
    } else if chars.last().is_some_and(is_align) {
        spec.align = chars.pop();
    }
    let mut take = |wanted: &dyn Fn(char) -> bool| {
        let found = chars.last().copied().filter(|c| wanted(*c));
        if found.is_some() {
            chars.pop();
        }
        found
    };
    spec.sign = take(&|c| matches!(c, '+' | '-' | ' '));
    spec.alternate = take(&|c| c == '#').is_some();
    if take(&|c| c == '0').is_some() {
        spec.fill = spec.fill.or(Some('0'));
        spec.align = spec.align.or(Some('0'));
    }
    let number = |take: &mut dyn FnMut(&dyn Fn(char) -> bool) -> Option<char>| {
        let mut digits = String::new();
        while let Some(c) = take(&|c| c.is_ascii_digit()) {
            digits.push(c);
        }
        let n: usize = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Error::memory())? };
        if n > MOST_WIDTH { Err(Error::memory()) } else { Ok((n, !digits.is_empty())) }
    };
    spec.width = number(&mut take)?.0;
    spec.grouping = take(&|c| matches!(c, ',' | '_'));
    if take(&|c| c == '.').is_some() {
        let (precision, given) = number(&mut take)?;
        if !given {
            return Err(Error::new("Format specifier missing precision"));
        }
        spec.precision = Some(precision);
    }
    spec.kind = take(&|_| true);
    if chars.is_empty() { Ok(spec) } else { Err(Error::new(format!("Invalid format specifier '{text}'"))) }
}

fn unknown(spec: &Spec, kind: &str) -> Error {
    let code = spec.kind.unwrap_or(' ');
    Error::new(format!("Unknown format code '{code}' for object of type '{kind}'"))
}

fn text_in(text: &str, spec: &Spec) -> Result<String> {
    if !matches!(spec.kind, None | Some('s')) {
        return Err(unknown(spec, "str"));
    }
    if spec.sign.is_some() || spec.alternate || spec.grouping.is_some() || spec.align == Some('=') {
        return Err(Error::new("the format specifier is not allowed for a string"));
    }
    let text: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    Ok(aligned("", &text, spec, '<'))
}

fn integer_in(n: i128, spec: &Spec) -> Result<String> {
    let (radix, prefix) = match spec.kind {
        None | Some('d' | 'n') => (10, ""),
        Some('b') => (2, "0b"),
        Some('o') => (8, "0o"),
        Some('x') => (16, "0x"),
        Some('X') => (16, "0X"),
        Some('c') => {
            let c = u32::try_from(n).ok().and_then(char::from_u32);
            let c = c.filter(|_| spec.sign.is_none() && spec.precision.is_none());
            let c = c.ok_or_else(|| Error::new("%c arg not in range"))?;
            return Ok(aligned("", &c.to_string(), spec, '<'));
        }
        Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => return float_in(n as f64, spec),
        Some(_) => return Err(unknown(spec, "int")),
    };
    if spec.precision.is_some() {
        return Err(Error::new("Precision not allowed in integer format specifier"));
    }
    let mut digits = integer(n, radix);
    if spec.kind == Some('X') {
        digits = digits.to_uppercase();
    }
    if let Some(separator) = spec.grouping {
        if separator == ',' && radix != 10 {
            return Err(Error::new("Cannot specify ',' with this format"));
        }
        digits = grouped(&digits, separator, if radix == 10 { 3 } else { 4 });
    }
    let prefix = if spec.alternate { prefix } else { "" };
    Ok(aligned(&(sign(n < 0, spec) + prefix), &digits, spec, '>'))
}

fn float_in(x: f64, spec: &Spec) -> Result<String> {
    let precision = spec.precision.unwrap_or(6);
    let size = x.abs();
    let mut digits = match spec.kind {
        None => match spec.precision {
            None => float(size),
            Some(precision) => general(size, precision, spec.alternate, true),
        },
        Some('e' | 'E') => scientific(size, precision, spec.alternate),
        Some('f' | 'F') => fixed(size, precision, spec.alternate),
        Some('g' | 'G' | 'n') => general(size, precision, spec.alternate, false),
        Some('%') => fixed(size * 100.0, precision, spec.alternate) + "%",
        Some(_) => return Err(unknown(spec, "float")),
    };
    if spec.kind.is_some_and(|c| c.is_ascii_uppercase()) {
        digits = digits.to_uppercase();
    }
    if let Some(separator) = spec.grouping {
        digits = grouped(&digits, separator, 3);
    }
    Ok(aligned(&sign(x.is_sign_negative() && !x.is_nan(), spec), &digits, spec, '>'))
}

fn sign(negative: bool, spec: &Spec) -> String {
    match (negative, spec.sign) {
        (true, _) => "-",
        (_, Some('+')) => "+",
        (_, Some(' ')) => " ",
        _ => "",
    }
    .to_owned()
}

fn aligned(sign: &str, digits: &str, spec: &Spec, usual: char) -> String {
    let space = spec.width.saturating_sub(sign.len() + digits.chars().count());
    let fill = |count: usize| spec.fill.unwrap_or(' ').to_string().repeat(count);
    // A leading zero of the width aligns numbers behind their sign, and texts as usual.
    let align = match spec.align {
        Some('0') if usual == '>' => '=',
        Some('0') | None => usual,
        Some(align) => align,
    };
    match align {
        '<' => format!("{sign}{digits}{}", fill(space)),
        '^' => format!("{}{sign}{digits}{}", fill(space / 2), fill(space - space / 2)),
        '=' => format!("{sign}{}{digits}", fill(space)),
        _ => format!("{}{sign}{digits}", fill(space)),
    }
}
