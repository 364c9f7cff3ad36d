//! Python's `text % values`.

use super::digits::{fixed, general, integer, scientific};
use super::error::{Error, Result};
use super::objects::Object;
use super::ops::escape_html;
use super::printing::{escaped, repr, str_of};
use super::value::{Text, Value, check_size};

/// Wider fields are refused.
const MOST_WIDTH: usize = 1 << 20;

#[derive(Default)]
struct Flags {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

struct Values<'a> {
    all: &'a Value,
    next: usize,
    /// Whether values were taken by name.
    named: bool,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Value> {
        let value = match self.all {
            Value::Tuple(seq) => seq.items.get(self.next).cloned(),
            value if self.next == 0 && !self.named => Some(value.clone()),
            _ => None,
        };
        self.next += 1;
        value.ok_or_else(|| Error::new("not enough arguments for format string"))
    }

    fn named(&mut self, name: &str) -> Result<Value> {
        self.named = true;
        let Value::Dict(dict) = self.all else { return Err(Error::new("format requires a mapping")) };
        dict.get_str(name).cloned().ok_or_else(|| Error::new(format!("no value for '%({name})'")))
    }

    /// Whether Python would complain of values that are left over.
    fn are_left(&self) -> bool {
        match self.all {
            Value::Tuple(seq) => self.next < seq.items.len(),
            Value::Dict(_) | Value::List(_) | Value::Undefined | Value::Object(Object::Range(_)) => false,
            _ => self.next == 0,
        }
    }
}

pub(super) fn format(text: &Text, values: &Value) -> Result<Value> {
    let mut values = Values { all: values, next: 0, named: false };
    let mut out = String::new();
    let mut rest = &*text.text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        rest = directive(&mut out, rest, &mut values, text.safe)?;
        check_size(out.len())?;
    }
    out.push_str(rest);
    if values.are_left() {
        return Err(Error::new("not all arguments converted during string formatting"));
    }
    Ok(if text.safe { Value::markup(out) } else { Value::str(out) })
}

/// Writes one directive, which begins behind its `%`, and returns what comes after it.
fn directive<'a>(out: &mut String, mut rest: &'a str, values: &mut Values, safe: bool) -> Result<&'a str> {
    let mut named = None;
    if rest.starts_with('(') {
        let end = closing(rest).ok_or_else(|| Error::new("incomplete format key"))?;
        named = Some(values.named(&rest[1..end])?);
        rest = &rest[end + 1..];
    }
    let mut flags = Flags::default();
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => flags.left = true,
            '+' => flags.plus = true,
            ' ' => flags.space = true,
            '#' => flags.alternate = true,
            '0' => flags.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let width = number(&mut rest, values)?.unwrap_or(0);
    flags.left |= width < 0;
    flags.width = width.unsigned_abs() as usize;
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        flags.precision = Some(number(&mut rest, values)?.unwrap_or(0).max(0) as usize);
    }
    if flags.width > MOST_WIDTH || flags.precision.is_some_and(|p| p > MOST_WIDTH) {
        return Err(Error::memory());
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let Some(conversion) = rest.chars().next() else { return Err(Error::new("incomplete format")) };
    rest = &rest[conversion.len_utf8()..];
    let value = match named {
        Some(value) => value,
        None => values.next()?,
    };
    let (sign, digits) = converted(conversion, &value, &flags, safe)?;
    let numeric = !matches!(conversion, 's' | 'r' | 'a' | 'c');
    pad(out, sign, &digits, &flags, numeric);
    Ok(rest)
}

/// Where the bracket that opens the text is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (depth == 0).then_some(at)
    })
}

/// A width or precision: digits, or `*` for the next value.
fn number(rest: &mut &str, values: &mut Values) -> Result<Option<i64>> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let n = values.next()?;
        return n
            .as_int()
            .map(|n| Some(n.clamp(-1 << 40, 1 << 40) as i64))
            .ok_or_else(|| Error::new("* wants int"));
    }
    let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(len);
    *rest = after;
    if digits.is_empty() {
        return Ok(None);
    }
    digits.parse().map(Some).map_err(|_| Error::memory())
}

/// The sign or prefix, and the rest.
fn converted(conversion: char, value: &Value, flags: &Flags, safe: bool) -> Result<(String, String)> {
    let cut = |text: String| match flags.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    };
    let text = match conversion {
        's' => match value {
            Value::Str(text) if safe && !text.safe => escape_html(&text.text),
            _ => str_of(value)?,
        },
        'r' => repr(value)?,
        'a' => repr(value)?.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect(),
        'c' => character(value)?,
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => return integral(conversion, value, flags),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => return floating(conversion, value, flags),
        _ => return Err(Error::new(format!("unsupported format character '{conversion}'"))),
    };
    Ok((String::new(), cut(text)))
}

fn character(value: &Value) -> Result<String> {
    match value {
        Value::Str(text) if text.text.chars().count() == 1 => Ok(text.text.to_string()),
        _ => {
            let code = value.as_int().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32);
            code.map(String::from).ok_or_else(|| Error::new("%c requires int or char"))
        }
    }
}

fn sign(negative: bool, flags: &Flags) -> String {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
    .to_owned()
}

fn integral(conversion: char, value: &Value, flags: &Flags) -> Result<(String, String)> {
    let decimal = matches!(conversion, 'd' | 'i' | 'u');
    let n = match value {
        Value::Float(x) if decimal && x.is_finite() && x.abs() < 1e38 => Some(*x as i128),
        _ => value.as_int(),
    };
    let n = n.ok_or_else(|| {
        Error::new(format!("%{conversion} format: an integer is required, not {}", value.type_name()))
    })?;
    let (radix, prefix) = match conversion {
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        'o' => (8, "0o"),
        _ => (10, ""),
    };
    let mut digits = integer(n, radix);
    if conversion == 'X' {
        digits = digits.to_uppercase();
    }
    if let Some(least) = flags.precision {
        digits = "0".repeat(least.saturating_sub(digits.len())) + &digits;
    }
    let prefix = if flags.alternate { prefix } else { "" };
    Ok((sign(n < 0, flags) + prefix, digits))
}

fn floating(conversion: char, value: &Value, flags: &Flags) -> Result<(String, String)> {
    let x = match value {
        Value::Float(x) => Some(*x),
        _ => value.as_int().map(|n| n as f64),
    };
    let x = x.ok_or_else(|| Error::new(format!("must be real number, not {}", value.type_name())))?;
    let precision = flags.precision.unwrap_or(6);
    let digits = match conversion.to_ascii_lowercase() {
        'e' => scientific(x.abs(), precision, flags.alternate),
        'f' => fixed(x.abs(), precision, flags.alternate),
        _ => general(x.abs(), precision, flags.alternate, false),
    };
    let digits = if conversion.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
    Ok((sign(x.is_sign_negative() && !x.is_nan(), flags), digits))
}

fn pad(out: &mut String, sign: String, digits: &str, flags: &Flags, numeric: bool) {
    let fill = flags.width.saturating_sub(sign.len() + digits.chars().count());
    if flags.left {
        out.push_str(&sign);
        out.push_str(digits);
        out.extend(std::iter::repeat_n(' ', fill));
    } else if flags.zero && numeric {
        out.push_str(&sign);
        out.extend(std::iter::repeat_n('0', fill));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', fill));
        out.push_str(&sign);
        out.push_str(digits);
    }
}
