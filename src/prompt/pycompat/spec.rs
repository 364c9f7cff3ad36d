//! Python's `format(value, spec)`.

use minijinja::Error;
use minijinja::value::Value;

use super::digits::{fixed, general, grouped, integer, scientific};
use super::printing::{float, str_of};
use super::values::{as_float, as_int, error, type_name};

/// Wider fields and more digits are refused; Rust's own formatting takes no more.
pub(super) const MOST_WIDTH: usize = u16::MAX as usize;

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

pub(super) fn format_value(value: &Value, spec: &str) -> Result<String, Error> {
    if spec.is_empty() {
        return str_of(value);
    }
    let bad = || {
        let kind = type_name(value);
        error(format!("unsupported format string passed to {kind}.__format__"))
    };
    if let Some(text) = value.as_str().filter(|_| !value.is_undefined()) {
        return text_in(text, &parse(spec)?);
    }
    match as_float(value) {
        Some(x) => float_in(x, &parse(spec)?),
        None => integer_in(as_int(value).ok_or_else(bad)?, &parse(spec)?),
    }
}

fn too_wide() -> Error {
    error("the field is too wide")
}

/// The characters of a specification that are still to be read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let c = self.0.chars().next().filter(|c| wanted(*c))?;
        self.0 = &self.0[c.len_utf8()..];
        Some(c)
    }

    fn number(&mut self) -> Result<Option<usize>, Error> {
        let len = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().ok().filter(|n| *n <= MOST_WIDTH).map(Some).ok_or_else(too_wide)
    }
}

fn is_align(c: char) -> bool {
    matches!(c, '<' | '>' | '=' | '^')
}

fn parse(text: &str) -> Result<Spec, Error> {
    let mut spec = Spec::default();
    let mut rest = Reader(text);
    if text.chars().nth(1).is_some_and(is_align) {
        spec.fill = rest.take(|_| true);
    }
    spec.align = rest.take(is_align);
    spec.sign = rest.take(|c| matches!(c, '+' | '-' | ' '));
    spec.alternate = rest.take(|c| c == '#').is_some();
    if rest.take(|c| c == '0').is_some() {
        spec.fill = spec.fill.or(Some('0'));
        spec.align = spec.align.or(Some('0'));
    }
    spec.width = rest.number()?.unwrap_or(0);
    spec.grouping = rest.take(|c| matches!(c, ',' | '_'));
    if rest.take(|c| c == '.').is_some() {
        let precision = rest.number()?;
        spec.precision = Some(precision.ok_or_else(|| error("Format specifier missing precision"))?);
    }
    spec.kind = rest.take(|_| true);
    if rest.0.is_empty() { Ok(spec) } else { Err(error(format!("Invalid format specifier '{text}'"))) }
}

fn unknown(spec: &Spec, kind: &str) -> Error {
    let code = spec.kind.unwrap_or(' ');
    error(format!("Unknown format code '{code}' for object of type '{kind}'"))
}

fn text_in(text: &str, spec: &Spec) -> Result<String, Error> {
    if !matches!(spec.kind, None | Some('s')) {
        return Err(unknown(spec, "str"));
    }
    if spec.sign.is_some() || spec.alternate || spec.grouping.is_some() || spec.align == Some('=') {
        return Err(error("the format specifier is not allowed for a string"));
    }
    let text: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    Ok(aligned("", &text, spec, '<'))
}

fn integer_in(n: i128, spec: &Spec) -> Result<String, Error> {
    let (radix, prefix) = match spec.kind {
        None | Some('d' | 'n') => (10, ""),
        Some('b') => (2, "0b"),
        Some('o') => (8, "0o"),
        Some('x') => (16, "0x"),
        Some('X') => (16, "0X"),
        Some('c') => {
            let c = u32::try_from(n).ok().and_then(char::from_u32);
            let c = c.filter(|_| spec.sign.is_none() && spec.precision.is_none());
            let c = c.ok_or_else(|| error("%c arg not in range"))?;
            return Ok(aligned("", &c.to_string(), spec, '<'));
        }
        Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => return float_in(n as f64, spec),
        Some(_) => return Err(unknown(spec, "int")),
    };
    if spec.precision.is_some() {
        return Err(error("Precision not allowed in integer format specifier"));
    }
    let mut digits = integer(n, radix);
    if spec.kind == Some('X') {
        digits = digits.to_uppercase();
    }
    if let Some(separator) = spec.grouping {
        if separator == ',' && radix != 10 {
            return Err(error("Cannot specify ',' with this format"));
        }
        digits = grouped(&digits, separator, if radix == 10 { 3 } else { 4 });
    }
    let prefix = if spec.alternate { prefix } else { "" };
    Ok(aligned(&(sign(n < 0, spec) + prefix), &digits, spec, '>'))
}

fn float_in(x: f64, spec: &Spec) -> Result<String, Error> {
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
