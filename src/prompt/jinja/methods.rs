//! The methods of Python's types.

use super::args::Args;
use super::error::{Error, Result};
use super::is_space;
use super::objects::{Object, View};
use super::ops::equal;
use super::printing::{is_printable, str_of};
use super::value::{Dict, Text, Value, check_size};
use std::rc::Rc;

fn want_text<'a>(value: &'a Value, what: &str) -> Result<&'a str> {
    value.as_str().ok_or_else(|| Error::new(format!("{what} must be a string, not {}", value.type_name())))
}

/// A text argument, where `None` stands for none.
fn optional_text(value: &Option<Value>, what: &str) -> Result<Option<String>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => Ok(Some(want_text(value, what)?.to_owned())),
    }
}

/// `text.name(…)`
pub(super) fn text(owner: &Rc<Text>, name: &str, args: Args) -> Result<Value> {
    let text = &*owner.text;
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = args.plain(name, 0)?;
            let chars = optional_text(&chars, "the argument of strip")?;
            Value::str(strip(text, chars.as_deref(), name != "rstrip", name != "lstrip"))
        }
        "split" | "rsplit" => {
            let [sep, most] = args.bind(name, ["sep", "maxsplit"], 0)?;
            let sep = optional_text(&sep, "the separator")?;
            let most = most.map_or(Ok(-1), |n| n.to_index("maxsplit"))?;
            texts(split(text, sep.as_deref(), most, name == "rsplit")?)?
        }
        "splitlines" => {
            let [keep] = args.bind(name, ["keepends"], 0)?;
            texts(lines(text, keep.is_some_and(|keep| keep.is_true())))?
        }
        "partition" | "rpartition" => partition(text, args, name == "rpartition")?,
        "startswith" | "endswith" => Value::Bool(affix(text, args, name)?),
        "removeprefix" | "removesuffix" => {
            let [affix] = args.plain(name, 1)?;
            let affix = affix.unwrap_or(Value::Undefined);
            let affix = want_text(&affix, "the argument")?;
            let cut =
                if name == "removeprefix" { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
            Value::str(cut.unwrap_or(text))
        }
        "replace" => {
            let [old, new, most] = args.plain(name, 2)?;
            let (old, new) = (old.unwrap_or(Value::Undefined), new.unwrap_or(Value::Undefined));
            let most = most.map_or(Ok(-1), |n| n.to_index("count"))?;
            Value::str(replace(
                text,
                want_text(&old, "the text to replace")?,
                want_text(&new, "the new text")?,
                most,
            )?)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, name, args)?,
        "center" | "ljust" | "rjust" | "zfill" | "expandtabs" => Value::str(padded(text, name, args)?),
        "format_map" | "encode" | "translate" | "maketrans" => {
            return Err(Error::new(format!("str.{name} is not supported")));
        }
        _ => {
            let [] = args.plain(name, 0)?;
            simple(text, name)?
        }
    })
}

/// Methods without arguments.
fn simple(text: &str, name: &str) -> Result<Value> {
    let cased = |c: char| c.is_uppercase() || c.is_lowercase();
    let all = |test: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(test));
    Ok(match name {
        "upper" => Value::str(text.to_uppercase()),
        "lower" => Value::str(text.to_lowercase()),
        "casefold" => Value::str(text.chars().map(case_folded).collect::<String>()),
        "capitalize" => Value::str(capitalized(text)),
        "title" => Value::str(titled(text)),
        "swapcase" => Value::str(swapped(text)),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || is_raised_digit(c)),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isascii" => Value::Bool(text.is_ascii()),
        "isprintable" => Value::Bool(text.chars().all(is_printable)),
        "isidentifier" => Value::Bool(
            text.starts_with(|c: char| c == '_' || c.is_alphabetic())
                && text.chars().all(|c| c == '_' || c.is_alphanumeric()),
        ),
        "isupper" => Value::Bool(text.chars().any(cased) && !text.chars().any(char::is_lowercase)),
        "islower" => Value::Bool(text.chars().any(cased) && !text.chars().any(char::is_uppercase)),
        "istitle" => Value::Bool(text.chars().any(cased) && titled(text) == text),
        _ => return Err(Error::new(format!("str.{name} is not supported"))),
    })
}

