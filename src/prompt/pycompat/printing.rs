//! Python's `str(value)` and `repr(value)`.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::budget::{check, left};
use super::objects;
use super::values::{as_float, error};

/// Deeper values are refused: templates can build values that hold themselves many times over.
const MAX_DEPTH: usize = 96;

/// `str(value)`, as `{{ value }}` writes it.
pub(in crate::prompt) fn str_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Undefined => Ok(String::new()),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check(out.len())?;
    if depth > MAX_DEPTH {
        return Err(error("the value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => {
            out.push_str(if value.is_safe() { "Markup(" } else { "" });
            write_str(out, value.as_str().unwrap_or_default())?;
            out.push_str(if value.is_safe() { ")" } else { "" });
        }
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => match first_char(value) {
            Some('{') => write_dict(out, value, depth)?,
            Some('(') => {
                let close = if value.len() == Some(1) { ",)" } else { ")" };
                write_items(out, "(", value, close, depth)?;
            }
            Some('[') => match value.as_object().and_then(objects::prefix) {
                Some(open) => write_items(out, open, value, "])", depth)?,
                None => write_items(out, "[", value, "]", depth)?,
            },
            _ => out.push_str(&printed(value)?),
        },
        _ => match as_float(value) {
            Some(x) => out.push_str(&float(x)),
            None => out.push_str(&printed(value)?),
        },
    }
    Ok(())
}

fn write_items(out: &mut String, open: &str, value: &Value, close: &str, depth: usize) -> Result<(), Error> {
    out.push_str(open);
    for (index, item) in value.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item, depth + 1)?;
    }
    out.push_str(close);
    Ok(())
}

fn write_dict(out: &mut String, dict: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (index, key) in dict.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key, depth + 1)?;
        out.push_str(": ");
        write_repr(out, &dict.get_item(&key)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// What minijinja prints, up to so many bytes and no more of the value than that takes.
struct Head {
    text: String,
    most: usize,
}

impl Head {
    fn of(value: &Value, most: usize) -> Self {
        let mut head = Self { text: String::new(), most };
        // It fails as soon as there is enough.
        let _ = std::fmt::Write::write_fmt(&mut head, format_args!("{value}"));
        head
    }
}

impl std::fmt::Write for Head {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text.push_str(text);
        if self.text.len() >= self.most { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// With what minijinja prints the value: macros, loops and ranges have forms of their own.
fn first_char(value: &Value) -> Option<char> {
    Head::of(value, 1).text.chars().next()
}

/// Whether minijinja prints the value as something that begins so.
pub(super) fn begins_with(value: &Value, prefix: &str) -> bool {
    Head::of(value, prefix.len()).text.starts_with(prefix)
}

/// What minijinja prints of a value that Python has not.
fn printed(value: &Value) -> Result<String, Error> {
    let Head { text, .. } = Head::of(value, left().saturating_add(1));
    check(text.len())?;
    // Macros as jinja2 prints them.
    Ok(match text.strip_prefix("<macro ").and_then(|rest| rest.strip_suffix('>')) {
        Some("caller") => "<Macro anonymous>".to_owned(),
        Some(name) => format!("<Macro '{}'>", name.strip_prefix("__macro_").unwrap_or(name)),
        None => text,
    })
}

fn write_str(out: &mut String, text: &str) -> Result<(), Error> {
    check(out.len().saturating_add(text.len()))?;
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            _ => {
                out.push_str(&escaped(c));
                check(out.len())?;
            }
        }
    }
    out.push(quote);
    Ok(())
}

/// `\xhh`, `\uhhhh` or `\Uhhhhhhhh`.
pub(in crate::prompt) fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ ..=0xFF => format!("\\x{code:02x}"),
        code @ ..=0xFFFF => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Python's `str.isprintable` of one character.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library knows the same categories, and shows them where it escapes for debugging. After a letter
    // it leaves combining marks as they are.
    let mut bytes = [0; 5];
    bytes[0] = b'a';
    let len = 1 + c.encode_utf8(&mut bytes[1..]).len();
    std::str::from_utf8(&bytes[..len]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// Python's `repr` of a float: shortest digits that read back, exponents below 1e-4 and from 1e16.
pub(in crate::prompt) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust's `{:e}` has the same shortest digits: `d.ddde-7`.
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{x}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}
