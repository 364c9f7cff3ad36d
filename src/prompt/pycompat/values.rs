//! minijinja's values in Python's eyes.

use std::borrow::Cow;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

pub(super) fn error(what: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Python's name of the type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

/// An integer, or a boolean, which Python counts among them.
pub(super) fn as_int(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true().into()),
        _ if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

pub(super) fn as_float(value: &Value) -> Option<f64> {
    let is_float = value.is_number() && !value.is_integer();
    is_float.then(|| f64::try_from(value.clone()).ok()).flatten()
}

/// An integer that stands for a count or a place; those beyond 64 bits are as good as the largest.
pub(super) fn to_index(value: &Value, what: &str) -> Result<i64, Error> {
    let n =
        as_int(value).ok_or_else(|| error(format!("{what} must be an integer, not {}", type_name(value))))?;
    Ok(i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX }))
}

pub(super) fn want_text<'a>(value: &'a Value, what: &str) -> Result<&'a str, Error> {
    let text = value.as_str().filter(|_| value.kind() == ValueKind::String);
    text.ok_or_else(|| error(format!("{what} must be a string, not {}", type_name(value))))
}

/// A text argument, where `None` stands for none.
pub(super) fn optional_text(value: &Option<Value>, what: &str) -> Result<Option<String>, Error> {
    match value {
        Some(value) if !value.is_none() => Ok(Some(want_text(value, what)?.to_owned())),
        _ => Ok(None),
    }
}

/// Whether a flag is given and true.
pub(super) fn is_set(flag: Option<Value>) -> bool {
    flag.is_some_and(|flag| flag.is_true())
}
