//! transformers' filter `tojson`.

use minijinja::Error;
use minijinja::value::Value;

use super::args::Args;
use super::values::{as_int, error, is_set, type_name, want_text};
use crate::prompt::json_dumps::{self, Options};

/// Bytes that one level may be indented by.
const MAX_INDENT: usize = 1024;

/// `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`
pub(in crate::prompt) fn tojson(value: &Value, args: &[Value]) -> Result<String, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ensure_ascii, indent, pair, sort_keys] = Args::of(args)?.bind("tojson", names, 0)?;
    let given = |value: Option<Value>| value.filter(|value| !value.is_none() && !value.is_undefined());
    let options = Options {
        ensure_ascii: is_set(ensure_ascii),
        indent: given(indent).as_ref().map(indent_text).transpose()?,
        separators: given(pair).as_ref().map(separators).transpose()?,
        sort_keys: is_set(sort_keys),
    };
    json_dumps::dumps(value, &options)
}

fn indent_text(indent: &Value) -> Result<String, Error> {
    let too_wide = || error("tojson: the indent is too wide");
    if let Some(text) = indent.as_str() {
        return if text.len() > MAX_INDENT { Err(too_wide()) } else { Ok(text.to_owned()) };
    }
    match as_int(indent) {
        Some(count) if count > MAX_INDENT as i128 => Err(too_wide()),
        Some(count) => Ok(" ".repeat(count.max(0) as usize)),
        None => Err(error(format!("tojson: indent must be a number or a string, not {}", type_name(indent)))),
    }
}

/// What stands between items, and between a key and its value.
fn separators(pair: &Value) -> Result<(String, String), Error> {
    let mut parts = pair.try_iter()?;
    match (parts.next(), parts.next(), parts.next()) {
        (Some(item), Some(key), None) => {
            let text = |part: &Value| want_text(part, "a separator of tojson").map(str::to_owned);
            Ok((text(&item)?, text(&key)?))
        }
        _ => Err(error("tojson: separators must be a pair")),
    }
}