/// Without the differences that are only between forms of one letter.
fn case_folded(c: char) -> String {
    let lower = c.to_lowercase();
    // The dotless i has the capital of another letter.
    if lower.len() > 1 || c == 'ı' {
        lower.collect()
    } else {
        lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    }
}

/// Digits of the scripts that write their numbers in ten of them.
fn is_decimal(c: char) -> bool {
    const ZEROS: [u32; 36] = [
        0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
        0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
        0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xFF10,
    ];
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&u32::from(c)))
}

/// Digits above and below the line and in circles.
fn is_raised_digit(c: char) -> bool {
    matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨')
}

/// The first letter of a word: as it stands in titles.
fn title_case(c: char) -> String {
    let upper: Vec<char> = c.to_uppercase().collect();
    match (c, upper.as_slice()) {
        ('ǆ' | 'Ǆ' | 'ǅ', _) => "ǅ".to_owned(),
        ('ǉ' | 'Ǉ' | 'ǈ', _) => "ǈ".to_owned(),
        ('ǌ' | 'Ǌ' | 'ǋ', _) => "ǋ".to_owned(),
        ('ǳ' | 'Ǳ' | 'ǲ', _) => "ǲ".to_owned(),
        (_, [first, rest @ ..]) => {
            let rest: String = rest.iter().flat_map(|c| c.to_lowercase()).collect();
            format!("{first}{rest}")
        }
        (_, []) => String::new(),
    }
}

pub(super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(title_case).unwrap_or_default();
    // The whole is made small, for the form of a last sigma depends on what stands before.
    let lower = text.to_lowercase();
    let skipped: usize = text.chars().next().map_or(0, |c| c.to_lowercase().map(char::len_utf8).sum());
    first + &lower[skipped.min(lower.len())..]
}

fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_case(c));
        }
        inside = c.is_uppercase() || c.is_lowercase();
    }
    out
}

fn swapped(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
    };
    text.chars().map(swap).collect()
}

fn texts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Value> {
    Value::list(parts.into_iter().map(Value::str).collect())
}

/// `str.strip` and its one-sided kin.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let stripped = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if start { text.trim_start_matches(stripped) } else { text };
    if end { text.trim_end_matches(stripped) } else { text }
}

fn split<'a>(text: &'a str, sep: Option<&str>, most: i64, from_right: bool) -> Result<Vec<&'a str>> {
    let pieces = usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<&str> = match sep {
        Some("") => return Err(Error::new("empty separator")),
        Some(sep) if from_right => text.rsplitn(pieces, sep).collect(),
        Some(sep) => text.splitn(pieces, sep).collect(),
        None => split_spaces(text, pieces, from_right),
    };
    if from_right {
        parts.reverse();
    }
    check_size(parts.len().saturating_mul(64))?;
    Ok(parts)
}

/// At most `pieces` pieces between whitespace, the last of which may hold whitespace inside.
fn split_spaces(text: &str, pieces: usize, from_right: bool) -> Vec<&str> {
    let trim =
        |rest| if from_right { strip(rest, None, false, true) } else { strip(rest, None, true, false) };
    let mut parts = Vec::new();
    let mut rest = trim(text);
    while !rest.is_empty() && parts.len() + 1 < pieces {
        let (part, after) = if from_right {
            let cut =
                rest.char_indices().rev().find(|(_, c)| is_space(*c)).map_or(0, |(at, c)| at + c.len_utf8());
            (&rest[cut..], &rest[..cut])
        } else {
            rest.split_at(rest.find(is_space).unwrap_or(rest.len()))
        };
        parts.push(part);
        rest = trim(after);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// `str.splitlines`
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    const ENDS: [char; 11] = [
        '\n', '\r', '\u{B}', '\u{C}', '\u{1C}', '\u{1D}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}',
        '\u{2029}',
    ];
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.find(ENDS).unwrap_or(rest.len());
        let end = match rest[len..].chars().next() {
            Some('\r') if rest[len..].starts_with("\r\n") => 2,
            Some(c) => c.len_utf8(),
            None => 0,
        };
        parts.push(&rest[..if keep_ends { len + end } else { len }]);
        rest = &rest[len + end..];
    }
    parts
}

