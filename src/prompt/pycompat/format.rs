//! Python's `text.format(…)`, as jinja2's sandbox allows it.

use minijinja::Error;
use minijinja::value::Value;

use super::args::Args;
use super::budget::check;
use super::lookup::{attribute, item};
use super::printing::{escaped, repr, str_of};
use super::spec::format_value;
use super::values::error;

/// Which number `{}` has.
#[derive(Clone, Copy, PartialEq)]
enum Numbering {
    Unknown,
    Automatic(usize),
    Manual,
}

/// What a text makes of arguments; a safe one escapes what it takes in.
pub(super) fn format(text: &str, args: &Args, escapes: bool) -> Result<String, Error> {
    Formatter { args, escapes }.formatted(text, &mut Numbering::Unknown, 3)
}

struct Formatter<'a> {
    args: &'a Args,
    escapes: bool,
}

impl Formatter<'_> {
    fn formatted(&self, text: &str, numbering: &mut Numbering, levels: u32) -> Result<String, Error> {
        if levels == 0 {
            return Err(error("Max string recursion exceeded"));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                out.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err(error("Single '}' encountered in format string"));
            } else {
                let end = closing(rest).ok_or_else(|| error("expected '}' before end of string"))?;
                out.push_str(&self.field(&rest[..end], numbering, levels)?);
                rest = &rest[end + 1..];
            }
            check(out.len())?;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn field(&self, field: &str, numbering: &mut Numbering, levels: u32) -> Result<String, Error> {
        let name_end = name_len(field);
        let (name, rest) = field.split_at(name_end);
        let (conversion, spec) = match rest.strip_prefix('!') {
            Some(rest) => {
                let mut chars = rest.chars();
                let conversion = chars.next().ok_or_else(|| error("unmatched '{' in format spec"))?;
                let after = chars.as_str();
                let spec = match after.strip_prefix(':') {
                    Some(spec) => spec,
                    None if after.is_empty() => "",
                    None => return Err(error("expected ':' after conversion specifier")),
                };
                (Some(conversion), spec)
            }
            None => (None, rest.strip_prefix(':').unwrap_or("")),
        };
        let value = self.field_value(name, numbering)?;
        let value = match conversion {
            None => value,
            Some('s') => Value::from(str_of(&value)?),
            Some('r') => Value::from(repr(&value)?),
            Some('a') => {
                let ascii = |c: char| if c.is_ascii() { c.to_string() } else { escaped(c) };
                Value::from(repr(&value)?.chars().map(ascii).collect::<String>())
            }
            Some(c) => return Err(error(format!("Unknown conversion specifier {c}"))),
        };
        let spec = self.formatted(spec, numbering, levels - 1)?;
        if self.escapes { safe(&value, &spec) } else { format_value(&value, &spec) }
    }

    fn field_value(&self, name: &str, numbering: &mut Numbering) -> Result<Value, Error> {
        let mixed =
            || error("cannot switch between manual field specification and automatic field numbering");
        let numbered;
        let name = if name.is_empty() {
            let index = match *numbering {
                Numbering::Manual => return Err(mixed()),
                Numbering::Automatic(index) => index,
                Numbering::Unknown => 0,
            };
            *numbering = Numbering::Automatic(index + 1);
            numbered = index.to_string();
            &numbered
        } else {
            if name.bytes().all(|b| b.is_ascii_digit()) {
                if matches!(numbering, Numbering::Automatic(index) if *index > 0) {
                    return Err(mixed());
                }
                *numbering = Numbering::Manual;
            }
            name
        };
        let first_end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(first_end);
        let mut value = match first.parse::<usize>() {
            Ok(index) => self.args.positional.get(index).cloned(),
            Err(_) => {
                self.args.named.iter().find(|(known, _)| known == first).map(|(_, value)| value.clone())
            }
        }
        .ok_or_else(|| error(format!("no value for the replacement field '{first}'")))?;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = attribute(&value, &after[..end])?;
                rest = &after[end..];
            } else {
                let after = rest.strip_prefix('[').ok_or_else(|| error("Only '.' or '[' may follow ']'"))?;
                let end = after.find(']').ok_or_else(|| error("Missing ']' in format string"))?;
                let key = match after[..end].parse::<usize>() {
                    Ok(index) => Value::from(index),
                    Err(_) => Value::from(&after[..end]),
                };
                value = item(&value, &key)?;
                rest = &after[end + 1..];
            }
        }
        Ok(value)
    }
}

/// A field of a safe text: what is not safe itself is formatted and escaped.
fn safe(value: &Value, spec: &str) -> Result<String, Error> {
    if !value.is_safe() {
        return super::text_filters::escaped_within(&format_value(value, spec)?);
    }
    if spec.is_empty() {
        str_of(value)
    } else {
        Err(error("unsupported format specification for a safe text"))
    }
}

/// Where the brace is closed that stands before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    let mut in_key = false;
    let name = name_len(text);
    text.char_indices().find_map(|(at, c)| {
        match c {
            '[' if at < name => in_key = true,
            ']' => in_key = false,
            '{' if !in_key => depth += 1,
            '}' if !in_key => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// The length of a field's name, which ends at `!`, `:` or a brace outside of brackets.
fn name_len(field: &str) -> usize {
    let mut in_key = false;
    let end = field.find(|c: char| {
        match c {
            '[' => in_key = true,
            ']' => in_key = false,
            _ => {}
        }
        !in_key && matches!(c, '!' | ':' | '}')
    });
    end.unwrap_or(field.len())
}
