//! Python's `text % values`.

use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::args::Args;
use super::budget::check;
use super::digits::{fixed, general, integer, scientific};
use super::markup;
use super::objects::is_list;
use super::printing::{repr, str_of};
use super::spec::MOST_WIDTH;
use super::text_filters::escaped_within;
use super::values::{as_float, as_int, error, type_name};

/// What stands between the percent sign and the letter.
#[derive(Default)]
struct Field {
    alternate: bool,
    zero: bool,
    left: bool,
    /// What is written is to be escaped, for the text is a safe one.
    escapes: bool,
    space: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// The values that fields take in turn, or by names.
struct Values<'a> {
    given: &'a Value,
    escapes: bool,
    rest: std::vec::IntoIter<Value>,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        self.rest.next().ok_or_else(|| error("not enough arguments for format string"))
    }

    fn named(&self, name: &str) -> Result<Value, Error> {
        if self.given.kind() != ValueKind::Map {
            return Err(error("format requires a mapping"));
        }
        let value = self.given.get_item(&Value::from(name))?;
        if value.is_undefined() { Err(error(format!("there is no key '{name}'"))) } else { Ok(value) }
    }
}

/// `text % given`
pub(super) fn format(text: &Value, given: &Value) -> Result<Value, Error> {
    let rest: Vec<Value> = if given.is_tuple() { given.try_iter()?.collect() } else { vec![given.clone()] };
    let mut values = Values { given, escapes: text.is_safe(), rest: rest.into_iter() };
    let mut out = String::new();
    let mut rest = text.as_str().unwrap_or_default();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = field(&mut out, &rest[at + 1..], &mut values)?;
        check(out.len())?;
    }
    out.push_str(rest);
    // Python takes whatever has items for a mapping, of which nothing has to be used.
    let has_items = matches!(given.kind(), ValueKind::Map | ValueKind::Undefined | ValueKind::Seq);
    let is_mapping = (has_items || is_list(given)) && !given.is_tuple();
    if !is_mapping && values.rest.next().is_some() {
        return Err(error("not all arguments converted during string formatting"));
    }
    Ok(markup::like(text, out))
}

/// The filter `format`: `text % arguments`.
pub(super) fn filter(value: &Value, args: Args) -> Result<Value, Error> {
    let text = markup::like(value, str_of(value)?);
    match (args.positional.is_empty(), args.named.is_empty()) {
        (false, false) => Err(error("can't handle positional and keyword arguments at the same time")),
        (true, false) => {
            format(&text, &Value::from_pairs(args.named.into_iter().map(|(n, v)| (Value::from(n), v))))
        }
        _ => format(&text, &Tuple::from(args.positional).into()),
    }
}

/// Writes one field; the text behind it.
fn field<'t>(out: &mut String, text: &'t str, values: &mut Values) -> Result<&'t str, Error> {
    if let Some(rest) = text.strip_prefix('%') {
        out.push('%');
        return Ok(rest);
    }
    let mut rest = text;
    let mut named = None;
    if let Some(after) = rest.strip_prefix('(') {
        let end = closing(after).ok_or_else(|| error("incomplete format key"))?;
        named = Some(values.named(&after[..end])?);
        rest = &after[end + 1..];
    }
    let mut field = Field { escapes: values.escapes, ..Field::default() };
    while let Some(flag) = rest.chars().next().filter(|c| "#0- +".contains(*c)) {
        match flag {
            '#' => field.alternate = true,
            '0' => field.zero = true,
            '-' => field.left = true,
            ' ' => field.space = true,
            _ => field.plus = true,
        }
        rest = &rest[1..];
    }
    if let Some(width) = count(&mut rest, values)? {
        field.left |= width < 0;
        field.width = bounded(width.unsigned_abs() as usize)?;
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        field.precision = Some(bounded(count(&mut rest, values)?.unwrap_or(0).max(0) as usize)?);
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let kind = rest.chars().next().ok_or_else(|| error("incomplete format"))?;
    rest = &rest[kind.len_utf8()..];
    let value = match named {
        Some(value) => value,
        None => values.next()?,
    };
    out.push_str(&converted(&field, kind, &value)?);
    Ok(rest)
}