fn partition(text: &str, args: Args, from_right: bool) -> Result<Value> {
    let [sep] = args.plain("partition", 1)?;
    let sep = sep.unwrap_or(Value::Undefined);
    let sep = want_text(&sep, "the separator")?;
    if sep.is_empty() {
        return Err(Error::new("empty separator"));
    }
    let parts = match if from_right { text.rsplit_once(sep) } else { text.split_once(sep) } {
        Some((before, after)) => [before, sep, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Value::tuple(parts.into_iter().map(Value::str).collect())
}

/// The part of a text between two optional places, and where it begins; `None` where they exclude each other.
fn window<'a>(
    text: &'a str,
    start: &Option<Value>,
    stop: &Option<Value>,
) -> Result<Option<(&'a str, usize)>> {
    if start.is_none() && stop.is_none() {
        return Ok(Some((text, 0)));
    }
    let len = text.chars().count() as i64;
    let place = |bound: &Option<Value>, usual: i64| match bound {
        None | Some(Value::None) => Ok(usual),
        Some(bound) => {
            bound.to_index("a place in a string").map(|at| if at < 0 { (at + len).max(0) } else { at })
        }
    };
    let (from, to) = (place(start, 0)?, place(stop, len)?.min(len));
    if from > to {
        return Ok(None);
    }
    let byte = |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(byte, _)| byte);
    Ok(Some((&text[byte(from)..byte(to)], from as usize)))
}

