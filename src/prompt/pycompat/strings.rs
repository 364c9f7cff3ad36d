//! The methods of Python's strings.

use minijinja::value::{Tuple, Value};
use minijinja::{Error, ErrorKind};

use super::args::Args;
use super::budget::{check, take};
use super::is_space;
use super::objects::sound;
use super::printing::is_printable;
use super::values::{error, is_set, optional_text, to_index, type_name, want_text};

/// What a piece of a text takes as a value.
const PIECE: usize = 64;

/// `text.name(…)`
pub(super) fn method(text: &str, name: &str, args: Args) -> Result<Value, Error> {
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = args.plain(name, 0)?;
            let chars = optional_text(&chars, "the argument of strip")?;
            Value::from(strip(text, chars.as_deref(), name != "rstrip", name != "lstrip"))
        }
        "split" | "rsplit" => {
            let [sep, most] = args.bind(name, ["sep", "maxsplit"], 0)?;
            let sep = optional_text(&sep, "the separator")?;
            let most = most.map_or(Ok(-1), |n| to_index(&n, "maxsplit"))?;
            texts(split(text, sep.as_deref(), most, name == "rsplit")?)?
        }
        "splitlines" => {
            let [keep] = args.bind(name, ["keepends"], 0)?;
            texts(lines(text, is_set(keep))?)?
        }
        "partition" | "rpartition" => partition(text, args, name == "rpartition")?,
        "startswith" | "endswith" => Value::from(affix(text, args, name)?),
        "removeprefix" | "removesuffix" => {
            let [affix] = args.plain(name, 1)?;
            let affix = affix.unwrap_or(Value::UNDEFINED);
            let affix = want_text(&affix, "the argument")?;
            let cut =
                if name == "removeprefix" { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
            Value::from(cut.unwrap_or(text))
        }
        "replace" => {
            let [old, new, most] = args.plain(name, 2)?;
            let (old, new) = (old.unwrap_or(Value::UNDEFINED), new.unwrap_or(Value::UNDEFINED));
            let most = most.map_or(Ok(-1), |n| to_index(&n, "count"))?;
            Value::from(replace(
                text,
                want_text(&old, "the text to replace")?,
                want_text(&new, "the new text")?,
                most,
            )?)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, name, args)?,
        "center" | "ljust" | "rjust" | "zfill" | "expandtabs" => Value::from(padded(text, name, args)?),
        "join" => {
            let [items] = args.plain(name, 1)?;
            join(text, &items.unwrap_or(Value::UNDEFINED))?
        }
        "format" => Value::from(super::format::format(text, &args, false)?),
        _ => {
            let value = simple(text, name).ok_or_else(|| Error::from(ErrorKind::UnknownMethod))?;
            let [] = args.plain(name, 0)?;
            value
        }
    })
}

/// Methods without arguments.
fn simple(text: &str, name: &str) -> Option<Value> {
    let all = |test: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(test));
    Some(match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.chars().map(case_folded).collect::<String>()),
        "capitalize" => Value::from(capitalized(text)),
        "title" => Value::from(titled(text)),
        "swapcase" => Value::from(swapped(text)),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || is_raised_digit(c)),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isascii" => Value::from(text.is_ascii()),
        "isprintable" => Value::from(text.chars().all(is_printable)),
        "isidentifier" => Value::from(
            text.starts_with(|c: char| c == '_' || c.is_alphabetic())
                && text.chars().all(|c| c == '_' || c.is_alphanumeric()),
        ),
        "isupper" => Value::from(is_upper(text)),
        "islower" => Value::from(is_lower(text)),
        "istitle" => Value::from(text.chars().any(is_cased) && titled(text) == text),
        _ => return None,
    })
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase()
}

pub(super) fn is_upper(text: &str) -> bool {
    text.chars().any(is_cased) && !text.chars().any(char::is_lowercase)
}

pub(super) fn is_lower(text: &str) -> bool {
    text.chars().any(is_cased) && !text.chars().any(char::is_uppercase)
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
        inside = is_cased(c);
    }
    out
}

fn swapped(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
    };
    text.chars().map(swap).collect()
}

fn texts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Value, Error> {
    let made = |part: &'a str| take(part.len()).map(|()| Value::from(part));
    Ok(Value::from(parts.into_iter().map(made).collect::<Result<Vec<Value>, Error>>()?))
}

/// `str.strip` and its one-sided kin.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let stripped = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if start { text.trim_start_matches(stripped) } else { text };
    if end { text.trim_end_matches(stripped) } else { text }
}

fn split<'a>(text: &'a str, sep: Option<&str>, most: i64, from_right: bool) -> Result<Vec<&'a str>, Error> {
    let pieces = usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
    // Each piece becomes a value.
    check(sep.map_or(0, |sep| text.matches(sep).count().min(pieces)).saturating_mul(PIECE))?;
    let mut parts: Vec<&str> = match sep {
        Some("") => return Err(error("empty separator")),
        Some(sep) if from_right => text.rsplitn(pieces, sep).collect(),
        Some(sep) => text.splitn(pieces, sep).collect(),
        None => split_spaces(text, pieces, from_right)?,
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts)
}

/// At most `pieces` pieces between whitespace, the last of which may hold whitespace inside.
fn split_spaces(text: &str, pieces: usize, from_right: bool) -> Result<Vec<&str>, Error> {
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
        check(parts.len().saturating_mul(PIECE))?;
        rest = trim(after);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    Ok(parts)
}