/// Where the bracket closes that is open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, c)| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    })
}

/// A number in the text, or a star for the next value.
fn count(rest: &mut &str, values: &mut Values) -> Result<Option<i64>, Error> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let value = as_int(&values.next()?).ok_or_else(|| error("* wants int"))?;
        return Ok(Some(i64::try_from(value).map_err(|_| error("the field is too wide"))?));
    }
    let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(len);
    *rest = after;
    if digits.is_empty() {
        return Ok(None);
    }
    digits.parse().map(Some).map_err(|_| error("the field is too wide"))
}

fn bounded(count: usize) -> Result<usize, Error> {
    if count > MOST_WIDTH { Err(error("the field is too wide")) } else { Ok(count) }
}

fn converted(field: &Field, kind: char, value: &Value) -> Result<String, Error> {
    match kind {
        's' | 'r' | 'a' => {
            let text = match kind {
                's' if field.escapes => markup::escape(value)?,
                's' => str_of(value)?,
                _ if field.escapes => escaped_within(&repr(value)?)?,
                _ => repr(value)?,
            };
            let text: String = text.chars().take(field.precision.unwrap_or(usize::MAX)).collect();
            Ok(padded(field, "", &text, false))
        }
        'c' => {
            let number = as_int(value).map(|n| u32::try_from(n).ok().and_then(char::from_u32));
            let mut chars = value.as_str().unwrap_or_default().chars();
            let c = match (number, chars.next(), chars.next()) {
                (Some(c), ..) => c.ok_or_else(|| error("%c arg not in range(0x110000)"))?,
                (None, Some(c), None) => c,
                _ => return Err(error("%c requires int or char")),
            };
            Ok(padded(field, "", &c.to_string(), false))
        }
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => whole(field, kind, value),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => real(field, kind, value),
        _ => Err(error(format!("unsupported format character '{kind}'"))),
    }
}

fn whole(field: &Field, kind: char, value: &Value) -> Result<String, Error> {
    let is_decimal = matches!(kind, 'd' | 'i' | 'u');
    let number = as_int(value).or_else(|| {
        let x = as_float(value).filter(|x| is_decimal && x.is_finite() && x.abs() < 1e38)?;
        Some(x as i128)
    });
    let number = number.ok_or_else(|| {
        let wanted = if is_decimal { "a real number" } else { "an integer" };
        error(format!("%{kind} format: {wanted} is required, not {}", type_name(value)))
    })?;
    let (radix, prefix) = match kind {
        'o' => (8, "0o"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let mut digits = integer(number, radix);
    if kind == 'X' {
        digits.make_ascii_uppercase();
    }
    let missing = field.precision.unwrap_or(0).saturating_sub(digits.len());
    digits.insert_str(0, &"0".repeat(missing));
    let prefix = if field.alternate { prefix } else { "" };
    Ok(padded(field, &(sign(field, number < 0).to_owned() + prefix), &digits, true))
}

fn real(field: &Field, kind: char, value: &Value) -> Result<String, Error> {
    let x = as_float(value).or_else(|| as_int(value).map(|n| n as f64));
    let x = x.ok_or_else(|| error(format!("must be real number, not {}", type_name(value))))?;
    let precision = field.precision.unwrap_or(6);
    let mut digits = match kind {
        'e' | 'E' => scientific(x.abs(), precision, field.alternate),
        'f' | 'F' => fixed(x.abs(), precision, field.alternate),
        _ => general(x.abs(), precision, field.alternate, false),
    };
    if kind.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    Ok(padded(field, sign(field, x.is_sign_negative() && !x.is_nan()), &digits, true))
}

fn sign(field: &Field, negative: bool) -> &'static str {
    match (negative, field.plus, field.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn padded(field: &Field, sign: &str, digits: &str, is_number: bool) -> String {
    let space = field.width.saturating_sub(sign.len() + digits.chars().count());
    match (field.left, field.zero && is_number) {
        (true, _) => format!("{sign}{digits}{}", " ".repeat(space)),
        (false, true) => format!("{sign}{}{digits}", "0".repeat(space)),
        (false, false) => format!("{}{sign}{digits}", " ".repeat(space)),
    }
}
