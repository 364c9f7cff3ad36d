//! The methods of Python's dicts, lists, tuples and numbers.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::args::Args;
use super::lookup::in_dict;
use super::objects::{View, ViewKind};
use super::values::{as_float, as_int, error, to_index};

fn unknown() -> Error {
    Error::from(ErrorKind::UnknownMethod)
}

/// `dict.name(…)`
pub(super) fn dict_method(dict: &Value, name: &str, args: Args) -> Result<Value, Error> {
    let kind = match name {
        "get" => {
            let [key, default] = args.plain(name, 1)?;
            let found = in_dict(dict, &key.unwrap_or_default())?;
            return Ok(found.or(default).unwrap_or_else(|| Value::from(())));
        }
        "items" => ViewKind::Items,
        "keys" => ViewKind::Keys,
        "values" => ViewKind::Values,
        "copy" => {
            let [] = args.plain(name, 0)?;
            return Ok(dict.clone());
        }
        _ => return Err(unknown()),
    };
    let [] = args.plain(name, 0)?;
    Ok(View::of(dict, kind))
}

/// `list.name(…)`, and those of tuples.
pub(super) fn sequence_method(owner: &Value, name: &str, args: Args) -> Result<Value, Error> {
    match name {
        "copy" => {
            let [] = args.plain(name, 0)?;
            Ok(owner.clone())
        }
        "count" => {
            let [what] = args.plain(name, 1)?;
            let what = what.unwrap_or_default();
            Ok(Value::from(owner.try_iter()?.filter(|item| *item == what).count()))
        }
        "index" => index(owner, args),
        _ => Err(unknown()),
    }
}

fn index(owner: &Value, args: Args) -> Result<Value, Error> {
    let [what, start, stop] = args.plain("index", 1)?;
    let what = what.unwrap_or_default();
    let items: Vec<Value> = owner.try_iter()?.collect();
    let len = items.len() as i64;
    let place = |bound: Option<Value>, usual: i64| match bound {
        None => Ok(usual),
        Some(bound) => to_index(&bound, "a place").map(|at| if at < 0 { (at + len).max(0) } else { at }),
    };
    let (from, to) = (place(start, 0)?, place(stop, len)?.min(len));
    let found = (from..to).find(|at| items[*at as usize] == what);
    found.map(Value::from).ok_or_else(|| error("the value is not in the list"))
}

/// Methods of integers, floats and booleans.
pub(super) fn number_method(owner: &Value, name: &str, args: Args) -> Result<Value, Error> {
    let value = match (name, as_int(owner), as_float(owner)) {
        ("conjugate", Some(n), _) => Value::from(n),
        ("conjugate", _, Some(x)) => Value::from(x),
        ("is_integer", _, Some(x)) => Value::from(x.is_finite() && x.fract() == 0.0),
        ("bit_length", Some(n), _) => Value::from(128 - n.unsigned_abs().leading_zeros()),
        ("bit_count", Some(n), _) => Value::from(n.unsigned_abs().count_ones()),
        _ => return Err(unknown()),
    };
    let [] = args.plain(name, 0)?;
    Ok(value)
}