/// The characters at these places of a text.
pub(super) fn sliced<I: Iterator<Item = usize>>(text: &str, places: impl FnOnce(usize) -> I) -> String {
    if text.is_ascii() {
        return places(text.len()).map(|at| char::from(text.as_bytes()[at])).collect();
    }
    let chars: Vec<char> = text.chars().collect();
    places(chars.len()).filter_map(|at| chars.get(at)).collect()
}

/// `str.splitlines`
pub(super) fn lines(text: &str, keep_ends: bool) -> Result<Vec<&str>, Error> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\u{B}', '\u{C}', '\u{1C}', '\u{1D}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}'];
    check(text.matches(ENDS).count().saturating_mul(PIECE))?;
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
    Ok(parts)
}

fn partition(text: &str, args: Args, from_right: bool) -> Result<Value, Error> {
    let [sep] = args.plain("partition", 1)?;
    let sep = sep.unwrap_or(Value::UNDEFINED);
    let sep = want_text(&sep, "the separator")?;
    if sep.is_empty() {
        return Err(error("empty separator"));
    }
    let parts = match if from_right { text.rsplit_once(sep) } else { text.split_once(sep) } {
        Some((before, after)) => [before, sep, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Tuple::from(parts.map(Value::from)).into())
}

/// The part of a text between two optional places, and where it begins; `None` where they exclude each other.
fn window<'a>(
    text: &'a str,
    start: &Option<Value>,
    stop: &Option<Value>,
) -> Result<Option<(&'a str, usize)>, Error> {
    if start.is_none() && stop.is_none() {
        return Ok(Some((text, 0)));
    }
    let len = text.chars().count() as i64;
    let place = |bound: &Option<Value>, usual: i64| match bound {
        None => Ok(usual),
        Some(bound) if bound.is_none() => Ok(usual),
        Some(bound) => {
            to_index(bound, "a place in a string").map(|at| if at < 0 { (at + len).max(0) } else { at })
        }
    };
    let (from, to) = (place(start, 0)?, place(stop, len)?.min(len));
    if from > to {
        return Ok(None);
    }
    let byte = |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(byte, _)| byte);
    Ok(Some((&text[byte(from)..byte(to)], from as usize)))
}

fn affix(text: &str, args: Args, name: &str) -> Result<bool, Error> {
    let [affix, start, stop] = args.plain(name, 1)?;
    let affix = affix.unwrap_or(Value::UNDEFINED);
    if !affix.is_tuple() {
        want_text(&affix, "the affix")?;
    }
    let Some((part, _)) = window(text, &start, &stop)? else { return Ok(false) };
    let fits = |affix: &Value| {
        let affix = want_text(affix, "the affix")?;
        Ok(if name == "startswith" { part.starts_with(affix) } else { part.ends_with(affix) })
    };
    if !affix.is_tuple() {
        return fits(&affix);
    }
    for affix in affix.try_iter()? {
        if fits(&affix)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn search(text: &str, name: &str, args: Args) -> Result<Value, Error> {
    let [what, start, stop] = args.plain(name, 1)?;
    let what = what.unwrap_or(Value::UNDEFINED);
    let what = want_text(&what, "the argument")?;
    let part = window(text, &start, &stop)?;
    if name == "count" {
        let count = part.map_or(0, |(part, _)| match what {
            "" => part.chars().count() + 1,
            _ => part.matches(what).count(),
        });
        return Ok(Value::from(count));
    }
    let found = part.and_then(|(part, from)| {
        let at = if name.starts_with('r') { part.rfind(what) } else { part.find(what) };
        Some(from + part[..at?].chars().count())
    });
    match found {
        Some(at) => Ok(Value::from(at)),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(error("substring not found")),
    }
}

/// `str.replace`, at most `most` times where that is not negative.
pub(super) fn replace(text: &str, old: &str, new: &str, most: i64) -> Result<String, Error> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let count = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    check(text.len().saturating_add(count.min(most).saturating_mul(new.len())))?;
    Ok(text.replacen(old, new, most))
}

fn padded(text: &str, name: &str, args: Args) -> Result<String, Error> {
    if name == "expandtabs" {
        let [size] = args.bind(name, ["tabsize"], 0)?;
        return expanded(text, size.map_or(Ok(8), |n| to_index(&n, "tabsize"))?);
    }
    let [width, fill] = args.plain(name, 1)?;
    let width = to_index(&width.unwrap_or(Value::UNDEFINED), "the width")?;
    let fill = match &fill {
        None => ' ',
        Some(_) if name == "zfill" => return Err(error("zfill takes one argument")),
        Some(fill) => {
            let mut chars = want_text(fill, "the fill character")?.chars();
            match (chars.next(), chars.next()) {
                (Some(fill), None) => fill,
                _ => return Err(error("The fill character must be exactly one character long")),
            }
        }
    };
    let space = usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    check(space.saturating_mul(4))?;
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
pub(super) fn center(text: &str, width: i64) -> Result<String, Error> {
    padded(text, "center", Args { positional: vec![Value::from(width)], named: Vec::new() })
}

fn expanded(text: &str, size: i64) -> Result<String, Error> {
    let size = usize::try_from(size).unwrap_or(0);
    check(text.matches('\t').count().saturating_mul(size))?;
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
fn join(separator: &str, items: &Value) -> Result<Value, Error> {
    if items.is_none() {
        return Err(error(format!("can only join an iterable, not {}", type_name(items))));
    }
    let mut out = String::new();
    for (index, item) in items.try_iter()?.map(sound).enumerate() {
        let item = item?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(want_text(&item, "an item to join")?);
        check(out.len())?;
    }
    Ok(Value::from(out))
}
