//! Jinja's tests: `value is name`.

use super::args::Args;
use super::ast::Comparison;
use super::error::{Error, Result};
use super::filters;
use super::objects::Object;
use super::ops;
use super::printing::str_of;
use super::render::Renderer;
use super::value::Value;

/// Those without arguments.
const PLAIN: [&str; 20] = [
    "boolean",
    "callable",
    "defined",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
];

/// Those with one argument.
const BINARY: [&str; 19] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "divisibleby",
    "eq",
    "equalto",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "le",
    "lessthan",
    "lt",
    "ne",
    "sameas",
    "upper",
];

pub(super) fn is_known(name: &str) -> bool {
    PLAIN.contains(&name) || BINARY.contains(&name)
}

impl Renderer<'_> {
    pub fn test(&mut self, name: &str, value: &Value, args: Args) -> Result<bool> {
        if PLAIN.contains(&name) || name == "upper" {
            let [] = args.plain(name, 0)?;
            return plain(name, value);
        }
        if !BINARY.contains(&name) {
            return Err(Error::new(format!("No test named '{name}'.")));
        }
        let [other] = args.plain(name, 1)?;
        let other = other.unwrap_or(Value::Undefined);
        let comparison = match name {
            "==" | "eq" | "equalto" => Comparison::Eq,
            "!=" | "ne" => Comparison::Ne,
            "<" | "lt" | "lessthan" => Comparison::Lt,
            "<=" | "le" => Comparison::Le,
            ">" | "gt" | "greaterthan" => Comparison::Gt,
            ">=" | "ge" => Comparison::Ge,
            "in" => Comparison::In,
            "sameas" => return Ok(same(value, &other)),
            _ => return divisible(value, &other),
        };
        ops::compare(comparison, value, &other)
    }
}

fn divisible(value: &Value, by: &Value) -> Result<bool> {
    let rest = ops::binary(super::ast::Binary::Mod, value, by)?;
    Ok(ops::equal(&rest, &Value::Int(0)))
}

fn plain(name: &str, value: &Value) -> Result<bool> {
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => matches!(value, Value::Int(_) | Value::Bool(_) | Value::Float(_)),
        "string" => matches!(value, Value::Str(_)),
        "escaped" => matches!(value, Value::Str(text) if text.safe),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => match value {
            Value::Undefined | Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
            Value::Object(object) => matches!(object, Object::Range(_)),
            _ => false,
        },
        "iterable" => match value {
            Value::Undefined | Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
            Value::Object(object) => {
                matches!(object, Object::Range(_) | Object::View(..) | Object::Iterator(_) | Object::Loop(_))
            }
            _ => false,
        },
        "callable" => match value {
            // Jinja's undefined value has a way to be called, which fails.
            Value::Undefined => true,
            Value::Object(object) => object.is_callable(),
            _ => false,
        },
        "odd" => divisible_rest(value)? == Some(true),
        "even" => divisible_rest(value)? == Some(false),
        "lower" => cased(&str_of(value)?, char::is_lowercase, char::is_uppercase),
        "upper" => cased(&str_of(value)?, char::is_uppercase, char::is_lowercase),
        // Python looks the name up in a dict, which takes no list.
        _ => {
            value.key()?;
            value.as_str().is_some_and(if name == "filter" { filters::is_known } else { is_known })
        }
    })
}

/// Whether a number is odd; `None` where it is between numbers.
fn divisible_rest(value: &Value) -> Result<Option<bool>> {
    if value.as_str().is_some() {
        let rest = ops::binary(super::ast::Binary::Mod, value, &Value::Int(2))?;
        return Ok(Some(ops::equal(&rest, &Value::Int(1))).filter(|odd| *odd));
    }
    let rest = ops::binary(super::ast::Binary::Mod, value, &Value::Int(2))?;
    Ok(match (ops::equal(&rest, &Value::Int(1)), ops::equal(&rest, &Value::Int(0))) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    })
}

fn cased(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.chars().any(wanted) && !text.chars().any(other)
}

/// Python's `is`, for values that are one thing.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::None, Value::None) => true,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => std::rc::Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => std::rc::Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => a.is(b),
        _ => false,
    }
}
