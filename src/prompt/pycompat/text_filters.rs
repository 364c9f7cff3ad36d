//! Jinja's filters of texts.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::args::Args;
use super::budget::check;
use super::printing::str_of;
use super::values::{error, is_set, optional_text, to_index, type_name, want_text};
use super::{is_space, markup, operators, strings};

/// The filters without arguments.
pub(super) fn plain(name: &str, value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain(name, 0)?;
    let text = str_of(value)?;
    Ok(match name {
        "capitalize" => Value::from(strings::capitalized(&text)),
        "lower" => Value::from(text.to_lowercase()),
        "upper" => Value::from(text.to_uppercase()),
        "title" => Value::from(title(&text)),
        "wordcount" => Value::from(words(&text)),
        "escape" | "e" if value.is_safe() => value.clone(),
        "escape" | "e" | "forceescape" => Value::from_safe_string(escaped_within(&text)?),
        _ if value.kind() == ValueKind::String => value.clone(),
        _ => Value::from(text),
    })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A text without what HTML reads as its own, where it is not too long for what is left.
pub(super) fn escaped_within(text: &str) -> Result<String, Error> {
    let specials = text.bytes().filter(|b| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'')).count();
    check(text.len().saturating_add(specials.saturating_mul(4)))?;
    Ok(escaped(text))
}

fn words(text: &str) -> usize {
    text.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty()).count()
}

/// Jinja's way of titles: words begin after blanks, hyphens and opening brackets.
fn title(text: &str) -> String {
    let begins = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let between = rest.find(|c| !begins(c)).unwrap_or(rest.len());
        let (separator, after) = rest.split_at(between);
        let (word, after) = after.split_at(after.find(begins).unwrap_or(after.len()));
        out.push_str(separator);
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
            out.push_str(&chars.as_str().to_lowercase());
        }
        rest = after;
    }
    out
}

/// Items or characters; what is undefined has none.
pub(super) fn count(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| error(format!("object of type '{}' has no len()", type_name(value))))
}

pub(super) fn length(value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain("length", 0)?;
    count(value).map(Value::from)
}

/// `default(default_value, boolean)`: what is undefined, or with `boolean` whatever is false, is the default.
pub(super) fn default(value: &Value, args: Args) -> Result<Value, Error> {
    let [default, boolean] = args.bind("default", ["default_value", "boolean"], 0)?;
    let keeps = !value.is_undefined() && (!is_set(boolean) || value.is_true());
    Ok(if keeps { value.clone() } else { default.unwrap_or_else(|| Value::from("")) })
}

pub(super) fn center(value: &Value, args: Args) -> Result<Value, Error> {
    let [width] = args.bind("center", ["width"], 0)?;
    let width = width.map_or(Ok(80), |width| to_index(&width, "the width"))?;
    strings::center(&str_of(value)?, width).map(Value::from)
}

pub(super) fn trim(value: &Value, args: Args) -> Result<Value, Error> {
    let [chars] = args.bind("trim", ["chars"], 0)?;
    let chars = optional_text(&chars, "the argument of trim")?;
    Ok(Value::from(strings::strip(&str_of(value)?, chars.as_deref(), true, true)))
}

pub(super) fn replace(value: &Value, args: Args) -> Result<Value, Error> {
    let [old, new, count] = args.bind("replace", ["old", "new", "count"], 2)?;
    let [old, new] = [old, new].map(|text| str_of(&text.unwrap_or_default()));
    let count = match count.filter(|count| !count.is_none()) {
        None => -1,
        Some(count) => to_index(&count, "count")?,
    };
    strings::replace(&str_of(value)?, &old?, &new?, count).map(Value::from)
}

pub(super) fn indent(value: &Value, args: Args) -> Result<Value, Error> {
    let text = want_text(value, "what is indented")?;
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
    let [first, blank] = [first, blank].map(is_set);
    let indention = match width {
        Some(width) if width.as_str().is_some() => width.to_string(),
        width => {
            let width = width.map_or(Ok(4), |width| to_index(&width, "the width"))?;
            let width = usize::try_from(width).unwrap_or(0);
            check(width)?;
            " ".repeat(width)
        }
    };
    // So that a last newline stays.
    let text = format!("{text}\n");
    let lines = strings::lines(&text, false)?;
    check(text.len().saturating_add(lines.len().saturating_mul(indention.len())))?;
    let mut out = if first { indention.clone() } else { String::new() };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indention);
            }
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// What is short enough stays as it is, even if it is no text.
pub(super) fn truncate(value: &Value, args: Args) -> Result<Value, Error> {
    let [most, kill, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let number = |value: Option<Value>, usual| match value.filter(|value| !value.is_none()) {
        None => Ok(usual),
        Some(value) => to_index(&value, "a length"),
    };
    let (most, leeway) = (number(most, 255)?, number(leeway, 5)?);
    let end = end.unwrap_or_else(|| Value::from("..."));
    let end_len = count(&end)? as i64;
    if most < end_len || leeway < 0 {
        return Err(error(format!("expected length >= {end_len}, got {most}")));
    }
    if count(value)? as i64 <= most.saturating_add(leeway) {
        return Ok(value.clone());
    }
    let text = want_text(value, "what is truncated")?;
    let kept: String = text.chars().take((most - end_len) as usize).collect();
    let kept = match kept.rsplit_once(' ') {
        Some((before, _)) if !is_set(kill) => before,
        _ => &kept,
    };
    let kept = markup::like(value, kept.to_owned());
    operators::add(&kept, &end)
}
