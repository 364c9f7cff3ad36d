//! Texts that are marked safe: what is joined to them is escaped, and what is made of them is safe again (MarkupSafe).

use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::args::Args;
use super::objects::items;
use super::printing::str_of;
use super::strings;
use super::text_filters::escaped_within;

/// The value as a safe text.
pub(super) fn escape(value: &Value) -> Result<String, Error> {
    let text = str_of(value)?;
    if value.is_safe() { Ok(text) } else { escaped_within(&text) }
}

/// A text that is as safe as the one that it was made of.
pub(super) fn like(origin: &Value, text: String) -> Value {
    if origin.is_safe() { Value::from_safe_string(text) } else { Value::from(text) }
}

/// Marks the texts that a method of a safe text gave.
fn marked(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(Value::from_safe_string(value.to_string())),
        ValueKind::Seq => {
            let items = value.try_iter()?.map(marked).collect::<Result<Vec<_>, Error>>()?;
            Ok(if value.is_tuple() { Tuple::from(items).into() } else { Value::from(items) })
        }
        _ => Ok(value),
    }
}

/// `text.name(…)`
pub(super) fn method(text: &Value, name: &str, mut args: Args) -> Result<Value, Error> {
    let plain = text.as_str().unwrap_or_default();
    if !text.is_safe() {
        return strings::method(plain, name, args);
    }
    let inserted = match name {
        "replace" | "center" | "ljust" | "rjust" => args.positional.get_mut(1),
        "join" => args.positional.get_mut(0),
        "format" => return super::format::format(plain, &args, true).map(Value::from_safe_string),
        _ => None,
    };
    if let Some(value) = inserted {
        *value = match name {
            "join" => {
                let items = items(value)?;
                items.iter().map(|item| escape(item).map(Value::from)).collect::<Result<Value, Error>>()?
            }
            _ if value.kind() == ValueKind::String => Value::from(escape(value)?),
            _ => value.clone(),
        };
    }
    marked(strings::method(plain, name, args)?)
}