fn affix(text: &str, args: Args, name: &str) -> Result<bool> {
    let [affix, start, stop] = args.plain(name, 1)?;
    if let Some(affix) = affix.as_ref().filter(|affix| !matches!(affix, Value::Tuple(_))) {
        want_text(affix, "the affix")?;
    }
    let Some((part, _)) = window(text, &start, &stop)? else { return Ok(false) };
    let fits = |affix: &Value| {
        let affix = want_text(affix, "the affix")?;
        Ok(if name == "startswith" { part.starts_with(affix) } else { part.ends_with(affix) })
    };
    match affix.unwrap_or(Value::Undefined) {
        Value::Tuple(seq) => {
            for affix in &seq.items {
                if fits(affix)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        affix => fits(&affix),
    }
}

fn search(text: &str, name: &str, args: Args) -> Result<Value> {
    let [what, start, stop] = args.plain(name, 1)?;
    let what = what.unwrap_or(Value::Undefined);
    let what = want_text(&what, "the argument")?;
    let part = window(text, &start, &stop)?;
    if name == "count" {
        let count = part.map_or(0, |(part, _)| match what {
            "" => part.chars().count() + 1,
            _ => part.matches(what).count(),
        });
        return Ok(Value::int(count));
    }
    let found = part.and_then(|(part, from)| {
        let at = if name.starts_with('r') { part.rfind(what) } else { part.find(what) };
        Some(from + part[..at?].chars().count())
    });
    match found {
        Some(at) => Ok(Value::int(at)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(Error::new("substring not found")),
    }
}

/// `str.replace`, at most `most` times where that is not negative.
pub(super) fn replace(text: &str, old: &str, new: &str, most: i64) -> Result<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let count = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    check_size(text.len().saturating_add(count.min(most).saturating_mul(new.len())))?;
    Ok(text.replacen(old, new, most))
}

fn padded(text: &str, name: &str, args: Args) -> Result<String> {
    if name == "expandtabs" {
        let [size] = args.bind(name, ["tabsize"], 0)?;
        return expanded(text, size.map_or(Ok(8), |n| n.to_index("tabsize"))?);
    }
    let [width, fill] = args.plain(name, 1)?;
    let width = width.unwrap_or(Value::Undefined).to_index("the width")?;
    let fill = match &fill {
        None => ' ',
        Some(_) if name == "zfill" => return Err(Error::new("zfill takes one argument")),
        Some(fill) => {
            let mut chars = want_text(fill, "the fill character")?.chars();
            match (chars.next(), chars.next()) {
                (Some(fill), None) => fill,
                _ => return Err(Error::new("The fill character must be exactly one character long")),
            }
        }
    };
    let space = usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    check_size(space.saturating_mul(4))?;
    let filled = |fill: char, count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    Ok(match name {
        "ljust" => text.to_owned() + &filled(fill, space),
        "rjust" => filled(fill, space) + text,
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", filled('0', space))
        }
        _ => centered(text, space, width, fill),
    })
}

/// CPython's way of halving an odd space.
fn centered(text: &str, space: usize, width: i64, fill: char) -> String {
    let left = space / 2 + (space & usize::try_from(width).unwrap_or(0) & 1);
    let filled = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    filled(left) + text + &filled(space - left)
}

/// `text.center(width)`
pub(super) fn center(text: &str, width: i64) -> Result<String> {
    padded(text, "center", Args::of(vec![Value::Int(width.into())]))
}

fn expanded(text: &str, size: i64) -> Result<String> {
    let size = usize::try_from(size).unwrap_or(0);
    check_size(text.matches('\t').count().saturating_mul(size))?;
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\t' => {}
            _ => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(out)
}

/// `separator.join(items)`
pub(super) fn join(separator: &str, items: &[Value]) -> Result<Value> {
    let texts = items.iter().map(|item| want_text(item, "an item to join")).collect::<Result<Vec<_>>>()?;
    let len: usize = texts.iter().map(|text| text.len() + separator.len()).sum();
    check_size(len)?;
    Ok(Value::str(texts.join(separator)))
}

pub(super) fn dict(dict: &Rc<Dict>, name: &str, args: Args) -> Result<Value> {
    if name == "get" {
        let [key, default] = args.plain(name, 1)?;
        let found = dict.get(&key.unwrap_or(Value::Undefined))?.cloned();
        return Ok(found.or(default).unwrap_or(Value::None));
    }
    let [] = args.plain(name, 0)?;
    let view = match name {
        "items" => View::Items,
        "keys" => View::Keys,
        "values" => View::Values,
        "copy" => return Ok(Value::Dict(Rc::clone(dict))),
        _ => return Err(Error::new(format!("dict.{name} is not supported"))),
    };
    Ok(Value::Object(Object::View(view, Rc::clone(dict))))
}

pub(super) fn sequence(owner: &Value, items: &[Value], name: &str, args: Args) -> Result<Value> {
    if name == "copy" {
        let [] = args.plain(name, 0)?;
        return Ok(owner.clone());
    }
    let [what, start, stop] = args.plain(name, 1)?;
    let what = what.unwrap_or(Value::Undefined);
    if name == "count" {
        if start.is_some() {
            return Err(Error::new("count takes one argument"));
        }
        return Ok(Value::int(items.iter().filter(|item| equal(item, &what)).count()));
    }
    let len = items.len() as i64;
    let place = |bound: Option<Value>, usual: i64| match bound {
        None => Ok(usual),
        Some(bound) => bound.to_index("a place").map(|at| if at < 0 { (at + len).max(0) } else { at }),
    };
    let (from, to) = (place(start, 0)?, place(stop, len)?.min(len));
    let found = (from..to).find(|at| equal(&items[*at as usize], &what));
    found.map(|at| Value::Int(at.into())).ok_or_else(|| Error::new("the value is not in the list"))
}

pub(super) fn number(owner: &Value, name: &str, args: Args) -> Result<Value> {
    let [] = args.plain(name, 0)?;
    Ok(match (name, owner) {
        ("conjugate", Value::Bool(b)) => Value::Int((*b).into()),
        ("conjugate", _) => owner.clone(),
        ("is_integer", Value::Float(x)) => Value::Bool(x.is_finite() && x.fract() == 0.0),
        ("bit_length", _) => {
            Value::Int((128 - owner.as_int().unwrap_or(0).unsigned_abs().leading_zeros()).into())
        }
        ("bit_count", _) => Value::Int(owner.as_int().unwrap_or(0).unsigned_abs().count_ones().into()),
        _ => return Err(Error::new(format!("'{}' has no method {name}", str_of(owner)?))),
    })
}
