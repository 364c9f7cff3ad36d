//! A Jinja environment that renders chat templates as transformers' does: the same settings, filters, functions
//! and Python methods, over minijinja.

use std::error::Error as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::{json_dumps, strftime};

/// Steps of one rendering after which a template counts as looping, given how many messages there are.
///
/// A turn takes some hundreds of steps, and where a template looks at the other messages for each one (the larger
/// Gemma 4 models') about four for every pair.
pub(super) fn fuel(messages: usize) -> u64 {
    let messages = messages.min(1_000_000) as u64;
    20_000_000 + 10_000 * messages + 10 * messages * messages
}

/// Nesting of macros, loops and blocks; minijinja counts a macro as several. Low enough for the 512 KiB stack of a
/// secondary thread on Apple's systems.
const RECURSION: usize = 150;

/// What `raise_exception` was called with.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The message that the template gave to `raise_exception`, if that is what stopped it.
pub(super) fn raised_message(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(e) = source {
        if let Some(Raised(message)) = e.downcast_ref() {
            return Some(message.clone());
        }
        source = e.source();
    }
    None
}

/// An environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    env.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_fuel(Some(fuel(0)));
    env.set_recursion_limit(RECURSION);
    env.set_formatter(write_value);
    env.set_unknown_method_callback(python_method);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", |format: &str| strftime::now(format));
    env.add_filter("tojson", tojson);
    env.add_filter("string", python_text);
    env.add_filter("trim", |text: &Value, chars: Option<&str>| strip(&text.to_string(), chars, true, true));
    env.add_test("sequence", |v: &Value| is_iterable(v));
    env.add_test("iterable", |v: &Value| is_iterable(v) || v.kind() == ValueKind::Iterable);
    Ok(env)
}

/// Numbers are printed as Python prints them.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number if !value.is_integer() => Ok(out.write_str(&json_dumps::number(value))?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Python's `str(value)`.
fn python_text(value: &Value) -> Value {
    match value.kind() {
        ValueKind::String => value.clone(),
        ValueKind::Number if !value.is_integer() => Value::from(json_dumps::number(value)),
        _ => Value::from(value.to_string()),
    }
}

/// Python's strings and dicts are sequences and iterable in Jinja's eyes, too.
fn is_iterable(v: &Value) -> bool {
    v.is_undefined() || matches!(v.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let text = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, text.clone()).with_source(Raised(text)))
}

/// transformers' `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn tojson(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| -> Result<Value, Error> {
        let named: Option<Value> = kwargs.get(name)?;
        Ok(named.or_else(|| args.get(index).cloned()).unwrap_or_default())
    };
    let options = json_dumps::Options {
        ensure_ascii: argument(0, "ensure_ascii")?.is_true(),
        indent: indent_text(&argument(1, "indent")?)?,
        separators: separators(&argument(2, "separators")?)?,
        sort_keys: argument(3, "sort_keys")?.is_true(),
    };
    kwargs.assert_all_used()?;
    json_dumps::dumps(value, &options)
}

fn indent_text(indent: &Value) -> Result<Option<String>, Error> {
    if indent.is_none() || indent.is_undefined() {
        return Ok(None);
    }
    match (indent.as_str(), indent.as_i64()) {
        (Some(text), _) => Ok(Some(text.to_owned())),
        (None, Some(count)) => Ok(Some(" ".repeat(count.clamp(0, 32) as usize))),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "tojson: indent must be a number or a string")),
    }
}

fn separators(value: &Value) -> Result<Option<(String, String)>, Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(None);
    }
    let pair: Vec<String> = value.try_iter()?.map(|v| v.to_string()).collect();
    match pair.as_slice() {
        [item, key] => Ok(Some((item.clone(), key.clone()))),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators must be a pair")),
    }
}

/// Python's whitespace: Unicode's, and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

/// `str.strip` and its one-sided kin.
fn strip(text: &str, chars: Option<&str>, start: bool, end: bool) -> String {
    let stripped = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if start { text.trim_start_matches(stripped) } else { text };
    if end { text.trim_end_matches(stripped) } else { text }.to_owned()
}

/// Methods of Python's types; minijinja-contrib has most of them.
fn python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str()
        && let Some(result) = string_method(text, method, args)
    {
        return result;
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

/// The string methods that minijinja-contrib lacks or that treat whitespace differently.
fn string_method(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    let stripped = |start, end| {
        let (chars,): (Option<&str>,) = from_args(args)?;
        Ok(Value::from(strip(text, chars, start, end)))
    };
    let affix = |cut: fn(&str, &str) -> Option<String>| {
        let (affix,): (&str,) = from_args(args)?;
        Ok(Value::from(cut(text, affix).unwrap_or_else(|| text.to_owned())))
    };
    Some(match method {
        "strip" => stripped(true, true),
        "lstrip" => stripped(true, false),
        "rstrip" => stripped(false, true),
        "removeprefix" => affix(|text, affix| text.strip_prefix(affix).map(str::to_owned)),
        "removesuffix" => affix(|text, affix| text.strip_suffix(affix).map(str::to_owned)),
        "rsplit" => rsplit(text, args),
        "partition" => partition(text, args, false),
        "rpartition" => partition(text, args, true),
        "index" => index(text, args),
        _ => return None,
    })
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (sep, most): (Option<&str>, Option<i64>) = from_args(args)?;
    let most = most.and_then(|n| usize::try_from(n).ok()).map_or(usize::MAX, |n| n.saturating_add(1));
    let mut parts: Vec<&str> = match sep {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(sep) => text.rsplitn(most, sep).collect(),
        None if most == usize::MAX => text.split(is_space).filter(|p| !p.is_empty()).rev().collect(),
        None => rsplit_spaces(text, most),
    };
    parts.reverse();
    Ok(Value::from_iter(parts.into_iter().map(Value::from)))
}

/// From the right, at most `most` pieces, the last of which may hold whitespace inside.
fn rsplit_spaces(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() && parts.len() + 1 < most {
        let cut =
            rest.char_indices().rev().find(|(_, c)| is_space(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        parts.push(&rest[cut..]);
        rest = rest[..cut].trim_end_matches(is_space);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn partition(text: &str, args: &[Value], from_right: bool) -> Result<Value, Error> {
    let (sep,): (&str,) = from_args(args)?;
    let parts = match if from_right { text.rsplit_once(sep) } else { text.split_once(sep) } {
        Some((before, after)) => [before, sep, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from_iter(parts))
}

fn index(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&str,) = from_args(args)?;
    match text.find(what) {
        Some(at) => Ok(Value::from(text[..at].chars().count())),
        None => Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
    }
}
